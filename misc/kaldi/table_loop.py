"""The loop of most commands: read an entry, change it, write it, count."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from dataset.errors import BrokenArchive, InputError
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from misc.kaldi.command import warn


def transform_table(
    reader: SequentialReader, write: Callable[[str, Any], None], change: Callable
) -> tuple[int, int]:
    """Writes `change(key, value)` for each entry.

    An entry for which this raises InputError is left out with a warning. A second table
    that is broken (BrokenArchive) ends the loop.

    Returns:
        How many entries were written, and how many were left out.
    """
    num_done = num_failed = 0
    for key, value in reader:
        try:
            changed = change(key, value)
        except BrokenArchive:
            raise
        except InputError as error:
            warn(f"{key}: {error}; no output for it")
            num_failed += 1
            continue
        write(key, changed)
        num_done += 1
    # What option p of the table left out, with a warning of its own.
    return num_done, num_failed + reader.num_left_out


def mapped_reader(
    rspecifier: str, kind: str, utt2spk: str, stack: contextlib.ExitStack
) -> Callable[[str], Any]:
    """From an utterance to its value in a table, or to its speaker's.

    Args:
        rspecifier: of the table.
        kind: of its values, as for RandomAccessReader.
        utt2spk: rspecifier of the speakers; empty if the table is by utterance.
        stack: closes the tables.

    The function raises InputError for an utterance without a value, BrokenArchive for
    one without speaker.
    """
    reader = stack.enter_context(RandomAccessReader(rspecifier, kind))
    speakers = None
    if utt2spk:
        speakers = stack.enter_context(RandomAccessReader(utt2spk, "tokens"))

    def find(key: str) -> Any:
        owner = key
        if speakers is not None:
            if key not in speakers:
                raise BrokenArchive(f"{key}: no speaker in {utt2spk}")
            owner = " ".join(speakers[key])
        if owner not in reader:
            raise InputError(f"no entry for {owner} in {rspecifier}")
        return reader[owner]

    return find


def optional_writer(wspecifier: str, kind: str) -> Any:
    """A context with a TableWriter, or with None if no wspecifier is given."""
    if not wspecifier:
        return contextlib.nullcontext()
    return TableWriter(wspecifier, kind)
