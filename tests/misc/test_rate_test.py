"""The learning-rate range test: rates, when it ends, what it suggests."""

import numpy as np
import pytest

from misc.rate_test import (
    Tried,
    advice,
    diverges,
    smoothed,
    suggested_rate,
    table,
    tried_rate,
)


def tried(losses):
    return [Tried(7 * i, tried_rate(i), loss) for i, loss in enumerate(losses)]


def test_rates_are_the_originals():
    assert tried_rate(0) == 1e-5
    assert tried_rate(10) == pytest.approx(1e-5 * 1.15**10)


def test_table():
    assert table(tried([2.5, 2.0])) == "0 0.00001000 2.500000\n7 0.00001150 2.000000\n"


def test_smoothing_is_the_mean_of_what_is_there():
    losses = [4.0, 1.0, 7.0, 2.0, 6.0, 3.0]
    expected = [np.mean(losses[max(0, i - 2) : i + 3]) for i in range(6)]
    np.testing.assert_allclose(smoothed(losses), expected, rtol=1e-12)


def test_the_steepest_descent_is_found():
    """A loss that falls like a logistic curve is steepest at its middle."""
    places = np.arange(60)
    losses = 5 - 3 / (1 + np.exp(-(places - 30) / 4)) + np.exp(places - 57)
    assert suggested_rate(tried(losses)) == tried_rate(30)
    text = advice(tried(losses))
    assert text.startswith("suggested learning rate 0.00066: there the loss falls")


def test_a_fall_after_the_lowest_loss_is_not_suggested():
    losses = [5, 4.8, 4.4, 4.0, 3.6, 3.4, 3.3, 3.3, 4, 6, 20, 20, 10, 5]
    assert suggested_rate(tried(losses)) < tried_rate(7)


def test_without_a_fall_nothing_is_suggested():
    rising = tried(np.linspace(1, 2, 20))
    assert suggested_rate(rising) is None
    assert advice(rising) == "the loss does not fall with any of 20 rates"
    assert suggested_rate(tried([3, 2, 1])) is None
    assert advice([]) == "no rate was tried to the end"


def test_divergence_is_four_times_the_lowest_loss_and_above_the_first():
    assert not diverges([])
    assert not diverges(tried([2, 1, 4]))
    assert diverges(tried([2, 1, 4.1]))
    assert not diverges(tried([5, 1, 4.1]))
