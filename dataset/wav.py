"""Waveforms: reading and writing sound files, reverberation and noise.

Samples are float32 [channels, n] in the scale of 16-bit integers, as in Kaldi. RIFF
files with integer or float samples are read here, NIST SPHERE files by
`dataset.sphere`, any other sound file (FLAC, Ogg, mu-law, ...) through soundfile.
"""

from __future__ import annotations

import io
import logging
import os
import struct
from collections.abc import Sequence
from typing import IO, NamedTuple

import numpy as np

from dataset import sphere
from dataset.errors import InputError
from dataset.kaldi_stream import Source, is_pipe, open_or_fd

_log = logging.getLogger("kaldi")

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_BYTES_UNTIL_END = {0, 0xFFFFFFFF, 0x7FFFF000}
"""Sizes in the header of a stream whose length was not known; the last is SoX's."""

_BLOCK = 1 << 24
_EARLY_BEFORE, _EARLY_AFTER = 0.001, 0.05
"""Seconds around the peak of an impulse response that count as early reverberation."""


class Wave(NamedTuple):
    """Samples float32 [channels, n] in 16-bit scale, and the sampling rate in Hz."""

    samples: np.ndarray
    rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.rate


class Noise(NamedTuple):
    """A signal to add: samples [n], signal-to-noise ratio in dB, start in seconds."""

    samples: np.ndarray
    snr: float
    start: float


def read_wave(source: Source) -> Wave:
    """Reads a sound file, a pipe that writes one, or one from an open stream.

    Args:
        source: an rxfilename or a binary stream. From a stream exactly the bytes of a
            RIFF file are taken, so that others may follow; anything else is read to
            the end.

    Raises:
        InputError: it cannot be read, is no sound file, or holds no samples.
    """
    if not isinstance(source, (str, os.PathLike)):
        return _decode(source, "the stream")
    name = os.fspath(source).strip()
    if is_pipe(name):
        from dataset.wav_pipe import run_pipe  # which reads its files through us

        wave = run_pipe(name)
        if wave is not None:
            return wave
    with open_or_fd(name) as stream:
        return _decode(stream, name)


