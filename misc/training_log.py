"""What a training writes down as it goes: CSV tables in the run's folder.

    training_log.csv     a row for each log line
    validation_log.csv   a row for each finished epoch

Figures of a training row are means over the steps since the row before; losses and
accuracy at most since the epoch began, or the run went on. What a training does not
have is empty. pandas.read_csv and spreadsheets take the files as they are.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dataset.errors import InputError
from misc.whole_files import write_text


class Table(NamedTuple):
    """A file of the run's folder and its columns; one of them is `step`."""

    name: str
    columns: tuple[str, ...]


TRAINING = Table(
    "training_log.csv",
    (
        "step",  # optimizer steps so far
        "epoch",  # from 0
        "loss",  # without regularisers, as the original's "raw loss"
        "total_loss",  # what is minimised
        "accuracy",  # share of segments, 0 to 1
        "learning_rate",
        "lambda",  # of annealed margins
        "margin",
        "segments_per_second",
        "data_wait",  # share of the time, 0 to 1
        "seconds",  # spent in steps since the training began
    ),
)
VALIDATION = Table(
    "validation_log.csv",
    ("epoch", "step", "loss", "eer", "learning_rate", "seconds"),  # it took so long
)

Row = dict[str, float]


class TrainingLog:
    """A table that grows by a row at a time, and is cut back where a run goes on.

    Args:
        folder: `nnetdir/nnet`.
        table: which one.
        step: rows after it are of a training that broke off; they are taken out.

    Attributes:
        rows: those from before.

    Raises:
        InputError: the file is no such table.
    """

    def __init__(self, folder: str, table: Table, step: int) -> None:
        self.path, self.columns = os.path.join(folder, table.name), table.columns
        self.rows = [row for row in read_log(self.path) if row["step"] <= step]
        lines = [",".join(self.columns) + "\n", *map(self._line, self.rows)]
        write_text(self.path, "".join(lines))

    def append(self, row: Mapping[str, float]) -> None:
        """Adds a row; columns that it lacks are left empty.

        Raises:
            OSError: naming the file.
        """
        try:
            with open(self.path, "a", encoding="utf-8") as stream:
                stream.write(self._line(row))
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.path) from None

    def _line(self, row: Mapping[str, float]) -> str:
        values = [_text(row[name]) if name in row else "" for name in self.columns]
        return ",".join(values) + "\n"


def _text(value: float) -> str:
    """Seven digits, as float32 has; all of a whole number."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.7g}"


def read_log(path: str) -> list[Row]:
    """The rows of a table, without their empty fields; none if there is no file.

    A last line that a crash cut short is left out.

    Raises:
        InputError: the file is no such table.
    """
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            text = stream.read()
    except FileNotFoundError:
        return []
    whole = text[: text.rfind("\n") + 1]
    reader = csv.reader(io.StringIO(whole))
    heads = next(reader, [])
    try:
        return [_row(heads, fields) for fields in reader]
    except ValueError:
        raise InputError(
            f"{path}: line {reader.line_num}: expected the columns of a training log, "
            "numbers only; move the file away, and a new one is begun"
        ) from None


def _row(heads: Sequence[str], fields: Sequence[str]) -> Row:
    pairs = zip(heads, fields, strict=True)
    row = {head: float(field) for head, field in pairs if field}
    if "step" not in row:
        raise ValueError
    return row
