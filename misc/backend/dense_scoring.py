"""PLDA scores of all pairs of a recording's segments, for diarization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from misc.backend.plda import (
    Plda,
    llr_factors,
    transform_embeddings,
    transform_plda,
)

Array = npt.NDArray[np.float64]


def recording_pca(vectors: Array, target_energy: float) -> Array:
    """Principal directions [rows, dim] of a recording's segments.

    As Kaldi counts them: one more than the fewest directions whose share of the
    variance exceeds `target_energy`, if there are so many. Segments that do not vary
    have one.

    Args:
        vectors: [segments, dim].
        target_energy: from 0 to 1.

    Raises:
        InputError: a target energy out of range.
    """
    if not 0.0 <= target_energy <= 1.0:
        raise InputError(f"The target energy must be from 0 to 1, got {target_energy}")
    centred = vectors - vectors.mean(axis=0)
    values, directions = np.linalg.eigh(centred.T @ centred / len(vectors))
    energy = np.maximum(values[::-1], 0.0)
    share = np.cumsum(energy) / max(energy.sum(), np.finfo(np.float64).tiny)
    number = int(np.count_nonzero(share <= target_energy)) + 2 if energy.any() else 1
    return directions[:, ::-1].T[: min(number, len(energy))]


def dense_scores(
    plda: Plda,
    vectors: npt.ArrayLike,
    target_energy: float = 0.5,
    normalize_length: bool = True,
    simple_length_normalization: bool = False,
) -> Array:
    """Log-likelihood ratios [segments, segments] in the space of a recording's PCA.

    Kaldi's ivector-plda-scoring-dense. The PCA turns the model as well as the
    segments; each of these counts as one utterance.

    Args:
        plda: the model.
        vectors: [segments, dim].
        target_energy: see `recording_pca`.
        normalize_length: see `plda.transform_embeddings`.
        simple_length_normalization: likewise.
    """
    segments = np.asarray(vectors, dtype=np.float64)
    pca = recording_pca(segments, target_energy)
    reduced = transform_plda(plda, pca)
    points = transform_embeddings(
        reduced, segments @ pca.T, 1, normalize_length, simple_length_normalization
    )
    left, right = llr_factors(reduced, points, points)
    scores: Array = left @ right.T
    return scores
