"""Priors and costs that detection costs are reported at, by the names of the field."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence

import numpy as np

from dataset.errors import InputError
from misc.sorted_scores import SortedScores, default_cost


@dataclasses.dataclass(frozen=True)
class OperatingPoint:
    """Priors and costs, and the normalised detection cost at them.

    Attributes:
        label: how tables and legends call it.
        p_targets: prior probabilities of a target trial; the cost is the mean over
            them, each with a threshold of its own.
        c_miss: cost of a miss.
        c_fa: cost of a false alarm.
        normalised: whether the cost is told in units of the better of accepting all
            trials and rejecting all; else it is NIST's DETware's.
    """

    label: str
    p_targets: tuple[float, ...]
    c_miss: float = 1.0
    c_fa: float = 1.0
    normalised: bool = True

    def __post_init__(self) -> None:
        for p_target in self.p_targets:
            default_cost(p_target, self.c_miss, self.c_fa)

    def min_dcf(self, scores: SortedScores) -> float:
        """The lowest cost; normalised, 1 for a system that decides without scores."""
        costs = [scores.min_dcf(p, self.c_miss, self.c_fa)[0] for p in self.p_targets]
        return self.mean_cost(costs)

    def act_dcf(self, scores: SortedScores) -> float:
        """The cost of log-likelihood ratios at the Bayes thresholds."""
        costs = [scores.act_dcf(p, self.c_miss, self.c_fa) for p in self.p_targets]
        return self.mean_cost(costs)

    def thresholds(self, scores: SortedScores) -> list[float]:
        """Where the lowest cost is reached, for each prior."""
        return [scores.min_dcf(p, self.c_miss, self.c_fa)[1] for p in self.p_targets]

    def mean_cost(self, costs: Sequence[float]) -> float:
        """The cost of the point from the normalised costs at each of its priors."""
        if not self.normalised:
            costs = [
                cost * default_cost(p_target, self.c_miss, self.c_fa)
                for cost, p_target in zip(costs, self.p_targets, strict=True)
            ]
        return float(np.mean(costs))

    def describe(self) -> str:
        """The prior and costs in words."""
        prior = " and ".join(f"{p:g}" for p in self.p_targets)
        scale = "" if self.normalised else ", not normalised"
        return (
            f"prior {prior}, a miss costs {self.c_miss:g}, a false alarm "
            f"{self.c_fa:g}{scale}"
        )


# The NIST evaluation plans of these years, and VoxSRC's. SRE 2012: the core condition
# with known and unknown nontargets taken as one; SRE 2016, 2018 CTS and 2019 CTS: the
# same priors, here without the plans' equal weights for parts of the trials.
OPERATING_POINTS = {
    "voxceleb": OperatingPoint("p=0.01", (0.01,)),
    "voxsrc": OperatingPoint("p=0.05", (0.05,)),
    "sre08": OperatingPoint("SRE08", (0.01,), c_miss=10.0),
    "sre08-detware": OperatingPoint(
        "SRE08 DETware", (0.01,), c_miss=10.0, normalised=False
    ),
    "sre10": OperatingPoint("SRE10", (0.001,)),
    "sre12": OperatingPoint("SRE12", (0.01, 0.001)),
    "sre16": OperatingPoint("SRE16", (0.01, 0.005)),
}


def operating_point(text: str) -> OperatingPoint:
    """A point by its name, or from `prior`, or `prior,cost of a miss,of a false alarm`.

    Raises:
        InputError: another form, or numbers out of range; tells the names.
    """
    if text in OPERATING_POINTS:
        return OPERATING_POINTS[text]
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3):
        near = difflib.get_close_matches(text.lower(), OPERATING_POINTS, 1)
        hint = f" (do you mean {near[0]}?)" if near else ""
        raise InputError(
            f"Expected an operating point: {', '.join(OPERATING_POINTS)}, a prior, or "
            f"'prior,cost of a miss,cost of a false alarm'; got '{text}'{hint}"
        )
    prior, *costs = numbers
    if not costs:
        return OperatingPoint(f"p={prior:g}", (prior,))
    c_miss, c_fa = costs
    return OperatingPoint(
        f"p={prior:g}, costs {c_miss:g}:{c_fa:g}", (prior,), c_miss, c_fa
    )
