import numpy as np
import pytest

from dataset.errors import InputError
from misc.operating_points import OPERATING_POINTS, OperatingPoint, operating_point
from misc.sorted_scores import SortedScores, default_cost

RNG = np.random.default_rng(3)
SCORES = SortedScores.of(RNG.normal(2, 1, 200), RNG.normal(-2, 1.5, 3000))


def slow_dcf(p_target, c_miss, c_fa):
    """Straight from the evaluation plans: every threshold, one after the other."""
    costs = []
    for threshold in [-np.inf, *SCORES.target, *SCORES.nontarget]:
        p_miss = np.mean(SCORES.target <= threshold)
        p_fa = np.mean(SCORES.nontarget > threshold)
        costs.append(c_miss * p_target * p_miss + c_fa * (1 - p_target) * p_fa)
    return min(costs)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("sre08", lambda: slow_dcf(0.01, 10, 1) / 0.1),
        ("sre08-detware", lambda: slow_dcf(0.01, 10, 1)),
        ("sre10", lambda: slow_dcf(0.001, 1, 1) / 0.001),
        ("sre12", lambda: slow_dcf(0.01, 1, 1) * 50 + slow_dcf(0.001, 1, 1) * 500),
        ("sre16", lambda: slow_dcf(0.01, 1, 1) * 50 + slow_dcf(0.005, 1, 1) * 100),
        ("voxceleb", lambda: slow_dcf(0.01, 1, 1) * 100),
        ("voxsrc", lambda: slow_dcf(0.05, 1, 1) * 20),
        ("0.2", lambda: slow_dcf(0.2, 1, 1) * 5),
        ("0.6,1,3", lambda: slow_dcf(0.6, 1, 3) / 0.6),
    ],
)
def test_costs_are_those_of_the_plans(name, expected):
    assert operating_point(name).min_dcf(SCORES) == pytest.approx(expected())


def test_detware_scale_is_a_tenth_at_sre08():
    point = OPERATING_POINTS["sre08"]
    scale = default_cost(point.p_targets[0], point.c_miss, point.c_fa)
    assert scale == pytest.approx(0.1)
    assert scale * point.min_dcf(SCORES) == pytest.approx(slow_dcf(0.01, 10, 1))


def test_actual_cost_is_at_the_bayes_thresholds():
    found = OPERATING_POINTS["sre16"].act_dcf(SCORES)
    expected = []
    for p_target in (0.01, 0.005):
        threshold = np.log((1 - p_target) / p_target)
        p_miss = np.mean(SCORES.target <= threshold)
        p_fa = np.mean(SCORES.nontarget > threshold)
        expected.append(p_miss + (1 - p_target) / p_target * p_fa)
    assert found == pytest.approx(np.mean(expected))
    assert found >= OPERATING_POINTS["sre16"].min_dcf(SCORES)


def test_a_point_tells_what_it_is():
    assert operating_point("0.01,10,1") == OperatingPoint(
        "p=0.01, costs 10:1", (0.01,), 10.0, 1.0
    )
    assert OPERATING_POINTS["sre16"].describe() == (
        "prior 0.01 and 0.005, a miss costs 1, a false alarm 1"
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("sre8", "do you mean sre08"),
        ("0.01,10", "got '0.01,10'"),
        ("", "sre10, sre12"),
        ("1.5", "between 0 and 1, got 1.5"),
        ("nan", "between 0 and 1"),
        ("0.01,0,1", "above 0"),
    ],
)
def test_wrong_points_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        operating_point(text)
