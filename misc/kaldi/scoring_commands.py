"""Commands that score trials, and that judge the scores."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_io import open_or_fd
from dataset.kaldi_table import RandomAccessReader
from dataset.options import option
from misc.backend.plda import Plda, llr_factors, transform_embeddings
from misc.backend.plda_file import read_plda
from misc.backend.scoring import score_pairs
from misc.backend.trials import (
    Embeddings,
    read_embeddings,
    read_scores_and_labels,
    read_trials,
)
from misc.kaldi.command import command, log, warn
from misc.metrics import eer

Array = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_WARNINGS_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class PldaScoringOptions:
    num_utts: str = option(
        "", "Table of the numbers of utterances per speaker (default: 1 each)"
    )
    normalize_length: bool = option(
        True,
        "Scale each embedding so that its square under its expected variance is its "
        "dimension",
    )
    simple_length_normalization: bool = option(
        False, "Scale to the length sqrt(dim) instead"
    )


@command(
    "ivector-plda-scoring",
    """
Scores trials by the log-likelihood ratio of a PLDA model. The enrolments are averages
over a speaker's utterances; how many these were (--num-utts) matters to the score. A
trial with an unknown key is left out, with a warning.

Usage: ivector-plda-scoring [options] <plda-rxfilename> <train-ivector-rspecifier> \\
         <test-ivector-rspecifier> <trials-rxfilename> <scores-wxfilename>
e.g.: ivector-plda-scoring --num-utts=ark:num_utts.ark plda ark:spk_xvector.ark \\
         ark:xvector.ark "cut -d' ' -f1,2 trials |" scores
""",
    PldaScoringOptions,
    (5, 5),
)
def ivector_plda_scoring(
    options: PldaScoringOptions,
    plda_rxfilename: str,
    train_rspecifier: str,
    test_rspecifier: str,
    trials_rxfilename: str,
    scores_wxfilename: str,
) -> int:
    plda = read_plda(plda_rxfilename)
    enrol, counts = _counted(read_embeddings(train_rspecifier), options.num_utts)
    test = read_embeddings(test_rspecifier)
    enrol_points = _plda_coordinates(options, plda, enrol, counts)
    test_points = _plda_coordinates(options, plda, test, np.ones(1))
    return _score_trials(
        (enrol.rows, test.rows),
        llr_factors(plda, enrol_points, test_points, counts),
        trials_rxfilename,
        scores_wxfilename,
    )


def _counted(enrol: Embeddings, num_utts_rspecifier: str) -> tuple[Embeddings, Array]:
    """The enrolments whose number of utterances is known, and these numbers."""
    if not num_utts_rspecifier:
        return enrol, np.ones(len(enrol.rows))
    counts: dict[str, int] = {}
    with RandomAccessReader(num_utts_rspecifier, "int") as reader:
        for speaker in enrol.rows:
            if speaker not in reader:
                warn(f"Leaving out speaker {speaker}: no number of utterances")
                continue
            counts[speaker] = reader[speaker]
            if counts[speaker] < 1:
                raise InputError(
                    f"{num_utts_rspecifier}, speaker {speaker}: expected at least 1 "
                    f"utterance, got {counts[speaker]}"
                )
    if not counts:
        raise InputError(f"{num_utts_rspecifier} has none of the enrolled speakers")
    kept = [enrol.rows[speaker] for speaker in counts]
    rows = {speaker: row for row, speaker in enumerate(counts)}
    return Embeddings(rows, enrol.vectors[kept]), np.array(list(counts.values()), float)


def _plda_coordinates(
    options: PldaScoringOptions, plda: Plda, table: Embeddings, counts: Array
) -> Array:
    table.check_dim(plda.dim)
    return transform_embeddings(
        plda,
        table.vectors,
        counts,
        options.normalize_length,
        options.simple_length_normalization,
    )


@command(
    "ivector-compute-dot-products",
    """
Scores trials by the dot product of their vectors: by the cosine if these have length 1.
A trial with an unknown key is left out, with a warning.

Usage: ivector-compute-dot-products [options] <trials-rxfilename> \\
         <ivector1-rspecifier> <ivector2-rspecifier> <scores-wxfilename>
