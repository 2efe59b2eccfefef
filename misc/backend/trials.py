"""Reading what a scoring command needs: embeddings, trial lists, labelled scores."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_io import open_or_fd
from dataset.kaldi_stream import describe
from dataset.kaldi_table import SequentialReader

_LINES_AT_ONCE = 1 << 18


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """A table in memory: the row of each key, and the vectors, float32 [N, dim]."""

    rows: dict[str, int]
    vectors: npt.NDArray[np.float32]

    def check_dim(self, dim: int) -> None:
        """Raises an InputError, with an utterance, if the vectors are not of `dim`."""
        check_embedding(next(iter(self.rows)), self.vectors[0], dim)


def read_embeddings(rspecifier: str) -> Embeddings:
    """Reads a whole table of vectors.

    Raises:
        InputError: there is none, or one differs in dimension, is not finite or comes
            twice; names the utterance.
    """
    rows: dict[str, int] = {}
    vectors: list[npt.NDArray[np.float32]] = []
    with SequentialReader(rspecifier, "vector") as reader:
        for key, vector in reader:
            if key in rows:
                raise InputError(f"{rspecifier}: utterance {key} comes twice")
            check_embedding(key, vector, len(vectors[0]) if vectors else len(vector))
            rows[key] = len(vectors)
            vectors.append(vector.astype(np.float32))
    if not vectors:
        raise InputError(f"No vector in {rspecifier}")
    return Embeddings(rows, np.stack(vectors))


def check_embedding(key: str, vector: npt.NDArray, dim: int) -> None:
    """Refuses an embedding that would spoil all that is computed with it.

    Raises:
        InputError: another dimension than expected, or a number that is not finite.
    """
    if len(vector) != dim:
        raise InputError(
            f"Utterance {key}: expected an embedding of dimension {dim}, "
            f"got {len(vector)}"
        )
    if not np.isfinite(vector).all():
        raise InputError(f"Utterance {key}: the embedding holds NaN or infinity")


def read_trials(rxfilename: str) -> Iterator[list[list[str]]]:
    """The lines `key1 key2` of a trial list as pairs of keys, many at a time.

    Raises:
        InputError: a line with more or fewer fields; names file and line.
    """
    return _read_lines(rxfilename, "key1 key2")


def read_scores(rxfilename: str) -> dict[tuple[str, str], float]:
    """The scores of lines `key1 key2 score` by their trial, in the file's order.

    Raises:
        InputError: a trial that comes twice, a line of another form, or none at all.
    """
    scores: dict[tuple[str, str], float] = {}
    for lines in _read_lines(rxfilename, "key1 key2 score"):
        for enrol, test, score in lines:
            where = f"{rxfilename}, {enrol} {test}"
            if (enrol, test) in scores:
                raise InputError(f"{where}: this trial comes twice")
            scores[enrol, test] = _parse_score(score, where)
    if not scores:
        raise InputError(f"No score in {rxfilename}")
    return scores


def read_labelled_scores(
    scores_rxfilename: str, trials_rxfilename: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Scores in the order of their file, and whether each is of a target trial.

    Args:
        scores_rxfilename: lines `key1 key2 score`.
        trials_rxfilename: lines `key1 key2 target` or `... nontarget`. Trials without
            a score are no fault, as in Kaldi's sid/compute_min_dcf.py.

    Raises:
        InputError: a score whose trial is not listed, a line of another form.
    """
    labels = read_labels(trials_rxfilename)
    scores: list[float] = []
    is_target: list[bool] = []
    for lines in _read_lines(scores_rxfilename, "key1 key2 score"):
        for enrol, test, score in lines:
            label = labels.get((enrol, test))
            if label is None:
                raise InputError(
                    f"{scores_rxfilename}: the trial {enrol} {test} is not in "
                    f"{trials_rxfilename}"
                )
            where = f"{scores_rxfilename}, {enrol} {test}"
            scores.append(_parse_score(score, where))
            is_target.append(label)
    return np.array(scores), np.array(is_target, dtype=bool)


def read_scores_and_labels(rxfilename: str) -> tuple[list[float], list[float]]:
    """The target and the nontarget scores of lines `score target|nontarget`.

    Raises:
        InputError: a line of another form; names it.
    """
    target: list[float] = []
    nontarget: list[float] = []
    for lines in _read_lines(rxfilename, "score target|nontarget"):
        for score, label in lines:
            group = target if _is_target(label, rxfilename) else nontarget
            group.append(_parse_score(score, rxfilename))
    return target, nontarget


def _parse_score(text: str, where: str) -> float:
    try:
        score = float(text)
    except ValueError:
        score = np.nan
    if np.isnan(score):
        raise InputError(f"{where}: expected a number as score, got '{text}'")
    return score


def _is_target(label: str, where: str) -> bool:
    if label not in ("target", "nontarget"):
        raise InputError(f"{where}: expected target or nontarget, got '{label}'")
    return label == "target"


def read_labels(rxfilename: str) -> dict[tuple[str, str], bool]:
    """Whether each trial of lines `key1 key2 target|nontarget` is of one speaker.

    Raises:
        InputError: a line of another form; names it.
    """
    return {
        (enrol, test): _is_target(label, f"{rxfilename}, {enrol} {test}")
        for lines in _read_lines(rxfilename, "key1 key2 target|nontarget")
        for enrol, test, label in lines
    }


def _read_lines(rxfilename: str, form: str) -> Iterator[list[list[str]]]:
    """The fields of the lines of a text, in blocks; `form` shows what to expect."""
    num_fields = len(form.split())
    with open_or_fd(rxfilename) as stream:
        first = 1
        while lines := list(itertools.islice(stream, _LINES_AT_ONCE)):
            fields = [line.decode(errors="replace").split() for line in lines]
            for number, words in enumerate(fields, first):
                if len(words) != num_fields:
                    raise InputError(
                        f"{describe(rxfilename)}:{number}: expected '{form}', "
                        f"got '{' '.join(words)}'"
                    )
            yield fields
            first += len(lines)
