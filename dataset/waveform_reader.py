"""Segments of features straight from the waveform, and so with other noises each time.

Of an utterance the samples of the wanted frames and of the CMVN windows around them are
read, played faster or slower, put into a room or mixed with noise, and turned into
features. Without all that they are to 0.002 what `compute-mfcc-feats`,
`apply-cmvn-sliding` and `select-voiced-frames` write for the whole utterance, but for
the dither, whose noise is another one each time.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dataset.augmentation import Additions, Augmentation, Rooms, add_noises
from dataset.errors import InputError
from dataset.features import compute_fbank, compute_mfcc
from dataset.front_end import Compute, ComputeMfccOptions, WaveOptions, feature_dim
from dataset.mel_energies import frame_span, num_frames
from dataset.resampling import faster_length, play_faster
from dataset.segments import Segment
from dataset.sound_reader import OpenSound, Sound, SoundReader
from dataset.voiced_segment import locate_voiced

_DITHER_LENGTH = 1 << 20
"""Random numbers that dither is taken from, at a random place."""


@dataclass(frozen=True)
class WaveformOptions:
    """How features are made of waveforms.

    Attributes:
        features: options of compute-mfcc-feats or of compute-fbank-feats.
        augmentation: None: segments stay as they are.
        speeds: at which there are copies of all utterances, as new speakers.
    """

    features: WaveOptions
    augmentation: Augmentation | None = None
    speeds: tuple[Fraction, ...] = ()

    @property
    def dim(self) -> int:
        """Features of a frame."""
        return feature_dim(self.features)


class WaveformReader:
    """Reads segments whose `rxfilename` is that of a recording."""

    def __init__(self, options: WaveformOptions) -> None:
        self._options = options.features
        self._augmentation = options.augmentation
        self._rate = int(self._options.sample_frequency)
        self._recordings = SoundReader(self._rate, self._options.channel)
        self._noises = SoundReader(self._rate)
        is_mfcc = isinstance(self._options, ComputeMfccOptions)
        self._compute: Compute = compute_mfcc if is_mfcc else compute_fbank
        # Frames are cut out here, with what lies around them or is reflected; and so
        # much noise takes longer to draw than to transform.
        self._cut_options = dataclasses.replace(
            self._options, snip_edges=True, dither=0.0
        )
        table = np.random.default_rng(0).standard_normal(_DITHER_LENGTH, np.float32)
        self._dither = table * np.float32(self._options.dither)

    def read(
        self, segment: Segment, length: int, rng: np.random.Generator
    ) -> np.ndarray:
        """The frames of a segment, normalised and voiced: float32 [length, dim].

        Raises:
            InputError: the recording or a noise cannot be read, or is not what it
                should be; the message names the utterance.
        """
        vad = segment.vad
        if vad is None:
            raise ValueError("features are made of waveforms only where there is a VAD")
        voiced = locate_voiced(vad.at_speed(segment.speed), segment.start, length)
        span = frame_span(voiced.first, voiced.num_raw, self._options)
        sound = Sound(segment.utterance, segment.rxfilename, segment.times)
        try:
            with self._recordings.open(sound) as recording:
                self._check_length(recording, vad.num_frames)
                samples = self._read_samples(recording, segment, *span, rng)
        except (InputError, OSError) as error:
            raise InputError(
                f"utterance {segment.utterance} ({segment.rxfilename}): {error}"
            ) from None
        if self._options.dither:
            begin = int(rng.integers(_DITHER_LENGTH))
            samples = samples + _from(self._dither, begin, len(samples))
        frames = self._compute(samples, self._rate, self._cut_options, exact=False)
        return voiced.normalise(frames)

    def _check_length(self, recording: OpenSound, num_decisions: int) -> None:
        frames = num_frames(recording.length, self._options)
        if frames != num_decisions:
            raise InputError(
                f"{recording.length} samples are {frames} frames, but there are "
                f"{num_decisions} VAD decisions: is the recording truncated, or "
                "vad.scp of other features?"
            )

    def _read_samples(
        self,
        recording: OpenSound,
        segment: Segment,
        begin: int,
        end: int,
        rng: np.random.Generator,
    ) -> np.ndarray:
        """Samples `begin` to `end`, augmented, and reflected where there are none."""
        length = faster_length(recording.length, segment.speed)
        first, last = max(begin, 0), min(end, length)

        def read(first: int, last: int) -> np.ndarray:
            return play_faster(
                recording.read, recording.length, segment.speed, first, last
            )

        kind = self._augmentation.draw(rng) if self._augmentation else None
        if isinstance(kind, Rooms):
            room = kind.draw(self._noises, rng)
            start = max(0, first - room.before)
            around = read(start, min(length, last + room.after))
            samples = room.reverberate(around, first - start, last - start)
        else:
            samples = read(first, last)
            if isinstance(kind, Additions):
                noises = kind.draw(self._noises, len(samples), self._rate, rng)
                samples = add_noises(samples, self._rate, noises)
        samples = samples.astype(np.float32, copy=False)
        if (first, last) == (begin, end):
            return samples
        return np.pad(samples, (first - begin, end - last), "symmetric")


def _from(table: np.ndarray, begin: int, length: int) -> np.ndarray:
    """So many values from a place on; after the last one comes the first."""
    if begin + length <= len(table):
        return table[begin : begin + length]
    return np.resize(np.roll(table, -begin), length)
