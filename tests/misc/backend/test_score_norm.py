import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend import score_norm
from misc.backend.score_norm import CohortStatistics, cohort_statistics, s_norm

RNG = np.random.default_rng(4)
ENROL, TEST = RNG.normal(size=(6, 4)), RNG.normal(size=(8, 4)) + 1
COHORT = RNG.normal(size=(25, 4))
ROWS, COLUMNS = RNG.integers(0, 6, 20), RNG.integers(0, 8, 20)
RAW = RNG.normal(size=20)


def slow_statistics(vector, top_n):
    """Of the definition, in plain Python."""
    scores = sorted((float(vector @ member) for member in COHORT), reverse=True)[:top_n]
    mean = sum(scores) / len(scores)
    return mean, (sum((s - mean) ** 2 for s in scores) / len(scores)) ** 0.5


@pytest.mark.parametrize("top_n", [2, 5, 25, 100, None])
@pytest.mark.parametrize("at_once", [1, 60, 10**6])
def test_every_norm_is_that_of_a_loop(top_n, at_once, monkeypatch):
    monkeypatch.setattr(score_norm, "_SCORES_AT_ONCE", at_once)
    enrol, test = (cohort_statistics(side, COHORT, top_n) for side in (ENROL, TEST))
    z, t = [], []
    for score, row, column in zip(RAW, ROWS, COLUMNS, strict=True):
        mean, deviation = slow_statistics(ENROL[row], top_n)
        z.append((score - mean) / deviation)
        mean, deviation = slow_statistics(TEST[column], top_n)
        t.append((score - mean) / deviation)
    np.testing.assert_allclose(enrol.normalise(RAW, ROWS), z)
    np.testing.assert_allclose(test.normalise(RAW, COLUMNS), t)
    found = s_norm(RAW, ROWS, COLUMNS, enrol, test)
    np.testing.assert_allclose(found, (np.array(z) + t) / 2)


def test_s_norm_does_not_depend_on_scale_offset_or_side():
    """What it is for: systems and sides with other scales become comparable."""
    enrol, test = (cohort_statistics(side, COHORT, 7) for side in (ENROL, TEST))
    found = s_norm(RAW, ROWS, COLUMNS, enrol, test)
    moved = [CohortStatistics(3 * m - 5, 3 * d) for m, d in (enrol, test)]
    np.testing.assert_allclose(s_norm(3 * RAW - 5, ROWS, COLUMNS, *moved), found)
    np.testing.assert_allclose(s_norm(RAW, COLUMNS, ROWS, test, enrol), found)


def test_cohort_scores_become_standard():
    """Z-norm of the cohort's own scores has mean 0 and deviation 1."""
    rows = np.repeat(np.arange(6), 25)
    scores = (ENROL @ COHORT.T).ravel()
    z = cohort_statistics(ENROL, COHORT).normalise(scores, rows).reshape(6, 25)
    np.testing.assert_allclose(z.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=1), 1)


@pytest.mark.parametrize(
    ("vectors", "cohort", "top_n", "message"),
    [
        (ENROL, COHORT[:1], None, "at least two cohort scores, got 1 in the cohort"),
        (ENROL, COHORT, 1, "at least two .* of which 1 are used"),
        (np.vstack([ENROL, 0 * ENROL[:2]]), COHORT, 5, "2 of 8 vectors.* number 6"),
        (ENROL, np.repeat(COHORT[:1], 9, axis=0), 5, "6 of 6 vectors"),
    ],
)
def test_a_cohort_that_says_nothing_is_refused(vectors, cohort, top_n, message):
    with pytest.raises(InputError, match=message):
        cohort_statistics(vectors, cohort, top_n)
