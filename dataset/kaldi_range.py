"""Ranges of rows and columns after an rxfilename: `feats.ark:1234[0:99,0:12]`.

Both ends are included, and counted from 0. (Kaldi: src/util/kaldi-table-inl.h and
src/util/kaldi-io-inl.h.)
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from dataset.errors import InputError

_ROWS_TOO_MANY = 3
"""Kaldi lets a range end this many rows after the last, for rounded times."""


def split_range(rxfilename: str) -> tuple[str, str | None]:
    """`file:offset[0:9,3:5]` as `file:offset` and `0:9,3:5`."""
    name, bracket, extent = rxfilename.rpartition("[")
    if bracket and extent[-1:] == "]":
        return name, extent[:-1]
    return rxfilename, None


def take_range(array: Any, extent: str) -> np.ndarray:
    """The part of a matrix or vector that a range such as `0:9,3:5` asks for.

    Raises:
        InputError: this is no range, or not one of this array.
    """
    if not isinstance(array, np.ndarray):
        raise InputError(f"range [{extent}] of something that is no matrix or vector")
    return array[parse_range(extent, array.shape)].copy()


def parse_range(extent: str, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """A slice for each axis; axes that the range does not name are taken whole."""
    parts = extent.split(",")
    if len(parts) > len(shape):
        raise InputError(f"range [{extent}] has more parts than shape {shape}")
    parts += [""] * (len(shape) - len(parts))
    tolerances = [_ROWS_TOO_MANY] + [0] * len(shape)
    return tuple(map(_parse_slice, parts, shape, tolerances))


def _parse_slice(text: str, size: int, tolerance: int) -> slice:
    text = text.strip()
    if text in ("", ":"):
        return slice(0, size)
    match = re.fullmatch(r"(\d{1,18}):(\d{1,18})", text, re.ASCII)
    if not match:
        raise InputError(f"expected a range such as [0:9] or [0:9,3:5], got [{text}]")
    first, last = int(match[1]), int(match[2])
    if first > last or first >= size or last >= size + tolerance:
        raise InputError(f"range [{text}] does not fit in 0:{size - 1}")
    return slice(first, min(last + 1, size))
