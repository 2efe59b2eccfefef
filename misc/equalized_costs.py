"""Detection costs in which parts of the trials weigh alike, of whatever size.

NIST's evaluations since 2016 count so (2016 evaluation plan, 3.2): a miss rate is the
mean of those of the parts that have targets, a false alarm rate of those of the parts
that have nontargets.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from misc.operating_points import OperatingPoint
from misc.sorted_scores import default_cost

Array = npt.NDArray[np.float64]


def equalized_costs(
    scores: npt.ArrayLike,
    is_target: npt.ArrayLike,
    parts: npt.ArrayLike,
    point: OperatingPoint,
) -> tuple[float, float]:
    """The lowest cost, and that of log-likelihood ratios at the Bayes thresholds.

    Args:
        scores: [trials]; trials up to and including a threshold are rejected.
        is_target: [trials].
        parts: [trials] to which part each belongs: numbers or names.
        point: priors and costs; of several priors, with a threshold for each, the mean.

    Returns:
        Normalised costs: 1 is the better of accepting all and rejecting all.

    Raises:
        InputError: no score of one kind, or one that is not a number.
    """
    values = np.asarray(scores, np.float64)
    targets = np.asarray(is_target, bool)
    if np.isnan(values).any() or targets.all() or not targets.any():
        raise InputError(
            f"expected scores of targets and nontargets, got {targets.sum()} and "
            f"{(~targets).sum()}, {np.isnan(values).sum()} of them not a number"
        )
    _, numbers = np.unique(np.asarray(parts), return_inverse=True)
    weights = np.empty(values.size)
    for kind in (targets, ~targets):
        weights[kind] = _equal_weights(numbers[kind])
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    last = np.append(ordered[1:] != ordered[:-1], True)  # equal ones are never parted
    miss = _running_sum(np.where(targets, weights, 0.0)[order], last)
    rejected = _running_sum(np.where(targets, 0.0, weights)[order], last)
    thresholds = np.append(-np.inf, ordered[last])
    lowest, actual = [], []
    for prior in point.p_targets:
        costs = point.c_miss * prior * miss
        costs = costs + point.c_fa * (1.0 - prior) * (1.0 - rejected)
        costs = costs / default_cost(prior, point.c_miss, point.c_fa)
        bayes = np.log(point.c_fa * (1.0 - prior) / (point.c_miss * prior))
        lowest.append(costs.min())
        actual.append(costs[np.searchsorted(thresholds, bayes, side="right") - 1])
    return float(np.mean(lowest)), float(np.mean(actual))


def _equal_weights(numbers: npt.NDArray[np.int64]) -> Array:
    """Weights that sum up to the same in each part, and to 1 in all."""
    counts = np.bincount(numbers)
    return 1.0 / (counts[numbers] * np.count_nonzero(counts))


def _running_sum(weights: Array, last: npt.NDArray[np.bool_]) -> Array:
    """Up to each distinct score; 0 before the first."""
    return np.append(0.0, np.cumsum(weights)[last])
