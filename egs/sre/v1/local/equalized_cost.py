#!/usr/bin/env python3
"""NIST's primary cost of SRE 2016: parts of the trials weigh alike.

usage: local/equalized_cost.py [--llr name ...] <trials> <parts> <name>=<scores> ...
e.g.:  local/equalized_cost.py --llr PLDA data/sre16_test/trials \\
           data/sre16_test/trial_parts cosine=exp/scores/cosine PLDA=exp/scores/plda

<parts> has a line for each of <trials>: the part that it belongs to. Prints the lowest
cost, and of systems whose scores are log-likelihood ratios the cost at the Bayes
thresholds, the official one. Priors 0.01 and 0.005.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from telephone import run

from dataset.errors import InputError
from misc.backend.trials import find_all, read_labels, read_scores
from misc.equalized_costs import equalized_costs
from misc.operating_points import OPERATING_POINTS


def read_parts(path: str, count: int) -> np.ndarray:
    """[count] the part of each trial."""
    try:
        with open(path, encoding="utf-8") as stream:
            parts = stream.read().split()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if len(parts) != count:
        raise InputError(
            f"{path}: expected a line for each of {count} trials, got {len(parts)}"
        )
    return np.array(parts)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--llr", action="append", default=[], metavar="NAME")
    parser.add_argument("trials")
    parser.add_argument("parts")
    parser.add_argument("systems", nargs="+", metavar="name=scores")
    args = parser.parse_args()

    def judge() -> None:
        trials, is_target = read_labels(args.trials)
        parts = read_parts(args.parts, len(trials))
        rows = [("system", "minCprimary", "actCprimary")]
        for system in args.systems:
            name, _, path = system.partition("=")
            scored, values = read_scores(path)
            scores = np.full(len(trials), np.nan)
            scores[find_all(trials, scored, args.trials, path)] = values
            lowest, actual = equalized_costs(
                scores, is_target, parts, OPERATING_POINTS["sre16"]
            )
            rows.append(
                (name, f"{lowest:.4f}", f"{actual:.4f}" if name in args.llr else "-")
            )
        width = max(len(name) for name, *_ in rows)
        for name, *costs in rows:
            print("  ".join([name.ljust(width), *(cost.rjust(11) for cost in costs)]))

    return run(judge)


if __name__ == "__main__":
    sys.exit(main())
