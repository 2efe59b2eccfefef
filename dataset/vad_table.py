"""Voice activity decisions of a whole corpus, a bit a frame, read once at the start.

Two million utterances of eight seconds are 6 GB of float vectors on disk, and 200 MB
here. So the archives are read in the order in which they lie, and whoever asks for a
segment later touches no other file than that of the features.
"""

from __future__ import annotations

import itertools
import mmap
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import NamedTuple, NoReturn

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import read_vec_flt
from dataset.kaldi_stream import split_offset

# Utterances whose decisions are looked at together: their 1 or 2 MB stay in cache.
_BLOCK = 512

_HEADER = struct.Struct("<5sbi")  # mark and token, size of an integer, frames
_TOKEN = b"\0BFV "
_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
_PADDING = bytes(4 * 7)


# Number, utterance, frames, and the decisions as stored: little-endian float32. (A
# NamedTuple would add a seventh to the time.)
_Entry = tuple[int, str, int, bytes | memoryview]


class Vad(NamedTuple):
    """Which frames of an utterance are voiced."""

    num_frames: int
    bits: bytes  # as of np.packbits

    def voiced_rows(self) -> np.ndarray:
        """The numbers of the voiced frames, int64, ascending."""
        bits = np.frombuffer(self.bits, np.uint8)
        return np.flatnonzero(np.unpackbits(bits, count=self.num_frames))

    def at_speed(self, speed: Fraction) -> Vad:
        """The decisions for the utterance played `speed` times as fast.

        A frame is voiced if the frame that was in its middle's place is.
        """
        if speed == 1:
            return self
        frames = _sources(self.num_frames, speed)
        bits = np.unpackbits(np.frombuffer(self.bits, np.uint8))[frames]
        return Vad(len(frames), np.packbits(bits).tobytes())


class VadTable:
    """The decisions of utterances that are numbered from 0.

    Attributes:
        num_frames: int64 [utterances]; -1: there are none of this utterance.
        num_voiced: int64 [utterances].
    """

    def __init__(
        self, entries: Iterable[tuple[int, str, str]], num_utterances: int
    ) -> None:
        """Reads the vectors that the entries point to: 1 is voiced, 0 is not.

        Args:
            entries: (number, utterance, rxfilename of a float vector), any order.
            num_utterances: the numbers are below this.

        Raises:
            InputError: there is no vector, or it has other values, which
                select-voiced-frames refuses, too; the message names the utterance.
        """
        self.num_frames = np.full(num_utterances, -1, np.int64)
        self.num_voiced = np.zeros(num_utterances, np.int64)
        self._begin = np.zeros(num_utterances, np.int64)
        self._bits = bytearray()
        vectors = _vectors(entries)
        while block := list(itertools.islice(vectors, _BLOCK)):
            self._add(block)

    def __getitem__(self, row: int) -> Vad:
        num_frames, begin = int(self.num_frames[row]), int(self._begin[row])
        return Vad(num_frames, bytes(self._bits[begin : begin - -num_frames // 8]))

    def num_voiced_at(self, speed: Fraction) -> np.ndarray:
        """How many frames of each are voiced `at_speed`: int64 [utterances]."""
        longest = 8 * -(-int(self.num_frames.max(initial=0)) // 8)
        sources = _sources(longest, speed)
        repeats = np.bincount(sources, minlength=longest).astype(np.uint8)
        counts = np.zeros(len(self.num_frames), np.int64)
        rows = np.flatnonzero(self.num_frames > 0)
        rows = rows[np.argsort(self._begin[rows], kind="stable")]
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            begins = self._begin[block]
            num_bits = 8 * -(-self.num_frames[block] // 8)
            end = begins[-1] + num_bits[-1] // 8
            bits = np.frombuffer(self._bits, np.uint8)[begins[0] : end]
            voiced = np.unpackbits(bits)
            voiced *= np.concatenate([repeats[:count] for count in num_bits.tolist()])
            counts[block] = np.add.reduceat(
                voiced, 8 * (begins - begins[0]), dtype=np.int64
            )
        return counts

    def _add(self, block: list[_Entry]) -> None:
        rows, _, lengths, vectors = zip(*block, strict=True)
        num_frames = np.array(lengths)
        # Each utterance begins with a byte of its own.
        gaps = [_PADDING[: 4 * (-length % 8)] for length in lengths]
        parts = itertools.chain.from_iterable(zip(vectors, gaps, strict=True))
        values = np.frombuffer(b"".join(parts), "<f4")
        voiced = values != 0
        if ((values == 1) != voiced).any():
            _refuse_values(block)
        bits = np.packbits(voiced)
        ends = np.cumsum(-(-num_frames // 8))
        counts = np.concatenate([[0], np.cumsum(_ONES[bits], dtype=np.int64)])
        begins = np.concatenate([[0], ends[:-1]])
        where = np.array(rows)
        self.num_frames[where] = num_frames
        self.num_voiced[where] = counts[ends] - counts[begins]
        self._begin[where] = len(self._bits) + begins
        self._bits += bits.tobytes()


def _sources(num_frames: int, speed: Fraction) -> np.ndarray:
    """For each frame of a faster utterance the frame that was in its middle's place.

    As many as have one, which is the number of frames over the speed, rounded.
    """
    # The middle of frame j is at (j + 1/2) speed of the frames before.
    faster, base = speed.numerator, 2 * speed.denominator
    count = -(-(base * num_frames - faster) // (2 * faster))
    return (faster * (2 * np.arange(count) + 1)) // base


def _refuse_values(block: list[_Entry]) -> NoReturn:
    for _, utterance, _, vector in block:
        values = np.frombuffer(vector, "<f4")
        other = np.flatnonzero((values != 0) & (values != 1))
        if len(other):
            raise InputError(
                f"utterance {utterance}: expected VAD decisions 0 and 1, got "
                f"{values[other[0]]:g} for frame {other[0]}: compute them anew "
                "(sid/compute_vad_decision.sh)"
            )
    raise AssertionError("all values are 0 or 1")


def _vectors(entries: Iterable[tuple[int, str, str]]) -> Iterator[_Entry]:
    open_path, archive = "", memoryview(b"")
    for row, utterance, rxfilename in entries:
        path, offset = split_offset(rxfilename)
        if path == rxfilename:  # a file without an offset, a pipe, a range
            yield row, utterance, *_read(utterance, rxfilename)
            continue
        if path != open_path:
            open_path, archive = path, _map(path)
        begin = offset + _HEADER.size
        if begin <= len(archive):
            token, size, num_frames = _HEADER.unpack_from(archive, offset)
            end = begin + 4 * num_frames
            if token == _TOKEN and size == 4 and begin <= end <= len(archive):
                yield row, utterance, num_frames, archive[begin:end]
                continue
        # Text, double precision, or damaged, which the ordinary reader says.
        yield row, utterance, *_read(utterance, rxfilename)


def _map(path: str) -> memoryview:
    """The file in memory; empty if it cannot be mapped, which the reader then says."""
    try:
        with open(path, "rb") as stream:
            archive = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return memoryview(b"")
    if hasattr(mmap, "MADV_SEQUENTIAL"):
        archive.madvise(mmap.MADV_SEQUENTIAL)
    return memoryview(archive)


def _read(utterance: str, rxfilename: str) -> tuple[int, bytes]:
    try:
        vector = read_vec_flt(rxfilename)
    except (InputError, OSError) as error:
        raise InputError(
            f"utterance {utterance}: cannot read its VAD decisions: {error}"
        ) from None
    return len(vector), vector.astype("<f4").tobytes()
