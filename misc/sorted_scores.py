"""A system's scores, sorted once for all measures: EER, minDCF, Cllr, DET points.

Higher means more alike. Infinite scores are welcome, NaN is refused. Rates are
fractions, not per cent; counts are exact and costs float64.
"""

from __future__ import annotations

import bisect
import dataclasses
import functools
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError

Scores = npt.ArrayLike
Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_SCORES_AT_ONCE = 1 << 20


class DetPoints(NamedTuple):
    """The operating points of a detector, from the laxest to the strictest.

    A trial is accepted if its score lies above the threshold: the first point, with
    threshold -inf, accepts all, the last one rejects all.
    """

    thresholds: Array
    p_miss: Array
    p_fa: Array


@dataclasses.dataclass(frozen=True)
class SortedScores:
    """The scores of a system's trials in ascending order, and what follows from them.

    Sorting is most of the work for any measure of millions of trials. Single precision
    scores stay so: comparing them is exact, and they take half the memory and time.

    Attributes:
        target: [targets], float32 or float64.
        nontarget: [nontargets], float32 or float64.
    """

    target: npt.NDArray[Any]
    nontarget: npt.NDArray[Any]

    @classmethod
    def of(cls, target: Scores, nontarget: Scores) -> SortedScores:
        """Sorts copies of the scores.

        Raises:
            InputError: no score of one kind, or a NaN.
        """
        return cls(_sorted(target, "target"), _sorted(nontarget, "nontarget"))

    @classmethod
    def of_trials(cls, scores: Scores, is_target: npt.ArrayLike) -> SortedScores:
        """The same from the scores [trials] and whether each is of a target trial."""
        values, targets = np.asarray(scores), np.asarray(is_target, dtype=bool)
        return cls.of(values[targets], values[~targets])

    def rates(self, threshold: float) -> tuple[float, float]:
        """Miss and false alarm rate if the scores above the threshold are accepted."""
        missed = _count_up_to(self.target, threshold)
        rejected = _count_up_to(self.nontarget, threshold)
        return missed / self.target.size, 1.0 - rejected / self.nontarget.size

    def det_points(self, resolution: int | None = None) -> DetPoints:
        """Miss and false alarm rates at each distinct score; equal ones are one point.

        Args:
            resolution: take at most about this many scores of either kind: all near
                both ends, where each moves the curve, and a share of those between.
        """
        parts = [_spread(self.target, resolution), _spread(self.nontarget, resolution)]
        thresholds = np.unique(np.concatenate(parts))
        missed = np.searchsorted(self.target, thresholds, side="right")
        rejected = np.searchsorted(self.nontarget, thresholds, side="right")
        return DetPoints(
            np.append(-np.inf, thresholds.astype(np.float64)),
            np.append(0.0, missed / self.target.size),
            np.append(1.0, 1.0 - rejected / self.nontarget.size),
        )

    def eer(self) -> tuple[float, float]:
        """Equal error rate and its threshold by the rule of Kaldi's compute-eer.

        The k-th lowest target score is the threshold as soon as it lies above the score
        that as large a part of the nontarget scores reaches; the rate is k / targets.
        A target score equal to that nontarget score does not lie above it, so ties
        count against the system. The rate is a multiple of 1 / targets and never 1.
        """
        tar, non = self.target, self.nontarget

        def lies_above(k: int) -> bool:
            return bool(non[non.size - 1 - int(non.size * k / tar.size)] < tar[k])

        first = bisect.bisect_left(range(tar.size - 1), True, key=lies_above)
        return first / tar.size, float(tar[first])

    def interpolated_eer(self) -> float:
        """Equal error rate where straight lines between DET points cross p_miss = p_fa.

        A tie of target and nontarget scores is crossed by such a line: half of it
        counts.
        """

        def excess(score: Any) -> float:
            p_miss, p_fa = self.rates(score)
            return p_miss - p_fa

        # The lowest score, of either kind, up to which rejecting misses enough.
        crossing = min(
            values[bisect.bisect_left(values, 0.0, hi=values.size - 1, key=excess)]
            for values in (self.target, self.nontarget)
            if excess(values[-1]) >= 0.0
        )
        after = self.rates(crossing)
        before = (
            bisect.bisect_left(self.target, crossing) / self.target.size,
            1.0 - bisect.bisect_left(self.nontarget, crossing) / self.nontarget.size,
        )
        excesses = [p_miss - p_fa for p_miss, p_fa in (before, after)]
        return float(np.interp(0.0, excesses, [before[0], after[0]]))

    def rocch_eer(self) -> float:
        """Equal error rate on the convex hull of the ROC (N. Brümmer, thesis, 2010).

        Never above `interpolated_eer`, and the same for any increasing map of the
        scores.
        """
        share_tar, share_non = self._pav_blocks()
        p_miss = np.append(0.0, np.cumsum(share_tar))
        p_fa = np.append(1.0, 1.0 - np.cumsum(share_non))
        return float(np.interp(0.0, p_miss - p_fa, p_miss))

    def min_dcf(
        self, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
    ) -> tuple[float, float]:
        """Smallest normalised detection cost over all thresholds, and its threshold.

        NIST SRE 2016 evaluation plan, equations 2 to 4: 1 is the cost of the better of
        accepting all and rejecting all. Trials up to and including the threshold are
        rejected; equal scores are never parted.

        Args:
            p_target: prior probability of a target trial, within 0 and 1.
            c_miss: cost of a miss, positive.
            c_fa: cost of a false alarm, positive.
        """
        default = default_cost(p_target, c_miss, c_fa)
        missed, rejected = self._corners
        costs = missed * (c_miss * p_target / self.target.size)
        costs += (self.nontarget.size - rejected) * (
            c_fa * (1.0 - p_target) / self.nontarget.size
        )
        best = int(np.argmin(costs))
        highest_rejected = [
            float(values[count - 1])
            for values, count in (
                (self.target, missed[best]),
                (self.nontarget, rejected[best]),
            )
            if count
        ]
        return float(costs[best] / default), max(highest_rejected, default=-np.inf)

    def act_dcf(
        self, p_target: float = 0.01, c_miss: float = 1.0, c_fa: float = 1.0
    ) -> float:
        """Normalised detection cost at the Bayes threshold of these costs.

        The scores must be log-likelihood ratios (natural logarithm); a trial is
        accepted if its score lies above log(c_fa (1 - p_target) / (c_miss p_target)).
        """
        default = default_cost(p_target, c_miss, c_fa)
        threshold = np.log(c_fa * (1.0 - p_target)) - np.log(c_miss * p_target)
        p_miss, p_fa = self.rates(threshold)
        cost = c_miss * p_miss * p_target + c_fa * p_fa * (1.0 - p_target)
        return float(cost / default)

    def cllr(self) -> float:
        """Cost of log-likelihood ratios (natural log.), in bits; 1 for a mute system.

        N. Brümmer and J. du Preez, Computer Speech and Language 20 (2006), equation 46.
        """
        nats = _mean_softplus(self.target, -1.0) + _mean_softplus(self.nontarget, 1.0)
        return nats / (2.0 * np.log(2.0))

    def min_cllr(self) -> float:
        """`cllr` after the best increasing map of the scores (pool adjacent violators).

        N. Brümmer and J. du Preez, as for `cllr`, section 7.
        """
        share_tar, share_non = self._pav_blocks()
        both = (share_tar > 0) & (share_non > 0)  # the other blocks are free of error
        ratio = np.log(share_tar[both]) - np.log(share_non[both])
        nats = share_tar[both] @ np.logaddexp(0.0, -ratio)
        nats += share_non[both] @ np.logaddexp(0.0, ratio)
        return float(nats / (2.0 * np.log(2.0)))

    @functools.cached_property
    def _corners(self) -> tuple[Counts, Counts]:
        """Numbers of missed targets and rejected nontargets at each useful threshold.

        A threshold is useful just below a target score that has nontargets between
        itself and the next lower target, for elsewhere a lower threshold misses fewer
        targets, or a higher one rejects more nontargets, at no cost. The least cost of
        any prior, and so the convex hull of the ROC, is among these points.
        """
        rejected = np.searchsorted(self.nontarget, self.target, side="left")
        useful = np.append(True, rejected[1:] != rejected[:-1])
        return (
            np.append(np.flatnonzero(useful), self.target.size),
            np.append(rejected[useful], self.nontarget.size),
        )

    def _pav_blocks(self) -> tuple[Array, Array]:
        """Shares of target and nontarget trials in blocks of the isotonic regression.

        From the lowest scores to the highest; the share of targets rises with each
        block. The blocks are the edges of the convex hull of the ROC.
        """
        from scipy.optimize import isotonic_regression

        targets, nontargets = (np.diff(counts, prepend=0) for counts in self._corners)
        trials = targets + nontargets
        targets, nontargets = targets[trials > 0], nontargets[trials > 0]
        trials = trials[trials > 0]
        starts = isotonic_regression(targets / trials, weights=trials).blocks[:-1]
        return (
            np.add.reduceat(targets, starts) / self.target.size,
            np.add.reduceat(nontargets, starts) / self.nontarget.size,
        )


