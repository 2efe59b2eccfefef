"""Kaldi's text tables: files of lines `key value`, one key to a line.

Ids are bytes and sort as bytes (the C locale, as all of Kaldi expects), so nothing is
decoded. Only the standard library: text filters must start at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import BinaryIO

from dataset.errors import InputError

Table = dict[bytes, bytes]
Fault = Callable[[str, int, bytes], None]


def show(text: bytes) -> str:
    """Bytes of a table as they may stand in a message."""
    return text.decode("utf-8", "replace")


def read_table(path: str, fault: Fault | None = None) -> Table:
    """Reads a table in the order of its lines.

    Args:
        path: the file; in one named `text` a line may lack the value.
        fault: called with what is wrong, the line's number and its key. A line that is
            empty, has no value or repeats a key is then left out, a CR LF is mended.

    Raises:
        InputError: there is no such file, or, without `fault`, a line is malformed.
    """
    note = fault or _refuse(path)
    needs_value = os.path.basename(path) != "text"
    table: Table = {}
    with _open(path) as stream:
        for number, line in enumerate(stream, 1):
            fields = line.split(None, 1)
            if not fields:
                note("empty line", number, b"")
                continue
            key = fields[0]
            if len(fields) < 2 and needs_value:
                note("no value", number, key)
                continue
            if line.endswith(b"\r\n"):
                note("line ends in CR LF", number, key)
            if key in table:
                note("repeated key", number, key)
                continue
            table[key] = fields[1].rstrip() if len(fields) == 2 else b""
    return table


def read_utt2spk(path: str) -> Table:
    """Reads a table whose values are single words.

    Raises:
        InputError: as for read_table(), or a line does not consist of two words.
    """
    utt2spk = read_table(path)
    for number, (utterance, speaker) in enumerate(utt2spk.items(), 1):
        if len(speaker.split()) != 1:
            raise InputError(
                f"{path}:{number}: expected 'utterance speaker', "
                f"got '{show(utterance)} {show(speaker)}'"
            )
    return utt2spk


def read_numbers(path: str) -> Table:
    """Reads a table whose values are seconds or counts, and leaves them as they are.

    Raises:
        InputError: as for read_table(), or a value is not a number from zero on.
    """
    table = read_table(path)
    for number, (key, value) in enumerate(table.items(), 1):
        try:
            fine = 0 <= float(value) < float("inf")
        except ValueError:
            fine = False
        if not fine:
            raise InputError(
                f"{path}:{number}: {show(key)}: expected a number, got '{show(value)}'"
            )
    return table


def read_ids(path: str) -> dict[bytes, None]:
    """The first word of each line, in order; '-' is the standard input."""
    ids: dict[bytes, None] = {}
    with _open("/dev/stdin" if path == "-" else path) as stream:
        for number, line in enumerate(stream, 1):
            fields = line.split(None, 1)
            if not fields:
                raise InputError(f"{path}:{number}: expected an id, got an empty line")
            ids[fields[0]] = None
    return ids


def write_table(path: str, table: Mapping[bytes, bytes]) -> None:
    """Writes a table in the order given; the file appears whole or not at all."""
    write_lines(path, (b"%b %b\n" % entry for entry in table.items()))


def write_lines(path: str, lines: Iterable[bytes]) -> None:
    """Writes a file that appears whole or not at all, unless it is a pipe or device.

    Raises:
        InputError: it cannot be written.
    """
    try:
        _write_lines(path, lines)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write {path}: {reason}") from None


def _write_lines(path: str, lines: Iterable[bytes]) -> None:
    if path.startswith("/dev/") or (os.path.exists(path) and not os.path.isfile(path)):
        with open(path, "wb") as stream:
            stream.writelines(lines)
        return
    path = os.path.realpath(path)  # a link stays a link
    temporary = f"{path}.tmp{os.getpid()}"
    try:
        with open(temporary, "wb") as stream:
            stream.writelines(lines)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.unlink(temporary)


def sort_table(table: Mapping[bytes, bytes]) -> Table:
    """The same entries, sorted by key."""
    keys = sorted(table)
    return dict(zip(keys, map(table.__getitem__, keys), strict=True))


def spk2utt_from(utt2spk: Mapping[bytes, bytes]) -> Table:
    """Speakers in order of appearance, each with its utterances."""
    utterances: dict[bytes, list[bytes]] = {}
    for utterance, speaker in utt2spk.items():
        utterances.setdefault(speaker, []).append(utterance)
    return {speaker: b" ".join(own) for speaker, own in utterances.items()}


def utt2spk_from(spk2utt: Mapping[bytes, bytes]) -> Table:
    """Utterances in order of appearance, each with its speaker.

    Raises:
        InputError: an utterance belongs to two speakers.
    """
    utt2spk: Table = {}
    for speaker, utterances in spk2utt.items():
        for utterance in utterances.split():
            if utterance in utt2spk:
                raise InputError(
                    f"utterance {show(utterance)} belongs to two speakers, "
                    f"{show(utt2spk[utterance])} and {show(speaker)}"
                )
            utt2spk[utterance] = speaker
    return utt2spk


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _refuse(path: str) -> Fault:
    def fault(what: str, number: int, key: bytes) -> None:
        raise InputError(
            f"{path}:{number}: {what}{' (' + show(key) + ')' if key else ''}; "
            "utils/fix_data_dir.sh mends or drops such lines"
        )

    return fault
