import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.errors import InputError
from misc import metrics
from misc.sorted_scores import SortedScores

ORIGINAL = Path(__file__).parents[1] / "data/original_cos_eer.npz"

few_values = st.integers(-4, 4).map(float)  # so that there are ties
scores = st.lists(few_values, min_size=1, max_size=12)
probabilities = st.sampled_from([0.001, 0.01, 0.3, 0.5, 0.9])
costs = st.sampled_from([0.5, 1.0, 10.0])


def all_points(target, nontarget):
    """(p_miss, p_fa) at every threshold that is worth a try, one by one."""
    thresholds = [-np.inf, *sorted(set(target) | set(nontarget))]
    return [
        (
            sum(score <= threshold for score in target) / len(target),
            sum(score > threshold for score in nontarget) / len(nontarget),
        )
        for threshold in thresholds
    ]


def kaldi_eer(target, nontarget):
    """The loop of compute-eer, in words of Python."""
    target, nontarget = sorted(target), sorted(nontarget)
    for position in range(len(target) - 1):
        passed = int(len(nontarget) * position / len(target))
        if nontarget[len(nontarget) - 1 - passed] < target[position]:
            break
    else:
        position = len(target) - 1
    return position / len(target), target[position]


def kaldi_min_dcf(trials, p_target, c_miss, c_fa):
    """The loops of sid/compute_min_dcf.py for a list of (score, is_target)."""
    num_targets = sum(label for _, label in trials)
    missed = rejected = 0
    best = (np.inf, None)
    for score, label in sorted(trials, key=lambda trial: trial[0]):
        missed += label
        rejected += 1 - label
        p_fa = 1 - rejected / (len(trials) - num_targets)
        cost = c_miss * missed / num_targets * p_target + c_fa * p_fa * (1 - p_target)
        if cost < best[0]:
            best = (cost, score)
    return best[0] / min(c_miss * p_target, c_fa * (1 - p_target)), best[1]


def slow_pav(labels):
    """Isotonic regression by merging neighbours; [sum, size] of each block."""
    blocks = []
    for label in labels:
        blocks.append([label, 1])
        while (
            len(blocks) > 1
            and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]
        ):
            total, size = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += size
    return blocks


@given(scores, scores)
def test_eer_is_kaldis(target, nontarget):
    assert metrics.eer(target, nontarget) == kaldi_eer(target, nontarget)


def test_eer_of_hand_made_scores():
    assert metrics.eer([1, 2, 3, 4], [-3, -2, -1, 0]) == (0.0, 1.0)
    assert metrics.eer([0, 2, 3, 4], [-3, -2, -1, 1]) == (0.25, 2.0)
    # A tie counts against the system.
    assert metrics.eer([1, 2], [0, 1]) == (0.5, 2.0)
    # Kaldi never gets beyond the last target.
    assert metrics.eer([0, 1], [2, 3]) == (0.5, 1.0)


@given(scores, scores)
def test_det_points_are_the_counts_at_each_threshold(target, nontarget):
    points = metrics.det_points(target, nontarget)
    np.testing.assert_allclose(
        np.column_stack([points.p_miss, points.p_fa]), all_points(target, nontarget)
    )
    assert points.thresholds[0] == -np.inf
    assert list(points.thresholds[1:]) == sorted(set(target) | set(nontarget))


@given(scores, scores, probabilities, costs, costs)
def test_min_dcf_is_the_smallest_cost(target, nontarget, p_target, c_miss, c_fa):
    found, threshold = metrics.min_dcf(target, nontarget, p_target, c_miss, c_fa)
    expected = min(
        c_miss * p_target * p_miss + c_fa * (1 - p_target) * p_fa
        for p_miss, p_fa in all_points(target, nontarget)
    )
    assert found == pytest.approx(
        expected / min(c_miss * p_target, c_fa * (1 - p_target))
    )
    p_miss = np.mean(np.array(target) <= threshold)
    p_fa = np.mean(np.array(nontarget) > threshold)
    assert c_miss * p_target * p_miss + c_fa * (1 - p_target) * p_fa == pytest.approx(
        expected
    )
    assert found <= 1.0 + 1e-12


@given(
    st.lists(st.tuples(few_values, st.integers(0, 1)), min_size=2, max_size=15),
    probabilities,
    costs,
    costs,
)
def test_min_dcf_of_trials_is_kaldis_script(trials, p_target, c_miss, c_fa):
    values, labels = zip(*trials, strict=True)
    if len(set(labels)) == 1:
        with pytest.raises(InputError, match="both kinds"):
            metrics.min_dcf_of_trials(values, labels)
        return
    found, threshold = metrics.min_dcf_of_trials(values, labels, p_target, c_miss, c_fa)
    expected, at = kaldi_min_dcf(trials, p_target, c_miss, c_fa)
    assert found == pytest.approx(expected)
    assert threshold == at


