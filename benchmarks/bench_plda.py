"""How fast trials are scored and judged, against plain loops of the same formulas.

    python benchmarks/bench_plda.py [--trials 200000] [--rounds 3]

Scoring: 150 dimensions, 1000 enrolments of 1 to 10 utterances, 4000 tests; a loop over
the trials as in Kaldi's ivector-plda-scoring, but in NumPy, against `score_pairs`, once
for trials at random and once for all the tests of some enrolments. Judging: loops over
the sorted scores as in Kaldi's compute_min_dcf.py, and counting errors anew for each
target score, against `min_dcf` and `eer`. Both must agree. The ways take turns, and the
median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from misc.backend.plda import Plda, llr_factors  # noqa: E402
from misc.backend.scoring import score_pairs  # noqa: E402
from misc.metrics import eer, min_dcf  # noqa: E402

DIM, ENROLMENTS, TESTS = 150, 1000, 4000


def loop_scores(
    plda: Plda,
    enrol: np.ndarray,
    counts: np.ndarray,
    test: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
) -> np.ndarray:
    scores = []
    for row, column in zip(rows, columns, strict=True):
        n, psi, x = counts[row], plda.psi, test[column]
        mean = n * psi / (n * psi + 1.0) * enrol[row]
        variance = 1.0 + psi / (n * psi + 1.0)
        same = np.log(variance).sum() + ((x - mean) ** 2 / variance).sum()
        other = np.log(1.0 + psi).sum() + (x**2 / (1.0 + psi)).sum()
        scores.append(0.5 * (other - same))
    return np.array(scores)


def loop_min_dcf(target: np.ndarray, nontarget: np.ndarray, p_target: float) -> float:
    trials = [(s, 1) for s in target.tolist()] + [(s, 0) for s in nontarget.tolist()]
    missed = rejected = 0
    lowest = float("inf")
    for _, label in sorted(trials):
        missed += label
        rejected += 1 - label
        p_fa = 1.0 - rejected / len(nontarget)
        lowest = min(lowest, p_target * missed / len(target) + (1 - p_target) * p_fa)
    return lowest / min(p_target, 1 - p_target)


def counted_eer(target: np.ndarray, nontarget: np.ndarray) -> float:
    """The smallest of max(p_miss, p_fa) over thresholds just below a target score."""
    return min(
        max(np.mean(target < threshold), np.mean(nontarget >= threshold))
        for threshold in target
    )


def compare(
    title: str,
    naive: Callable[[], Any],
    ours: Callable[[], Any],
    rounds: int,
    tolerance: float,
) -> None:
    times: dict[str, list[float]] = {"naive": [], "ours": []}
    for _ in range(rounds):
        results = []
        for name, function in (("naive", naive), ("ours", ours)):
            start = time.perf_counter()
            results.append(function())
            times[name].append(time.perf_counter() - start)
        np.testing.assert_allclose(*results, rtol=0, atol=tolerance)
    slow, fast = (statistics.median(values) for values in times.values())
    print(
        f"{title:<34} {1e3 * slow:10.1f} {1e3 * fast:10.2f} {slow / fast:9.0f}",
        flush=True,
    )


def compare_scoring(num_trials: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    plda = Plda(np.zeros(DIM), np.eye(DIM), np.sort(rng.exponential(2, DIM))[::-1])
    enrol, test = rng.normal(size=(ENROLMENTS, DIM)), rng.normal(size=(TESTS, DIM))
    counts = rng.integers(1, 11, ENROLMENTS)
    lists = {
        "at random": (
            rng.integers(0, ENROLMENTS, num_trials),
            rng.integers(0, TESTS, num_trials),
        ),
        "by enrolment": np.divmod(np.arange(num_trials) % (ENROLMENTS * TESTS), TESTS),
    }
    for name, trials in lists.items():
        compare(
            f"PLDA, {num_trials} trials {name}",
            lambda trials=trials: loop_scores(plda, enrol, counts, test, *trials),
            lambda trials=trials: score_pairs(
                *llr_factors(plda, enrol, test, counts), *trials
            ),
            rounds,
            1e-9,
        )


def compare_measures(num_trials: int, rounds: int) -> None:
    rng = np.random.default_rng(1)
    num_targets = num_trials // 50
    target = rng.normal(2.0, 1.0, num_targets)
    nontarget = rng.normal(-2.0, 1.2, num_trials - num_targets)
    compare(
        f"minDCF, {num_trials} trials",
        lambda: loop_min_dcf(target, nontarget, 0.01),
        lambda: min_dcf(target, nontarget, 0.01)[0],
        rounds,
        1e-12,
    )
    compare(
        f"EER, {num_trials} trials",
        lambda: counted_eer(target, nontarget),
        lambda: eer(target, nontarget)[0],
        rounds,
        2.0 / num_targets,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(f"{'':<34} {'naive ms':>10} {'ours ms':>10} {'ratio':>9}")
    compare_scoring(args.trials, args.rounds)
    compare_measures(args.trials, args.rounds)


if __name__ == "__main__":
    main()
