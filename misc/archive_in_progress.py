"""An archive that has its name only once it is complete, and can be gone on with.

Until then it is `<archive>.part`; beside it `<archive>.part.made` says what is made.
After an interruption both stay: a second try may keep the whole entries and add the
others.
"""

from __future__ import annotations

import contextlib
import logging
import os
from types import TracebackType
from typing import Any, BinaryIO

from dataset.errors import InputError
from dataset.kaldi_io import read_entries
from dataset.kaldi_kinds import KINDS
from dataset.kaldi_specifier import parse_wspecifier
from dataset.kaldi_stream import is_pipe
from misc.whole_files import write_text

_log = logging.getLogger("archive")


def archive_files(wspecifier: str) -> tuple[str, str] | None:
    """Archive and script file (perhaps empty) that a wspecifier names.

    None if it writes to a pipe, a device or a file for each key.
    """
    parsed = parse_wspecifier(wspecifier)
    if parsed is None or "ark" not in parsed.forms:
        return None
    archive, _, script = parsed.filename.partition(",")
    if "scp" not in parsed.forms:
        archive, script = parsed.filename, ""
    names = [archive, script] if script else [archive]
    if any(is_pipe(n) or n in ("", "-") or _is_special(n) for n in names):
        return None
    return archive, script


def is_complete(wspecifier: str) -> bool:
    """Whether the files of an earlier ArchiveInProgress have their names."""
    files = archive_files(wspecifier)
    return files is not None and all(os.path.exists(name) for name in files if name)


def _is_special(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


class ArchiveInProgress:
    """Writes the entries of `ark:archive` or `ark,scp:archive,script`.

    Used in a `with`: files get their names when it ends without an exception.

    Args:
        wspecifier: `archive_files` is not None; option t writes text.
        kind: as for TableWriter.
        made: how the entries are made, a line; what was begun otherwise is not gone on
            with.
        resume: keep the whole entries of an earlier try.

    Attributes:
        keys: of the entries there are.

    Raises:
        InputError: a file cannot be written; the earlier try was another one.
    """

    def __init__(
        self, wspecifier: str, kind: str, made: str = "", resume: bool = False
    ) -> None:
        files, parsed = archive_files(wspecifier), parse_wspecifier(wspecifier)
        if files is None or parsed is None:
            raise InputError(f"expected the archive of a file, got '{wspecifier}'")
        self._archive, self._script = files
        self._part, self._made = f"{self._archive}.part", f"{self._archive}.part.made"
        self._kind, self._binary = KINDS[kind], "t" not in parsed.options
        self.keys: dict[str, int] = {}
        self._end = self._keep_whole(made) if resume else 0
        self._stream: BinaryIO = open(self._part, "r+b" if self._end else "wb")
        self._stream.truncate(self._end)
        self._stream.seek(self._end)
        write_text(self._made, made + "\n")

    def __enter__(self) -> ArchiveInProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stream:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        if error is not None:
            _log.warning(
                "%s has %d entries; --resume goes on after them",
                self._part,
                len(self.keys),
            )
            return
        if self._script and os.path.exists(self._script):
            os.remove(self._script)  # it points into an older archive
        os.replace(self._part, self._archive)
        os.remove(self._made)
        if self._script:
            lines = [f"{k} {self._archive}:{at}\n" for k, at in self.keys.items()]
            write_text(self._script, "".join(lines))

    def write(self, key: str, value: Any) -> None:
        """Adds an entry.

        Raises:
            InputError: the key is there, or is no word.
        """
        if key.split() != [key]:
            raise InputError(f"'{key}' is no key: it must be one word")
        if key in self.keys:
            raise InputError(f"{self._archive}: key {key} comes twice")
        start = key.encode() + b" "
        self._stream.write(start)
        self.keys[key] = self._end + len(start)
        self._kind.write(self._stream, value, self._binary)
        self._stream.flush()  # so that a job that is killed loses no more than this
        self._end = self._stream.tell()

    def _keep_whole(self, made: str) -> int:
        """Finds the whole entries of an earlier try; where they end."""
        if not (os.path.exists(self._part) and os.path.exists(self._made)):
            return 0
        with open(self._made, encoding="utf-8") as text:
            if (earlier := text.read().rstrip("\n")) != made:
                raise InputError(
                    f"{self._part} was begun with {earlier}, now it is {made}: "
                    "start anew, without --resume"
                )
        end = 0
        with open(self._part, "rb") as stream:
            # An error is that of the entry that was being written.
            with contextlib.suppress(InputError):
                for key, _ in read_entries(stream, self._kind.read, self._part):
                    if not self._binary and not _line_ends(stream):
                        break
                    self.keys[key] = end + len(key.encode()) + 1
                    end = stream.tell()
        return end


def _line_ends(stream: BinaryIO) -> bool:
    """Whether a line's end was the last that was read."""
    stream.seek(-1, os.SEEK_CUR)
    return stream.read(1) == b"\n"
