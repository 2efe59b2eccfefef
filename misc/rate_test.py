"""The learning-rate range test: which rates it tries, its table, the rate it suggests.

L. Smith, "Cyclical learning rates for training neural networks", WACV 2017, 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

NUM_RATES = 100
_FIRST_RATE, _GROWTH = 1e-5, 1.15
_SMOOTHED_OVER = 5  # rates
_DIVERGED = 4.0


class Tried(NamedTuple):
    """A rate that was tried, and the mean loss of its steps."""

    step: int  # the first one with it
    rate: float
    loss: float


def tried_rate(index: int) -> float:
    """The rate number `index`, from 0: the original's, 1e-5 times 1.15 each time."""
    return _FIRST_RATE * _GROWTH**index


def diverges(tried: Sequence[Tried]) -> bool:
    """Whether larger rates tell no more: the last loss is four times the lowest, and
    above the first."""
    losses = [row.loss for row in tried]
    return bool(losses) and losses[-1] > max(_DIVERGED * min(losses), losses[0])


def table(tried: Sequence[Tried]) -> str:
    """Lines `step rate loss`, as the original's file `learning_rate_tuning`."""
    return "".join(f"{row.step} {row.rate:.8f} {row.loss:f}\n" for row in tried)


def suggested_rate(tried: Sequence[Tried]) -> float | None:
    """The rate at which the loss falls fastest.

    That is, where the slope of the loss over the logarithm of the rate is lowest,
    up to the lowest loss. The loss is smoothed before: the mean over five rates.

    Returns:
        The rate; None if the loss falls nowhere, or there are less than five.
    """
    if len(tried) < _SMOOTHED_OVER:
        return None
    losses = smoothed([row.loss for row in tried])
    rates = [row.rate for row in tried]
    slopes = np.gradient(losses, np.log(rates))[: int(np.argmin(losses)) + 1]
    steepest = int(np.argmin(slopes))
    return rates[steepest] if slopes[steepest] < 0 else None


def smoothed(losses: Sequence[float]) -> npt.NDArray[np.float64]:
    """The mean of each loss and its two neighbours on either side, float64."""
    window, before = np.ones(_SMOOTHED_OVER), _SMOOTHED_OVER // 2

    def sums(values: Sequence[float]) -> npt.NDArray[np.float64]:
        return np.convolve(values, window)[before : before + len(losses)]

    return sums(losses) / sums([1.0] * len(losses))


def advice(tried: Sequence[Tried]) -> str:
    """What the test has shown, in a line."""
    if not tried:
        return "no rate was tried to the end"
    rate, lowest = suggested_rate(tried), min(tried, key=lambda row: row.loss)
    if rate is None:
        return f"the loss does not fall with any of {len(tried)} rates"
    return (
        f"suggested learning rate {_two_digits(rate):g}: there the loss falls fastest; "
        f"it is lowest, {lowest.loss:.3f}, at {_two_digits(lowest.rate):g}"
    )


def _two_digits(rate: float) -> float:
    return round(rate, 1 - math.floor(math.log10(rate)))
