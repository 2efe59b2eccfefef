"""Kaldi's tables: sequences of (key, value) named by rspecifiers and wspecifiers.

`ark:...` is an archive, the values one after the other, and `scp:...` a script file of
lines `key rxfilename`; options stand before the colon: `ark,s,cs:-`, `ark,t:out.txt`,
`ark,scp:feats.ark,feats.scp`. (Kaldi: src/util/kaldi-table.cc, kaldi-table-inl.h.)

Where we depart: blank lines in a script file are passed over, and a command in a pipe
that fails ends the reading with an error, where Kaldi warns.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from typing import Any, TypeVar

from dataset.errors import BrokenArchive, InputError
from dataset.kaldi_io import ObjectReader, read_entries, read_script
from dataset.kaldi_kinds import KINDS
from dataset.kaldi_specifier import (
    Specifier,
    are_tables,
    is_rspecifier,
    is_wspecifier,
    parse_rspecifier,
    parse_wspecifier,
)
from dataset.kaldi_stream import Stream, is_pipe, located, open_or_fd

__all__ = [
    "RandomAccessReader",
    "SequentialReader",
    "TableWriter",
    "are_tables",
    "is_rspecifier",
    "is_wspecifier",
]

Self = TypeVar("Self")

_log = logging.getLogger("kaldi")


class _Table:
    """What readers and writers share: a specifier and the files opened for it."""

    def __init__(self, specifier: str, parsed: Specifier | None, kind: str) -> None:
        if parsed is None:
            raise InputError(
                f"expected a table such as ark:file or scp:file, got '{specifier}'"
            )
        self._name = specifier
        self._specifier = parsed
        self._kind_name = kind
        self._kind = KINDS[kind]
        self._open_files = contextlib.ExitStack()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the files and pipes.

        Raises:
            InputError: the command of a pipe failed.
        """
        self._open_files.close()

    def _has(self, option: str) -> bool:
        return option in self._specifier.options


class _Reader(_Table):
    """What the two readers share: the file is opened, and its entries can be read."""

    def __init__(self, rspecifier: str, kind: str) -> None:
        super().__init__(rspecifier, parse_rspecifier(rspecifier), kind)
        self._stream = self._open_files.enter_context(
            open_or_fd(self._specifier.filename)
        )
        self._objects = ObjectReader(self._kind.read)
        self._open_files.callback(self._objects.close)

    @property
    def _is_script(self) -> bool:
        return self._specifier.forms == ("scp",)

    def _read_archive(self) -> Iterator[tuple[str, Any]]:
        """All entries; with option p a damaged one is the end, with a warning."""
        try:
            with self._open_files:  # if a command failed, that is the error to report
                yield from read_entries(self._stream, self._kind.read, self._name)
        except InputError as error:
            if not self._has("p"):
                raise
            _log.warning("%s; nothing is read after this", error)

    def _read_script_line(self, key: str, rxfilename: str) -> Any:
        """The value; None, with a warning, if it is bad and option p is given."""
        try:
            if self._kind_name == "wave":  # whose pipes are run in this process
                with located(f"{self._name}, key {key}"):
                    return self._kind.read(rxfilename)
            return self._objects.read(rxfilename, key)
        except InputError as error:
            if not self._has("p"):
                raise
            _log.warning("%s; left out", error)
            return None


class SequentialReader(_Reader):
    """The entries (key, value) of a table, in order and once.

    Args:
        rspecifier: `ark:...` or `scp:...`; with option p bad entries of a script are
            left out, and a damaged archive ends early, with warnings.
        kind: "matrix" (float32 [rows, cols]), "vector" (float32 [dim]), "int_vector"
            (int32 [dim]), "int", "float", "double", "tokens" (list of words) or "wave"
            (Wave).

    Attributes:
        num_left_out: entries of a script that option p has left out so far.

    Raises:
        InputError: at once if the table cannot be opened, else in the iteration.
    """

    def __init__(self, rspecifier: str, kind: str) -> None:
        super().__init__(rspecifier, kind)
        self.num_left_out = 0
        self._entries = self._read_script() if self._is_script else self._read_archive()

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return self._entries

    def _read_script(self) -> Iterator[tuple[str, Any]]:
        with self._open_files:
            for key, rxfilename in read_script(self._stream, self._name):
                value = self._read_script_line(key, rxfilename)
                if value is None:
                    self.num_left_out += 1
                else:
                    yield key, value


