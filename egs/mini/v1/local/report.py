#!/usr/bin/env python3
"""The last stage: a table of EER and minDCF, and a DET picture.

usage: local/report.py [--det picture.png] <trials> <name>=<scores> ...
"""

from __future__ import annotations

import argparse
import logging
import sys

import numpy as np

from dataset.errors import InputError
from misc.metrics import eer, min_dcf
from misc.plot import plot_det

P_TARGETS = (0.01, 0.001)


def read_trials(path: str) -> dict[tuple[str, str], bool]:
    """Whether each pair of utterances is a target trial."""
    trials = {}
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            left, right, kind = line.split()
            trials[left, right] = kind == "target"
    return trials


def read_scores(
    path: str, trials: dict[tuple[str, str], bool]
) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the target and of the nontarget trials.

    Raises:
        InputError: a trial has no score.
    """
    scores = {}
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            left, right, score = line.split()
            scores[left, right] = float(score)
    missing = [pair for pair in trials if pair not in scores]
    if missing:
        logging.warning(
            "%s: %d of %d trials have no score, the first: %s %s",
            path,
            len(missing),
            len(trials),
            *missing[0],
        )
    kinds = {
        kind: np.array(
            [scores[p] for p, t in trials.items() if t == kind and p in scores]
        )
        for kind in (True, False)
    }
    if not len(kinds[True]) or not len(kinds[False]):
        raise InputError(f"{path}: no scores of targets, or none of nontargets")
    return kinds[True], kinds[False]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--det", help="where the DET picture goes")
    parser.add_argument("trials")
    parser.add_argument("systems", nargs="+", metavar="name=scores")
    args = parser.parse_args()
    try:
        trials = read_trials(args.trials)
        systems = {}
        for text in args.systems:
            name, _, path = text.partition("=")
            systems[name] = read_scores(path, trials)
        head = "".join(f"  minDCF({p:g})" for p in P_TARGETS)
        print(f"{'system':<16}{'EER %':>8}{head}")
        for name, (target, nontarget) in systems.items():
            costs = "".join(
                f"  {min_dcf(target, nontarget, p)[0]:{len(f'minDCF({p:g})')}.4f}"
                for p in P_TARGETS
            )
            print(f"{name:<16}{100 * eer(target, nontarget)[0]:8.2f}{costs}")
        if args.det:
            plot_det(systems, args.det)
            print(f"DET curve: {args.det}")
    except (InputError, OSError, ValueError) as error:
        logging.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
