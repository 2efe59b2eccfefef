"""Linear discriminant analysis of embeddings, as Kaldi's ivector-compute-lda, and the
two plain transforms around it: affine maps and length normalisation."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError

Array = npt.NDArray[np.float64]

_logger = logging.getLogger("kaldi")


def class_means(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike
) -> tuple[Array, Array]:
    """Mean and number of the embeddings of each class.

    Args:
        embeddings: [N, dim].
        labels: [N] class indices 0 .. classes - 1, each present.

    Returns:
        Means [classes, dim] and numbers [classes].
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    classes = np.asarray(labels)
    counts = np.bincount(classes).astype(np.float64)
    if not counts.all():
        raise InputError(f"Class {int(np.argmin(counts))} has no embedding")
    in_order = vectors
    if (np.diff(classes) < 0).any():
        in_order = vectors[np.argsort(classes, kind="stable")]
    starts = np.append(0, np.cumsum(counts)[:-1]).astype(np.int64)
    return np.add.reduceat(in_order, starts, axis=0) / counts[:, None], counts


def fit_lda(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    dim: int,
    total_covariance_factor: float = 0.0,
    covariance_floor: float = 1e-6,
) -> Array:
    """The affine transform to the directions that tell the classes apart best.

    The within-class covariance becomes unit (with `total_covariance_factor` 1 the total
    covariance, in between their mixture), the between-class covariance diagonal and
    falling, the mean zero. Utterances, not speakers, are weighted equally.

    Args:
        embeddings: [N, input_dim].
        labels: [N] speaker indices 0 .. speakers - 1, each present.
        dim: number of directions to keep.
        total_covariance_factor: share of the total covariance in what becomes unit.
        covariance_floor: smallest eigenvalue of it, relative to the largest.

    Returns:
        [dim, input_dim + 1]; the last column is the offset. Rows are known up to sign.

    Raises:
        InputError: too few utterances or speakers for these dimensions. Kaldi goes on
            with fewer speakers than `dim` + 1; the rest of its rows are then arbitrary.
    """
    vectors = np.array(embeddings, dtype=np.float64)
    mean = vectors.mean(axis=0)
    vectors -= mean
    offsets, counts = class_means(vectors, labels)
    _check_enough(dim, vectors.shape, len(counts))
    total = vectors.T @ vectors / len(vectors)
    between = (offsets * counts[:, None]).T @ offsets / len(vectors)
    within = total - between
    mixture = total_covariance_factor * total + (1.0 - total_covariance_factor) * within
    whiten = _whitening(mixture, covariance_floor)
    _, directions = np.linalg.eigh(whiten @ between @ whiten.T)
    linear = directions[:, ::-1][:, :dim].T @ whiten
    return np.column_stack([linear, -linear @ mean])


def apply_transform(transform: Array, embeddings: npt.ArrayLike) -> Array:
    """A linear or, with one column more than the embeddings have, affine transform.

    Args:
        transform: [output_dim, dim] or [output_dim, dim + 1].
        embeddings: [dim] or [N, dim].

    Raises:
        InputError: the dimensions do not fit.
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    dim, columns = vectors.shape[-1], transform.shape[1]
    if columns not in (dim, dim + 1):
        raise InputError(
            f"a transform of {columns} columns takes vectors of dimension {columns} or "
            f"{columns - 1}, got {dim}"
        )
    projected: Array = vectors @ transform[:, :dim].T
    return projected if columns == dim else projected + transform[:, dim]


def length_normalise(embeddings: npt.ArrayLike, scale_up: bool = True) -> Array:
    """Embeddings scaled to length sqrt(dim), or to 1 if not `scale_up`.

    Args:
        embeddings: [dim] or [N, dim]; an embedding of zeros stays as it is.
    """
    vectors = np.asarray(embeddings, dtype=np.float64)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    wanted = np.sqrt(vectors.shape[-1]) if scale_up else 1.0
    return vectors * (wanted / np.where(lengths == 0.0, wanted, lengths))


def _check_enough(dim: int, shape: Sequence[int], num_classes: int) -> None:
    num, input_dim = shape
    if num == num_classes:
        raise InputError(
            f"LDA needs speakers with several utterances, got {num} utterances of "
            f"{num} speakers: the within-class covariance cannot be estimated"
        )
    if num < input_dim:
        raise InputError(
            f"LDA of {input_dim}-dimensional embeddings needs at least as many "
            f"utterances, got {num}"
        )
    largest = min(input_dim, num_classes - 1)
    if not 0 < dim <= largest:
        raise InputError(
            f"LDA cannot keep {dim} dimensions of {input_dim}-dimensional embeddings "
            f"of {num_classes} speakers: the largest possible is {largest}"
        )


def _whitening(covariance: Array, floor: float) -> Array:
    """T with T covariance T' = I, after flooring the eigenvalues."""
    values, vectors = np.linalg.eigh(covariance)
    lowest = floor * values[-1]
    num_floored = int((values < lowest).sum())
    if num_floored:
        _logger.warning(
            "Floored %d eigenvalues of the covariance to %g", num_floored, lowest
        )
    floored = np.maximum(values, lowest)
    if floored[0] <= 0.0:
        raise InputError(
            "The covariance of the embeddings is singular: "
            "use a covariance floor above 0"
        )
    return (vectors / np.sqrt(floored)).T
