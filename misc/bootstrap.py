"""Confidence intervals of error rates by drawing speakers again.

Trials are not independent: a speaker is in many of them. So speakers are drawn, not
trials, with replacement, as many as there are; a trial counts as often as its speakers
were drawn: a nontarget trial times the product of both numbers, a target trial times
the number of its one speaker. For one factor this is the bootstrap over subsets of
R. Bolle et al., "Error analysis of pattern recognition systems: the subsets
bootstrap", Computer Vision and Image Understanding 93 (2004), and over speakers of
M. Bisani and H. Ney, ICASSP 2004; for pairs it is A. Owen's "The pigeonhole bootstrap",
Annals of Applied Statistics 1 (2007), whose intervals are rather too wide than too
narrow. Intervals are percentiles of the measures of all draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from misc.operating_points import OperatingPoint
from misc.sorted_scores import default_cost

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.integer[Any]]


def bootstrap_intervals(
    scores: npt.ArrayLike,
    is_target: npt.ArrayLike,
    speakers: npt.ArrayLike,
    points: Sequence[OperatingPoint] = (),
    num_draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Array:
    """Confidence intervals of the EER (by Kaldi's rule) and of minDCFs.

    The same seed draws the same speakers, whatever the system.

    Args:
        scores: [trials].
        is_target: [trials] of bool.
        speakers: [trials, 2] the speakers of both sides, from 0; equal in targets.
        points: where minDCF is wanted.
        num_draws: how often speakers are drawn.
        level: probability that an interval is to hold the measure of all speakers.
        seed: of the draws.

    Returns:
        [1 + points, 2]: lower and upper end, of the EER first.

    Raises:
        InputError: targets of two speakers, nontargets of one, fewer than two speakers.
    """
    values, targets = np.asarray(scores), np.asarray(is_target, dtype=bool)
    pairs = np.asarray(speakers)
    wrong = (pairs[:, 0] == pairs[:, 1]) != targets
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {wrong.size} trials are targets of two speakers or "
            f"nontargets of one, the first at index {int(np.argmax(wrong))}"
        )
    present, pairs = np.unique(pairs, return_inverse=True)
    pairs = pairs.reshape(-1, 2)
    if present.size < 2:
        raise InputError("Confidence intervals need trials of at least two speakers")
    draws = _Draws(values, targets, pairs)
    rng = np.random.default_rng(seed)
    measures = np.empty((num_draws, 1 + len(points)))
    for row in measures:
        counts = rng.multinomial(present.size, np.full(present.size, 1 / present.size))
        row[:] = draws.measures(counts, points)
    tail = 100.0 * (1.0 - level) / 2.0
    # A draw without any target or nontarget trial has no measure.
    ends: Array = np.nanpercentile(measures, [tail, 100.0 - tail], axis=0).T
    return ends


class _Draws:
    """Trials in the order of their scores, ready to be counted with weights."""

    def __init__(
        self,
        scores: npt.NDArray[Any],
        is_target: npt.NDArray[np.bool_],
        speakers: Indices,
    ) -> None:
        targets, nontargets = np.flatnonzero(is_target), np.flatnonzero(~is_target)
        targets = targets[np.argsort(scores[targets])]
        nontargets = nontargets[np.argsort(scores[nontargets])]
        self._target_speaker = speakers[targets, 0]
        self._nontarget_speakers = speakers[nontargets].T.copy()
        self._below = np.searchsorted(scores[nontargets], scores[targets], side="left")

    def measures(
        self, counts: Indices, points: Sequence[OperatingPoint]
    ) -> list[float] | float:
        """EER and minDCFs with the speakers' counts; NaN without a kind of trial."""
        of_targets = counts[self._target_speaker]
        first, second = self._nontarget_speakers
        of_nontargets = counts[first] * counts[second]
        missed = np.cumsum(of_targets)
        rejected = np.append(0, np.cumsum(of_nontargets))
        if missed[-1] == 0 or rejected[-1] == 0:
            return np.nan
        # The rates at thresholds just below each target score.
        p_miss = (missed - of_targets) / missed[-1]
        p_fa = (rejected[-1] - rejected[self._below]) / rejected[-1]
        return [_eer(p_miss, p_fa), *(_min_dcf(p_miss, p_fa, p) for p in points)]


def _eer(p_miss: Array, p_fa: Array) -> float:
    """`SortedScores.eer` in terms of rates: the first target that misses enough."""
    enough = p_fa <= p_miss
    enough[-1] = True
    return float(p_miss[np.argmax(enough)])


def _min_dcf(p_miss: Array, p_fa: Array, point: OperatingPoint) -> float:
    costs = []
    for p_target in point.p_targets:
        miss, fa = point.c_miss * p_target, point.c_fa * (1.0 - p_target)
        lowest = min(miss, float((miss * p_miss + fa * p_fa).min()))
        costs.append(lowest / default_cost(p_target, point.c_miss, point.c_fa))
    return point.mean_cost(costs)
