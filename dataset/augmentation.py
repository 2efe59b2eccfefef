"""What is done to a segment's samples: a room, noises, music or babble.

The kinds and their ratios are those of Kaldi's recipes (egs/voxceleb/v2/run.sh;
Snyder et al., X-vectors, ICASSP 2018, section 3.3), drawn anew for each segment.
Departs from the recipes in that a noise begins at a random place of its file, and in
that powers are those of the segment, not of the whole utterance and noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataset.errors import InputError
from dataset.sound_reader import Sound, SoundReader
from dataset.wav import Noise, mean_square, reverberate

SoundLists = Sequence[Sequence[Sound]]
"""Each list has the same share, and so has each sound of a list."""


@dataclass(frozen=True)
class Rooms:
    """Impulse responses.

    Attributes:
        weight: how often a segment is put into a room, relative to other weights.
    """

    weight: float
    responses: SoundLists

    def draw(self, reader: SoundReader, rng: np.random.Generator) -> Room:
        """Raises InputError if the response cannot be read, or is silent."""
        sound = _draw_sound(self.responses, rng)
        response = reader.whole(sound)
        if not response.any():
            raise InputError(f"{sound.rxfilename}: this impulse response is silent")
        return Room(response)


@dataclass(frozen=True)
class Additions:
    """Sounds that are added.

    Attributes:
        weight: how often, relative to other weights.
        sounds: what is drawn from.
        snrs: ratios in dB that one is drawn from for each sound.
        numbers: how many sounds last as long as the segment, one of these numbers.
        interval: if given, sounds come one after another instead, with so many
            seconds of rest between them.
    """

    weight: float
    sounds: SoundLists
    snrs: Sequence[float]
    numbers: Sequence[int] = (1,)
    interval: float | None = None

    def draw(
        self, reader: SoundReader, length: int, rate: int, rng: np.random.Generator
    ) -> list[Noise]:
        """What is to be added to `length` samples; nothing where files are silent.

        Raises:
            InputError: a sound cannot be read.
        """
        if self.interval is None:
            number = self.numbers[int(rng.integers(len(self.numbers)))]
            noises = [
                Noise(self._lasting(reader, length, rng), self._draw_snr(rng), 0.0)
                for _ in range(number)
            ]
        else:
            rest = round(self.interval * rate)
            noises = self._one_after_another(reader, length, rate, rest, rng)
        return [noise for noise in noises if noise.samples.any()]

    def _lasting(
        self, reader: SoundReader, length: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Some samples of a sound, which is repeated if it is too short."""
        with reader.open(_draw_sound(self.sounds, rng)) as sound:
            if sound.length >= length:
                begin = int(rng.integers(sound.length - length, endpoint=True))
                return sound.read(begin, begin + length)
            whole = sound.read(0, sound.length)
            return np.resize(np.roll(whole, rng.integers(sound.length)), length)

    def _one_after_another(
        self,
        reader: SoundReader,
        length: int,
        rate: int,
        rest: int,
        rng: np.random.Generator,
    ) -> list[Noise]:
        """The first one from any place in it, as if it had begun before."""
        noises: list[Noise] = []
        start = 0
        while start < length:
            with reader.open(_draw_sound(self.sounds, rng)) as sound:
                begin = 0 if noises else int(rng.integers(sound.length))
                samples = sound.read(begin, min(sound.length, begin + length - start))
            noises.append(Noise(samples, self._draw_snr(rng), start / rate))
            start += len(samples) + rest
        return noises

    def _draw_snr(self, rng: np.random.Generator) -> float:
        return self.snrs[int(rng.integers(len(self.snrs)))]


@dataclass(frozen=True)
class Augmentation:
    """The kinds of augmentation, of which each segment gets one, or none.

    Attributes:
        clean: weight of segments that stay as they are.
        kinds: the others.
    """

    clean: float
    kinds: Sequence[Rooms | Additions]

    def draw(self, rng: np.random.Generator) -> Rooms | Additions | None:
        """One kind in proportion to the weights; None: leave the segment as it is."""
        weights = np.array([self.clean, *(kind.weight for kind in self.kinds)])
        ends = np.cumsum(weights)
        choice = int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))
        return None if choice == 0 else self.kinds[choice - 1]


@dataclass(frozen=True)
class Room:
    """An impulse response float32 [m], whose peak is taken for the direct sound."""

    response: np.ndarray

    @property
    def before(self) -> int:
        """How many samples before a segment are still heard in it."""
        return len(self.response) - 1 - self.after

    @property
    def after(self) -> int:
        """The delay that is taken back, as by --shift-output."""
        return int(np.argmax(self.response))

    def reverberate(self, samples: np.ndarray, begin: int, end: int) -> np.ndarray:
        """Samples `begin` to `end` in the room, from those and some around: float32.

        They keep their power, as the recipes have it.
        """
        output = _convolve(samples, self.response)[
            begin + self.after : end + self.after
        ]
        dry, wet = mean_square(samples[begin:end]), mean_square(output)
        return output * np.float32(np.sqrt(dry / wet)) if wet > 0 else output


def add_noises(samples: np.ndarray, rate: int, noises: list[Noise]) -> np.ndarray:
    """The samples with noises, at the power that they had before; float64."""
    return reverberate(samples, rate, None, noises)


def _draw_sound(lists: SoundLists, rng: np.random.Generator) -> Sound:
    sounds = lists[int(rng.integers(len(lists)))]
    return sounds[int(rng.integers(len(sounds)))]


def _convolve(signal: np.ndarray, response: np.ndarray) -> np.ndarray:
    """[n] and [m] to [n + m - 1], float32, by Fourier transforms of blocks.

    Departs from Kaldi's wav-reverberate, whose product at the Nyquist frequency is not
    that of a convolution (see dataset.wav).
    """
    from scipy import fft

    overlap = len(response) - 1
    size = 1 << (4 * overlap + 1).bit_length()
    step = size - overlap
    count = -(-(len(signal) + overlap) // step)
    padded = np.zeros((count, step), np.float32)
    padded.ravel()[: len(signal)] = signal
    pieces = fft.rfft(padded, size)
    pieces *= fft.rfft(response, size)
    blocks = fft.irfft(pieces, size)
    output = np.zeros((count + 1, step), np.float32)
    output[:-1] = blocks[:, :step]
    output[1:, :overlap] += blocks[:, step:]
    return output.ravel()[: len(signal) + overlap]