class RandomAccessReader(_Reader):
    """The values of a table by key: `key in reader`, `reader[key]`.

    An archive is read as far as needed and what was read is kept, unless options allow
    to forget: o (each key is asked for once), s (its keys are sorted, so that a missing
    one is noticed early), s,cs (also the keys asked for are sorted).

    Raises:
        InputError: the table cannot be opened, or an entry not be read.
        BrokenArchive: an archive cannot be read any further, or breaks what the options
            promise.
    """

    def __init__(self, rspecifier: str, kind: str) -> None:
        super().__init__(rspecifier, kind)
        self._kept: dict[str, Any] = {}
        self._last_read = self._last_asked = ""
        self._script: dict[str, str] = {}
        if self._is_script:
            self._load_script()
        else:
            self._entries = self._read_archive()

    def __contains__(self, key: str) -> bool:
        if self._is_script and not self._has("p"):
            return key in self._script
        return self._find(key) is not None

    def __getitem__(self, key: str) -> Any:
        value = self._find(key)
        if value is None:
            raise InputError(f"{self._name}: no entry with key {key}")
        if self._has("o"):
            del self._kept[key]
        return value

    def _find(self, key: str) -> Any:
        if self._is_script:
            return self._find_by_script(key)
        try:
            return self._find_in_archive(key)
        except InputError as error:
            raise BrokenArchive(str(error)) from None

    def _load_script(self) -> None:
        for key, rxfilename in read_script(self._stream, self._name):
            if key in self._script:
                raise InputError(f"{self._name}: key {key} is there twice")
            self._script[key] = rxfilename

    def _find_by_script(self, key: str) -> Any:
        if key not in self._kept and key in self._script:
            value = self._read_script_line(key, self._script[key])
            self._kept = {key: value}  # the last one, for `in` is followed by []
        return self._kept.get(key)

    def _find_in_archive(self, key: str) -> Any:
        in_turn = self._has("s") and self._has("cs")
        if in_turn and key < self._last_asked:
            raise InputError(
                f"{self._name}: option cs promises sorted calls, but key {key} is "
                f"asked for after {self._last_asked}"
            )
        self._last_asked = key
        while key not in self._kept:
            if self._has("s") and key < self._last_read:
                return None
            if in_turn:
                self._kept.clear()
            entry = next(self._entries, None)
            if entry is None:
                return None
            self._keep(*entry)
        return self._kept[key]

    def _keep(self, key: str, value: Any) -> None:
        if key in self._kept:
            raise InputError(f"{self._name}: key {key} is there twice")
        if self._has("s") and key <= self._last_read:
            raise InputError(
                f"{self._name}: option s promises sorted keys, but {key} comes after "
                f"{self._last_read}; sort in the C locale (LC_ALL=C)"
            )
        self._last_read = key
        self._kept[key] = value


class TableWriter(_Table):
    """Writes the entries of a table.

    Args:
        wspecifier: `ark:...`, `ark,scp:archive,script`, or `scp:...`, a script file
            that names a file for each key; t for text, f to flush after each entry, p
            to leave out keys that are not in the script, with a warning.
        kind: as for SequentialReader.
        compression_method: for matrices, 1 to 7 as in `compressed_matrix.compress`;
            text is never compressed.

    Raises:
        InputError: a file cannot be opened, or the command of a pipe failed.
    """

    def __init__(
        self, wspecifier: str, kind: str, compression_method: int | None = None
    ) -> None:
        super().__init__(wspecifier, parse_wspecifier(wspecifier), kind)
        extra = () if compression_method is None else (compression_method,)
        self._arguments = (not self._has("t"), *extra)
        self._archive: Stream | None = None
        self._script: Stream | None = None
        self._targets: dict[str, str] = {}
        self._archive_name, self._position = self._specifier.filename, 0
        if self._specifier.forms == ("scp",):
            self._load_targets()
        else:
            self._open_archive()

    def _load_targets(self) -> None:
        with open_or_fd(self._specifier.filename) as stream:
            self._targets = dict(read_script(stream, self._name))

    def _open_archive(self) -> None:
        if "scp" in self._specifier.forms:
            self._archive_name, comma, script = self._specifier.filename.partition(",")
            no_file = is_pipe(self._archive_name) or self._archive_name in ("", "-")
            if no_file or not comma:
                raise InputError(
                    "expected ark,scp:archive,script, where the archive is a file, "
                    f"got '{self._name}'"
                )
        self._archive = self._open(self._archive_name)
        if "scp" in self._specifier.forms:
            self._script = self._open(script)

    def _open(self, wxfilename: str) -> Stream:
        return self._open_files.enter_context(open_or_fd(wxfilename, "wb", whole=False))

    def write(self, key: str, value: Any) -> None:
        """Writes an entry; if the value is not of its kind, nothing is written.

        Raises:
            InputError: the key is empty or has white space, or the value is wrong.
        """
        if key.split() != [key]:
            raise InputError(f"{self._name}: '{key}' is no key: it must be one word")
        content = io.BytesIO()
        with located(f"{self._name}, key {key}"):
            self._kind.write(content, value, *self._arguments)
        if self._archive is None:
            self._write_target(key, content.getbuffer())
        else:
            self._append(self._archive, key, content.getbuffer())

    def _write_target(self, key: str, content: memoryview) -> None:
        if key in self._targets:
            with open_or_fd(self._targets[key], "wb") as stream:
                stream.write(content)
        elif self._has("p"):
            _log.warning("%s: no file named for key %s; left out", self._name, key)
        else:
            raise InputError(f"{self._name}: no file named for key {key}")

    def _append(self, archive: Stream, key: str, content: memoryview) -> None:
        start = key.encode() + b" "
        archive.write(start)
        archive.write(content)
        if self._script is not None:
            offset = self._position + len(start)
            self._script.write(f"{key} {self._archive_name}:{offset}\n".encode())
        self._position += len(start) + len(content)
        if self._has("f"):
            archive.flush()
            if self._script is not None:
                self._script.flush()
