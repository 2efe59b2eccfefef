"""How fast EER and minDCF of many trials are, against sorting the same scores.

    python benchmarks/bench_metrics.py [--trials 10000000] [--rounds 3]

Scores in single precision, one in a hundred of a target trial. Any measure needs the
scores in order, so `np.sort` of them all is the peer; the kinds are sorted apart here.
The least time of the rounds is shown, and the memory the process took at most. For
`--trials 100000000` 4 GB are enough.
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from misc.operating_points import OPERATING_POINTS  # noqa: E402
from misc.sorted_scores import SortedScores  # noqa: E402


def best_of(rounds: int, work: Callable[[], Any]) -> float:
    """The least time in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    scores = rng.standard_normal(args.trials, dtype=np.float32)
    is_target = rng.random(args.trials, dtype=np.float32) < 0.01
    scores[is_target] += 3.0

    def eer_and_min_dcf() -> None:
        ordered = SortedScores.of_trials(scores, is_target)
        ordered.eer()
        ordered.min_dcf(0.01)

    def every_measure() -> None:
        ordered = SortedScores.of_trials(scores, is_target)
        ordered.eer(), ordered.rocch_eer(), ordered.cllr(), ordered.min_cllr()
        for point in OPERATING_POINTS.values():
            point.min_dcf(ordered), point.act_dcf(ordered)

    peer = best_of(args.rounds, lambda: np.sort(scores))
    print(f"{args.trials:,} trials; np.sort of their scores {peer:.3f} s")
    for name, work in (
        ("EER and minDCF", eer_and_min_dcf),
        ("every measure and named operating point", every_measure),
    ):
        seconds = best_of(args.rounds, work)
        print(f"{name}: {seconds:.3f} s, {seconds / peer:.2f} of np.sort")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"Memory at most: {most:.2f} GiB")


if __name__ == "__main__":
    main()