e.g.: ivector-compute-dot-products "cut -d' ' -f1,2 trials |" \\
         'ark:ivector-normalize-length --scaleup=false scp:xvector.scp ark:- |' \\
         'ark:ivector-normalize-length --scaleup=false scp:xvector.scp ark:- |' scores
""",
    num_args=(4, 4),
)
def ivector_compute_dot_products(
    options: object,
    trials_rxfilename: str,
    first_rspecifier: str,
    second_rspecifier: str,
    scores_wxfilename: str,
) -> int:
    first = read_embeddings(first_rspecifier)
    second = read_embeddings(second_rspecifier)
    second.check_dim(first.vectors.shape[1])
    return _score_trials(
        (first.rows, second.rows),
        (first.vectors.astype(np.float64), second.vectors.astype(np.float64)),
        trials_rxfilename,
        scores_wxfilename,
    )


def _score_trials(
    indices: tuple[dict[str, int], dict[str, int]],
    factors: tuple[Array, Array],
    trials_rxfilename: str,
    scores_wxfilename: str,
) -> int:
    """Writes `key1 key2 score` for each trial: the product of the keys' factors."""
    unknown: set[str] = set()
    num_trials = num_done = 0
    total = total_square = np.float64(0.0)
    with open_or_fd(scores_wxfilename, "wb") as stream:
        for trials in read_trials(trials_rxfilename):
            rows = np.array([indices[0].get(first, -1) for first, _ in trials])
            columns = np.array([indices[1].get(second, -1) for _, second in trials])
            known = (rows >= 0) & (columns >= 0)
            _warn_of_unknown(trials, rows, columns, unknown)
            scores = score_pairs(*factors, rows[known], columns[known])
            stream.write(_format_scores(itertools.compress(trials, known), scores))
            num_trials += len(trials)
            num_done += len(scores)
            total += scores.sum()
            total_square += scores @ scores
    if len(unknown) > _WARNINGS_SHOWN:
        warn(f"In all {len(unknown)} keys were unknown")
    if num_done:
        mean = total / num_done
        deviation = np.sqrt(max(total_square / num_done - mean**2, 0.0))
        log(f"Mean score was {mean:.6g}, standard deviation was {deviation:.6g}")
    log(f"Processed {num_done} trials, {num_trials - num_done} had errors.")
    return 0 if num_done else 1


def _warn_of_unknown(
    trials: list[list[str]], rows: Indices, columns: Indices, unknown: set[str]
) -> None:
    """Names the first unknown keys; adds all of them to `unknown`."""
    for side, found, table in ((0, rows, "first"), (1, columns, "second")):
        for trial in np.flatnonzero(found < 0):
            key = trials[trial][side]
            named = f"{key} in the {table} table"
            if named not in unknown and len(unknown) < _WARNINGS_SHOWN:
                warn(f"No vector for {named}; leaving out its trials")
            unknown.add(named)


def _format_scores(trials: Iterable[list[str]], scores: Array) -> bytes:
    """Lines of text with seven significant digits, as Kaldi's."""
    lines = [
        f"{first} {second} {score:.7g}\n"
        for (first, second), score in zip(trials, scores.tolist(), strict=True)
    ]
    return "".join(lines).encode()


@command(
    "compute-eer",
    """
Computes the equal error rate of scores and prints it in per cent to the standard
output, its threshold to the log. Each line of the input is a score and `target` or
`nontarget`.

Usage: compute-eer <scores-rxfilename>
e.g.: paste -d' ' scores trials | awk '{print $3, $6}' | compute-eer -
""",
)
def compute_eer(options: object, scores_rxfilename: str) -> int:
    groups = read_scores_and_labels(scores_rxfilename)
    # Kaldi holds the scores, and the rate, in single precision.
    target, nontarget = (np.array(scores, np.float32) for scores in groups)
    rate, threshold = eer(target, nontarget)
    percent = 100.0 * float(np.float32(rate))
    log(f"Equal error rate is {percent:.6g}%, at threshold {threshold:.6g}")
    sys.stdout.write(f"{percent:.4g}")
    return 0
