"""Some frames of stored features, by memory map: what the data loader stands on."""

from __future__ import annotations

import mmap
import os
import stat
import struct
from typing import NamedTuple

import numpy as np

from dataset.compressed_matrix import (
    HEADER_SIZE,
    Header,
    decode_rows,
    parse_header,
)
from dataset.errors import InputError
from dataset.kaldi_objects import read_matrix, to_single
from dataset.kaldi_range import parse_range, split_range
from dataset.kaldi_stream import is_pipe, located, open_or_fd, split_offset

_MAX_MAPS = 512
"""Well under the usual limit of 1024 open files."""

_MAX_PLACES = 1 << 16
"""Places that are remembered, at about 500 bytes each."""

_SINGLE = np.dtype("<f4")
_PLAIN: dict[bytes, np.dtype] = {b"\0BFM ": _SINGLE, b"\0BDM ": np.dtype("<f8")}
_SIZES = struct.Struct("<bibi")
_COMPRESSED = {b"\0BCM ": b"CM", b"\0BCM2": b"CM2", b"\0BCM3": b"CM3"}


class _Stored(NamedTuple):
    """A binary matrix in a memory map: where its data lie, and what they are."""

    map: mmap.mmap
    position: int
    size: int
    rows: int
    cols: int
    kind: np.dtype | Header

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start:stop as float32."""
        archive, position, size, _, cols, kind = self
        if isinstance(kind, Header):
            body = np.frombuffer(archive, np.uint8, size, position)
            return decode_rows(kind, body, start, stop)
        first = position + start * cols * kind.itemsize
        rows = np.ndarray((stop - start, cols), kind, archive, first)
        return rows.copy() if kind is _SINGLE else to_single(rows)


class _Whole:
    """A matrix that can only be read whole."""

    def __init__(self, name: str) -> None:
        with open_or_fd(name) as stream:
            self._matrix = to_single(read_matrix(stream))
        self.rows, self.cols = self._matrix.shape

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start:stop as float32."""
        return self._matrix[start:stop].copy()


class FeatureReader:
    """Reads some frames of stored features; what is not asked for is not touched.

    Archives are memory-mapped once and stay open in the process; they must not change
    meanwhile. A reader can be pickled, which forgets the maps. Text and pipes are read
    too, but whole each time.
    """

    def __init__(self) -> None:
        self._maps: dict[str, mmap.mmap] = {}
        self._places: dict[str, _Stored] = {}

    def __reduce__(self) -> tuple[type[FeatureReader], tuple[()]]:
        return FeatureReader, ()

    def shape(self, rxfilename: str) -> tuple[int, int]:
        """Frames and dimension.

        Raises:
            InputError: there is no matrix.
        """
        if (place := self._places.get(rxfilename)) is not None:
            return place.rows, place.cols
        name, extent = split_range(rxfilename)
        with located(rxfilename):
            matrix = self._locate(name)
            if extent is None:
                return matrix.rows, matrix.cols
            rows, cols = parse_range(extent, (matrix.rows, matrix.cols))
        return rows.stop - rows.start, cols.stop - cols.start

    def read(
        self, rxfilename: str, start: int = 0, length: int | None = None
    ) -> np.ndarray:
        """Frames `start` to `start + length`, or to the end: float32 [length, dim].

        Raises:
            InputError: there is no matrix, it is cut short, or it has fewer frames.
        """
        try:
            if (place := self._places.get(rxfilename)) is not None:
                return place.read(start, _stop(start, length, place.rows))
            name, extent = split_range(rxfilename)
            matrix = self._locate(name)
            if extent is None:
                return matrix.read(start, _stop(start, length, matrix.rows))
            rows, cols = parse_range(extent, (matrix.rows, matrix.cols))
            stop = _stop(start, length, rows.stop - rows.start)
            frames = matrix.read(rows.start + start, rows.start + stop)
            return np.ascontiguousarray(frames[:, cols])
        except InputError as error:
            raise InputError(f"{rxfilename}: {error}") from None

    def _locate(self, name: str) -> _Stored | _Whole:
        if is_pipe(name) or name in ("", "-"):
            return _Whole(name)
        path, offset = split_offset(name)
        archive = self._maps.get(path) or self._open(path)
        if archive is None:
            return _Whole(name)
        token = archive[offset : offset + 5]
        if not token:
            raise InputError(f"truncated: nothing at byte {offset}")
        if token[:1] != b"\0":
            return _Whole(name)
        if len(self._places) >= _MAX_PLACES:
            self._places.clear()
        place = self._places[name] = _parse(archive, offset, token)
        return place

    def _open(self, path: str) -> mmap.mmap | None:
        """Maps a file; None if it is no regular file, such as a named pipe."""
        try:
            with open(path, "rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    return None
                archive = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: the file is empty
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot open: {reason}") from None
        self._maps[path] = archive
        if len(self._maps) > _MAX_MAPS:
            del self._maps[next(iter(self._maps))]
            self._places.clear()  # which would keep the map open
        return archive


def _parse(archive: mmap.mmap, offset: int, token: bytes) -> _Stored:
    """The matrix at `offset`, once it is certain that it is there."""
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


def _parse_header(archive: mmap.mmap, offset: int, token: bytes) -> _Stored:
    start = offset + len(token)
    if (element := _PLAIN.get(token)) is not None:
        mark, rows, same_mark, cols = _SIZES.unpack_from(archive, start)
        if mark != 4 or same_mark != 4:
            raise InputError(f"damaged: no matrix sizes at byte {start}")
        size = rows * cols * element.itemsize
        return _Stored(archive, start + _SIZES.size, size, rows, cols, element)
    if (name := _COMPRESSED.get(token)) is not None:
        start = offset + 3 + len(name)
        header = parse_header(name, archive, start)
        rows, cols = header.rows, header.cols
        return _Stored(
            archive, start + HEADER_SIZE, header.body_size, rows, cols, header
        )
    raise InputError(
        f"expected a matrix (FM, DM, CM, CM2, CM3) at byte {offset}, got {token[2:]!r}"
    )


def _stop(start: int, length: int | None, rows: int) -> int:
    stop = rows if length is None else start + length
    if not 0 <= start <= stop <= rows:
        raise InputError(f"frames {start} to {stop} of a matrix with {rows} frames")
    return stop
