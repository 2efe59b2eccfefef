"""Reads a few segments from across all archives, to find what is wrong before training.

Of each archive the entry that lies furthest back is among them: where an archive is cut
short, that one is missing.
"""

from __future__ import annotations

import collections
import logging
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
from dataset.speaker_info import SpeakerInfo, TextColumn

_logger = logging.getLogger("kaldi")

_MOST_ENTRIES = 200_000
"""Entries whose archives are looked at: a third of a second."""

_FEW_ENTRIES = 20_000
"""Likewise when a queue is opened: some 30 ms."""

_FEW_SEGMENTS = 200
_FEW_SECONDS = 2.0

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
        dim: of most features; 0 if none could be read.
        num_bad: segments that cannot be used.
        faults: what is wrong with them; of each archive, with the first few.
    """

    num_chosen: int
    num_read: int
    dim: int
    num_bad: int
    faults: list[str]


def check_archives(info: SpeakerInfo, tolerant: bool) -> int:
    """Reads a frame from here and there, at most some 200, before anything is started.

    Args:
        tolerant: what cannot be used is only told of, unless that is all.

    Returns:
        The dimension of the features.

    Raises:
        InputError: the first thing that cannot be used.
    """
    archives = find_archives(info.rxfilename, 0, _FEW_ENTRIES)
    sample = read_sample(
        info.utterance,
        info.rxfilename,
        info.num_stored_frames,
        choose_rows(archives, len(info.rxfilename), _FEW_SEGMENTS, 0),
        length=1,
        seed=0,
        seconds=_FEW_SECONDS,
        exact=info.vad is not None,
    )
    return judge(sample, tolerant)


def judge(sample: Sample, tolerant: bool) -> int:
    """The dimension; `check_archives` says what becomes of faults."""
    if sample.faults and not (tolerant and sample.dim):
        raise InputError(sample.faults[0])
    for fault in sample.faults:
        _logger.warning("not usable: %s", fault)
    return sample.dim


def find_archives(
    rxfilenames: TextColumn, seed: int, most: int = _MOST_ENTRIES
) -> Archives:
    """The files that entries are stored in; of very many entries, a random part."""
    rows: Iterable[int] = range(len(rxfilenames))
    if len(rxfilenames) > most:
        rng = np.random.default_rng(seed)
        rows = rng.integers(len(rxfilenames), size=most).tolist()
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
    exact: bool = False,
) -> Sample:
    """Reads up to `length` frames of each row, from a random start.

    Args:
        num_frames: what utt2num_frames says, if that is known.
        seconds: no further segment is begun after this time.
        exact: more frames than that are wrong, too.
    """
    rng, reader = np.random.default_rng(seed), FeatureReader()
    end = time.monotonic() + seconds
    dims: dict[int, int] = {}  # by row, as the faults
    faults: dict[int, str] = {}
    num_read = 0
    for row in rows:
        if num_read and time.monotonic() > end:
            break
        num_read += 1
        stated = None if num_frames is None else int(num_frames[row])
        name, rxfilename = utterances[row], rxfilenames[row]
        try:
            stored, dims[row] = reader.shape(rxfilename)
            if stated is not None and (stored < stated or exact and stored > stated):
                raise InputError(
                    f"utterance {name}: utt2num_frames says {stated} frames, "
                    f"{rxfilename} has {stored}"
                )
            start = int(rng.integers(0, max(0, stored - length), endpoint=True))
            segment = Segment(name, rxfilename, start)
            read_segment(reader, segment, min(length, stored), dims[row])
        except (InputError, OSError) as error:
            text = str(error)
            known = text.startswith("utterance ")
            faults[row] = text if known else f"utterance {name}: {text}"
    usual = collections.Counter(dims.values()).most_common(1)
    dim = usual[0][0] if usual else 0
    for row in dims.keys() - faults.keys():
        if dims[row] != dim:
            faults[row] = (
                f"utterance {utterances[row]}: expected features of dimension {dim}, "
                f"as most have, got {dims[row]} in {rxfilenames[row]}"
            )
    by_path: dict[str, list[str]] = {}
    for row in sorted(faults):
        path, _ = split_offset(split_range(rxfilenames[row])[0])
        by_path.setdefault(path, []).append(faults[row])
    first = [text for texts in by_path.values() for text in texts[:_NAMED]]
    return Sample(len(rows), num_read, dim, len(faults), first)
