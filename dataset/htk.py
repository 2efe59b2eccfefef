"""Features in HTK's file format (The HTK Book, version 3.4, section 5.10.1).

A header of twelve bytes and float32 frames, all big-endian. It is what Kaldi's
`compute-mfcc-feats --output-format=htk` writes and `copy-feats --htk-in` reads.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_stream import Stream, read_exactly

MFCC, FBANK = 0o6, 0o7
"""Kinds of features."""
WITH_ENERGY, WITH_C0 = 0o100, 0o20000
"""What may be added to a kind."""

_HEADER = struct.Struct(">iihH")
_COMPRESSED, _CHECKSUM = 0o2000, 0o10000
_UNITS_PER_MS = 10000  # of 100 ns


class HtkFeatures(NamedTuple):
    """Features and what an HTK header says of them.

    Attributes:
        frames: float32 [frames, dim].
        frame_shift: milliseconds.
        kind: a kind of features and what is added to it.
    """

    frames: np.ndarray
    frame_shift: float
    kind: int


def read_htk(stream: Stream) -> HtkFeatures:
    """Reads features.

    Raises:
        InputError: damaged, compressed, or not of float32.
    """
    header = read_exactly(stream, _HEADER.size, "an HTK header")
    frames, period, size, kind = _HEADER.unpack(header)
    if kind & (_COMPRESSED | _CHECKSUM):
        raise InputError(
            "compressed HTK features or ones with a checksum: write them with "
            "SAVECOMPRESSED = F and SAVEWITHCRC = F"
        )
    if frames < 0 or period <= 0 or size <= 0 or size % 4:
        raise InputError(
            f"expected an HTK header of float32 features, got {frames} frames of "
            f"{size} bytes, {period / _UNITS_PER_MS:g} ms apart"
        )
    data = read_exactly(stream, frames * size, "HTK features")
    values = np.frombuffer(data, ">f4").reshape(frames, size // 4)
    return HtkFeatures(values.astype(np.float32), period / _UNITS_PER_MS, kind)


def read_htk_frames(stream: Stream) -> np.ndarray:
    """Only the frames of what `read_htk` reads."""
    return read_htk(stream).frames


def write_htk(stream: Stream, features: HtkFeatures, binary: bool = True) -> None:
    """Writes features.

    Raises:
        InputError: as text, which there is none of, or more columns than fit.
    """
    frames = np.asarray(features.frames)
    if not binary:
        raise InputError("HTK features have no text form: leave out ,t")
    size = 4 * frames.shape[1]
    if size > 32767:
        raise InputError(f"HTK features have up to 8191 columns, got {frames.shape[1]}")
    period = round(features.frame_shift * _UNITS_PER_MS)
    stream.write(_HEADER.pack(len(frames), period, size, features.kind))
    stream.write(frames.astype(">f4").tobytes())
