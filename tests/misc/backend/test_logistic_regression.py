import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend.calibration import fit_calibration
from misc.backend.logistic_regression import (
    LogisticRegression,
    scale_priors,
    split_targets,
    train_logistic_regression,
)


def data(num=60, seed=0, num_classes=3, dim=2):
    rng = np.random.default_rng(seed)
    labels = np.arange(num) % num_classes
    centres = rng.normal(size=(num_classes, dim))
    return centres[labels] + rng.normal(size=(num, dim)), labels


def slow_log_posteriors(model, vector):
    """Of the definition, in plain Python."""
    exps = [np.exp(row[:-1] @ vector + row[-1]) for row in model.weights]
    totals = [0.0] * (max(model.classes) + 1)
    for value, number in zip(exps, model.classes, strict=True):
        totals[number] += value
    return np.log(totals) - np.log(sum(exps))


def test_log_posteriors_are_those_of_the_definition():
    rng = np.random.default_rng(1)
    model = LogisticRegression(rng.normal(size=(5, 4)), np.array([0, 1, 2, 1, 1]))
    vectors = rng.normal(size=(7, 3))
    found = model.log_posteriors(vectors)
    expected = [slow_log_posteriors(model, vector) for vector in vectors]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)
    assert np.isfinite(model.log_posteriors(1e5 * vectors)).all()
    with pytest.raises(InputError, match="of dimension 3, got 2"):
        model.log_posteriors(vectors[:, :2])


@pytest.mark.parametrize(("normalizer", "mix_up"), [(0.0025, 0), (0.3, 0), (0.05, 7)])
def test_the_weights_are_a_stationary_point_of_kaldis_objective(normalizer, mix_up):
    """Mean log posterior - normalizer / 2 |weights|^2: no direction improves it."""
    vectors, labels = data()
    found = train_logistic_regression(vectors, labels, 2000, normalizer, mix_up)
    assert len(found.classes) == (mix_up or 3)

    def objective(weights):
        model = LogisticRegression(weights, found.classes)
        own = [
            slow_log_posteriors(model, v)[c]
            for v, c in zip(vectors, labels, strict=True)
        ]
        return np.mean(own) - normalizer / 2 * np.sum(weights**2)

    best = objective(found.weights)
    rng = np.random.default_rng(2)
    for _ in range(30):
        direction = rng.normal(size=found.weights.shape)
        direction *= 1e-3 / np.linalg.norm(direction)
        slope = objective(found.weights + direction) - objective(
            found.weights - direction
        )
        assert abs(slope) < 1e-7
    assert best > objective(np.zeros_like(found.weights)) + 0.05


KALDIS = {  # what its logistic-regression-train --max-steps=... --normalizer=... wrote
    (7, 0.0025): """1.430439 -0.09604082 0.1905756 -0.8043643 1.503296 -0.2727281
        -0.6260749 -1.407255 0.0821529""",
    (20, 0.0025): """1.415816 -0.1004285 0.2041124 -0.8034003 1.514527 -0.2905942
        -0.6124159 -1.414098 0.08648203""",
    (20, 0.2): """0.5471516 -0.02821127 0.04871785 -0.2901952 0.5606434 -0.05333905
        -0.2569563 -0.5324323 0.004621183""",
    (12, 1e-5): """1.47606 -0.1141739 0.2210831 -0.8453084 1.595378 -0.3185926
        -0.6307505 -1.481205 0.09751014""",
}


@pytest.mark.parametrize(("max_steps", "normalizer"), KALDIS)
def test_weights_are_kaldis_also_before_the_optimum(max_steps, normalizer):
    number = np.arange(40)
    labels = number % 3
    centres = np.array([[0.8, 0.0], [-0.5, 0.9], [-0.4, -0.7]])
    vectors = np.round(np.sin(number[:, None] * [1.7, 2.9]) + centres[labels], 3)
    found = train_logistic_regression(vectors, labels, max_steps, normalizer).weights
    expected = np.array(KALDIS[max_steps, normalizer].split(), float).reshape(3, 3)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_two_classes_are_calibration():
    """With hardly any regularisation and equal numbers: weights differ by the LLR."""
    scores, labels = data(num=200, num_classes=2, dim=1)
    scores = scores * (-1 if scores[labels == 1].mean() < scores.mean() else 1)
    found = train_logistic_regression(scores, labels, 1000, normalizer=1e-9)
    weight, offset = found.weights[1] - found.weights[0]
    expected = fit_calibration(("score",), scores, labels == 1, 0.5)
    assert weight == pytest.approx(expected.weights[0], rel=1e-3)
    assert offset == pytest.approx(expected.offset, rel=1e-3, abs=1e-3)


def test_components_help_where_a_class_has_two_places():
    rng = np.random.default_rng(3)
    labels = np.arange(300) % 2
    sides = np.where(labels == 0, 0.0, rng.choice([-5.0, 5.0], 300))
    vectors = np.column_stack([sides, np.zeros(300)]) + rng.normal(size=(300, 2))

    def right(mix_up):
        model = train_logistic_regression(vectors, labels, 200, 1e-4, mix_up)
        return np.mean(model.log_posteriors(vectors).argmax(axis=1) == labels)

    assert right(0) < 0.8 and right(4) > 0.95


@pytest.mark.parametrize(
    ("counts", "number", "power", "expected"),
    [
        ([100, 100, 100], 6, 0.15, [2, 2, 2]),
        ([100, 10, 10], 4, 1.0, [2, 1, 1]),
        ([100, 30, 10], 8, 1.0, [5, 2, 1]),
        ([100, 4, 4], 6, 0.0, [2, 2, 2]),
        ([5, 3, 2], 100, 0.5, [4, 2, 1]),
    ],
)
def test_components_go_by_the_power_rule(counts, number, power, expected):
    """Each by hand; in the last every class is at the end: fewer than its examples."""
    assert split_targets(counts, number, power).tolist() == expected


def test_priors_scale_posteriors():
    vectors, labels = data()
    model = train_logistic_regression(vectors, labels, mix_up=6)
    scales = np.array([1.0, 4.0, 0.5])
    expected = np.exp(model.log_posteriors(vectors)) * scales
    expected /= expected.sum(axis=1, keepdims=True)
    found = np.exp(scale_priors(model, scales).log_posteriors(vectors))
    np.testing.assert_allclose(found, expected)
    for wrong in ([1, 2], [1, 0, 1], [[1, 1, 1]], [1, np.nan, 1]):
        with pytest.raises(InputError, match="Expected 3 scales above 0"):
            scale_priors(model, wrong)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_steps": 0}, "max-steps of at least 1"),
        ({"normalizer": -1.0}, "normalizer of at least 0"),
        ({"labels": np.zeros(60, int)}, "from 0 to 1, got none of class 1"),
        ({"labels": np.arange(60) % 2 * 2}, "from 0 to 2, got none of class 1"),
        ({"labels": np.arange(60) - 1}, "numbered from 0, got -1"),
        ({"inputs": np.full((60, 2), np.nan)}, "NaN or infinity"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, message):
    vectors, labels = data()
    with pytest.raises(InputError, match=message):
        train_logistic_regression(**({"inputs": vectors, "labels": labels} | change))
