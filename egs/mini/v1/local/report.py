#!/usr/bin/env python3
"""The last stage: a table of EER and minDCF, and a DET picture.

usage: local/report.py [--det picture.png] <trials> <name>=<scores> ...
"""

from __future__ import annotations

import argparse
import sys

from dataset.errors import InputError
from misc.backend.trials import read_labelled_scores
from misc.metrics import eer, min_dcf
from misc.plot import plot_det

P_TARGETS = (0.01, 0.001)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--det", help="where the DET picture goes")
    parser.add_argument("trials")
    parser.add_argument("systems", nargs="+", metavar="name=scores")
    args = parser.parse_args()
    try:
        systems = {}
        for text in args.systems:
            name, _, path = text.partition("=")
            scores, is_target = read_labelled_scores(path, args.trials)
            systems[name] = (scores[is_target], scores[~is_target])
        heads = [f"minDCF(p={p:g})" for p in P_TARGETS]
        print(f"{'system':<18}{'EER %':>7}", *heads, sep="  ")
        for name, (target, nontarget) in systems.items():
            costs = [
                f"{min_dcf(target, nontarget, p)[0]:{len(head)}.4f}"
                for p, head in zip(P_TARGETS, heads, strict=True)
            ]
            print(f"{name:<18}{100 * eer(target, nontarget)[0]:7.2f}", *costs, sep="  ")
        if args.det:
            plot_det(systems, args.det)
            print(f"DET curve: {args.det}")
    except (InputError, OSError) as error:
        print(f"ERROR ({parser.prog}) {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
