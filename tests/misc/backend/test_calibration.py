"""Calibration: against a slow reference, and on scores whose answer is known.

If the log-likelihood ratios of nontargets are N(-d/2, d), those of targets must be
N(d/2, d) (D. van Leeuwen and N. Brümmer, "The distribution of calibrated
likelihood-ratios in speaker recognition", Interspeech 2013).
"""

import json

import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend import calibration
from misc.backend.calibration import (
    Calibration,
    bayes_threshold,
    cross_entropy,
    fit_calibration,
    quality_inputs,
    quality_names,
    read_calibration,
    score_names,
    write_calibration,
)
from misc.metrics import act_dcf, cllr, min_dcf

SCORE = ("score",)
COSTS = [(0.5, 1, 1), (0.1, 1, 1), (0.01, 1, 1), (0.01, 10, 1)]


def llrs_and_labels(rng, num_targets, num_nontargets, variance=8.0):
    deviation = np.sqrt(variance)
    llrs = np.concatenate(
        [
            rng.normal(variance / 2, deviation, num_targets),
            rng.normal(-variance / 2, deviation, num_nontargets),
        ]
    )
    return llrs, np.arange(len(llrs)) < num_targets


@pytest.mark.parametrize("p_target", [0.5, 0.01])
def test_a_known_affine_map_is_undone(p_target):
    llrs, labels = llrs_and_labels(np.random.default_rng(0), 40_000, 400_000)
    found = fit_calibration(SCORE, 0.02 * llrs + 0.7, labels, p_target)
    assert found.weights[0] * 0.02 == pytest.approx(1.0, abs=0.02)
    assert found.offset + 0.7 * found.weights[0] == pytest.approx(0.0, abs=0.05)
    assert (found.num_targets, found.num_nontargets) == (40_000, 400_000)


@pytest.mark.parametrize("seed", range(3))
def test_actual_cost_is_near_the_smallest_on_the_other_half(seed):
    """The issue's figure: within 5 % at each of the usual operating points."""
    llrs, labels = llrs_and_labels(np.random.default_rng(seed), 40_000, 400_000)
    scores = 0.02 * llrs - 0.3
    half = np.random.default_rng(9).random(len(llrs)) < 0.5
    trained = fit_calibration(SCORE, scores[half], labels[half])
    held_out, truth = trained.llr(scores[~half]), labels[~half]
    target, nontarget = held_out[truth], held_out[~truth]
    raw = scores[~half]
    for costs in COSTS:
        smallest = min_dcf(target, nontarget, *costs)[0]
        assert act_dcf(raw[truth], raw[~truth], *costs) > 1.1 * smallest
        assert act_dcf(target, nontarget, *costs) <= 1.05 * smallest


@pytest.mark.parametrize("p_target", [0.5, 0.03])
def test_the_fit_is_that_of_a_slow_minimiser(p_target):
    from scipy.optimize import minimize

    rng = np.random.default_rng(1)
    llrs, labels = llrs_and_labels(rng, 60, 300, 3.0)
    inputs = np.column_stack(
        [50 + llrs, 0.1 * llrs + rng.normal(size=len(llrs)), rng.normal(size=len(llrs))]
    )

    def cost(parameters):
        total = {True: [], False: []}
        prior = np.log(p_target / (1 - p_target))
        for row, label in zip(inputs, labels.tolist(), strict=True):
            logit = row @ parameters[:-1] + parameters[-1] + prior
            total[label].append(np.log1p(np.exp(-logit if label else logit)))
        return p_target * np.mean(total[True]) + (1 - p_target) * np.mean(total[False])

    names = (*score_names(2), "other")
    found = fit_calibration(names, inputs, labels, p_target)
    parameters = np.append(found.weights, found.offset)
    assert cost(parameters) == pytest.approx(
        cross_entropy(found.llr(inputs), labels, p_target), rel=1e-12
    )
    start = np.append(found.weights, found.offset) + 0.05
    best = minimize(cost, start, method="BFGS", options={"gtol": 1e-9})
    np.testing.assert_allclose(parameters, best.x, rtol=2e-3, atol=2e-3)
    assert cost(parameters) <= best.fun + 1e-12


def test_cross_entropy_at_equal_priors_is_cllr():
    llrs, labels = llrs_and_labels(np.random.default_rng(2), 50, 70)
    expected = cllr(llrs[labels], llrs[~labels]) * np.log(2)
    assert cross_entropy(llrs, labels, 0.5) == pytest.approx(expected, rel=1e-12)


def test_fusion_finds_independent_evidence():
    """Log-likelihood ratios of independent systems add up, whatever their scales."""
    rng = np.random.default_rng(3)
    first, labels = llrs_and_labels(rng, 40_000, 80_000, 4.0)
    second, _ = llrs_and_labels(rng, 40_000, 80_000, 2.0)
    scores = np.column_stack([3 * first + 1, second / 5 - 2])
    found = fit_calibration(score_names(2), scores, labels, 0.5)
    np.testing.assert_allclose(found.weights, [1 / 3, 5], rtol=0.03)
    fused = found.llr(scores)
    np.testing.assert_allclose(fused, first + second, atol=0.5)
    alone = fit_calibration(SCORE, scores[:, :1], labels, 0.5).llr(scores[:, :1])
    assert cross_entropy(fused, labels) < 0.8 * cross_entropy(alone, labels)


