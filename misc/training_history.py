"""The course of a training, as the files of its folder tell it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dataset.errors import InputError
from misc import config_file
from misc.evaluation import Table, named_rows
from misc.run_dir import RunDir
from misc.training_log import TRAINING, Row, read_log


class Epoch(NamedTuple):
    """A validation."""

    step: int
    loss: float
    eer: float  # a fraction


class History(NamedTuple):
    """What is known of a training.

    Attributes:
        rows: of its log; the original wrote none.
        epochs: its validations so far.
        rates: (step, rate) where each epoch begins, and where the last one ends.
    """

    rows: list[Row]
    epochs: list[Epoch]
    rates: list[tuple[int, float]]

    def column(self, name: str) -> list[tuple[float, float]]:
        """(step, figure) of the rows that have it."""
        return [(row["step"], row[name]) for row in self.rows if name in row]

    def best(self) -> Epoch | None:
        """The validation with the lowest loss."""
        return min(self.epochs, key=lambda epoch: epoch.loss, default=None)


def read_history(model_dir: str) -> History:
    """Reads a run, ours or the original's, finished or not.

    Raises:
        InputError: it is no run, has nothing to show yet, or a file cannot be read.
    """
    run = RunDir(model_dir)
    config = run.file("config.json")
    per_epoch = config_file.read(config, ()).get("num_steps_per_epoch")
    if not isinstance(per_epoch, int):
        raise InputError(f"{config}: 'num_steps_per_epoch' is missing")
    losses = run.valid_losses()
    rates = run.learning_rates()[: len(losses)]
    history = History(
        read_log(run.file(TRAINING.name)),
        [Epoch((i + 1) * per_epoch, *values) for i, values in enumerate(losses)],
        [(i * per_epoch, rate) for i, rate in enumerate([*rates, *rates[-1:]])],
    )
    if not history.rows and not history.epochs:
        raise InputError(f"{run.path}: neither a log line nor a finished epoch yet")
    return history


def comparison(histories: Mapping[str, History]) -> Table:
    """A row for each run: where it is, and its best validation."""
    heads = ["run", "steps", "hours", "best_loss", "its_eer_%", "at_step"]
    heads.append("lowest_eer_%")
    rows: dict[str, tuple[object, ...]] = {}
    for name, history in histories.items():
        steps = [epoch.step for epoch in history.epochs]
        steps += [int(row["step"]) for row in history.rows]
        rows[name] = (max(steps), _hours(history), *_best_validation(history))
    return named_rows(heads, rows)


def _best_validation(history: History) -> tuple[object, ...]:
    best = history.best()
    if not best:
        return ("-",) * 4
    lowest = min(epoch.eer for epoch in history.epochs)
    eers = f"{100 * best.eer:.2f}", f"{100 * lowest:.2f}"
    return f"{best.loss:.4f}", eers[0], best.step, eers[1]


def _hours(history: History) -> str:
    seconds = history.column("seconds")
    return f"{seconds[-1][1] / 3600:.2f}" if seconds else "-"