def read_wave_file(path: str | os.PathLike[str]) -> Wave:
    """Reads a sound file; no command is run, whatever the name.

    Raises:
        InputError: as `read_wave`.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as stream:
            return _decode(stream, name)
    except OSError as error:
        raise InputError(f"cannot open {name}: {error.strerror}") from None


def write_wave(target: Source, samples: np.ndarray, rate: int) -> None:
    """Writes 16-bit PCM to a wxfilename or stream.

    Args:
        target: a file is complete when it appears under its name.
        samples: [n] or [channels, n] in 16-bit scale; see `to_int16`.
        rate: sampling rate in Hz.
    """
    data = np.ascontiguousarray(to_int16(np.atleast_2d(samples)).T, "<i2")
    channels = data.shape[1]
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + data.nbytes, b"WAVE"),
        *(b"fmt ", 16, _PCM, channels, rate, rate * channels * 2, channels * 2, 16),
        *(b"data", data.nbytes),
    )
    with open_or_fd(target, "wb") as stream:
        stream.write(header + data.tobytes())


def to_int16(samples: np.ndarray) -> np.ndarray:
    """Samples as int16, cut towards zero as in Kaldi; warns of clipped ones."""
    whole = np.trunc(samples)
    clipped = np.count_nonzero((whole < -32768) | (whole > 32767))
    if clipped:
        _log.warning(
            "clipped %d samples out of %d; reduce the volume?", clipped, samples.size
        )
    return np.clip(whole, -32768, 32767).astype(np.int16)


def reverberate(
    signal: np.ndarray,
    rate: int,
    impulse_response: np.ndarray | None = None,
    noises: Sequence[Noise] = (),
    normalize: bool = True,
    volume: float = 0.0,
) -> np.ndarray:
    """Convolves with a room and adds noises: what Kaldi's wav-reverberate computes.

    The noises' ratios refer to the power of the direct sound and its early reflections
    (Ko et al., "A study on data augmentation of reverberant speech", 2017).

    Args:
        signal: [n]; like the other signals in 16-bit scale.
        rate: sampling rate in Hz of all of them.
        impulse_response: [m], or None for no room.
        noises: signals to add; what reaches past the end is left out.
        normalize: scale the result to the power of the input.
        volume: if not 0, scale by this instead.

    Returns:
        float64 [n + m - 1], or [n] without a room.

    Raises:
        InputError: a noise is silent or starts before the signal.
    """
    output = signal.astype(np.float64)
    power = early_power = mean_square(output)
    if impulse_response is not None:
        response = impulse_response / 32768.0
        if noises:
            early_power = mean_square(_convolve(output, _early_part(response, rate)))
        output = _convolve(output, response)
    for noise in noises:
        _add_noise(output, noise, rate, early_power)
    power_after = mean_square(output)
    if volume > 0:
        output *= volume
    elif normalize and power_after > 0:
        output *= np.sqrt(power / power_after)
    return output


def _early_part(response: np.ndarray, rate: int) -> np.ndarray:
    """The direct sound, taken to be the peak, and its early reflections."""
    peak, rate32 = np.float32(np.argmax(response)), np.float32(rate)
    start = int(peak - np.float32(_EARLY_BEFORE) * rate32)
    return response[max(start, 0) : int(peak + np.float32(_EARLY_AFTER) * rate32)]


def _convolve(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Kaldi's FFTbasedBlockConvolveSignals: [n] and [m] to [n + m - 1].

    In each block it takes the transform at frequency 0 and at the Nyquist frequency,
    which are real and stored together, for a complex number. So a product stands there
    that is not that of a convolution; short impulse responses sound different for it.
    """
    length, overlap = len(signal) + len(response) - 1, len(response) - 1
    size = 1 << (4 * len(response) - 1).bit_length()
    step = size - overlap
    count = -(-length // step)
    padded = np.zeros(count * step)
    padded[: len(signal)] = signal
    blocks = np.fft.rfft(padded.reshape(count, step), size)
    factors = np.fft.rfft(response, size)
    packed = blocks[:, 0].real + 1j * blocks[:, -1].real
    packed *= factors[0].real + 1j * factors[-1].real
    blocks *= factors
    blocks[:, 0], blocks[:, -1] = packed.real, packed.imag
    pieces = np.fft.irfft(blocks, size)
    output = np.zeros((count + 1, step))
    output[:-1] = pieces[:, :step]
    output[1:, :overlap] += pieces[:, step:]
    return output.ravel()[:length]


def mean_square(signal: np.ndarray) -> float:
    """The power of a signal, summed in float64."""
    return float(np.mean(np.square(signal, dtype=np.float64)))


def _add_noise(output: np.ndarray, noise: Noise, rate: int, power: float) -> None:
    """Adds a noise in place, scaled to its ratio to `power`."""
    noise_power = mean_square(noise.samples)
    if not noise_power > 0:
        raise InputError("an additive signal is silent: it cannot be scaled to an SNR")
    if noise.start < 0:
        raise InputError(f"expected start times of 0 s or more, got {noise.start:g}")
    scale = np.sqrt(10 ** (-noise.snr / 10) * power / noise_power)
    offset = int(np.float32(noise.start) * np.float32(rate))  # rounded as in Kaldi
    part = output[offset : offset + len(noise.samples)]
    part += scale * noise.samples[: len(part)]


def _decode(stream: IO[bytes], name: str) -> Wave:
    start = stream.read(12)
    if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
        wave = _read_riff(stream, start, name)
    else:
        wave = _read_other(start + stream.read(), name)
    if not wave.samples.size:
        raise InputError(f"{name}: no samples in the sound file")
    if not np.isfinite(np.sum(wave.samples, dtype=np.float64)):
        number = int(np.argmin(np.isfinite(wave.samples).all(axis=0)))
        raise InputError(f"{name}: sample {number} is not a finite number")
    return wave


def _read_other(content: bytes, name: str) -> Wave:
    """Any format that soundfile knows."""
    if not content:
        raise InputError(f"{name}: expected a sound file, found nothing")
    if content.startswith(sphere.MAGIC):
        try:
            decoded = sphere.decode_sphere(content)
        except InputError as error:
            raise InputError(f"{name}: {error}") from None
        if decoded is not None:
            return Wave(*decoded)
    import soundfile

    try:
        file = io.BytesIO(content)
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise InputError(
            f"{name}: expected a sound file (RIFF or a format known to soundfile): "
            f"{str(error).rpartition(': ')[2]}"
        ) from None
    return Wave(np.ascontiguousarray(samples.T) * np.float32(32768), rate)


class _Format(NamedTuple):
    """The first fields of a chunk `fmt `."""

    tag: int
    channels: int
    rate: int
    byte_rate: int
    block_size: int
    bits: int


def _read_riff(stream: IO[bytes], start: bytes, name: str) -> Wave:
    head, layout = bytearray(start), None
    while True:
        chunk = stream.read(8)
        if len(chunk) < 8:
            raise InputError(f"{name}: truncated RIFF file: it ends before its samples")
        tag, size = struct.unpack("<4sI", chunk)
        head += chunk
        if tag == b"data":
            break
        body = _read_up_to(stream, size + size % 2)
        head += body
        if tag == b"fmt " and len(body) >= 16:
            layout = _parse_format(body)
    if layout is None:
        raise InputError(f"{name}: no chunk 'fmt ' before the samples of a RIFF file")
    if layout.tag not in (_PCM, _FLOAT):  # mu-law, ADPCM, ...
        return _read_other(bytes(head) + stream.read(), name)
    if size in _BYTES_UNTIL_END or start[4:8] in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        data = stream.read()
    else:
        data = _read_up_to(stream, size)
        if len(data) < size:
            _log.warning(
                "%s: expected %d bytes of samples, got %d (a truncated file?); "
                "these are used",
                *(name, size, len(data)),
            )
    return Wave(_to_samples(data, layout, name), layout.rate)


def _read_up_to(stream: IO[bytes], size: int) -> bytes:
    """At most `size` bytes: a wrong size in a header must not take memory."""
    parts = []
    while size > 0 and (part := stream.read(min(size, _BLOCK))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _parse_format(body: bytes) -> _Format:
    layout = _Format(*struct.unpack("<HHIIHH", body[:16]))
    if layout.tag == _EXTENSIBLE and len(body) >= 26:
        (tag,) = struct.unpack("<H", body[24:26])
        return layout._replace(tag=tag)
    return layout


def _to_samples(data: bytes, layout: _Format, name: str) -> np.ndarray:
    """Bytes of interleaved samples as float32 [channels, n] in 16-bit scale."""
    size, channels = layout.bits // 8, layout.channels
    sizes = (1, 2, 3, 4) if layout.tag == _PCM else (4, 8)
    if size not in sizes or channels < 1 or layout.rate < 1:
        raise InputError(
            f"{name}: expected integer samples of 8, 16, 24 or 32 bits or float ones "
            f"of 32 or 64, at least one channel and a sampling rate; got {layout}"
        )
    count = len(data) // (size * channels) * channels
    data = data[: count * size]
    values, scale = _parse_values(data, layout.tag, size)
    samples = np.ascontiguousarray(values.reshape(-1, channels).T, np.float32)
    return samples if scale == 1 else samples * np.float32(scale)


def _parse_values(data: bytes, tag: int, size: int) -> tuple[np.ndarray, float]:
    """The numbers in a data chunk, and what brings them to 16-bit scale."""
    if tag == _FLOAT:
        return np.frombuffer(data, f"<f{size}"), 2.0**15
    if size == 1:
        return np.frombuffer(data, np.uint8) - np.int16(128), 2.0**8
    if size == 3:
        upper = np.zeros((len(data) // 3, 4), np.uint8)
        upper[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return upper.view("<i4"), 2.0**-16
    return np.frombuffer(data, f"<i{size}"), 2.0 ** (16 - 8 * size)
