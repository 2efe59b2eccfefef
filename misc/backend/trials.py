"""Reading what a scoring command needs: embeddings, trial lists, labelled scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_io import open_or_fd
from dataset.kaldi_stream import describe
from dataset.kaldi_table import SequentialReader
from misc.backend.text_columns import WordColumn, read_columns, write_columns

Numbers = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]


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
            rows[key] = len(vectors)
            vectors.append(vector)
    if not vectors:
        raise InputError(f"No vector in {rspecifier}")
    return Embeddings(rows, stack_embeddings(list(rows), vectors))


def stack_embeddings(
    keys: Sequence[str], vectors: Sequence[npt.NDArray[np.float32]]
) -> npt.NDArray[np.float32]:
    """Embeddings of one dimension as [N, dim]; there is at least one.

    Raises:
        InputError: as `check_embedding`, for the first utterance at fault.
    """
    dim = len(vectors[0])
    if all(len(vector) == dim for vector in vectors):
        stacked = np.concatenate(vectors).reshape(len(vectors), dim)
        if np.isfinite(stacked).all():
            return stacked
    for key, vector in zip(keys, vectors, strict=True):
        check_embedding(key, vector, dim)
    raise AssertionError("one of the embeddings is at fault")


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


@dataclasses.dataclass(frozen=True)
class Trials:
    """Pairs of keys, in columns: 8 bytes for each.

    Attributes:
        enrol: the first key of each trial, as distinct keys and indices of them.
        test: the second key likewise.
    """

    enrol: WordColumn
    test: WordColumn

    def __len__(self) -> int:
        return len(self.enrol.codes)

    def name(self, number: int) -> str:
        """The two keys of a trial, as in its line."""
        first, second = (
            column.words[column.codes[number]] for column in (self.enrol, self.test)
        )
        return f"{first} {second}"

    def take(self, chosen: Indices | Flags) -> Trials:
        """The trials with these numbers, or where `chosen` is true."""
        enrol, test = (
            WordColumn(column.words, column.codes[chosen])
            for column in (self.enrol, self.test)
        )
        return Trials(enrol, test)

    def rows(self, enrol: dict[str, int], test: dict[str, int]) -> tuple[Indices, ...]:
        """Each trial's rows in two tables; -1 for a key that a table does not have."""
        first, second = (
            np.array([table.get(w, -1) for w in column.words], np.int64).take(
                column.codes
            )
            for table, column in ((enrol, self.enrol), (test, self.test))
        )
        return first, second

    def find(self, others: Trials) -> Indices:
        """The numbers here of other trials; -1 for one that is not here."""
        if self._equals(others):
            return np.arange(len(self))
        mine = self._pairs(len(self.test.words))
        first, second = others.rows(
            {word: i for i, word in enumerate(self.enrol.words)},
            {word: i for i, word in enumerate(self.test.words)},
        )
        wanted = first * len(self.test.words) + second
        order = np.argsort(mine)
        place = np.searchsorted(mine[order], wanted)
        found = order[np.minimum(place, len(order) - 1)]
        missing = (first < 0) | (second < 0) | (mine[found] != wanted)
        return np.where(missing, -1, found)

    def _equals(self, others: Trials) -> bool:
        return all(
            a.words == b.words and np.array_equal(a.codes, b.codes)
            for a, b in ((self.enrol, others.enrol), (self.test, others.test))
        )

    def _pairs(self, num_tests: int) -> npt.NDArray[np.integer]:
        """A number for each trial: 32 bits if they do."""
        small = len(self.enrol.words) * num_tests < 2**31
        kind = np.int32 if small else np.int64
        first = self.enrol.codes.astype(kind, copy=False)
        return first * kind(num_tests) + self.test.codes

    def check_distinct(self, where: str) -> None:
        """Raises an InputError, with the trial and its lines, if one comes twice."""
        pairs = self._pairs(len(self.test.words))
        num_pairs = len(self.enrol.words) * len(self.test.words)
        if num_pairs <= 64 * len(pairs):  # most often: faster than to sort
            seen = np.zeros(num_pairs, bool)
            seen[pairs] = True
            if np.count_nonzero(seen) == len(pairs):
                return
        ordered = np.sort(pairs)
        twice = ordered[1:][ordered[1:] == ordered[:-1]]
        if twice.size:
            first, second = np.flatnonzero(pairs == twice[0])[:2]
            raise InputError(
                f"{where}:{second + 1}: the trial {self.name(second)} comes twice, "
                f"first in line {first + 1}; {twice.size} lines repeat a trial"
            )