def default_cost(p_target: float, c_miss: float, c_fa: float) -> float:
    """The expected cost of the better of accepting all trials and rejecting all.

    A normalised cost times this is the cost on NIST's DETware scale: a tenth at the
    operating point of SRE 2008, p_target 0.01 and c_miss 10.

    Raises:
        InputError: a prior that is not within 0 and 1, a cost that is not positive.
    """
    if not 0.0 < p_target < 1.0:
        raise InputError(f"p_target must lie between 0 and 1, got {p_target}")
    if not (c_miss > 0.0 and c_fa > 0.0):
        raise InputError(f"Costs must be above 0, got c_miss={c_miss}, c_fa={c_fa}")
    return min(c_miss * p_target, c_fa * (1.0 - p_target))


def checked_scores(scores: Scores, kind: str) -> npt.NDArray[Any]:
    """The scores as a vector of single or double precision; refuses an empty one."""
    values = np.asarray(scores).ravel()
    if values.dtype != np.float32:
        values = values.astype(np.float64, copy=False)
    if values.size == 0:
        raise InputError(f"Expected at least one {kind} score, got none")
    return values


def refuse_nan(values: npt.NDArray[Any], kind: str) -> NoReturn:
    """Raises the InputError for scores among which there are NaN."""
    wrong = np.isnan(values)
    raise InputError(
        f"{int(wrong.sum())} of {values.size} {kind} scores are NaN, the first at "
        f"index {int(np.argmax(wrong))}: look for bad embeddings"
    )


