"""Score normalisation by a cohort: Z-, T-, S-norm and adaptive S-norm.

A cohort is a set of recordings of other speakers than those of the trials. How an
enrolment or a test scores against them says where its scores lie and how far they
spread; each trial's score is moved and scaled to be comparable with the others':

    z = (s - mean_e) / deviation_e        Z-norm, e: the enrolment against the cohort
    t = (s - mean_t) / deviation_t        T-norm, t: the test against the cohort
    (z + t) / 2                           S-norm

Adaptive S-norm takes mean and deviation over each side's own `top_n` highest cohort
scores ("adaptive S-norm 1"). All four: P. Matějka et al., "Analysis of Score
Normalization in Multilingual Speaker Recognition", Interspeech 2017.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SCORES_AT_ONCE = 1 << 23


class CohortStatistics(NamedTuple):
    """Mean and standard deviation [N] of each vector's scores against the cohort."""

    mean: Array
    deviation: Array

    def normalise(self, scores: Array, rows: Indices) -> Array:
        """Scores [trials] by the statistics of the vectors `rows` [trials]."""
        normalised: Array = (scores - self.mean[rows]) / self.deviation[rows]
        return normalised


def cohort_statistics(
    vectors: Array, cohort: Array, top_n: int | None = None
) -> CohortStatistics:
    """Statistics of the inner products of `vectors` with a cohort.

    Computed in blocks: memory beyond the result does not grow with N.

    Args:
        vectors: [N, width], such as cosines' vectors of length 1 or one side of
            `plda.llr_factors`.
        cohort: [C, width], C at least 2.
        top_n: how many of the highest scores to use, at least 2, cut down to C; None:
            all of them.

    Raises:
        InputError: fewer than two scores to use; scores that are all the same.
    """
    top = len(cohort) if top_n is None else min(top_n, len(cohort))
    if top < 2:
        raise InputError(
            f"Normalisation needs at least two cohort scores, got {len(cohort)} in "
            f"the cohort, of which {top} are used"
        )
    mean, deviation = np.empty(len(vectors)), np.empty(len(vectors))
    at_once = max(1, _SCORES_AT_ONCE // len(cohort))
    for start in range(0, len(vectors), at_once):
        part = slice(start, start + at_once)
        scores = vectors[part] @ cohort.T
        if top < len(cohort):
            scores.partition(len(cohort) - top, axis=1)
            scores = scores[:, -top:]
        mean[part], deviation[part] = scores.mean(axis=1), scores.std(axis=1)
    flat = deviation <= 1e-12 * np.abs(mean)
    if flat.any():
        raise InputError(
            f"All {top} cohort scores used are the same for {int(flat.sum())} of "
            f"{len(vectors)} vectors, the first is number {int(np.argmax(flat))}: is "
            "it a vector of zeros, or is the cohort one recording many times?"
        )
    return CohortStatistics(mean, deviation)


def s_norm(
    scores: Array,
    rows: Indices,
    columns: Indices,
    enrol: CohortStatistics,
    test: CohortStatistics,
) -> Array:
    """S-norm, or adaptive S-norm if the statistics are of the highest cohort scores.

    Args:
        scores: [trials].
        rows: [trials] indices into `enrol`.
        columns: [trials] indices into `test`.
        enrol: statistics of the enrolments.
        test: statistics of the tests.
    """
    z, t = enrol.normalise(scores, rows), test.normalise(scores, columns)
    return (z + t) / 2.0
