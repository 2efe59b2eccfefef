"""What is to be said about systems that scored one list of trials, as tables.

Numbers come from `misc.sorted_scores`, intervals from `misc.bootstrap`; here they get
their columns, for a terminal (`format_table`) and for `misc.report`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from dataset.errors import InputError
from misc.backend.calibration import bayes_threshold
from misc.backend.text_columns import WordColumn
from misc.backend.trials import Flags, Indices, Numbers, Trials
from misc.bootstrap import bootstrap_intervals
from misc.operating_points import OperatingPoint
from misc.sorted_scores import SortedScores

NO_CONDITION = "(none)"
NUM_EXTREME = 10


@dataclasses.dataclass(frozen=True)
class TrialList:
    """Trials whose answers are known.

    Attributes:
        trials: the pairs of keys.
        is_target: [trials].
        speakers: [trials, 2] of both sides, from 0, where they are known.
        conditions: the condition of each trial, where these are known.
    """

    trials: Trials
    is_target: Flags
    speakers: Indices | None = None
    conditions: WordColumn | None = None


@dataclasses.dataclass(frozen=True)
class System:
    """A system's scores of a list.

    Attributes:
        name: what tables call it.
        listed: the trials.
        scores: [trials]; NaN where it has none.
        is_llr: whether they are log-likelihood ratios (natural logarithm), so that
            decisions at Bayes thresholds and Cllr mean something.
    """

    name: str
    listed: TrialList
    scores: Numbers
    is_llr: bool = False

    @functools.cached_property
    def scored(self) -> Flags:
        """[trials] whether there is a score."""
        return ~np.isnan(self.scores)

    @functools.cached_property
    def ordered(self) -> SortedScores:
        """All its scores.

        Raises:
            InputError: none of one kind; names the system.
        """
        try:
            return self.within(self.scored)
        except InputError as error:
            raise InputError(f"{self.name}: {error}") from None

    def within(self, chosen: Flags) -> SortedScores:
        """The scores of the chosen trials, where there are any.

        Raises:
            InputError: none of one kind.
        """
        taken = chosen & self.scored
        return SortedScores.of_trials(self.scores[taken], self.listed.is_target[taken])


class Measure(NamedTuple):
    """A column of the tables."""

    head: str
    of: Callable[[SortedScores], float]
    form: str
    needs_llr: bool = False


class Cell(NamedTuple):
    """What a table says in one place; `note` is its interval."""

    text: str
    note: str = ""
    best: bool = False


class Table(NamedTuple):
    """Heads of columns and rows of cells; the first column names the rows."""

    heads: list[str]
    rows: list[list[Cell]]


def measures(points: Sequence[OperatingPoint], with_llr: bool) -> list[Measure]:
    """EER by Kaldi's rule, minDCF at each point, ROCCH-EER; what LLRs add."""
    columns = [
        Measure("EER %", lambda s: 100.0 * s.eer()[0], ".2f"),
        *(Measure(f"minDCF({p.label})", p.min_dcf, ".4f") for p in points),
        Measure("ROCCH-EER %", lambda s: 100.0 * s.rocch_eer(), ".2f"),
    ]
    if with_llr:
        columns += [
            *(Measure(f"actDCF({p.label})", p.act_dcf, ".4f", True) for p in points),
            Measure("Cllr", SortedScores.cllr, ".4f", True),
            Measure("minCllr", SortedScores.min_cllr, ".4f", True),
        ]
    return columns


def results_table(
    systems: Sequence[System], points: Sequence[OperatingPoint], seed: int = 0
) -> Table:
    """A row for each system; with 95 % intervals if the list knows the speakers.

    Args:
        systems: with scores of one list.
        points: where detection costs are wanted.
        seed: of the draws of speakers.
    """
    columns = measures(points, any(system.is_llr for system in systems))
    values = np.array([_values(columns, s, s.ordered) for s in systems])
    lowest = _lowest(values)
    missing = any(not system.scored.all() for system in systems)
    heads = ["system", *(["trials"] if missing else []), *(c.head for c in columns)]
    rows = []
    for system, of_system in zip(systems, values, strict=True):
        row = [Cell(system.name)]
        if missing:
            row.append(Cell(str(np.count_nonzero(system.scored))))
        notes = _intervals(system, points, columns, seed)
        notes += [""] * (len(columns) - len(notes))
        for cell in zip(columns, of_system, lowest, notes, strict=True):
            row.append(_cell(*cell))
        rows.append(row)
    return Table(heads, rows)


