"""Probabilistic linear discriminant analysis with two full covariances.

An utterance of a speaker is mean + y + z, with y ~ N(0, between) drawn once for the
speaker and z ~ N(0, within) drawn for each utterance. Model and names follow S. Ioffe,
"Probabilistic Linear Discriminant Analysis", ECCV 2006, and Kaldi's ivector/plda.h,
whose estimates these are, up to rounding.

All matrices are symmetric [dim, dim] unless said, all numbers float64.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from misc.backend.lda import class_means, length_normalise

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Plda:
    """A model in the coordinates where it is diagonal.

    u = transform (x - mean) has unit within-class covariance and the diagonal
    between-class covariance psi.

    Attributes:
        mean: [dim].
        transform: [dim, dim], its rows known up to sign.
        psi: [dim], falling, not negative.
    """

    mean: Array
    transform: Array
    psi: Array

    @property
    def dim(self) -> int:
        return self.mean.size


@dataclasses.dataclass(frozen=True)
class Covariances:
    """Within-class and between-class covariance, each [dim, dim]."""

    within: Array
    between: Array


@dataclasses.dataclass(frozen=True)
class PldaStats:
    """What the estimation needs of the data: each speaker counts once for the mean.

    Attributes:
        mean: [dim], the mean of the speakers' means.
        offsets: [speakers, dim], the speakers' means less that mean.
        counts: [speakers], utterances.
        scatter: [dim, dim], of the utterances about their speakers' means, summed.
    """

    mean: Array
    offsets: Array
    counts: Array
    scatter: Array


def plda_stats(embeddings: npt.ArrayLike, labels: npt.ArrayLike) -> PldaStats:
    """Statistics of labelled embeddings.

    Args:
        embeddings: [N, dim].
        labels: [N] speaker indices 0 .. speakers - 1, each present.

    Raises:
        InputError: no speaker has two utterances.
    """
    vectors = np.array(embeddings, dtype=np.float64)
    centre = vectors.mean(axis=0)  # so that the difference below stays exact
    vectors -= centre
    means, counts = class_means(vectors, labels)
    if len(vectors) == len(means):
        raise InputError(
            f"PLDA needs speakers with several utterances, got {len(means)} speakers "
            "with one each: the within-class covariance cannot be estimated"
        )
    mean = means.mean(axis=0)
    scatter = vectors.T @ vectors - (counts[:, None] * means).T @ means
    return PldaStats(centre + mean, means - mean, counts, scatter)


def unit_covariances(dim: int) -> Covariances:
    """Where the estimation starts: both covariances the unit matrix."""
    return Covariances(np.eye(dim), np.eye(dim))


def em_steps(stats: PldaStats, num_iters: int) -> Iterator[Covariances]:
    """Covariances after each step of expectation and maximisation.

    A speaker's mean of n utterances, m, is y + z with z ~ N(0, within / n). In diagonal
    coordinates the posterior of y is independent in each dimension: its mean is
    n psi / (1 + n psi) m, its variance psi / (1 + n psi). Kaldi inverts a matrix for
    each distinct n instead; the estimates are the same.
    """
    current = unit_covariances(stats.mean.size)
    num_speakers, num_utts = len(stats.counts), stats.counts.sum()
    n = stats.counts[:, None]
    for _ in range(num_iters):
        model = diagonalise(stats.mean, current)
        back = np.linalg.inv(model.transform)
        means = stats.offsets @ model.transform.T
        variance = model.psi / (1.0 + n * model.psi)
        speaker = n * variance * means
        rest = means - speaker
        between = speaker.T @ speaker + np.diag(variance.sum(axis=0))
        within = (n * rest).T @ rest + np.diag((n * variance).sum(axis=0))
        current = Covariances(
            within=(stats.scatter + back @ within @ back.T) / num_utts,
            between=back @ between @ back.T / num_speakers,
        )
        yield current


def fit_plda(stats: PldaStats, num_iters: int = 10) -> Plda:
    """The model after this number of EM steps."""
    start = unit_covariances(stats.mean.size)
    *_, covariances = start, *em_steps(stats, num_iters)
    return diagonalise(stats.mean, covariances)


def log_likelihood(stats: PldaStats, covariances: Covariances) -> float:
    """Log-likelihood of the data per utterance; EM never lowers it."""
    model = diagonalise(stats.mean, covariances)
    dim, num_utts = model.dim, stats.counts.sum()
    log_det = np.linalg.slogdet(covariances.within)[1]
    residual = np.einsum("ij,jk,ik->", model.transform, stats.scatter, model.transform)
    num_residuals = num_utts - len(stats.counts)
    within = num_residuals * (log_det + dim * np.log(2.0 * np.pi)) + residual
    means = stats.offsets @ model.transform.T
    variance = model.psi + 1.0 / stats.counts[:, None]
    between = np.sum(np.log(2.0 * np.pi * variance) + means**2 / variance)
    # A mean of n stands for n utterances: the change of variables adds log n.
    between += len(stats.counts) * log_det + dim * np.log(stats.counts).sum()
    return float(-0.5 * (within + between) / num_utts)


def diagonalise(mean: Array, covariances: Covariances) -> Plda:
    """The model with this mean and these covariances.

    Raises:
        InputError: the within-class covariance is singular.
    """
    try:
        root = np.linalg.cholesky(covariances.within)
    except np.linalg.LinAlgError:
        raise InputError(
            "The within-class covariance is singular: PLDA needs more utterances than "
            f"the {mean.size} dimensions; reduce them with LDA"
        ) from None
    half = np.linalg.solve(root, covariances.between)
    projected = np.linalg.solve(root, half.T)
    psi, directions = np.linalg.eigh((projected + projected.T) / 2.0)
    transform = np.linalg.solve(root.T, directions[:, ::-1]).T
    return Plda(mean, transform, np.maximum(psi[::-1], 0.0))


def smooth_within(plda: Plda, factor: float) -> Plda:
    """Adds `factor` times the between-class to the within-class covariance.

    For when the training speakers have too few utterances (Kaldi's
    ivector-copy-plda --smoothing).
    """
    if not 0.0 <= factor <= 1.0:
        raise InputError(f"The smoothing factor must be from 0 to 1, got {factor}")
    within = 1.0 + factor * plda.psi
    transform = plda.transform / np.sqrt(within)[:, None]
    return Plda(plda.mean, transform, plda.psi / within)


def transform_plda(plda: Plda, transform: Array) -> Plda:
    """The model of `transform` times the embeddings (Kaldi's Plda::ApplyTransform).

    Args:
        plda: the model.
        transform: [rows, dim], of full rank, rows at most dim.
    """
    back = transform @ np.linalg.inv(plda.transform)
    covariances = Covariances(within=back @ back.T, between=(back * plda.psi) @ back.T)
    return diagonalise(transform @ plda.mean, covariances)


def adapt_plda(
    plda: Plda,
    embeddings: npt.ArrayLike,
    within_covar_scale: float = 0.3,
    between_covar_scale: float = 0.7,
    mean_diff_scale: float = 1.0,
) -> Plda:
    """Unsupervised adaptation to another domain (Kaldi's ivector-adapt-plda).

    Takes the mean of the new data; where its total variance exceeds the model's, in
    coordinates in which the latter is unit and the former diagonal, the excess goes in
    shares to the within-class and the between-class covariance. Nothing ever shrinks.

    Args:
        plda: the model of the old domain.
        embeddings: [N, dim], unlabelled, of the new domain.
        within_covar_scale: share of the excess for the within-class covariance.
        between_covar_scale: share of the excess for the between-class covariance.
        mean_diff_scale: weight of the square of the means' difference in the variance.
    """
    if min(within_covar_scale, between_covar_scale, mean_diff_scale) < 0.0:
        raise InputError("The scales of PLDA adaptation must not be negative")
    vectors = np.asarray(embeddings, dtype=np.float64)
    mean = vectors.mean(axis=0)
    centred = vectors - mean
    shift = mean - plda.mean
    variance = centred.T @ centred / len(vectors)
    variance += mean_diff_scale * np.outer(shift, shift)
    to_unit = plda.transform / np.sqrt(1.0 + plda.psi)[:, None]
    values, directions = np.linalg.eigh(to_unit @ variance @ to_unit.T)
    to_both = directions.T @ to_unit
    back = np.linalg.inv(to_both)
    within = (directions.T / (1.0 + plda.psi)) @ directions
    excess = np.diag(np.maximum(values - 1.0, 0.0))
    covariances = Covariances(
        within=back @ (within + within_covar_scale * excess) @ back.T,
        between=back
        @ (np.eye(plda.dim) - within + between_covar_scale * excess)
        @ back.T,
    )
    return diagonalise(mean, covariances)


def transform_embeddings(
    plda: Plda,
    embeddings: npt.ArrayLike,
    num_utts: npt.ArrayLike = 1,
    normalize_length: bool = True,
    simple_length_normalization: bool = False,
) -> Array:
    """Embeddings in the diagonal coordinates of the model.

    Args:
        plda: the model.
        embeddings: [N, dim], each the mean of `num_utts` utterances.
        num_utts: [N] or one number for all.
        normalize_length: scale each so that its square under its own expected variance,
            psi + 1 / num_utts, is dim.
        simple_length_normalization: scale each to the length sqrt(dim) instead.
    """
    centred = np.asarray(embeddings, dtype=np.float64) - plda.mean
    coordinates: Array = centred @ plda.transform.T
    if not normalize_length:
        return coordinates
    if simple_length_normalization:
        return length_normalise(coordinates)
    counts = np.broadcast_to(np.asarray(num_utts, np.float64), len(coordinates))
    variance = plda.psi + 1.0 / counts[:, None]
    squares = np.sum(coordinates**2 / variance, axis=1, keepdims=True)
    return coordinates * np.sqrt(plda.dim / np.where(squares == 0.0, plda.dim, squares))


def llr_factors(
    plda: Plda, enrol: Array, test: Array, num_utts: npt.ArrayLike = 1
) -> tuple[Array, Array]:
    """Two tables whose rows' inner products are the log-likelihood ratios.

    With n enrolment utterances of mean e the test t of the same speaker is
    N(n psi / (1 + n psi) e, 1 + psi / (1 + n psi)), of another one N(0, 1 + psi)
    (Ioffe, between equations 4 and 5). The logarithm of their ratio is a sum over
    dimensions of terms in t, in t squared and without t, hence an inner product.

    Args:
        plda: the model.
        enrol: [E, dim] in its diagonal coordinates.
        test: [T, dim] likewise.
        num_utts: [E] or one number for all: utterances of each enrolment.

    Returns:
        [E, 2 dim + 1] and [T, 2 dim + 1], for `scoring.score_pairs`.
    """
    counts = np.broadcast_to(np.asarray(num_utts, np.float64), len(enrol))[:, None]
    shrink = 1.0 / (1.0 + counts * plda.psi)
    variance = 1.0 + plda.psi * shrink
    expected = counts * plda.psi * shrink * enrol
    alone = 1.0 + plda.psi
    constant = -0.5 * np.sum(np.log(variance / alone) + expected**2 / variance, axis=1)
    left = [constant[:, None], expected / variance, 0.5 / alone - 0.5 / variance]
    return np.hstack(left), np.hstack([np.ones((len(test), 1)), test, test**2])
