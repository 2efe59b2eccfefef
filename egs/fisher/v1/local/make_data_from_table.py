#!/usr/bin/env python3
"""Makes a data directory of a table of recordings: CSV or TSV, with names of columns.

e.g.: local/make_data_from_table.py /data/speech.csv data/all
      local/make_data_from_table.py --root /data/audio lists/train.tsv data/train

    path,speaker,utterance,start,end,gender,channel
    monday/1.wav,anna,,0.5,7.25,f,1

Needed are `path` and `speaker`; an empty field is as one that is not there. `start` and
`end` are seconds, `channel` counts from 1 (or is A or B), `gender` is m or f, and
`utterance` is made of the path if it is not given. Paths are relative to --root, else
to the folder of the table. Other columns are passed by. Fields are separated by commas,
semicolons or tabs, whichever the first line has.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import os
import sys
from collections.abc import Iterator

import recordings

from dataset.errors import InputError

COLUMNS = ("path", "speaker", "utterance", "start", "end", "gender", "channel")
_NEEDED = COLUMNS[:2]
_GENDERS = {"m": "m", "male": "m", "f": "f", "female": "f", "": ""}
_CHANNELS = {"": 0, "a": 1, "b": 2}

_log = logging.getLogger("recordings")


def read_rows(path: str) -> Iterator[tuple[str, dict[str, str]]]:
    """File and line of each row of a table, and its fields by column.

    Raises:
        InputError: it cannot be read, a column is missing or comes twice, or a row has
            more or fewer fields.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            delimiter = next((c for c in "\t;," if c in first), ",")
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            columns = [name.strip().lower() for name in next(reader, [])]
            _check_columns(path, columns)
            for row in reader:
                where = f"{path}:{reader.line_num}"
                if not row:
                    continue
                if len(row) != len(columns):
                    raise InputError(
                        f"{where}: expected {len(columns)} fields, got {len(row)}"
                    )
                fields = (field.strip() for field in row)
                yield where, dict(zip(columns, fields, strict=True))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: expected UTF-8: convert it (iconv)") from None
    except csv.Error as error:
        raise InputError(f"{path}:{reader.line_num}: {error}") from None


def _check_columns(path: str, columns: list[str]) -> None:
    for name in _NEEDED:
        if name not in columns:
            raise InputError(
                f"{path}:1: expected the names of columns, {', '.join(_NEEDED)} among "
                f"them, got '{', '.join(columns)}'"
            )
    for name in COLUMNS:
        if columns.count(name) > 1:
            raise InputError(f"{path}:1: the column '{name}' comes twice")
    others = [name for name in columns if name not in COLUMNS]
    if others:
        _log.info("%s: columns that are passed by: %s", path, ", ".join(others))


def find_recordings(table: str, root: str) -> list[recordings.Utterance]:
    """The utterances of a table.

    Raises:
        InputError: names the file and the line that cannot be used.
    """
    found = []
    for where, row in read_rows(table):
        for name in _NEEDED:
            if not row[name]:
                raise InputError(f"{where}: no {name}")
        times = _times(where, row)
        channel = _channel(where, row.get("channel", ""))
        gender = row.get("gender", "").lower()
        if gender not in _GENDERS:
            raise InputError(f"{where}: expected m or f as the gender, got '{gender}'")
        name = row.get("utterance") or _name(row["path"], channel, times)
        path = os.path.join(root, row["path"])
        found.append(
            recordings.Utterance(
                *(where, path, row["speaker"], name, channel, times, _GENDERS[gender])
            )
        )
    if not found:
        raise InputError(f"{table}: no recordings")
    return found


def _name(path: str, channel: int, times: tuple[float, float] | None) -> str:
    parts = [os.path.splitext(path)[0]]
    if channel:
        parts.append(str(channel))
    if times:
        parts += [f"{round(100 * second):07d}" for second in times]
    return "-".join(parts)


def _times(where: str, row: dict[str, str]) -> tuple[float, float] | None:
    texts = row.get("start", ""), row.get("end", "")
    if texts == ("", ""):
        return None
    try:
        start, end = (float(text) for text in texts)
    except ValueError:
        start, end = -1.0, -1.0
    if not (0 <= start < end and math.isfinite(end)):
        raise InputError(
            f"{where}: expected start and end in seconds, start < end, got "
            f"'{texts[0]}' and '{texts[1]}'"
        )
    return start, end


def _channel(where: str, text: str) -> int:
    known = _CHANNELS.get(text.lower())
    if known is not None:
        return known
    if not text.isdecimal() or int(text) < 1:
        raise InputError(
            f"{where}: expected a channel, from 1, or A or B, got '{text}'"
        )
    return int(text)


def find(args: argparse.Namespace) -> list[recordings.Utterance]:
    """What the command line names."""
    root = os.path.dirname(args.table) if args.root is None else args.root
    return find_recordings(args.table, root)


def main() -> int:
    """The data directory, or 1 and one line on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="the folder that paths are relative to")
    recordings.add_arguments(parser)
    parser.add_argument("table")
    parser.add_argument("data_dir")
    return recordings.run(parser, find)


if __name__ == "__main__":
    sys.exit(main())