def condition_tables(
    systems: Sequence[System], points: Sequence[OperatingPoint]
) -> dict[str, Table]:
    """For each measure a row per condition, a column per system, and the mean.

    A condition without one kind of trial has no measures and is not in the mean.
    """
    listed = systems[0].listed
    if listed.conditions is None:
        return {}
    words, codes = listed.conditions
    groups = [codes == code for code in range(len(words))]
    columns = measures(points, any(system.is_llr for system in systems))
    values = np.array(
        [[_values_within(columns, s, g) for s in systems] for g in groups]
    )
    counts = [(listed.is_target[g].sum(), (~listed.is_target[g]).sum()) for g in groups]
    names = [
        [Cell(word), *(Cell(str(n)) for n in c)]
        for word, c in zip(words, counts, strict=True)
    ]
    names.append([Cell("mean of the conditions"), Cell(""), Cell("")])
    values = np.concatenate([values, _mean_of_known(values)[None]])
    tables = {}
    for place, column in enumerate(columns):
        heads = ["condition", "targets", "nontargets", *(s.name for s in systems)]
        of_measure = values[:, :, place]
        rows = [
            [*name, *(_cell(column, value, lowest) for value in row)]
            for name, row, lowest in zip(
                names, of_measure, _lowest(of_measure.T), strict=True
            )
        ]
        tables[column.head] = Table(heads, rows)
    return tables


def thresholds(system: System, points: Sequence[OperatingPoint]) -> dict[str, float]:
    """Thresholds that one may want, by their name: accept above."""
    found = {"EER": system.ordered.eer()[1]}
    for point in points:
        for p_target, threshold in zip(
            point.p_targets, point.thresholds(system.ordered), strict=True
        ):
            prior = f"prior {p_target:g}"
            if point.c_miss != point.c_fa:
                prior += f", costs {point.c_miss:g}:{point.c_fa:g}"
            found[f"lowest cost, {prior}"] = threshold
            if system.is_llr:
                found[f"Bayes, {prior}"] = bayes_threshold(
                    p_target, point.c_miss, point.c_fa
                )
    return found


def threshold_table(system: System, points: Sequence[OperatingPoint]) -> Table:
    """Thresholds with their miss and false alarm rates."""
    rows = []
    for name, threshold in thresholds(system, points).items():
        rates = (f"{100.0 * rate:.3g}" for rate in system.ordered.rates(threshold))
        rows.append([Cell(name), Cell(f"{threshold:.4g}"), *map(Cell, rates)])
    return Table(["threshold", "accept above", "miss %", "false alarm %"], rows)


def extreme_trials(system: System) -> Table:
    """The targets with the lowest scores and the nontargets with the highest ones."""
    listed, rows = system.listed, []
    for kind, chosen, sign in (
        ("target", listed.is_target, 1.0),
        ("nontarget", ~listed.is_target, -1.0),
    ):
        numbers = np.flatnonzero(chosen & system.scored)
        ranks = sign * system.scores[numbers]
        if len(numbers) > NUM_EXTREME:
            near = np.argpartition(ranks, NUM_EXTREME)[:NUM_EXTREME]
            numbers, ranks = numbers[near], ranks[near]
        for number in numbers[np.argsort(ranks, kind="stable")]:
            enrol, test = listed.trials.name(number).split()
            score = f"{system.scores[number]:.4g}"
            rows.append([Cell(kind), Cell(enrol), Cell(test), Cell(score)])
    return Table(["kind", "enrolment", "test", "score"], rows)


