"""Segments of voiced, normalised frames, from raw features: stage 4 of a recipe.

What `apply-cmvn-sliding --norm-vars=false --center=true --cmn-window=300 |
select-voiced-frames` writes for an utterance (local/nnet3/xvector/
prepare_feats_for_egs.sh), a part of it, without need of the rest.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from dataset.features import SlidingCmvnOptions, cmvn_windows
from dataset.vad_table import Vad

CMVN = SlidingCmvnOptions(cmn_window=300, center=True)

# Rows that are summed in single precision.
_BLOCK = 32


class VoicedSegment(NamedTuple):
    """Which raw frames a segment is made of, and how.

    All but `first` are counted from `first`: int64 [segment's frames].
    """

    first: int  # frame of the utterance
    rows: np.ndarray  # the voiced frames
    starts: np.ndarray  # the windows around them
    ends: np.ndarray

    @property
    def num_raw(self) -> int:
        """How many raw frames are needed, from `first` on."""
        return int(self.ends[-1])

    def normalise(self, raw: np.ndarray) -> np.ndarray:
        """The segment, float32 [frames, dim], from raw frames [num_raw, dim]."""
        return subtract_means(raw, self.rows, self.starts, self.ends)


def locate_voiced(vad: Vad, start: int, length: int) -> VoicedSegment:
    """The voiced frames `start` to `start + length` of an utterance, length >= 1."""
    rows = vad.voiced_rows()[start : start + length]
    starts, ends = cmvn_windows(rows, vad.num_frames, CMVN)
    first = int(starts[0])
    return VoicedSegment(first, rows - first, starts - first, ends - first)


def subtract_means(
    features: np.ndarray, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    """Some rows, each less the mean over a window of its own: float32 [rows, dim].

    NumPy's cumsum waits for each addition, so the sums within a block are a product
    with a triangular matrix, in single precision; those of blocks are in double. All
    are about a mean of some rows, and so small.

    Args:
        features: float32 [frames, dim].
        rows: the rows wanted.
        starts, ends: of the window of each, ends - starts at least 1.
    """
    frames, dim = features.shape
    num_blocks = frames // _BLOCK + 1  # one row more, for windows up to the end
    blocks = np.zeros((num_blocks, _BLOCK, dim), np.float32)
    centred = blocks.reshape(-1, dim)[:frames]
    np.subtract(features, features[:: frames // 64 + 1].mean(axis=0), out=centred)
    inside = np.matmul(_sum_before(), blocks)
    totals = inside[:, -1] + blocks[:, -1]
    inside = inside.reshape(-1, dim)
    before = np.zeros((num_blocks, dim))
    np.cumsum(totals[:-1], axis=0, dtype=np.float64, out=before[1:])
    last, first = (before.take(edge // _BLOCK, axis=0) for edge in (ends, starts))
    sums = (last - first).astype(np.float32)
    sums += inside.take(ends, axis=0)
    sums -= inside.take(starts, axis=0)
    sums /= (ends - starts).astype(np.float32)[:, None]
    return centred.take(rows, axis=0) - sums


@functools.cache
def _sum_before() -> np.ndarray:
    """Times a block: in each row the sum of the rows before it."""
    return np.tri(_BLOCK, k=-1, dtype=np.float32)
