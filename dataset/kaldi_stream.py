"""Where Kaldi reads from and writes to: files, offsets, pipes, standard streams.

An rxfilename is `file`, `file:offset`, `command |` or `-`; a wxfilename is `file`,
`| command` or `-`. Streams are always binary. (Kaldi: src/util/kaldi-io.cc.)
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

from dataset.errors import InputError

Stream = IO[bytes]
Source = str | os.PathLike[str] | Stream
"""An rxfilename or wxfilename, or a stream that is already open."""

_log = logging.getLogger("kaldi")

_TABLE_PREFIX = re.compile(r"(?:ark|scp)(?:,(?:ark|scp|[a-z]{1,3}))*:")
_CHUNK = 1 << 24


def split_offset(rxfilename: str) -> tuple[str, int]:
    """`file:offset` as path and offset; the offset is 0 where there is none."""
    path, _, digits = rxfilename.rpartition(":")
    if path and digits.isdecimal() and digits.isascii() and len(digits) < 19:
        return path, int(digits)
    return rxfilename, 0


def is_pipe(filename: str) -> bool:
    """Whether this is `command |` or `| command`."""
    return filename[-1:] == "|" or filename[:1] == "|"


def printable(filename: str, mode: str = "rb") -> str:
    """How a file name appears in messages."""
    if filename in ("", "-"):
        return "standard input" if mode == "rb" else "standard output"
    return f"'{filename}'" if is_pipe(filename) else filename


@contextlib.contextmanager
def open_or_fd(
    file: Source, mode: str = "rb", *, whole: bool = True
) -> Iterator[Stream]:
    """Opens an rxfilename (`rb`) or wxfilename (`wb`) as a binary stream.

    Args:
        file: as in Kaldi, or an open binary stream, which is passed on and left open.
            A table prefix such as `ark:` is dropped, as in the package kaldi_io.
        mode: "rb" or "wb".
        whole: a written file appears under its name only once it is complete. False
            for archives, which others may follow while they grow.

    Raises:
        InputError: the file cannot be opened, or the command of a pipe failed: then
            the message has the command and its status, whatever else went wrong.
    """
    if not isinstance(file, (str, os.PathLike)):
        yield file
        return
    name = os.fspath(file)
    name = name[match.end() :] if (match := _TABLE_PREFIX.match(name)) else name
    name = name.strip()
    with _opener(name, mode, whole) as stream:
        yield stream


def _opener(
    name: str, mode: str, whole: bool
) -> contextlib.AbstractContextManager[Stream]:
    if mode not in ("rb", "wb"):
        raise ValueError(f"mode must be rb or wb, got {mode!r}")
    reading = mode == "rb"
    if name in ("", "-"):
        return _standard_input() if reading else _standard_output()
    if is_pipe(name):
        if reading == name.startswith("|"):
            wanted = (
                "'command |' to read from" if reading else "'| command' to write to"
            )
            raise InputError(f"expected {wanted}, got '{name}'")
        return _read_pipe(name[:-1]) if reading else _write_pipe(name[1:])
    if reading:
        return _open_input(name)
    if split_offset(name)[0] != name:
        raise InputError(f"cannot write to an offset in a file: {name}")
    if whole and _is_replaceable(name):
        return _replace_file(name)
    return _open_output(name)


def _open_input(name: str) -> Stream:
    path, offset = split_offset(name)
    try:
        stream = open(path, "rb")
        if offset:
            stream.seek(offset)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot open {name}: {_reason(error)}") from None
    return stream


class _NamedOutput(io.FileIO):
    """A file whose name is in the errors of writing to it, such as a full disk."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self.name) from None


