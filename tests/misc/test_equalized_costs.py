"""Costs with equal weights for parts: against loops over thresholds and parts."""

import numpy as np
import pytest

from dataset.errors import InputError
from misc.equalized_costs import equalized_costs
from misc.operating_points import OPERATING_POINTS, OperatingPoint
from misc.sorted_scores import SortedScores

SRE16 = OPERATING_POINTS["sre16"]


def slow_costs(scores, is_target, parts, prior):
    """The cost at each threshold below, at and above the scores."""
    costs = {}
    for threshold in [-np.inf, *np.unique(scores)]:
        rates = {True: [], False: []}
        for part in set(parts):
            for kind in (True, False):
                chosen = [
                    s <= threshold if kind else s > threshold
                    for s, t, p in zip(scores, is_target, parts, strict=True)
                    if t == kind and p == part
                ]
                if chosen:
                    rates[kind].append(np.mean(chosen))
        cost = prior * np.mean(rates[True]) + (1 - prior) * np.mean(rates[False])
        costs[threshold] = cost / min(prior, 1 - prior)
    return costs


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("point", [SRE16, OperatingPoint("threshold 0", (0.5,))])
def test_as_loops_have_it(point, seed):
    rng = np.random.default_rng(seed)
    is_target = rng.random(80) < 0.4
    parts = np.where(is_target, rng.integers(4, size=80), rng.integers(1, 4, 80))
    scores = np.round(rng.normal(-1, 3, 80) + 4 * is_target)  # with ties, and zeros
    lowest, actual = equalized_costs(scores, is_target, parts, point)
    expected_lowest, expected_actual = [], []
    for prior in point.p_targets:
        costs = slow_costs(scores, is_target, parts, prior)
        expected_lowest.append(min(costs.values()))
        bayes = np.log((1 - prior) / prior)
        expected_actual.append(costs[max(t for t in costs if t <= bayes)])
    assert lowest == pytest.approx(np.mean(expected_lowest), rel=1e-12)
    assert actual == pytest.approx(np.mean(expected_actual), rel=1e-12)


def test_one_part_is_the_usual_cost():
    rng = np.random.default_rng(9)
    is_target = rng.random(500) < 0.2
    scores = rng.normal(0, 2, 500) + 3 * is_target
    point = OperatingPoint("x", (0.1, 0.02), 10.0, 1.0)
    lowest, actual = equalized_costs(scores, is_target, np.zeros(500), point)
    sorted_scores = SortedScores.of_trials(scores, is_target)
    assert lowest == pytest.approx(point.min_dcf(sorted_scores), rel=1e-12)
    assert actual == pytest.approx(point.act_dcf(sorted_scores), rel=1e-12)


def test_a_small_part_weighs_as_much_as_a_large_one():
    is_target = np.repeat([True, False], 110)
    parts = np.array((["large"] * 100 + ["small"] * 10) * 2)
    scores = np.where(is_target, 5.0, -5.0)
    scores[100:110] = -6.0  # all targets of the small part are missed
    point = OperatingPoint("x", (0.5,))
    costs = equalized_costs(scores, is_target, parts, point)
    assert costs == pytest.approx((0.5, 0.5))


@pytest.mark.parametrize(
    "scores, is_target",
    [([1.0, 2.0], [True, True]), ([1.0, np.nan], [True, False]), ([], [])],
)
def test_what_has_no_cost(scores, is_target):
    with pytest.raises(InputError, match="expected scores of targets and nontargets"):
        equalized_costs(scores, is_target, np.zeros(len(scores)), SRE16)