@given(scores, scores, probabilities, costs, costs)
def test_min_dcf_is_never_above_act_dcf(target, nontarget, p_target, c_miss, c_fa):
    lowest, _ = metrics.min_dcf(target, nontarget, p_target, c_miss, c_fa)
    actual = metrics.act_dcf(target, nontarget, p_target, c_miss, c_fa)
    assert lowest <= actual + 1e-12


def test_act_dcf_decides_at_the_bayes_threshold():
    threshold = np.log(99.0)  # costs 1, prior 0.01
    target, nontarget = [threshold - 0.01, threshold + 0.01], [0.0, threshold + 0.01]
    expected = (0.01 * 0.5 + 0.99 * 0.5) / 0.01
    assert metrics.act_dcf(target, nontarget) == pytest.approx(expected)
    # At the threshold itself a trial is rejected.
    assert metrics.act_dcf([0.0], [0.0], 0.5) == pytest.approx(1.0)


@pytest.mark.parametrize("system", ["plda", "plda_numutts", "plda_adapt", "cos"])
def test_measures_are_those_kaldi_printed(system, kaldi_backend, kaldi_backend_folder):
    values = kaldi_backend[f"scores_{system}"]
    is_target = kaldi_backend["trial_is_target"]
    pair = values[is_target], values[~is_target]
    printed = (kaldi_backend_folder / "metrics.txt").read_text()
    line = next(line for line in printed.splitlines() if line.split()[0] == system)
    rate, threshold = metrics.eer(*pair)
    assert f"EER% {100 * rate:.4g} " in line
    assert line.endswith(f"{100 * rate:.6g}%, at threshold {threshold:.6g}")
    settings = [(0.01, 1.0), (0.001, 1.0), (0.01, 10.0)]
    found = [f"{metrics.min_dcf(*pair, p, miss)[0]:.4f}" for p, miss in settings]
    assert found == re.findall(r"minDCF\S* (\S+)", line)
    ordered = [
        f"{metrics.min_dcf_of_trials(values, is_target, p, miss)[0]:.4f}"
        for p, miss in settings
    ]
    assert ordered == found


@settings(deadline=None)
@given(scores, scores)
def test_rocch_eer_is_the_worst_of_the_best_costs(target, nontarget):
    """The minimax theorem: a linear programme over mixtures of thresholds."""
    from scipy.optimize import linprog

    points = np.array(all_points(target, nontarget))
    solved = linprog(
        np.append(np.zeros(len(points)), 1.0),
        A_ub=np.column_stack([points.T, [-1.0, -1.0]]),
        b_ub=[0.0, 0.0],
        A_eq=[[1.0] * len(points) + [0.0]],
        b_eq=[1.0],
    )
    found = metrics.rocch_eer(target, nontarget)
    assert found == pytest.approx(solved.fun, abs=1e-9)
    assert found <= metrics.interpolated_eer(target, nontarget) + 1e-12


def test_interpolated_eer_halves_ties():
    assert metrics.interpolated_eer([0.0], [0.0]) == pytest.approx(0.5)
    assert metrics.interpolated_eer([1.0, 2.0], [-1.0, 0.0]) == 0.0
    assert metrics.interpolated_eer([0.0], [1.0]) == 1.0


def test_cllr_of_known_ratios():
    assert metrics.cllr([0.0, 0.0], [0.0]) == pytest.approx(1.0)
    # A ratio of 3: the target costs log2(4/3), the nontarget log2(4).
    expected = (np.log2(4 / 3) + 2.0) / 2
    assert metrics.cllr([np.log(3)], [np.log(3)]) == pytest.approx(expected)
    assert metrics.cllr([np.inf], [-np.inf]) == 0.0
    assert metrics.cllr([-np.inf], [0.0]) == np.inf
    assert metrics.cllr([800.0], [-800.0]) == pytest.approx(0.0)


@given(scores, scores)
def test_min_cllr_is_the_cost_of_the_regression(target, nontarget):
    values = np.array(target + nontarget)
    labels = np.array([1] * len(target) + [0] * len(nontarget))
    order = np.lexsort([-labels, values])
    expected = 0.0
    for total, size in slow_pav(labels[order].tolist()):
        if 0 < total < size:
            ratio = total / len(target) / ((size - total) / len(nontarget))
            expected += total / len(target) * np.log2(1 + 1 / ratio) / 2
            expected += (size - total) / len(nontarget) * np.log2(1 + ratio) / 2
    found = metrics.min_cllr(target, nontarget)
    assert found == pytest.approx(expected, abs=1e-12)
    assert found <= metrics.cllr(target, nontarget) + 1e-12
    assert found <= 1.0 + 1e-12