def _open_output(path: str) -> Stream:
    try:
        return io.BufferedWriter(_NamedOutput(path, "wb"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot write {path}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _is_replaceable(path: str) -> bool:
    """False for devices and named pipes, which must be written in place."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode) and not path.startswith("/dev/")
    except (OSError, ValueError):
        return True


@contextlib.contextmanager
def _replace_file(path: str) -> Iterator[Stream]:
    target = os.path.realpath(path)  # a link stays a link
    temporary = f"{target}.tmp{os.getpid()}"
    stream = _open_output(temporary)
    try:
        with stream:
            yield stream
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


@contextlib.contextmanager
def _standard_input() -> Iterator[Stream]:
    yield sys.stdin.buffer


@contextlib.contextmanager
def _standard_output() -> Iterator[Stream]:
    yield sys.stdout.buffer
    sys.stdout.buffer.flush()


class _PipeEnd(io.RawIOBase):
    """The reading end of a pipe; remembers whether its end was seen."""

    def __init__(self, source: io.RawIOBase) -> None:
        self._source = source
        self.ended = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count = self._source.readinto(buffer)
        self.ended = self.ended or count == 0
        return count


def _start(command: str, **pipes: Any) -> subprocess.Popen[bytes]:
    shell = shutil.which("bash") or "/bin/sh"
    try:
        return subprocess.Popen([shell, "-c", command], bufsize=0, **pipes)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot run '{command.strip()}': {_reason(error)}") from None


@contextlib.contextmanager
def _read_pipe(command: str) -> Iterator[Stream]:
    process = _start(command, stdout=subprocess.PIPE)
    end = _PipeEnd(cast(io.RawIOBase, process.stdout))
    try:
        yield cast(Stream, io.BufferedReader(end, 1 << 16))
    finally:
        cast(Stream, process.stdout).close()
        status = process.wait()
        if status and end.ended:
            raise _failure(command, status)
        # We stopped reading before the end: dying of that is no failure.
        if status not in (0, -signal.SIGPIPE, 128 + signal.SIGPIPE):
            _log.warning("command '%s' %s", command.strip(), _describe(status))


@contextlib.contextmanager
def _write_pipe(command: str) -> Iterator[Stream]:
    process = _start(command, stdin=subprocess.PIPE)
    stream = io.BufferedWriter(cast(io.RawIOBase, process.stdin), 1 << 16)
    broken = False
    try:
        yield cast(Stream, stream)
    except BrokenPipeError:
        broken = True
    finally:
        try:
            stream.close()
        except BrokenPipeError:
            broken = True
        status = process.wait()
        if status:
            raise _failure(command, status)
    if broken:
        raise InputError(f"command '{command.strip()}' did not read all of its input")


def _failure(command: str, status: int) -> InputError:
    return InputError(f"command '{command.strip()}' {_describe(status)}")


def _describe(status: int) -> str:
    if status < 0:
        return f"was killed by signal {-status}"
    return f"failed with status {status}"


# What is in a stream.


def peek(stream: Stream) -> bytes:
    """The next byte, which stays to be read; empty at the end."""
    look_ahead = getattr(stream, "peek", None)
    if look_ahead is not None:
        return look_ahead(1)[:1]
    byte = stream.read(1)
    if byte:
        stream.seek(-1, os.SEEK_CUR)
    return byte


def read_exactly(stream: Stream, size: int, what: str) -> bytearray:
    """`size` bytes; memory is taken only as far as there is something to read.

    Raises:
        InputError: the stream ends before that.
    """
    data = bytearray(stream.read(min(size, _CHUNK)))
    while len(data) < size:
        chunk = stream.read(min(size - len(data), _CHUNK))
        if not chunk:
            raise InputError(
                f"truncated: expected {size} bytes of {what}, got {len(data)}"
            )
        data += chunk
    return data


# Where an error happened.


@contextlib.contextmanager
def located(where: str) -> Iterator[None]:
    """Puts where it happened before the message of an InputError; empty: nothing."""
    try:
        yield
    except InputError as error:
        if where:
            error.args = (f"{where}: {error}",)
        raise


def describe(source: Source) -> str:
    """How a source appears in messages."""
    if isinstance(source, (str, os.PathLike)):
        return printable(os.fspath(source))
    return str(getattr(source, "name", "stream"))
