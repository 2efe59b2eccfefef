"""Where the utterances of a data directory are stored: feats.scp, wav.scp, segments."""

from __future__ import annotations

import array
import math
import os
from collections.abc import Iterator
from typing import NoReturn

from dataset.errors import InputError
from dataset.sound_reader import Sound


def read_pairs(path: str) -> Iterator[tuple[str, str]]:
    """The first word of each line and the rest.

    Raises:
        InputError: the file cannot be read, or there is no rest.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            for line in stream:
                fields = line.split(None, 1)
                if len(fields) < 2:
                    refuse_line(path, line, "two fields or more")
                yield fields[0], fields[1].rstrip()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error}") from None


def refuse_line(path: str, line: str, expected: str) -> NoReturn:
    """Raises InputError with the beginning of the line."""
    shown = line.strip()
    if len(shown) > 80:
        shown = f"{shown[:80]}..."
    raise InputError(f"{path}: expected {expected}, got the line {shown!r}")


class UtteranceIndex(dict[str, int]):
    """Utterance -> row, and the table that the rows are in.

    Args:
        data_dir: the data directory.
        waveforms: the table is wav.scp, or segments if there is one; else feats.scp.

    Attributes:
        table, path: its name; with the directory.
        recordings: the path of feats.scp or wav.scp.
    """

    def __init__(self, data_dir: str, waveforms: bool) -> None:
        super().__init__()
        self.table = "wav.scp" if waveforms else "feats.scp"
        self.recordings = os.path.join(data_dir, self.table)
        segments = os.path.join(data_dir, "segments")
        self.has_segments = waveforms and os.path.exists(segments)
        if self.has_segments:
            self.table = "segments"
        self.path = segments if self.has_segments else self.recordings


def fill_index(index: UtteranceIndex, times: array.array[float]) -> Iterator[str]:
    """Yields the rxfilename of each row; meanwhile the index gets the rows.

    Args:
        times: gets the start and the end of each row, if there are segments.

    Raises:
        InputError: a table is missing or malformed, or a recording is.
    """
    if not index.has_segments:
        yield from fill_rows(index.path, index)
        return
    rows: dict[str, int] = {}
    recordings = list(fill_rows(index.recordings, rows, "recording"))
    for text in fill_rows(index.path, index):
        recording, *numbers = text.split()
        try:
            start, end = map(float, numbers)
        except ValueError:
            start, end = 0.0, 0.0
        if not 0 <= start < (math.inf if end == -1 else end):
            refuse_line(index.path, text, "a recording, its start and end in seconds")
        if recording not in rows:
            raise InputError(
                f"{index.path}: recording {recording} is not in {index.recordings}; "
                "mend the data directory (fix_data_dir.sh)"
            )
        times.extend((start, end))
        yield recordings[rows[recording]]


def fill_rows(
    path: str, index: dict[str, int], what: str = "utterance"
) -> Iterator[str]:
    """Yields the second column of a table; meanwhile the index gets each key's row.

    Raises:
        InputError: the file cannot be read, or a key is there twice.
    """
    for row, (key, value) in enumerate(read_pairs(path)):
        if index.setdefault(key, row) != row:
            raise InputError(f"{path}: {what} {key} is there twice")
        yield value


def read_recordings(data_dir: str) -> list[Sound]:
    """What wav.scp of a data directory has, or segments if there is one.

    Raises:
        InputError: a file is missing or malformed.
    """
    index, times = UtteranceIndex(data_dir, waveforms=True), array.array("d")
    rxfilenames = list(fill_index(index, times))
    pairs = [(start, end) for start, end in zip(times[::2], times[1::2], strict=True)]
    if not pairs:
        return list(map(Sound, index, rxfilenames))
    return list(map(Sound, index, rxfilenames, pairs))