def read_trials(rxfilename: str) -> Trials:
    """The lines `key1 key2` of a trial list.

    Raises:
        InputError: a line of another form or a trial that comes twice, with file and
            line; no trial at all.
    """
    return _read(rxfilename, "key1 key2", "trial")[0]


def read_scores(rxfilename: str) -> tuple[Trials, Numbers]:
    """The trials and the scores of lines `key1 key2 score`, in the file's order.

    Raises:
        InputError: as `read_trials`; a score that is not a number.
    """
    trials, scores = _read(rxfilename, "key1 key2 score", "score")
    return trials, cast(Numbers, scores)


def read_labels(rxfilename: str) -> tuple[Trials, Flags]:
    """The trials of lines `key1 key2 target|nontarget`, and which are of one speaker.

    Raises:
        InputError: as `read_trials`; another label.
    """
    trials, labels = _read(rxfilename, "key1 key2 target|nontarget", "trial")
    return trials, _is_target(cast(WordColumn, labels), describe(rxfilename))


def _read(
    rxfilename: str, form: str, what: str
) -> tuple[Trials, WordColumn | Numbers | None]:
    enrol, test, *rest = read_columns(rxfilename, form)
    trials = Trials(cast(WordColumn, enrol), cast(WordColumn, test))
    if not len(trials):
        raise InputError(f"No {what} in {describe(rxfilename)}")
    trials.check_distinct(describe(rxfilename))
    return trials, rest[0] if rest else None


def read_labelled_scores(
    scores_rxfilename: str, trials_rxfilename: str
) -> tuple[Numbers, Flags]:
    """Scores in the order of their file, and whether each is of a target trial.

    Args:
        scores_rxfilename: lines `key1 key2 score`.
        trials_rxfilename: lines `key1 key2 target` or `... nontarget`. Trials without
            a score are no fault, as in Kaldi's sid/compute_min_dcf.py.

    Raises:
        InputError: a score whose trial is not listed; as `read_scores`, `read_labels`.
    """
    listed, is_target = read_labels(trials_rxfilename)
    scored, scores = read_scores(scores_rxfilename)
    return scores, is_target[
        find_all(listed, scored, trials_rxfilename, scores_rxfilename)
    ]


def find_all(
    listed: Trials, scored: Trials, trials_rxfilename: str, scores_rxfilename: str
) -> Indices:
    """The numbers in `listed` of the trials `scored`.

    Raises:
        InputError: some are not there; says how many, and the first.
    """
    numbers = listed.find(scored)
    unknown = np.flatnonzero(numbers < 0)
    if unknown.size:
        raise InputError(
            f"{unknown.size} of {len(scored)} trials of {describe(scores_rxfilename)} "
            f"are not in {describe(trials_rxfilename)}, the first is the trial "
            f"{scored.name(unknown[0])}"
        )
    return numbers


def read_scores_and_labels(rxfilename: str) -> tuple[Numbers, Numbers]:
    """The target and the nontarget scores of lines `score target|nontarget`.

    Raises:
        InputError: a line of another form; names it.
    """
    scores, labels = read_columns(rxfilename, "score target|nontarget")
    is_target = _is_target(cast(WordColumn, labels), describe(rxfilename))
    numbers = cast(Numbers, scores)
    return numbers[is_target], numbers[~is_target]


def write_scores(wxfilename: str, trials: Trials, scores: Numbers) -> None:
    """Lines `key1 key2 score`, seven significant digits, as Kaldi's."""
    with open_or_fd(wxfilename, "wb") as stream:
        write_columns(stream, trials.enrol, trials.test, scores)


def _is_target(labels: WordColumn, where: str) -> Flags:
    for code, word in enumerate(labels.words):
        if word not in ("target", "nontarget"):
            line = int(np.argmax(labels.codes == code)) + 1
            raise InputError(
                f"{where}:{line}: expected target or nontarget, got '{word}'"
            )
    return np.array([word == "target" for word in labels.words], bool)[labels.codes]
