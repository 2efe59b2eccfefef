#!/usr/bin/env python3
"""Computes the minimum of the normalised detection cost function of scored trials.

Options and output are those of Kaldi's egs/sre08/v1/sid/compute_min_dcf.py: the cost
goes to the standard output with four decimals, its threshold to stderr.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Computes the minimum detection cost and the threshold at which it "
        "occurs. E.g.: sid/compute_min_dcf.py --p-target 0.01 scores data/test/trials",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--p-target", type=float, default=0.01, help="Prior probability of a target")
    add("--c-miss", type=float, default=1, help="Cost of a missed detection")
    add("--c-fa", type=float, default=1, help="Cost of a false alarm")
    add("scores_filename", help="Scores, lines of the form <utt1> <utt2> <score>")
    add(
        "trials_filename",
        help="Trials, lines of the form <utt1> <utt2> target|nontarget",
    )
    return parser.parse_args()


def main() -> int:
    # As the launcher of the commands: the project's own environment, if this
    # interpreter has no NumPy.
    own_python = ROOT / ".venv/bin/python"
    if importlib.util.find_spec("numpy") is None and own_python.exists():
        os.execv(own_python, [str(own_python), *sys.argv])
    sys.path[0] = str(ROOT)
    from dataset.errors import InputError
    from misc.backend.trials import read_labelled_scores
    from misc.metrics import min_dcf_of_trials

    sys.stderr.write(" ".join(sys.argv) + "\n")
    args = parse_arguments()
    costs = (args.p_target, args.c_miss, args.c_fa)
    try:
        scores, is_target = read_labelled_scores(
            args.scores_filename, args.trials_filename
        )
        cost, threshold = min_dcf_of_trials(scores, is_target, *costs)
    except InputError as error:
        sys.stderr.write(f"ERROR (compute_min_dcf.py) {error}\n")
        return 1
    sys.stdout.write(f"{cost:.4f}\n")
    sys.stderr.write(
        f"minDCF is {cost:.4f} at threshold {threshold:.4f} (p-target={args.p_target}, "
        f"c-miss={args.c_miss},c-fa={args.c_fa})\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