def trial_speakers(trials: Trials, utt2spk: Mapping[bytes, bytes]) -> Indices:
    """The speakers [trials, 2] of both sides, from 0.

    A key is an utterance, or a speaker, as the models of enrolment often are.

    Raises:
        InputError: a key that is neither; says how many.
    """
    numbers = {spk: i for i, spk in enumerate(dict.fromkeys(utt2spk.values()))}
    sides, unknown = [], []
    for column in (trials.enrol, trials.test):
        keys = [word.encode() for word in column.words]
        speakers = [utt2spk.get(key, key) for key in keys]
        unknown += [k for k, s in zip(keys, speakers, strict=True) if s not in numbers]
        of_word = np.array([numbers.get(speaker, -1) for speaker in speakers])
        sides.append(of_word[column.codes])
    if unknown:
        raise InputError(
            f"{len(unknown)} keys of the trials have no speaker in utt2spk, the first "
            f"is {unknown[0].decode(errors='replace')}"
        )
    return np.column_stack(sides)


def trial_conditions(trials: Trials, utt2cond: Mapping[bytes, bytes]) -> WordColumn:
    """The condition of each trial: that of its keys, `enrolment / test` if they differ.

    If only one side has one, as where enrolments are models, it is the trial's.
    """
    names = [*dict.fromkeys(utt2cond.values()), b""]
    numbers = {name: number for number, name in enumerate(names)}
    enrol, test = (
        np.array([numbers[utt2cond.get(word.encode(), b"")] for word in column.words])[
            column.codes
        ]
        for column in (trials.enrol, trials.test)
    )
    pairs, codes = np.unique(enrol * len(names) + test, return_inverse=True)
    words = []
    for first, second in zip(*np.divmod(pairs, len(names)), strict=True):
        sides = dict.fromkeys(n.decode() for n in (names[first], names[second]) if n)
        words.append(" / ".join(sides) or NO_CONDITION)
    merged = {word: number for number, word in enumerate(dict.fromkeys(words))}
    again = np.array([merged[word] for word in words], np.int32)
    return WordColumn(list(merged), again[codes])


def named_rows(heads: list[str], rows: Mapping[str, tuple[object, ...]]) -> Table:
    """A table of plain values, its rows by their names."""
    return Table(
        heads,
        [
            [Cell(name), *(Cell(str(value)) for value in values)]
            for name, values in rows.items()
        ],
    )


def format_table(table: Table) -> str:
    """The table as text; intervals in brackets."""
    texts = [
        [f"{cell.text} [{cell.note}]" if cell.note else cell.text for cell in row]
        for row in table.rows
    ]
    lines = [table.heads, *texts]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            text.ljust(width) if place == 0 else text.rjust(width)
            for place, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def _values(
    columns: Sequence[Measure], system: System, scores: SortedScores
) -> list[float]:
    """NaN where a measure has no meaning."""
    return [
        column.of(scores) if system.is_llr or not column.needs_llr else np.nan
        for column in columns
    ]


def _values_within(
    columns: Sequence[Measure], system: System, group: Flags
) -> list[float]:
    try:
        return _values(columns, system, system.within(group))
    except InputError:  # a condition without one kind of trial
        return [np.nan] * len(columns)


def _lowest(values: Numbers) -> Numbers:
    """The lowest value over the first axis; NaN where there is none to compare with."""
    lowest: Numbers = np.fmin.reduce(values)
    return np.where(np.count_nonzero(~np.isnan(values), axis=0) > 1, lowest, np.nan)


def _mean_of_known(values: Numbers) -> Numbers:
    """The mean over the first axis of what is not NaN."""
    known = ~np.isnan(values)
    total: Numbers = np.where(known, values, 0.0).sum(axis=0)
    total[~known.any(axis=0)] = np.nan
    return total / np.maximum(known.sum(axis=0), 1)


def _intervals(
    system: System,
    points: Sequence[OperatingPoint],
    columns: Sequence[Measure],
    seed: int,
) -> list[str]:
    """Of the EER and the minDCFs, which are the first columns."""
    taken, listed = system.scored, system.listed
    if listed.speakers is None:
        return []
    ends = bootstrap_intervals(
        system.scores[taken],
        listed.is_target[taken],
        listed.speakers[taken],
        points,
        seed=seed,
    )
    ends[0] *= 100.0
    return [
        f"{low:{column.form}}-{high:{column.form}}"
        for column, (low, high) in zip(columns, ends, strict=False)
    ]


def _cell(column: Measure, value: float, lowest: float, note: str = "") -> Cell:
    if np.isnan(value):
        return Cell("-")
    return Cell(f"{value:{column.form}}", note, bool(value == lowest))
