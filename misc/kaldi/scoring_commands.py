"""Commands that score trials, and that judge the scores."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from dataset.options import option
from misc.backend.dense_scoring import dense_scores
from misc.backend.plda import Plda, llr_factors, transform_embeddings
from misc.backend.plda_file import read_plda
from misc.backend.scoring import score_pairs
from misc.backend.trials import (
    Embeddings,
    Trials,
    check_embedding,
    read_embeddings,
    read_scores_and_labels,
    read_trials,
    write_scores,
)
from misc.kaldi.command import command, log, warn
from misc.metrics import eer

Array = npt.NDArray[np.float64]

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
trial with an unknown key is left out, with a warning; if more are left out than
scored, the status is 1.

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


@dataclasses.dataclass(frozen=True)
class DenseScoringOptions:
    target_energy: float = option(
        0.5, "Share of a recording's variance that its own PCA keeps"
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
    "ivector-plda-scoring-dense",
    """
Scores all pairs of a recording's segments by a PLDA model, for diarization: one matrix
for each recording, rows and columns in the order of reco2utt.

Usage: ivector-plda-scoring-dense [options] <plda-rxfilename> <reco2utt-rspecifier> \\
         <ivector-rspecifier> <scores-wspecifier>
e.g.: ivector-plda-scoring-dense plda ark:reco2utt scp:xvector.scp ark:scores.ark
""",
    DenseScoringOptions,
    (4, 4),
)
def ivector_plda_scoring_dense(
    options: DenseScoringOptions,
    plda_rxfilename: str,
    reco2utt_rspecifier: str,
    ivector_rspecifier: str,
    scores_wspecifier: str,
) -> int:
    plda = read_plda(plda_rxfilename)
    num_done = 0
    with (
        SequentialReader(reco2utt_rspecifier, "tokens") as reco2utt,
        RandomAccessReader(ivector_rspecifier, "vector") as embeddings,
        TableWriter(scores_wspecifier, "matrix") as writer,
    ):
        for recording, utterances in reco2utt:
            vectors = [embeddings[utterance] for utterance in utterances]
            for utterance, vector in zip(utterances, vectors, strict=True):
                check_embedding(utterance, vector, plda.dim)
            if not vectors:
                raise InputError(f"Recording {recording}: expected segments, got none")
            scores = dense_scores(
                plda,
                np.stack(vectors),
                options.target_energy,
                options.normalize_length,
                options.simple_length_normalization,
            )
            writer.write(recording, scores)
            num_done += 1
    log(f"Processed {num_done} recordings, 0 had errors.")
    return 0 if num_done else 1


@command(
    "ivector-compute-dot-products",
    """
Scores trials by the dot product of their vectors: by the cosine if these have length 1.
A trial with an unknown key is left out, with a warning; if more are left out than
scored, the status is 1.

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
    tables: tuple[dict[str, int], dict[str, int]],
    factors: tuple[Array, Array],
    trials_rxfilename: str,
    scores_wxfilename: str,
) -> int:
    """Writes `key1 key2 score` for each trial: the product of the keys' factors."""
    trials = read_trials(trials_rxfilename)
    rows, columns = trials.rows(*tables)
    known = (rows >= 0) & (columns >= 0)
    num_failed = len(trials) - int(np.count_nonzero(known))
    if num_failed:
        _warn_of_unknown(trials, tables)
        trials, rows, columns = trials.take(known), rows[known], columns[known]
    scores = score_pairs(*factors, rows, columns)
    write_scores(scores_wxfilename, trials, scores)
    if len(scores):
        mean = scores.mean()
        deviation = np.sqrt(max(scores @ scores / len(scores) - mean**2, 0.0))
        log(f"Mean score was {mean:.6g}, standard deviation was {deviation:.6g}")
    log(f"Processed {len(scores)} trials, {num_failed} had errors.")
    return 0 if len(scores) >= max(num_failed, 1) else 1


def _warn_of_unknown(
    trials: Trials, tables: tuple[dict[str, int], dict[str, int]]
) -> None:
    """Names the first unknown keys and counts all."""
    unknown = [
        f"{word} in the {name} table"
        for name, column, table in zip(
            ("first", "second"), (trials.enrol, trials.test), tables, strict=True
        )
        for word in column.words
        if word not in table
    ]
    for named in unknown[:_WARNINGS_SHOWN]:
        warn(f"No vector for {named}; leaving out its trials")
    if len(unknown) > _WARNINGS_SHOWN:
        warn(f"In all {len(unknown)} keys were unknown")


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
