"""The command that normalises scores by a cohort."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.options import option
from misc.backend.lda import length_normalise
from misc.backend.plda import llr_factors, transform_embeddings
from misc.backend.plda_file import read_plda
from misc.backend.score_norm import cohort_statistics, s_norm
from misc.backend.scoring import score_pairs
from misc.backend.trials import (
    Embeddings,
    read_embeddings,
    read_trials,
    write_scores,
)
from misc.kaldi.command import command, log, warn

Array = npt.NDArray[np.float64]
Sides = tuple[Array, Array]

METHODS = ("as-norm", "s-norm", "z-norm", "t-norm")


@dataclasses.dataclass(frozen=True)
class NormalizeOptions:
    method: str = option(
        "as-norm",
        "as-norm and s-norm use both sides of a trial, z-norm the enrolment, t-norm "
        "the test",
    )
    top_n: int = option(100, "For as-norm: so many of the highest cohort scores")
    plda: str = option("", "Score with this PLDA model; without: cosines")


@command(
    "score-normalize",
    """
Scores trials and normalises the scores by a cohort of recordings of other speakers:
adaptive S-norm, S-norm, Z-norm or T-norm. The scores are cosines, or with --plda
those of ivector-plda-scoring for single utterances. Embeddings come as these commands
would get them: mean subtracted, projected. A trial with an unknown key is left out; if
more are left out than scored, the status is 1.

Usage: score-normalize [options] <trials-rxfilename> <enrol-rspecifier> \\
         <test-rspecifier> <cohort-rspecifier> <scores-wxfilename>
e.g.: score-normalize --top-n=300 "cut -d' ' -f1,2 trials |" scp:enrol.scp \\
         scp:test.scp scp:cohort.scp scores_as_norm
""",
    NormalizeOptions,
    (5, 5),
)
def score_normalize(
    options: NormalizeOptions,
    trials_rxfilename: str,
    enrol_rspecifier: str,
    test_rspecifier: str,
    cohort_rspecifier: str,
    scores_wxfilename: str,
) -> int:
    if options.method not in METHODS:
        raise InputError(
            f"--method={options.method}: expected one of {', '.join(METHODS)}"
        )
    if options.top_n < 2:
        raise InputError(f"--top-n must be at least 2, got {options.top_n}")
    enrol, test, cohort = (
        read_embeddings(rspecifier)
        for rspecifier in (enrol_rspecifier, test_rspecifier, cohort_rspecifier)
    )
    for table in (test, cohort):
        table.check_dim(enrol.vectors.shape[1])
    if options.method == "as-norm" and options.top_n > len(cohort.rows):
        warn(f"--top-n={options.top_n}, but the cohort has {len(cohort.rows)} vectors")
    factors = _factors(options.plda, enrol, test)
    top_n = options.top_n if options.method == "as-norm" else None
    # Of single utterances the score is symmetric: the cohort may take either side.
    by_enrol, by_test = (
        cohort_statistics(*_factors(options.plda, table, cohort), top_n)
        for table in (enrol, test)
    )
    trials = read_trials(trials_rxfilename)
    rows, columns = trials.rows(enrol.rows, test.rows)
    known = (rows >= 0) & (columns >= 0)
    num_failed = len(trials) - int(np.count_nonzero(known))
    if num_failed:
        warn(f"{num_failed} trials have a key without an embedding: left out")
        trials, rows, columns = trials.take(known), rows[known], columns[known]
    raw = score_pairs(*factors, rows, columns)
    if options.method == "z-norm":
        scores = by_enrol.normalise(raw, rows)
    elif options.method == "t-norm":
        scores = by_test.normalise(raw, columns)
    else:
        scores = s_norm(raw, rows, columns, by_enrol, by_test)
    write_scores(scores_wxfilename, trials, scores)
    log(f"Wrote {len(scores)} scores by {options.method}; {num_failed} trials failed")
    return 0 if len(scores) >= max(num_failed, 1) else 1


def _factors(plda_rxfilename: str, left: Embeddings, right: Embeddings) -> Sides:
    """Two tables whose rows' inner products are the scores."""
    if not plda_rxfilename:
        return (
            length_normalise(left.vectors, scale_up=False),
            length_normalise(right.vectors, scale_up=False),
        )
    plda = read_plda(plda_rxfilename)
    left.check_dim(plda.dim)
    points = (transform_embeddings(plda, table.vectors) for table in (left, right))
    return llr_factors(plda, *points)
