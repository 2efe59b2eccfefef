"""What the corpora of the LDC have in common: SPHERE files, lists, sides of calls."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import NamedTuple

from dataset.data_dir import write_speakers
from dataset.errors import InputError
from dataset.text_table import sort_table, write_table

_logger = logging.getLogger("prepare")
_SHOWN = 10
SIDES = {"A": 1, "B": 2, "a": 1, "b": 2}
"""Channel of a side of a call."""


class Side(NamedTuple):
    """An utterance: one channel, 1 or 2, of the recording called `recording`."""

    key: str
    speaker: str
    recording: str
    channel: int
    gender: str = ""


def find_recordings(*folders: str) -> dict[str, str]:
    """SPHERE files below folders: name up to its first dot -> path.

    Raises:
        InputError: a folder is missing, or none has such a file.
    """
    found: dict[str, str] = {}
    twice = 0
    for folder in folders:
        if not os.path.isdir(folder):
            raise InputError(f"no such folder: {folder}")
        for place, names, files in os.walk(os.path.abspath(folder), followlinks=True):
            names.sort()
            for name in sorted(files):
                if name.lower().endswith(".sph"):
                    path = os.path.join(place, name)
                    twice += found.setdefault(name.split(".")[0], path) != path
    if not found:
        raise InputError(f"no .sph files below {' and '.join(folders)}")
    if twice:
        _logger.warning(
            "%s: %d files have the name of another one; the first of each is taken",
            *(", ".join(folders), twice),
        )
    return found


def read_rows(
    path: str, num_fields: int, separator: str | None = None
) -> Iterator[list[str]]:
    """Fields of the lines of a list; at least num_fields each.

    Raises:
        InputError: the list is missing, empty, or has a line with fewer fields.
    """
    number = 0
    try:
        with open(path, encoding="latin-1") as stream:
            for number, line in enumerate(stream, 1):
                fields = [field.strip() for field in line.rstrip().split(separator)]
                if not any(fields):
                    continue
                if len(fields) < num_fields:
                    raise InputError(
                        f"{path}:{number}: expected {num_fields} fields or more, got "
                        f"'{line.strip()}'"
                    )
                yield fields
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    if not number:
        raise InputError(f"{path} is empty")


def channel_of(side: str, where: str) -> int:
    """The channel of side A or B, also a or b."""
    if side not in SIDES:
        raise InputError(f"{where}: expected a side A or B, got '{side}'")
    return SIDES[side]


def gender_of(letter: str, where: str) -> str:
    """`f` or `m`."""
    if letter.lower() not in ("f", "m"):
        raise InputError(f"{where}: expected a gender F or M, got '{letter}'")
    return letter.lower()


def write_data_dir(
    target: str,
    sides: Iterable[Side],
    recordings: Mapping[str, str],
    wanted: Callable[[Side], bool] = lambda side: True,
) -> set[str]:
    """Writes wav.scp, utt2spk, spk2utt and, where genders are known, spk2gender.

    Args:
        target: the data directory.
        sides: utterances; the same one may come again.
        recordings: by `find_recordings`.
        wanted: what is to be written of them.

    Returns:
        The keys that are written. Those whose recording is missing are left out, with
        a warning.

    Raises:
        InputError: nothing is left, or a key stands for two utterances.
    """
    kept: dict[str, Side] = {}
    missing: dict[str, None] = {}
    for side in filter(wanted, sides):
        if side.recording not in recordings:
            missing[side.recording] = None
        elif kept.setdefault(side.key, side)[:-1] != side[:-1]:  # but for the gender
            raise InputError(
                f"{target}: {side.key} comes twice: {kept[side.key]} and {side}"
            )
    for name in list(missing)[:_SHOWN]:
        _logger.warning("%s: left out, as there is no %s.sph", target, name)
    if not kept:
        raise InputError(
            f"{target}: none of the listed recordings is there ({len(missing)} are "
            "missing): are lists and sound files of one corpus?"
        )
    genders: dict[str, str] = {}
    for side in kept.values():
        if side.gender and genders.setdefault(side.speaker, side.gender) != side.gender:
            _logger.warning("%s: speaker %s is both f and m", target, side.speaker)
    os.makedirs(target, exist_ok=True)
    pipes = {s.key: pipe(recordings[s.recording], s.channel) for s in kept.values()}
    _write(target, "wav.scp", pipes)
    if genders:
        _write(target, "spk2gender", genders)
    write_speakers(
        target,
        sort_table({os.fsencode(s.key): os.fsencode(s.speaker) for s in kept.values()}),
    )
    _logger.info(
        "%s: %d utterances of %d speakers; %d recordings missing",
        *(target, len(kept), len({s.speaker for s in kept.values()}), len(missing)),
    )
    return set(kept)


def pipe(path: str, channel: int) -> str:
    """The entry of wav.scp for a channel of a SPHERE file."""
    return f"sph2pipe -f wav -p -c {channel} {shlex.quote(path)} |"


def write_trials(
    path: str,
    trials: Iterable[tuple[str, str, str]],
    models: Container[str],
    utterances: Container[str],
) -> list[bool]:
    """Writes lines `model utterance target|nontarget` of the models and utterances
    that are there; says how many others are left out.

    Returns:
        Of each trial, whether it is written.

    Raises:
        InputError: a trial has another label, or targets or nontargets are lacking.
    """
    rows: list[str] = []
    written: list[bool] = []
    kinds = set()
    for model, utterance, kind in trials:
        if kind not in ("target", "nontarget"):
            raise InputError(
                f"{path}: {model} {utterance}: target or nontarget, not '{kind}'?"
            )
        written.append(model in models and utterance in utterances)
        if not written[-1]:
            continue
        kinds.add(kind)
        rows.append(f"{model} {utterance} {kind}\n")
    without = written.count(False)
    if len(kinds) < 2:
        raise InputError(
            f"{path}: needs targets and nontargets, got {len(rows)} trials with "
            f"{' and '.join(kinds) or 'neither'}; {without} are without sound files"
        )
    write_lines(path, rows)
    _logger.info("%s: %d trials", path, len(rows))
    if without:
        _logger.warning("%s: %d trials are left out: no sound file", path, without)
    return written


def write_lines(path: str, lines: Iterable[str]) -> None:
    """Writes a text file whole; the lines end in newlines."""
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        stream.writelines(lines)
    os.replace(path + ".tmp", path)


def run(prepare: Callable[[], None]) -> int:
    """Runs a program: what it cannot use is told in one line, with status 1."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        prepare()
    except InputError as error:
        _logger.error("%s", error)
        return 1
    return 0


def _write(target: str, name: str, table: Mapping[str, str]) -> None:
    encoded = {os.fsencode(key): os.fsencode(value) for key, value in table.items()}
    write_table(os.path.join(target, name), sort_table(encoded))
