"""A binary matrix in a memory map: what its header says, and any rows of it."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dataset.compressed_matrix import HEADER_SIZE, Header, decode_rows, parse_header
from dataset.errors import InputError
from dataset.kaldi_objects import to_single

_SPARSE = 1 << 15
"""Rows of a `CM` matrix from which on its columns lie so far apart that they are
fetched one by one."""

_PIECE = 1 << 17
"""Linux cuts longer requests off at the read-ahead of a disk, which is often this."""

_SINGLE = np.dtype("<f4")
_PLAIN: dict[bytes, np.dtype] = {b"\0BFM ": _SINGLE, b"\0BDM ": np.dtype("<f8")}
_SIZES = struct.Struct("<bibi")
_COMPRESSED = {b"\0BCM ": b"CM", b"\0BCM2": b"CM2", b"\0BCM3": b"CM3"}


class StoredMatrix(NamedTuple):
    """Where the data of a matrix lie, and what they are."""

    map: mmap.mmap
    position: int
    size: int
    rows: int
    cols: int
    kind: np.dtype | Header

    @property
    def body(self) -> np.ndarray:
        """All data, uint8."""
        return np.frombuffer(self.map, np.uint8, self.size, self.position)

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        """Rows start:stop as float32, in a new array if none is given."""
        archive, position, _, _, cols, kind = self
        if isinstance(kind, Header):
            return decode_rows(kind, self.body, start, stop, out)
        first = position + start * cols * kind.itemsize
        rows = np.ndarray((stop - start, cols), kind, archive, first)
        if out is None:
            return rows.copy() if kind is _SINGLE else to_single(rows)
        out[:] = to_single(rows)
        return out

    def fetch(self, start: int, stop: int) -> None:
        """Has the system bring rows start:stop into memory; does not wait for it."""
        for position, size in self._extents(start, stop):
            fetch(self.map, position, size)

    def _extents(self, start: int, stop: int) -> Iterable[tuple[int, int]]:
        _, position, size, rows, cols, kind = self
        if not isinstance(kind, Header) or kind.token != b"CM":
            row_size = size // max(1, rows)
            return [(position + start * row_size, (stop - start) * row_size)]
        if rows < _SPARSE:
            return [(position, size)]
        codes = range(position + 8 * cols + start, position + size, rows)
        return [(position, 8 * cols), *((code, stop - start) for code in codes)]


def fetch(archive: mmap.mmap, position: int, size: int) -> None:
    """Has the system bring bytes into memory; does not wait for them."""
    end = min(position + size, len(archive))
    for start in range(position - position % mmap.PAGESIZE, end, _PIECE):
        archive.madvise(mmap.MADV_WILLNEED, start, min(_PIECE, end - start))


def parse(archive: mmap.mmap, offset: int) -> StoredMatrix | None:
    """The matrix at `offset`, once it is certain that it is there; None if it is text.

    Raises:
        InputError: it is cut short, damaged or something else.
    """
    token = archive[offset : offset + 5]
    if not token:
        raise InputError(f"truncated: nothing at byte {offset}")
    if token[:1] != b"\0":
        return None
    try:
        stored = _parse_header(archive, offset, token)
    except struct.error:
        raise InputError(f"truncated: no whole header at byte {offset}") from None
    _, position, size, rows, cols, _ = stored
    if rows < 0 or cols < (rows > 0) or position + size > len(archive):
        raise InputError(
            f"truncated or damaged: byte {offset} begins a matrix of {rows} x {cols}, "
            f"and the file ends at {len(archive)}"
        )
    return stored


def _parse_header(archive: mmap.mmap, offset: int, token: bytes) -> StoredMatrix:
    start = offset + len(token)
    if (element := _PLAIN.get(token)) is not None:
        mark, rows, same_mark, cols = _SIZES.unpack_from(archive, start)
        if mark != 4 or same_mark != 4:
            raise InputError(f"damaged: no matrix sizes at byte {start}")
        size = rows * cols * element.itemsize
        return StoredMatrix(archive, start + _SIZES.size, size, rows, cols, element)
    if (name := _COMPRESSED.get(token)) is not None:
        start = offset + 3 + len(name)
        header = parse_header(name, archive, start)
        rows, cols = header.rows, header.cols
        return StoredMatrix(
            archive, start + HEADER_SIZE, header.body_size, rows, cols, header
        )
    raise InputError(
        f"expected a matrix (FM, DM, CM, CM2, CM3) at byte {offset}, got {token[2:]!r}"
    )
