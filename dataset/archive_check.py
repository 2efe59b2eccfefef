"""Reads a few segments from across all archives, to find what is wrong before training.

Of each archive the entry that lies furthest back is among them: where an archive is cut
short, that one is missing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import FeatureReader
from dataset.kaldi_range import split_range
from dataset.kaldi_stream import is_pipe, split_offset
from dataset.segments import Segment, read_segment
from dataset.speaker_info import TextColumn

_MOST_ENTRIES = 200_000
"""Entries whose archives are looked at: a third of a second."""

_NAMED = 3
"""Bad segments of an archive that are told of one by one."""


class Archives(NamedTuple):
    """Where features lie.

    Attributes:
        last_row: path -> row of the entry that lies furthest back in it.
        num_bytes: size of all files together.
    """

    last_row: dict[str, int]
    num_bytes: int


class Sample(NamedTuple):
    """What reading some segments showed.

    Attributes:
        num_chosen: segments that were to be read.
        num_read: those that were, in the time that was allowed.
        dim: of the features; 0 if none could be read.
        num_bad: segments that cannot be used.
        faults: what is wrong with them; of each archive, with the first few.
    """

    num_chosen: int
    num_read: int
    dim: int
    num_bad: int
    faults: list[str]


def find_archives(rxfilenames: TextColumn, seed: int) -> Archives:
    """The files that entries are stored in; of very many entries, a random part."""
    rows: Iterable[int] = range(len(rxfilenames))
    if len(rxfilenames) > _MOST_ENTRIES:
        rng = np.random.default_rng(seed)
        rows = rng.integers(len(rxfilenames), size=_MOST_ENTRIES).tolist()
    furthest: dict[str, tuple[int, int]] = {}
    for row in rows:
        name, _ = split_range(rxfilenames[row])
        path, offset = split_offset(name)
        furthest[path] = max(furthest.get(path, (-1, row)), (offset, row))
    files = [path for path in furthest if not is_pipe(path) and os.path.isfile(path)]
    return Archives(
        {path: row for path, (_, row) in furthest.items()},
        sum(map(os.path.getsize, files)),
    )


def choose_rows(
    archives: Archives, num_entries: int, number: int, seed: int
) -> list[int]:
    """Rows to be read, sorted: the last of each archive, as far as `number` goes, the
    first of all, and others at random."""
    rng = np.random.default_rng(seed)
    last = rng.permutation(list(archives.last_row.values()))[:number].tolist()
    others = rng.integers(num_entries, size=max(0, number - len(last))).tolist()
    return sorted({0, *last, *others})


def read_sample(
    utterances: TextColumn,
    rxfilenames: TextColumn,
    num_frames: Sequence[int] | np.ndarray | None,
    rows: Sequence[int],
    length: int,
    seed: int,
    seconds: float,
) -> Sample:
    """Reads up to `length` frames of each row, from a random start.

    Args:
        num_frames: what utt2num_frames says, if that is known.
        seconds: no further segment is begun after this time.
    """
    rng, reader = np.random.default_rng(seed), FeatureReader()
    end, dim, num_read = time.monotonic() + seconds, 0, 0
    faults: dict[str, list[str]] = {}
    for row in rows:
        if time.monotonic() > end:
            break
        num_read += 1
        name, rxfilename = utterances[row], rxfilenames[row]
        stated = None if num_frames is None else int(num_frames[row])
        try:
            stored, columns = reader.shape(rxfilename)
            dim = dim or columns
            if stated is not None and stored < stated:
                raise InputError(
                    f"utterance {name}: utt2num_frames says {stated} frames, "
                    f"{rxfilename} has {stored}"
                )
            start = int(rng.integers(0, max(0, stored - length), endpoint=True))
            segment = Segment(name, rxfilename, start)
            read_segment(reader, segment, min(length, stored), dim)
        except (InputError, OSError) as error:
            text = str(error)
            if not text.startswith("utterance "):
                text = f"utterance {name}: {text}"
            path, _ = split_offset(split_range(rxfilename)[0])
            faults.setdefault(path, []).append(text)
    num_bad = sum(map(len, faults.values()))
    first = [text for texts in faults.values() for text in texts[:_NAMED]]
    return Sample(len(rows), num_read, dim, num_bad, first)