def test_quality_measures_correct_a_shift_by_duration():
    rng = np.random.default_rng(4)
    llrs, labels = llrs_and_labels(rng, 20_000, 100_000)
    enrol, test = rng.uniform(1, 60, (2, len(llrs)))
    scores = llrs + 2 * np.log(np.minimum(enrol, test)) + np.log(enrol * test)
    inputs = np.column_stack([scores, quality_inputs(enrol, test)])
    names = (*SCORE, *quality_names("duration"))
    found = fit_calibration(names, inputs, labels, 0.5)
    np.testing.assert_allclose(found.weights, [1, -3, -1], atol=0.05)
    swapped = np.column_stack([scores, quality_inputs(test, enrol)])
    np.testing.assert_array_equal(found.llr(inputs), found.llr(swapped))


def test_the_thresholds_of_published_operating_points():
    assert bayes_threshold(0.5) == 0.0
    # NIST SRE 2008 (P 0.01, misses cost 10), 2010 (P 0.001), BOSARIS' example.
    assert bayes_threshold(0.01, 10, 1) == pytest.approx(np.log(9.9))
    assert bayes_threshold(0.001) == pytest.approx(np.log(999))
    for wrong in [(0.0,), (1.0,), (0.5, 0.0), (0.5, 1.0, -1.0), (0.5, np.inf)]:
        with pytest.raises(InputError, match="must"):
            bayes_threshold(*wrong)


def trials(num=40, seed=5):
    llrs, labels = llrs_and_labels(np.random.default_rng(seed), num, num)
    return llrs[:, None], labels


def broken(what):
    scores, labels = trials()
    names = SCORE
    if what == "NaN":
        scores[3] = np.nan
    elif what == "infinite":
        scores[3] = np.inf
    elif what == "only targets":
        labels[:] = True
    elif what == "only nontargets":
        labels[:] = False
    elif what == "constant":
        scores[:] = 0.3
    elif what == "the same twice":
        scores, names = np.column_stack([scores, 2 * scores - 1]), score_names(2)
    elif what == "separable":
        scores = np.where(labels, 1.0, -1.0)[:, None] + 0.1 * np.tanh(scores)
    elif what == "touching":
        scores = np.where(labels, np.abs(scores[:, 0]), -np.abs(scores[:, 0]))[:, None]
        scores[0] = scores[-1] = 0.0
    elif what == "upside down":
        scores = -scores
    elif what == "a label too few":
        labels = labels[1:]
    return names, scores, labels


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("NaN", "1 of 80 trials have .* not finite, the first is trial 3"),
        ("infinite", "1 of 80 trials have .* not finite"),
        ("only targets", "got no nontarget"),
        ("only nontargets", "got no target"),
        ("constant", "'score' is the same in all trials"),
        ("the same twice", "score 1, score 2 say the same"),
        ("separable", "separates the targets from the nontargets without error"),
        ("touching", "separates the targets from the nontargets without error"),
        ("upside down", "Are these distances"),
        ("a label too few", r"Expected inputs \[79, 1\] for 79 labels"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(what, message):
    with pytest.raises(InputError, match=message):
        fit_calibration(*broken(what))


def test_far_scores_do_no_harm():
    """A start where all posteriors are saturated, and outliers of both kinds."""
    scores, labels = trials(400)
    scores = 1e6 + 1e-3 * scores
    scores[0], scores[-1] = scores.min() - 1, scores.max() + 1
    found = fit_calibration(SCORE, scores, labels, 1e-4)
    assert np.isfinite(found.llr(scores)).all()


def test_the_file_keeps_every_bit(tmp_path):
    names = (*score_names(2), *quality_names("norm"))
    weights = np.random.default_rng(6).normal(size=4)
    written = Calibration(names, weights, 1 / 3, 0.01, 7, 11)
    write_calibration(str(tmp_path / "c.json"), written)
    read = read_calibration(str(tmp_path / "c.json"))
    np.testing.assert_array_equal(read.weights, weights)
    assert (read.inputs, read.offset, read.num_systems) == (names, 1 / 3, 2)
    assert (read.p_target, read.num_targets, read.num_nontargets) == (0.01, 7, 11)
    with pytest.raises(InputError, match="takes 4 inputs .*, got 1"):
        read.llr(np.zeros(3))


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v.pop("offset"),
        lambda v: v.update(offset="high"),
        lambda v: v.update(weights=[1.0, 2.0]),
        lambda v: v.update(weights=[float("nan")]),
        lambda v: v.update(inputs=["loudness"]),
        lambda v: v.update(inputs=["score", "score"], weights=[1.0, 1.0]),
    ],
)
def test_a_damaged_file_is_refused_by_name(tmp_path, change):
    path = tmp_path / "c.json"
    write_calibration(str(path), Calibration(SCORE, np.ones(1), 0.0, 0.5, 1, 1))
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"c\.json: expected"):
        read_calibration(str(path))
    path.write_text("no JSON")
    with pytest.raises(InputError, match=r"c\.json: expected a calibration"):
        read_calibration(str(path))


def test_steps_are_bounded(monkeypatch):
    monkeypatch.setattr(calibration, "_MAX_STEPS", 1)
    with pytest.raises(InputError, match="did not settle in 1 steps"):
        fit_calibration(SCORE, *trials())
