"""Parts of recordings: of a sound file, the samples that are wanted and no others."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_stream import is_pipe, split_offset
from dataset.wav_pipe import plain_file
from dataset.wave_cache import WaveCache

_CACHE_BYTES = 1 << 26
_LENGTH_UNKNOWN = 1 << 60
"""libsndfile gives a length above this for a stream whose header has none."""

_log = logging.getLogger("kaldi")


class Sound(NamedTuple):
    """A recording, or a part of one."""

    name: str
    rxfilename: str
    times: tuple[float, float] | None = None  # s; the second may be -1: to the end


class OpenSound(Protocol):
    """Samples that can be asked for piece by piece.

    Attributes:
        length: number of samples.
    """

    length: int

    def read(self, begin: int, end: int) -> np.ndarray:
        """The samples from `begin` to `end`, float32 in 16-bit scale."""


def seekable_file(rxfilename: str) -> str | None:
    """The file in which samples can be sought; None: all have to be decoded."""
    if is_pipe(rxfilename):
        return plain_file(rxfilename)
    path, _ = split_offset(rxfilename)
    return path if path == rxfilename else None  # else a file in an archive


class SoundReader:
    """Opens sounds of one sampling rate.

    Sound files are opened anew each time, which takes 0.05 ms; what comes from other
    pipes, and what is read by `whole`, is kept, up to a bound.

    Args:
        rate: sampling rate in Hz that all must have.
        channel: which is taken; -1: the first.
    """

    def __init__(self, rate: int, channel: int = -1) -> None:
        self._rate, self._channel = rate, channel
        self._cache = WaveCache(_CACHE_BYTES)
        self._warned = False

    @contextlib.contextmanager
    def open(self, sound: Sound) -> Iterator[OpenSound]:
        """Opens a sound.

        Raises:
            InputError: it cannot be read, here or by `read`, has another rate, no such
                channel, no such times.
        """
        file = seekable_file(sound.rxfilename)
        with contextlib.ExitStack() as stack:
            if file is not None and (stream := _open(file)) is not None:
                stack.enter_context(stream)
                self._check_rate(stream.samplerate, sound.rxfilename)
                channel = self._choose(stream.channels, sound.rxfilename)
                recording: OpenSound = _FileSound(file, stream, channel)
            else:
                recording = self._decode(sound.rxfilename)
            yield _part(recording, sound, self._rate)

    def whole(self, sound: Sound) -> np.ndarray:
        """All samples, for sounds that are short and serve many segments.

        Raises:
            InputError: as for `open`.
        """
        part = _part(self._decode(sound.rxfilename), sound, self._rate)
        return part.read(0, part.length)

    def _decode(self, rxfilename: str) -> OpenSound:
        wave = self._cache.read(rxfilename)
        self._check_rate(wave.rate, rxfilename)
        channel = self._choose(len(wave.samples), rxfilename)
        return _WholeSound(wave.samples[channel])

    def _check_rate(self, rate: int, rxfilename: str) -> None:
        if rate != self._rate:
            raise InputError(
                f"{rxfilename}: expected a sampling rate of {self._rate} Hz, as of the "
                f"features, got {rate} Hz; resample it (sox)"
            )

    def _choose(self, num_channels: int, rxfilename: str) -> int:
        if self._channel >= num_channels:
            raise InputError(
                f"{rxfilename}: {num_channels} channels, but --channel={self._channel}"
            )
        if self._channel < 0 and num_channels > 1 and not self._warned:
            self._warned = True
            _log.warning(
                "%s: %d channels; of this and others the first is used (see --channel)",
                rxfilename,
                num_channels,
            )
        return max(self._channel, 0)


class _WholeSound:
    def __init__(self, samples: np.ndarray) -> None:
        self._samples, self.length = samples, len(samples)

    def read(self, begin: int, end: int) -> np.ndarray:
        return self._samples[begin:end]


class _FileSound:
    def __init__(self, path: str, stream: Any, channel: int) -> None:
        self._path, self._stream, self._channel = path, stream, channel
        self.length: int = stream.frames

    def read(self, begin: int, end: int) -> np.ndarray:
        import soundfile

        try:
            self._stream.seek(begin)
            samples = self._stream.read(end - begin, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise InputError(
                f"{self._path}: cannot read samples {begin} to {end}: {_reason(error)}"
            ) from None
        if len(samples) < end - begin:
            raise InputError(
                f"{self._path}: expected samples {begin} to {end} of {self.length}, "
                f"got {len(samples)}: the file is truncated"
            )
        channel = samples[:, self._channel]
        if not np.isfinite(channel.sum()):  # of float samples
            number = begin + int(np.argmin(np.isfinite(channel)))
            raise InputError(f"{self._path}: sample {number} is not a finite number")
        return channel * np.float32(32768)


class _SoundPart:
    def __init__(self, recording: OpenSound, first: int, length: int) -> None:
        self._recording, self._first, self.length = recording, first, length

    def read(self, begin: int, end: int) -> np.ndarray:
        return self._recording.read(self._first + begin, self._first + end)


def _open(path: str) -> Any | None:
    """A soundfile.SoundFile; None if it does not say how long it is."""
    import soundfile

    try:
        stream = soundfile.SoundFile(path)
    except soundfile.SoundFileError as error:
        try:
            with open(path, "rb"):
                raise InputError(
                    f"{path}: expected a sound file of a format that soundfile knows: "
                    f"{_reason(error)}"
                ) from None
        except OSError as os_error:
            raise InputError(f"cannot open {path}: {os_error.strerror}") from None
    if 0 < stream.frames < _LENGTH_UNKNOWN:
        return stream
    stream.close()
    return None


def _part(recording: OpenSound, sound: Sound, rate: int) -> OpenSound:
    """The samples between two times, which are rounded as by extract-segments."""
    if sound.times is None:
        return recording
    start, end = sound.times
    first = int(start * rate + 0.5)
    last = recording.length if end == -1 else int(end * rate + 0.5)
    last = min(last, recording.length)
    if first >= last:
        raise InputError(
            f"{sound.rxfilename}: {start:g} s to {end:g} s is not in this recording of "
            f"{recording.length / rate:g} s"
        )
    return _SoundPart(recording, first, last - first)


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2]
