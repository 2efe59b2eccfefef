import numpy as np

from misc.backend.lbfgs import minimise


def rosenbrock(place):
    x, y = place
    value = (1 - x) ** 2 + 100 * (y - x**2) ** 2
    slope = [-2 * (1 - x) - 400 * x * (y - x**2), 200 * (y - x**2)]
    return value, np.array(slope)


def test_it_finds_the_minimum_of_a_bent_valley():
    found = minimise(rosenbrock, np.array([-1.2, 1.0]), 100)
    np.testing.assert_allclose(found, [1.0, 1.0], atol=1e-6)


def test_it_asks_no_more_often_than_allowed_and_returns_the_best_place():
    asked = []

    def watched(place):
        asked.append(place)
        return rosenbrock(place)

    found = minimise(watched, np.array([-1.2, 1.0]), 25)
    assert len(asked) == 25
    best = min(asked, key=lambda place: rosenbrock(place)[0])
    np.testing.assert_array_equal(found, best)


def test_the_first_step_goes_down_the_gradient_and_grows_while_it_is_too_short():
    """On a slight slope: 1, 2, 4, ... gradients, as Kaldi's line search does."""
    asked = []

    def slope(place):
        asked.append(place[0])
        return float(place[0]), np.ones(1)

    minimise(slope, np.zeros(1), 6)
    assert asked == [0.0, -1.0, -2.0, -4.0, -8.0, -16.0]


def test_it_stays_where_nothing_can_be_gained():
    start = np.array([1.0, 1.0])
    np.testing.assert_array_equal(minimise(rosenbrock, start, 20), start)
