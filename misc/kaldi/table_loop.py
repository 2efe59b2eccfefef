"""The loop of most commands: read an entry, change it, write it, count."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from dataset.errors import InputError
from dataset.kaldi_table import SequentialReader, TableWriter
from misc.kaldi.command import warn


def transform_table(
    reader: SequentialReader, write: Callable[[str, Any], None], change: Callable
) -> tuple[int, int]:
    """Writes `change(key, value)` for each entry.

    An entry for which this raises InputError is left out with a warning.

    Returns:
        How many entries were written, and how many were left out.
    """
    num_done = num_failed = 0
    for key, value in reader:
        try:
            changed = change(key, value)
        except InputError as error:
            warn(f"{key}: {error}; no output for it")
            num_failed += 1
            continue
        write(key, changed)
        num_done += 1
    # What option p of the table left out, with a warning of its own.
    return num_done, num_failed + reader.num_left_out


def optional_writer(wspecifier: str, kind: str) -> Any:
    """A context with a TableWriter, or with None if no wspecifier is given."""
    if not wspecifier:
        return contextlib.nullcontext()
    return TableWriter(wspecifier, kind)
