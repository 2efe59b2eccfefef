"""Reading and writing Kaldi's matrices and vectors; features by memory map.

The functions have the names that users of the package kaldi_io know. A source is an
rxfilename, a target a wxfilename (see `dataset.kaldi_stream`), and both may be an open
binary stream. An rxfilename of a matrix may end in a range of rows and of columns, both
ends included: `feats.ark:1234[0:99,0:12]`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np

from dataset.compressed_matrix import compress as compress_mat
from dataset.errors import InputError
from dataset.feature_reader import FeatureReader
from dataset.kaldi_objects import (
    read_int_vector,
    read_matrix,
    read_matrix_body,
    read_vector,
    read_vector_body,
    write_int_vector,
    write_matrix,
    write_matrix_body,
    write_vector,
    write_vector_body,
)
from dataset.kaldi_range import split_range, take_range
from dataset.kaldi_stream import (
    Source,
    Stream,
    describe,
    located,
    open_or_fd,
    split_offset,
)
from dataset.kaldi_tokens import (
    decode_word,
    expect_token,
    read_binary_flag,
    read_float,
    read_int32,
    read_key,
    read_token,
    write_binary_flag,
    write_float,
    write_int32,
    write_token,
)

# What is only passed on from here, for code that reads formats of its own (PLDA).
__all__ = [
    "FeatureReader",
    "compress_mat",
    "expect_token",
    "open_or_fd",
    "read_binary_flag",
    "read_float",
    "read_int32",
    "read_matrix_body",
    "read_token",
    "read_vector_body",
    "write_binary_flag",
    "write_float",
    "write_int32",
    "write_matrix_body",
    "write_token",
    "write_vector_body",
]

Value = TypeVar("Value")
Entries = Iterator[tuple[str, np.ndarray]]


# One object.


def read_mat(source: Source, key: str = "") -> np.ndarray:
    """Reads a matrix [rows, cols]: float32, or float64 if it is stored so.

    Raises:
        InputError: it cannot be read; the message has the source, and `key` if given.
    """
    return read_object(source, read_matrix, key)


def read_vec_flt(source: Source, key: str = "") -> np.ndarray:
    """Reads a vector [dim]: float32, or float64 if it is stored so."""
    return read_object(source, read_vector, key)


def read_vec_int(source: Source, key: str = "") -> np.ndarray:
    """Reads a vector of integers, int32 [dim]."""
    return read_object(source, read_int_vector, key)


def read_object(source: Source, read: Callable[[Stream], Any], key: str = "") -> Any:
    """Reads one object with `read`, and takes the range that the source asks for.

    Raises:
        InputError: it cannot be read; the message has the source, and `key` if given.
    """
    extent = None
    if isinstance(source, (str, os.PathLike)):
        source, extent = split_range(os.fspath(source))
    with located(_entry(key)), open_or_fd(source) as stream, located(describe(source)):
        value = read(stream)
        return take_range(value, extent) if extent is not None else value


def _entry(key: str) -> str:
    return f"key {key}" if key else ""


def write_mat(
    target: Source,
    matrix: np.ndarray,
    key: str = "",
    binary: bool = True,
    compression_method: int | None = None,
) -> None:
    """Writes a matrix, after its key if there is one.

    Args:
        target: a wxfilename or a stream. A file is there only when it is complete.
        matrix: [rows, cols]; float64 is stored as such, all else as float32.
        key: makes it an entry of an archive.
        binary: else text.
        compression_method: 1 to 7, see `compress_mat`; for binary only.
    """
    with _open_entry(target, key) as stream:
        write_matrix(stream, matrix, binary, compression_method)


def write_vec_flt(
    target: Source, vector: np.ndarray, key: str = "", binary: bool = True
) -> None:
    """Writes a vector; float64 is stored as such, all else as float32."""
    with _open_entry(target, key) as stream:
        write_vector(stream, vector, binary)


def write_vec_int(
    target: Source, vector: np.ndarray, key: str = "", binary: bool = True
) -> None:
    """Writes a vector of integers."""
    with _open_entry(target, key) as stream:
        write_int_vector(stream, vector, binary)


@contextlib.contextmanager
def _open_entry(target: Source, key: str) -> Iterator[Stream]:
    with open_or_fd(target, "wb") as stream:
        if key:
            write_token(stream, key)
        yield stream


# Archives and scripts.


def read_mat_ark(source: Source) -> Entries:
    """The matrices of an archive, one after the other: (key, float [rows, cols])."""
    return _read_ark(source, read_matrix)


def read_vec_flt_ark(source: Source) -> Entries:
    """The vectors of an archive: (key, float [dim])."""
    return _read_ark(source, read_vector)


def read_vec_int_ark(source: Source) -> Entries:
    """The integer vectors of an archive: (key, int32 [dim])."""
    return _read_ark(source, read_int_vector)


def read_mat_scp(source: Source) -> Entries:
    """The matrices that the lines `key rxfilename` of a script file point to."""
    return _read_scp(source, read_matrix)


def read_vec_flt_scp(source: Source) -> Entries:
    """The vectors that a script file points to."""
    return _read_scp(source, read_vector)


def read_vec_int_scp(source: Source) -> Entries:
    """The integer vectors that a script file points to."""
    return _read_scp(source, read_int_vector)


def _read_ark(source: Source, read: Callable[[Stream], Any]) -> Entries:
    with open_or_fd(source) as stream:
        yield from read_entries(stream, read, describe(source))


def read_entries(
    stream: Stream, read: Callable[[Stream], Value], where: str
) -> Iterator[tuple[str, Value]]:
    """The entries of an open archive; `where` is what errors call it."""
    last = ""
    while True:
        place = f", after key {last}" if last else ""
        try:  # an entry is read in microseconds: no context manager for each
            if (key := read_key(stream)) is None:
                return
            place = f", key {key}"
            value = read(stream)
        except InputError as error:
            raise type(error)(f"{where}{place}: {error}") from None
        last = key
        yield key, value


def _read_scp(source: Source, read: Callable[[Stream], Any]) -> Entries:
    with open_or_fd(source) as stream, ObjectReader(read) as reader:
        for key, rxfilename in read_script(stream, describe(source)):
            yield key, reader.read(rxfilename, key)


def read_script(stream: Stream, where: str) -> Iterator[tuple[str, str]]:
    """The lines `key rxfilename` of an open script file; blank lines do no harm."""
    for number, line in enumerate(stream, 1):
        words = line.strip().split(None, 1)
        with located(f"{where}:{number}"):
            if len(words) == 1:
                word = decode_word(words[0])
                raise InputError(f"expected 'key rxfilename', got '{word[:80]}'")
            key = decode_word(words[0]) if words else ""
        if words:
            yield key, os.fsdecode(words[1])  # a file's name may be any bytes


class ObjectReader:
    """Reads objects by rxfilename, and keeps the archive it last read from open.

    The lines of a script file mostly point into one archive after the other.
    """

    def __init__(self, read: Callable[[Stream], Any]) -> None:
        self._read = read
        self._path = ""
        self._archive = contextlib.ExitStack()
        self._stream: Stream | None = None

    def __enter__(self) -> ObjectReader:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the archive."""
        self._archive.close()
        self._path, self._stream = "", None

    def read(self, rxfilename: str, key: str = "") -> Any:
        """The object there.

        Raises:
            InputError: it cannot be read.
        """
        name, extent = split_range(rxfilename)
        path, offset = split_offset(name)
        if path == name:
            return read_object(rxfilename, self._read, key)
        with located(_entry(key)):
            stream = self._open(path)
            with located(rxfilename):
                value = self._read_at(stream, offset)
                return take_range(value, extent) if extent is not None else value

    def _open(self, path: str) -> Stream:
        if self._stream is None or path != self._path:
            self.close()
            self._stream = self._archive.enter_context(open_or_fd(path))
            self._path = path
        return self._stream

    def _read_at(self, stream: Stream, offset: int) -> Any:
        try:
            stream.seek(offset)
        except OSError as error:
            raise InputError(f"cannot go to byte {offset}: {error.strerror}") from None
        try:
            return self._read(stream)
        except InputError:
            end = stream.seek(0, os.SEEK_END)
            if offset < end:
                raise
            raise InputError(
                f"nothing at byte {offset}: the file ends at {end}"
            ) from None