@given(scores, scores)
def test_an_increasing_map_changes_no_rate(target, nontarget):
    mapped = [np.exp(np.array(values) / 2) for values in (target, nontarget)]
    for measure in (metrics.interpolated_eer, metrics.rocch_eer, metrics.min_cllr):
        assert measure(*mapped) == pytest.approx(measure(target, nontarget))
    assert metrics.eer(*mapped)[0] == metrics.eer(target, nontarget)[0]
    assert metrics.min_dcf(*mapped)[0] == metrics.min_dcf(target, nontarget)[0]


MEASURES = [
    metrics.eer,
    metrics.interpolated_eer,
    metrics.rocch_eer,
    metrics.min_dcf,
    metrics.act_dcf,
    metrics.cllr,
    metrics.min_cllr,
    metrics.det_points,
]


@pytest.mark.parametrize("measure", MEASURES)
def test_scores_are_checked_and_left_alone(measure):
    with pytest.raises(InputError, match="1 of 3 nontarget scores are NaN.*index 1"):
        measure([1.0], [0.0, np.nan, 2.0])
    with pytest.raises(InputError, match="at least one target score"):
        measure([], [0.0])
    target, nontarget = np.array([3.0, 1.0]), np.array([2.0, -np.inf])
    measure(target, nontarget)
    assert list(target) == [3.0, 1.0] and list(nontarget) == [2.0, -np.inf]


@pytest.mark.parametrize(
    "wrong", [{"p_target": 0.0}, {"p_target": 1.0}, {"c_miss": 0.0}, {"c_fa": -1.0}]
)
def test_costs_are_checked(wrong):
    for measure in (metrics.min_dcf, metrics.act_dcf):
        with pytest.raises(InputError, match="must"):
            measure([1.0], [0.0], **wrong)


def test_cosine_eer_is_the_originals():
    with np.load(ORIGINAL) as golden:
        embeddings, labels, expected = (
            golden[k] for k in ("embeddings", "labels", "eer")
        )
    before = embeddings.copy()
    found = metrics.compute_cos_pairwise_eer(embeddings, labels)
    assert found == pytest.approx(float(expected), abs=1e-9)
    np.testing.assert_array_equal(embeddings, before)


def test_cosine_eer_thins_large_sets():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 8, 64)
    embeddings = rng.normal(size=(64, 5)) + np.eye(8, 5)[labels]

    def thinned(step):
        return metrics.compute_cos_pairwise_eer(embeddings[::step], labels[::step])

    assert metrics.compute_cos_pairwise_eer(embeddings, labels, 20) == thinned(3)
    assert metrics.compute_cos_pairwise_eer(embeddings, labels, 33) == thinned(1)


def test_cosine_eer_needs_pairs_of_both_kinds():
    with pytest.raises(InputError, match="nontarget"):
        metrics.compute_cos_pairwise_eer(np.ones((3, 2)), [1, 1, 1])
    with pytest.raises(InputError, match="target"):
        metrics.compute_cos_pairwise_eer(np.ones((3, 2)), [1, 2, 3])
    with pytest.raises(InputError, match="shapes"):
        metrics.compute_cos_pairwise_eer(np.ones((3, 2)), [1, 2])


@given(scores, scores)
def test_sorted_once_and_single_precision_give_the_same(target, nontarget):
    once = SortedScores.of(np.float32(target), np.float32(nontarget))
    assert once.target.dtype == np.float32
    for measure in MEASURES:
        expected = measure(target, nontarget)
        np.testing.assert_array_equal(getattr(once, measure.__name__)(), expected)
    is_target = np.arange(len(target) + len(nontarget)) % 2 == 0
    values = np.arange(is_target.size, dtype=float)
    split = SortedScores.of_trials(values, is_target)
    np.testing.assert_array_equal(split.target, values[is_target])
    np.testing.assert_array_equal(split.nontarget, values[~is_target])


def test_thresholds_between_single_precision_scores():
    scores = SortedScores.of(np.float32([0.1]), np.float32([0.1]))
    above = float(np.float32(0.1))
    assert scores.rates(above) == (1.0, 0.0)
    assert scores.rates(np.nextafter(above, 0.0)) == (0.0, 1.0)


def test_thinned_points_are_on_the_curve():
    rng = np.random.default_rng(0)
    scores = SortedScores.of(rng.normal(1, 1, 3000), rng.normal(-1, 1, 50_000))
    every, thinned = scores.det_points(), scores.det_points(400)
    assert len(thinned.p_miss) < 1100
    where = np.searchsorted(every.thresholds, thinned.thresholds)
    for full, few in zip(every, thinned, strict=True):
        np.testing.assert_array_equal(full[where], few)
    # Both ends stay whole, and between them no step is a large one.
    np.testing.assert_array_equal(every.p_miss[:40], thinned.p_miss[:40])
    assert np.diff(thinned.p_miss).max() < 0.02