def _sorted(scores: Scores, kind: str) -> npt.NDArray[Any]:
    values = checked_scores(scores, kind)
    result = np.sort(values)
    if np.isnan(result[-1]):  # NaN sorts last
        refuse_nan(values, kind)
    return result


def _count_up_to(ascending: npt.NDArray[Any], threshold: float) -> int:
    # NumPy would copy single precision scores to compare them with a double.
    return bisect.bisect_right(ascending, np.float64(threshold))


def _spread(ascending: npt.NDArray[Any], resolution: int | None) -> npt.NDArray[Any]:
    """Every value, or quantiles at even steps of the normal deviate."""
    if resolution is None or ascending.size <= resolution:
        return ascending
    from scipy.special import ndtr

    finest = ndtr(np.linspace(-6.0, 6.0, resolution)) * ascending.size
    ends = np.arange(resolution // 8)
    places = [finest.astype(np.int64), ends, ascending.size - 1 - ends]
    return ascending[np.unique(np.concatenate(places).clip(0, ascending.size - 1))]


def _mean_softplus(values: npt.NDArray[Any], sign: float) -> float:
    """The mean of log(1 + exp(sign * value)); no array of its own for all values."""
    total = 0.0
    for start in range(0, values.size, _SCORES_AT_ONCE):
        block = values[start : start + _SCORES_AT_ONCE].astype(np.float64)
        total += float(np.logaddexp(0.0, sign * block).sum())
    return total / values.size
