#!/usr/bin/env python3
"""Scores trials by cosine with adaptive symmetric score normalisation (AS-norm).

usage: cosine_as_norm.py [--top-n n] <trials-rxfilename> <enrol-rspecifier>
           <test-rspecifier> <cohort-rspecifier> <scores>
e.g.: cosine_as_norm.py "cut -d' ' -f1,2 trials |" scp:enrol.scp scp:test.scp \\
          scp:train.scp scores

Embeddings should be centred before. The cohort is of other speakers than the trials.
"""

from __future__ import annotations

import argparse
import os
import sys

import numpy as np

sys.path.insert(
    0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
)

from dataset.errors import InputError
from misc.backend.lda import length_normalise
from misc.backend.scoring import adaptive_s_norm, score_pairs
from misc.backend.trials import Embeddings, read_embeddings, read_trials
from misc.run_dir import write_text


def score(args: argparse.Namespace) -> tuple[int, int]:
    """Writes the scores; returns how many trials were scored and how many not."""
    enrol, test, cohort = (
        read_embeddings(rspecifier)
        for rspecifier in (args.enrol, args.test, args.cohort)
    )
    pairs, failed = [], 0
    for block in read_trials(args.trials):
        for left, right in block:
            if left in enrol.rows and right in test.rows:
                pairs.append((left, right))
            else:
                failed += 1
    if not pairs:
        raise InputError(f"{args.trials}: no trial has both embeddings")
    rows = np.array([enrol.rows[left] for left, _ in pairs])
    columns = np.array([test.rows[right] for _, right in pairs])
    e, t, c = (_unit(table) for table in (enrol, test, cohort))
    scores = adaptive_s_norm(
        score_pairs(e, t, rows, columns), rows, columns, e @ c.T, t @ c.T, args.top_n
    )
    lines = [
        f"{left} {right} {value:.7g}\n"
        for (left, right), value in zip(pairs, scores, strict=True)
    ]
    write_text(args.scores, "".join(lines))
    return len(pairs), failed


def _unit(table: Embeddings) -> np.ndarray:
    return length_normalise(table.vectors, scale_up=False)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--top-n", type=int, default=100, help="closest cohort members (default 100)"
    )
    for name in ("trials", "enrol", "test", "cohort", "scores"):
        parser.add_argument(name)
    args = parser.parse_args()
    try:
        if args.top_n < 2:
            raise InputError(f"--top-n must be at least 2, got {args.top_n}")
        done, failed = score(args)
    except (InputError, OSError) as error:
        print(f"ERROR ({parser.prog}) {error}", file=sys.stderr)
        return 1
    print(
        f"LOG ({parser.prog}) Scored {done} trials, {failed} had no embedding",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
