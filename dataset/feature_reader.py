"""Some frames of stored features, by memory map: what the data loader stands on."""

from __future__ import annotations

import contextlib
import mmap
import os
import resource
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dataset.compressed_matrix import Header, decode_segments
from dataset.errors import InputError
from dataset.kaldi_objects import read_matrix, to_single
from dataset.kaldi_range import parse_range, split_range
from dataset.kaldi_stream import is_pipe, located, open_or_fd, split_offset
from dataset.stored_matrix import StoredMatrix, fetch, parse

_MAX_MAPS = 512
"""Well under the usual limit of 1024 open files."""

_MAX_PLACES = 1 << 16
"""Places that are remembered, at about 500 bytes each."""

_TOGETHER = 8
"""Matrices that are decoded at a time: a quarter of a megabyte of tables of values."""

_BEGINNING = 1 << 15
"""Bytes of a matrix that are fetched while its size is not known: 1000 frames of 30."""

_QUIET = 32
"""Batches without a sign of the disk after which nothing is fetched ahead."""


class _Whole:
    """A matrix that can only be read whole."""

    def __init__(self, name: str) -> None:
        with open_or_fd(name) as stream:
            self._matrix = to_single(read_matrix(stream))
        self.rows, self.cols = self._matrix.shape

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows start:stop as float32."""
        return self._matrix[start:stop].copy()


class _Frames(NamedTuple):
    """Rows start:stop of a matrix, of all its columns or of some."""

    matrix: StoredMatrix | _Whole
    start: int
    stop: int
    cols: slice | None = None

    def read(self) -> np.ndarray:
        frames = self.matrix.read(self.start, self.stop)
        if self.cols is None:
            return frames
        return np.ascontiguousarray(frames[:, self.cols])

    def read_into(self, out: np.ndarray) -> None:
        """Into float32 [frames, dim]; InputError if that is another dimension."""
        matrix, start, stop, cols = self
        dim = matrix.cols if cols is None else cols.stop - cols.start
        if dim != out.shape[1]:
            raise InputError(f"expected dimension {out.shape[1]}, got {dim}")
        if cols is None and isinstance(matrix, StoredMatrix):
            matrix.read(start, stop, out)
        else:
            out[:] = self.read()


class FeatureReader:
    """Reads some frames of stored features; what is not asked for is not touched.

    Archives are memory-mapped once and stay open in the process; they must not change
    meanwhile. A reader can be pickled, which forgets the maps. Text and pipes are read
    too, but whole each time.

    Attributes:
        watch: the context that a batch is read in, for `expect` to know of a disk.
    """

    def __init__(self) -> None:
        self._maps: dict[str, mmap.mmap] = {}
        self._places: dict[str, StoredMatrix] = {}
        self.watch = DiskWatch()

    def __reduce__(self) -> tuple[type[FeatureReader], tuple[()]]:
        return FeatureReader, ()

    def shape(self, rxfilename: str) -> tuple[int, int]:
        """Frames and dimension.

        Raises:
            InputError: there is no matrix.
        """
        if (place := self._places.get(rxfilename)) is not None:
            return place.rows, place.cols
        with located(rxfilename):
            matrix, start, stop, cols = self._find(rxfilename, 0, None)
        dim = matrix.cols if cols is None else cols.stop - cols.start
        return stop - start, dim

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
            return self._find(rxfilename, start, length).read()
        except InputError as error:
            raise InputError(f"{rxfilename}: {error}") from None

    def check_whole(self) -> None:
        """Looks whether all files that are open are as long as they were.

        To read beyond the end of one that is not would kill the process (SIGBUS).

        Raises:
            InputError: one is shorter.
        """
        for path, archive in self._maps.items():
            if archive.size() < len(archive):
                raise InputError(f"{path}: it was cut short while it was being read")

    def read_many(
        self,
        rxfilenames: Sequence[str],
        starts: Sequence[int],
        out: np.ndarray,
        at: Callable[[int], None],
    ) -> None:
        """`read` of some matrices, the same number of frames of each.

        Args:
            out: float32 [matrices, frames, dim], to be filled.
            at: called with the number of the matrix before its file is looked at.

        Raises:
            InputError: one of them cannot be read, or has another dimension.
        """
        for first in range(0, len(out), _TOGETHER):
            part = slice(first, first + _TOGETHER)
            self._read_some(rxfilenames[part], starts[part], out[part], at, first)

    def _read_some(
        self,
        rxfilenames: Sequence[str],
        starts: Sequence[int],
        out: np.ndarray,
        at: Callable[[int], None],
        first: int,
    ) -> None:
        """Reads those from number `first` on."""

        def begin(number: int) -> None:
            at(first + number)

        _, length, dim = out.shape
        wanted = []
        for number, (name, start) in enumerate(zip(rxfilenames, starts, strict=True)):
            begin(number)
            wanted.append(self._find(name, start, length))
        speech = list(_speech_features(wanted, dim))
        if len(speech) == len(wanted):
            return decode_segments(speech, out, begin)
        for number, frames in enumerate(wanted):
            begin(number)
            frames.read_into(out[number])

    def expect(
        self, wanted: Iterable[tuple[str, int, int]], at: Callable[[int], None]
    ) -> None:
        """Has the system fetch what will be read, all at once and by place on the disk.

        Waits until it is known where that is, but not for the frames. Tells of no
        fault. Does nothing while all that is read (within `watch`) lies in memory.

        Args:
            wanted: rxfilenames, first frames and numbers of frames; only looked at if
                there is something to do.
            at: as for `read_many`.
        """
        if not self.watch.is_reading:
            return
        wanted = list(wanted)
        beginnings = list(self._beginnings(name for name, _, _ in wanted))
        for archive, offset in sorted(beginnings, key=_by_place):
            fetch(archive, offset, _BEGINNING)
        places = []
        for number, (name, start, length) in enumerate(wanted):
            at(number)
            with contextlib.suppress(InputError, OSError):
                matrix, first, stop, _ = self._find(name, start, length)
                if isinstance(matrix, StoredMatrix):
                    places.append((matrix.map, matrix.position, matrix, first, stop))
        for _, _, matrix, first, stop in sorted(places, key=_by_place):
            matrix.fetch(first, stop)

    def expect_part(self, path: str, start: int, size: int) -> None:
        """Has the system fetch a part of an archive; tells of no fault."""
        with contextlib.suppress(InputError, OSError):
            if (archive := self._archive(path)) is not None:
                fetch(archive, start, size)

    def _beginnings(
        self, rxfilenames: Iterable[str]
    ) -> Iterator[tuple[mmap.mmap, int]]:
        for rxfilename in rxfilenames:
            with contextlib.suppress(InputError, OSError):
                path, offset = split_offset(split_range(rxfilename)[0])
                if not is_pipe(path) and (archive := self._archive(path)) is not None:
                    yield archive, offset

    def _find(self, rxfilename: str, start: int, length: int | None) -> _Frames:
        """Frames that are there."""
        if (place := self._places.get(rxfilename)) is not None:
            return _Frames(place, start, _stop(start, length, place.rows))
        name, extent = split_range(rxfilename)
        matrix = self._locate(name)
        if extent is None:
            return _Frames(matrix, start, _stop(start, length, matrix.rows))
        rows, cols = parse_range(extent, (matrix.rows, matrix.cols))
        stop = _stop(start, length, rows.stop - rows.start)
        return _Frames(matrix, rows.start + start, rows.start + stop, cols)

    def _locate(self, name: str) -> StoredMatrix | _Whole:
        if is_pipe(name) or name in ("", "-"):
            return _Whole(name)
        path, offset = split_offset(name)
        archive = self._archive(path)
        if archive is None or (place := parse(archive, offset)) is None:
            return _Whole(name)
        if len(self._places) >= _MAX_PLACES:
            self._places.clear()
        self._places[name] = place
        return place

    def _archive(self, path: str) -> mmap.mmap | None:
        """A file's map; None if it is no regular file, such as a named pipe."""
        if (archive := self._maps.get(path)) is not None:
            return archive
        try:
            with open(path, "rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    return None
                archive = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: the file is empty
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"cannot open: {reason}") from None
        # Else the system reads up to megabytes around each place that is touched.
        archive.madvise(mmap.MADV_RANDOM)
        self._maps[path] = archive
        if len(self._maps) > _MAX_MAPS:
            del self._maps[next(iter(self._maps))]
            self._places.clear()  # which would keep the map open
        return archive


