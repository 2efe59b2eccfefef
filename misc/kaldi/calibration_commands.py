"""Commands that make log-likelihood ratios of scores: calibration and fusion."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_table import SequentialReader
from dataset.options import option
from misc.backend.calibration import (
    Calibration,
    cross_entropy,
    fit_calibration,
    quality_inputs,
    quality_names,
    read_calibration,
    score_names,
    write_calibration,
)
from misc.backend.trials import (
    Trials,
    find_all,
    read_embeddings,
    read_labels,
    read_scores,
    write_scores,
)
from misc.kaldi.command import command, log, warn

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class QualityOptions:
    durations: str = option(
        "", "Table of the seconds of each key: the quality measure 'duration'"
    )
    embeddings: str = option(
        "", "Table of the embedding of each key; its length is the measure 'norm'"
    )


@dataclasses.dataclass(frozen=True)
class CalibrationTrainOptions(QualityOptions):
    p_target: float = option(
        0.01, "Prior of target trials around which decisions matter most"
    )


@command(
    "calibration-train",
    """
Trains the map from scores to log-likelihood ratios (natural logarithm), and the fusion
of several systems, by prior-weighted logistic regression. Scores and trials must be of
speakers that the system was not trained on, in conditions like those of its use; report
results on others. --durations and --embeddings make the map depend on quality; their
tables must hold the keys of both sides of the trials.

Usage: calibration-train [options] <trials-rxfilename> <scores-rxfilename> \\
         [<scores2-rxfilename> ...] <calibration-wxfilename>
e.g.: calibration-train data/dev/trials exp/scores/plda calibration.json
  or: calibration-train --durations=ark:data/dev/utt2dur data/dev/trials \\
         exp/scores/plda exp/other/scores/cosine fusion.json
""",
    CalibrationTrainOptions,
    (3, None),
)
def calibration_train(
    options: CalibrationTrainOptions, trials_rxfilename: str, *files: str
) -> int:
    *scores_rxfilenames, calibration_wxfilename = files
    trials, scores = _read_systems(scores_rxfilenames)
    listed, labels = read_labels(trials_rxfilename)
    is_target = labels[
        find_all(listed, trials, trials_rxfilename, scores_rxfilenames[0])
    ]
    if len(trials) < len(labels):
        warn(f"{len(labels) - len(trials)} of {len(labels)} trials have no score")
    measures = _measures(options)
    names, inputs = list(score_names(len(scores))), list(scores)
    for name, values in measures.items():
        names += quality_names(name)
        inputs += list(_quality(name, values(), trials).T)
    columns = np.column_stack(inputs)
    calibration = fit_calibration(names, columns, is_target, options.p_target)
    write_calibration(calibration_wxfilename, calibration)
    for name, weight in zip(names, calibration.weights, strict=True):
        log(f"Weight of {name}: {weight:.6g}")
    entropy = cross_entropy(calibration.llr(columns), is_target, options.p_target)
    log(
        f"Offset: {calibration.offset:.6g}; cross-entropy {entropy:.6g} nats on "
        f"{calibration.num_targets} target and {calibration.num_nontargets} nontarget "
        "trials"
    )
    return 0


@command(
    "calibration-apply",
    """
Turns scores into log-likelihood ratios (natural logarithm) by what calibration-train
found. At a prior P of target trials and equal costs, accept above log((1 - P) / P).

Usage: calibration-apply [options] <calibration-rxfilename> <scores-rxfilename> \\
         [<scores2-rxfilename> ...] <llrs-wxfilename>
e.g.: calibration-apply calibration.json exp/scores/plda exp/scores/plda_llr
""",
    QualityOptions,
    (3, None),
)
def calibration_apply(
    options: QualityOptions, calibration_rxfilename: str, *files: str
) -> int:
    *scores_rxfilenames, llrs_wxfilename = files
    calibration = read_calibration(calibration_rxfilename)
    if len(scores_rxfilenames) != calibration.num_systems:
        raise InputError(
            f"{calibration_rxfilename} takes the scores of {calibration.num_systems} "
            f"system(s), got {len(scores_rxfilenames)}"
        )
    measures = _measures(options)
    _check_measures(calibration, measures, calibration_rxfilename)
    trials, scores = _read_systems(scores_rxfilenames)
    columns = dict(zip(score_names(len(scores)), scores, strict=True))
    for name, values in measures.items():
        qualities = _quality(name, values(), trials).T
        columns |= dict(zip(quality_names(name), qualities, strict=True))
    llrs = calibration.llr(np.column_stack([columns[n] for n in calibration.inputs]))
    write_scores(llrs_wxfilename, trials, llrs)
    log(f"Wrote the log-likelihood ratios of {len(llrs)} trials")
    return 0


def _read_systems(scores_rxfilenames: Sequence[str]) -> tuple[Trials, list[Array]]:
    """The trials in the order of the first file, and each system's scores of them."""
    trials, first = read_scores(scores_rxfilenames[0])
    systems = [first]
    for name in scores_rxfilenames[1:]:
        others, scores = read_scores(name)
        numbers, back = others.find(trials), trials.find(others)
        absent = (np.flatnonzero(numbers < 0), np.flatnonzero(back < 0))
        if absent[0].size or absent[1].size:
            example = trials.name(absent[0][0]) if absent[0].size else ""
            raise InputError(
                f"{scores_rxfilenames[0]} and {name} must score the same trials: "
                f"{absent[0].size + absent[1].size} are in one of them only, such as "
                f"'{example or others.name(absent[1][0])}'"
            )
        systems.append(scores[numbers])
    return trials, systems


def _measures(options: QualityOptions) -> dict[str, Callable[[], dict[str, float]]]:
    """The quality measures asked for, and how to read them."""
    measures: dict[str, Callable[[], dict[str, float]]] = {}
    if options.durations:
        measures["duration"] = lambda: _read_numbers(options.durations)
    if options.embeddings:
        measures["norm"] = lambda: _read_norms(options.embeddings)
    return measures


def _read_numbers(rspecifier: str) -> dict[str, float]:
    with SequentialReader(rspecifier, "float") as reader:
        return dict(reader)


def _read_norms(rspecifier: str) -> dict[str, float]:
    table = read_embeddings(rspecifier)
    norms = np.linalg.norm(table.vectors.astype(np.float64), axis=1)
    return dict(zip(table.rows, norms.tolist(), strict=True))


def _quality(name: str, values: dict[str, float], trials: Trials) -> Array:
    columns = (trials.enrol, trials.test)
    absent = sorted({w for column in columns for w in column.words if w not in values})
    if absent:
        raise InputError(
            f"No {name} of {len(absent)} keys of the trials, such as {absent[0]}: the "
            "table must hold enrolments and tests"
        )
    sides = (np.array([values[w] for w in c.words])[c.codes] for c in columns)
    return quality_inputs(*sides)


def _check_measures(
    calibration: Calibration, given: Iterable[str], calibration_rxfilename: str
) -> None:
    options = {"duration": "--durations", "norm": "--embeddings"}
    for name, option_name in options.items():
        needed = quality_names(name)[0] in calibration.inputs
        if needed and name not in given:
            raise InputError(f"{calibration_rxfilename} needs {option_name}")
        if name in given and not needed:
            raise InputError(
                f"{calibration_rxfilename} was trained without {option_name}"
            )
