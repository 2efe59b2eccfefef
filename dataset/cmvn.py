"""Normalisation by accumulated statistics, as in Kaldi's transform/cmvn.cc.

Statistics are float64 [2, dim + 1]: sums and, at the end, the number of frames; sums of
squares and a zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataset.errors import InputError

VARIANCE_FLOOR = 1e-20


def cmvn_stats(features: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The statistics of features [frames, dim], float64 [2, dim + 1].

    Args:
        weights: of each frame, [frames]; None: all 1.

    Raises:
        InputError: another number of weights than frames.
    """
    frames, dim = features.shape
    if weights is None:
        weights = np.ones(frames)
    if len(weights) != frames:
        raise InputError(f"{frames} frames, but {len(weights)} weights")
    weights = weights.astype(np.float64)
    values = features.astype(np.float64)
    stats = np.zeros((2, dim + 1))
    stats[0, :dim] = weights @ values
    stats[0, dim] = weights.sum()
    stats[1, :dim] = weights @ values**2
    return stats


def apply_cmvn(
    features: np.ndarray,
    stats: np.ndarray,
    norm_vars: bool = False,
    reverse: bool = False,
    skip_dims: Sequence[int] = (),
) -> np.ndarray:
    """Features [frames, dim] with the statistics' mean 0 and, if asked, variance 1.

    Args:
        stats: [2, dim + 1], or [1, dim + 1] if only means are normalised.
        reverse: give normalised features the statistics' mean and variance.
        skip_dims: columns that stay as they are.

    Returns:
        float32 [frames, dim].

    Raises:
        InputError: statistics of another dimension, of no frame, without variances.
    """
    dim = features.shape[1]
    if stats.shape[1] != dim + 1 or len(stats) not in (1, 2):
        raise InputError(
            f"features have {dim} dimensions; the statistics are {stats.shape[0]} x "
            f"{stats.shape[1]}, expected 2 x {dim + 1}"
        )
    if norm_vars and len(stats) == 1:
        raise InputError("the statistics have no variances")
    count = stats[0, dim]
    if count < 1:
        raise InputError(f"statistics of {count:g} frames")
    mean = stats[0, :dim] / count
    scale = np.ones(dim)
    if norm_vars:
        variance = np.maximum(stats[1, :dim] / count - mean**2, VARIANCE_FLOOR)
        scale = np.sqrt(variance) if reverse else 1 / np.sqrt(variance)
    offset = mean if reverse else -mean * scale
    for column in skip_dims:
        if not 0 <= column < dim:
            raise InputError(f"--skip-dims: {column}, but there are {dim} dimensions")
        scale[column], offset[column] = 1.0, 0.0
    return features.astype(np.float32) * np.float32(scale) + np.float32(offset)
