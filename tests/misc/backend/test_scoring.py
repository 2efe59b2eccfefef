import numpy as np
import pytest

from misc.backend import scoring


@pytest.fixture
def tables():
    rng = np.random.default_rng(2)
    return rng.normal(size=(30, 5)), rng.normal(size=(40, 5))


def expected_scores(left, right, rows, columns):
    return [
        left[row] @ right[column] for row, column in zip(rows, columns, strict=True)
    ]


@pytest.mark.parametrize("gain", [0, 10**9], ids=["gathered", "product"])
def test_pairs_are_scored_by_both_ways(gain, tables, monkeypatch):
    """Blocks smaller than the list, and not a divisor of it."""
    monkeypatch.setattr(scoring, "_PRODUCT_GAIN", gain)
    monkeypatch.setattr(scoring, "_TRIALS_AT_ONCE", 64)
    monkeypatch.setattr(scoring, "_PAIRS_AT_ONCE", 7)
    rng = np.random.default_rng(3)
    rows, columns = rng.integers(0, 30, 201), rng.integers(0, 40, 201)
    found = scoring.score_pairs(*tables, rows, columns)
    np.testing.assert_allclose(found, expected_scores(*tables, rows, columns))


def test_all_against_all_and_none(tables):
    rows, columns = np.divmod(np.arange(30 * 40), 40)
    found = scoring.score_pairs(*tables, rows, columns)
    np.testing.assert_allclose(found.reshape(30, 40), tables[0] @ tables[1].T)
    nothing = np.zeros(0, np.int64)
    assert scoring.score_pairs(*tables, nothing, nothing).shape == (0,)
