"""Minimisation by L-BFGS with the line search of Kaldi's OptimizeLbfgs.

J. Nocedal and S. Wright, Numerical Optimization, algorithms 7.4 and 7.5; the line
search, restarts and constants are those of Kaldi's src/matrix/optimization.cc. A
budget of function values that ends before the minimum leads to the same place as there.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_MEMORY = 10
_ARMIJO, _CURVATURE = 1e-4, 0.9
_MAX_FAILURES = 50
_FIRST_FACTOR = 2.0
_FLATTEST = 1e-20


def minimise(
    function: Callable[[Array], tuple[float, Array]], start: Array, num_values: int
) -> Array:
    """The best of `num_values` places, the first of which is `start`.

    Args:
        function: gives the value and the gradient [dim] at a place [dim].
        start: [dim].
        num_values: how often the function is called.
    """
    search: _Search | None = None
    place, best, best_value = start, start, np.inf
    for _ in range(num_values):
        value, gradient = function(place)
        if value < best_value:
            best, best_value = place, value
        if search is None:
            search = _Search(place, value, gradient)
        else:
            search.take(value, gradient)
        place = search.proposed
    return best


@dataclasses.dataclass
class _Line:
    """A line search: a factor stretches or shrinks the step until it is accepted."""

    factor: float = _FIRST_FACTOR
    last_was_short: bool | None = None
    num_failures: int = 0

    def scale(self, is_short: bool) -> float:
        """What to multiply a step with that was too short, or too long."""
        if self.last_was_short not in (None, is_short):
            self.factor **= 0.5
        self.last_was_short = is_short
        self.num_failures += 2  # Kaldi counts each twice
        return self.factor if is_short else 1.0 / self.factor


class _Search:
    """Where the search stands, and the place whose value it asks for: `proposed`."""

    def __init__(self, place: Array, value: float, gradient: Array) -> None:
        self._curvature = 1.0  # of the inverse Hessian to begin with
        self._steps: collections.deque[tuple[Array, Array, float]]
        self._steps = collections.deque(maxlen=_MEMORY)
        self._begin_line(place, value, gradient)

    def _begin_line(self, place: Array, value: float, gradient: Array) -> None:
        self._place, self._value, self._gradient = place, value, gradient
        self._line = _Line()
        self.proposed = place - self._inverse_hessian_times(gradient)

    def _inverse_hessian_times(self, gradient: Array) -> Array:
        rest, shares = gradient.copy(), []
        for step, change, inverse in reversed(self._steps):
            shares.append(inverse * (step @ rest))
            rest -= shares[-1] * change
        rest *= self._curvature
        for step, change, inverse in self._steps:
            rest += (shares.pop() - inverse * (change @ rest)) * step
        return rest

    def take(self, value: float, gradient: Array) -> None:
        """Goes on from the value and the gradient at the proposed place."""
        step = self.proposed - self._place
        slope = step @ self._gradient
        is_long = bool(value > self._value + _ARMIJO * slope)
        is_short = not is_long and bool(step @ gradient < _CURVATURE * slope)
        if not is_long and not is_short:
            change = gradient - self._gradient
            product = float(change @ step)
            if product > _FLATTEST:
                self._steps.append((step, change, 1.0 / product))
                self._curvature = product / float(change @ change)
                self._begin_line(self.proposed, value, gradient)
            else:
                self._restart(value, gradient)
            return
        scale = self._line.scale(is_short)
        before, self.proposed = self.proposed, self._place + scale * step
        moved = np.linalg.norm(self.proposed - before)
        is_at_rest = is_long and (
            moved <= 1e-8 * np.linalg.norm(self.proposed)
            and abs(self._value - value) < 1e-8 * abs(self._value)
        )
        if moved == 0.0 or is_at_rest or self._line.num_failures > _MAX_FAILURES:
            self._restart(value, gradient)

    def _restart(self, value: float, gradient: Array) -> None:
        """Forgets the steps, and begins anew at the better of the two places."""
        self._steps.clear()
        if value < self._value:
            self._begin_line(self.proposed, value, gradient)
        else:
            self._begin_line(self._place, self._value, self._gradient)
