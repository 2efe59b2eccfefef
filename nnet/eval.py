#!/usr/bin/env python3
"""Judges scores of trials: table, DET curves, histograms, report.

usage: eval.py [options] <trials> [<name>=]<scores> ...
e.g.:  eval.py --output-dir exp/net/eval --utt2spk data/eval/utt2spk data/eval/trials \\
           cosine=exp/net/scores/cosine PLDA=exp/net/scores/plda
       eval.py --point sre08 --point sre10 trials xvector=scp:exp/net/xvector.scp

<trials> has lines `enrolment test target|nontarget`, <scores> lines `enrolment test
score`; a table of embeddings (ark:..., scp:...) in place of scores is scored by the
cosine. Prints the table. With --output-dir also writes report.html, det.png, det.svg
and, of each system, scores_<name>.png and .svg. Exit status: 1 for input that cannot
be used, and if a system lacks the scores of more trials than --max-missing allows.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
from collections.abc import Sequence

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from dataset.kaldi_specifier import is_rspecifier
from dataset.text_table import read_utt2spk
from misc.backend.lda import length_normalise
from misc.backend.scoring import score_pairs
from misc.backend.trials import find_all, read_embeddings, read_labels, read_scores
from misc.evaluation import (
    System,
    TrialList,
    format_table,
    results_table,
    trial_conditions,
    trial_speakers,
)
from misc.operating_points import OPERATING_POINTS, operating_point
from misc.report import write_report
from nnet import program

_logger = logging.getLogger("eval")
_SHOWN = 10


def parse_args() -> argparse.Namespace:
    """The trials, who scored them, and what is wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output-dir", help="where report and pictures go")
    parser.add_argument(
        "--point",
        action="append",
        default=[],
        help=f"where detection costs are wanted: {', '.join(OPERATING_POINTS)}, a "
        "prior, or 'prior,cost of a miss,cost of a false alarm'; may be repeated; the "
        "first is marked in the DET curves (default: 0.01 and 0.001)",
    )
    parser.add_argument(
        "--llr",
        action="append",
        default=[],
        metavar="NAME",
        help="this system's scores are log-likelihood ratios (of calibration-apply): "
        "also actDCF and Cllr; may be repeated",
    )
    parser.add_argument(
        "--utt2spk", default="", help="speakers of the keys: confidence intervals"
    )
    parser.add_argument(
        "--utt2cond", default="", help="conditions of the keys: the report has each"
    )
    parser.add_argument(
        "--enrol",
        default="",
        metavar="RSPECIFIER",
        help="embeddings of the enrolments, if not among the system's own",
    )
    parser.add_argument(
        "--max-missing",
        type=float,
        default=0.01,
        help="share of the trials that a system may leave unscored (default 0.01)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of confidence intervals")
    parser.add_argument("--title", default="Speaker verification results")
    parser.add_argument("trials", help="the trials and their answers")
    parser.add_argument("systems", nargs="+", metavar="[name=]scores")
    return parser.parse_args()


def main() -> int:
    """Reads everything before the first output."""
    args = parse_args()
    points = [operating_point(text) for text in args.point or ("0.01", "0.001")]
    named = _named(args.systems)
    unknown = [name for name in args.llr if name not in named]
    if unknown:
        raise InputError(
            f"--llr {unknown[0]}: no such system; there are {', '.join(named)}"
        )
    trials, is_target = read_labels(args.trials)
    listed = TrialList(
        trials,
        is_target,
        trial_speakers(trials, read_utt2spk(args.utt2spk)) if args.utt2spk else None,
        trial_conditions(trials, read_utt2spk(args.utt2cond))
        if args.utt2cond
        else None,
    )
    systems = [
        System(name, listed, _scores(listed, source, args), name in args.llr)
        for name, source in named.items()
    ]
    lacking = [system.name for system in systems if _lacks(system, args.max_missing)]
    results = results_table(systems, points, args.seed)
    print(format_table(results), end="")
    if args.output_dir:
        command = "nnet/eval.py " + shlex.join(sys.argv[1:])
        path = write_report(
            args.output_dir, args.title, args.trials, systems, points, results, command
        )
        _logger.info("Judged %d systems: %s", len(systems), path)
    if lacking:
        _logger.error(
            "%s: more than --max-missing %g of the trials have no score",
            ", ".join(lacking),
            args.max_missing,
        )
    return 1 if lacking else 0


def _named(texts: Sequence[str]) -> dict[str, str]:
    """Scores or embeddings by the system's name; without one, the file's."""
    named: dict[str, str] = {}
    for text in texts:
        name, equals, source = text.partition("=")
        if not equals or os.path.exists(text) or is_rspecifier(text):
            name, source = os.path.basename(text.partition(":")[2] or text), text
        if name in named:
            raise InputError(f"Two systems are called '{name}': name one other=...")
        named[name] = source
    return named


def _scores(listed: TrialList, source: str, args: argparse.Namespace) -> np.ndarray:
    """A system's scores of all trials; NaN where it has none."""
    if is_rspecifier(source):
        return _cosines(listed, source, args.enrol)
    scored, values = read_scores(source)
    scores = np.full(len(listed.is_target), np.nan)
    scores[find_all(listed.trials, scored, args.trials, source)] = values
    return scores


def _cosines(listed: TrialList, rspecifier: str, enrol_rspecifier: str) -> np.ndarray:
    test = read_embeddings(rspecifier)
    enrol = test
    if enrol_rspecifier:
        enrol = read_embeddings(enrol_rspecifier)
        enrol.check_dim(test.vectors.shape[1])
    left, right = (length_normalise(table.vectors, False) for table in (enrol, test))
    rows, columns = listed.trials.rows(enrol.rows, test.rows)
    known = (rows >= 0) & (columns >= 0)
    scores = np.full(len(rows), np.nan)
    scores[known] = score_pairs(left, right, rows[known], columns[known])
    return scores


def _lacks(system: System, max_missing: float) -> bool:
    """Whether a system lacks too many scores; names the first trials, and counts."""
    missing = np.flatnonzero(~system.scored)
    if missing.size:
        shown = "; ".join(system.listed.trials.name(n) for n in missing[:_SHOWN])
        _logger.warning(
            "%s: %d of %d trials have no score: %s%s",
            system.name,
            missing.size,
            len(system.scores),
            shown,
            "; ..." if missing.size > _SHOWN else "",
        )
    return bool(missing.size > max_missing * len(system.scores))


if __name__ == "__main__":
    logging.captureWarnings(True)
    sys.exit(program.main("eval.py", main))