class DiskWatch:
    """A context that notices whether what is done in it has to wait for a disk.

    Attributes:
        is_reading: whether that was so lately; at first, too.
    """

    def __init__(self) -> None:
        self.is_reading = True
        self._quiet = 0

    def __enter__(self) -> None:
        self._before = _signs_of_reading()

    def __exit__(self, *error: object) -> None:
        waited = _signs_of_reading() != self._before
        self._quiet = 0 if waited else self._quiet + 1
        self.is_reading = self._quiet <= _QUIET


def _signs_of_reading() -> tuple[int, int, int]:
    """Of this thread. A page that is on its way already counts only as a wait."""
    usage = resource.getrusage(getattr(resource, "RUSAGE_THREAD", resource.RUSAGE_SELF))
    return usage.ru_majflt, usage.ru_inblock, usage.ru_nvcsw


def _speech_features(
    wanted: Sequence[_Frames], dim: int
) -> Iterator[tuple[Header, np.ndarray, int]]:
    """What `decode_segments` takes, of those that it can read."""
    for matrix, start, _, cols in wanted:
        if isinstance(matrix, StoredMatrix) and cols is None and matrix.cols == dim:
            if isinstance(matrix.kind, Header) and matrix.kind.token == b"CM":
                yield matrix.kind, matrix.body, start


def _by_place(place: tuple[Any, ...]) -> tuple[int, int]:
    return id(place[0]), place[1]


def _stop(start: int, length: int | None, rows: int) -> int:
    stop = rows if length is None else start + length
    if not 0 <= start <= stop <= rows:
        raise InputError(f"frames {start} to {stop} of a matrix with {rows} frames")
    return stop
