#!/usr/bin/env python3
"""Makes a data directory of the Fisher English corpus, as the LDC ships it.

e.g.: local/make_data_from_fisher.py /ldc/LDC2004S13 /ldc/LDC2005S13 \\
          /ldc/LDC2004T19 /ldc/LDC2005T19 data/all

In the folders given, at any depth, are looked for:

    fe_03_<call>.sph           two channels of 8 kHz: LDC2004S13, LDC2005S13
    fe_03_<call>.txt           `7.38 8.78 A: words`: LDC2004T19, LDC2005T19
    fe_03_p[12]_calldata.tbl   CALL_ID, APIN, ASX.DL, BPIN, BSX.DL, ...: with these

An utterance is a line of a transcript. A speaker is a PIN with the sex that the
transcribers heard (`2602m`): the LDC says that a PIN was sometimes used by others, and
this parts the most obvious of them. Calls without a transcript, or the other way round,
are told of; a transcript whose call is not in the tables ends the program.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import NamedTuple

import recordings
from make_data_from_folder import files_below

from dataset.errors import InputError

RATE = 8000
_CALL = re.compile(r"fe_03_(\d{5})\.(sph|txt)")
_TABLE = re.compile(r"fe_03_p\d_calldata\.tbl")
_LINE = re.compile(r"(\d+\.?\d*) (\d+\.?\d*) ([AB]):")
_SIDES = "AB"

_log = logging.getLogger("recordings")


class Corpus(NamedTuple):
    """The files of a corpus: sounds and transcripts by call, and tables."""

    sounds: dict[str, str]
    transcripts: dict[str, str]
    tables: list[str]


def find_files(folders: list[str]) -> Corpus:
    """Looks through the folders.

    Raises:
        InputError: a folder is not there, a call has two files of a kind, or a kind has
            no files.
    """
    corpus = Corpus({}, {}, [])
    for folder in folders:
        if not os.path.isdir(folder):
            raise InputError(f"{folder}: no such folder")
        for path in files_below(folder):
            name = os.path.basename(path)
            if _TABLE.fullmatch(name):
                corpus.tables.append(path)
            elif match := _CALL.fullmatch(name):
                call, kind = match.groups()
                files = corpus.sounds if kind == "sph" else corpus.transcripts
                if call in files:
                    raise InputError(f"{path}: call {call} is also in {files[call]}")
                files[call] = path
    for files, what in zip(
        corpus,
        ("fe_03_<call>.sph", "fe_03_<call>.txt", "fe_03_p<n>_calldata.tbl"),
        strict=True,
    ):
        if not files:
            raise InputError(f"no files {what} in {' '.join(folders)}")
    return corpus


def read_speakers(tables: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """(call, side) -> (speaker, gender).

    Raises:
        InputError: names the file and the line.
    """
    speakers = {}
    for table in tables:
        with open(table, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            columns = {name.strip(): name for name in reader.fieldnames or []}
            needed = ("CALL_ID", "APIN", "ASX.DL", "BPIN", "BSX.DL")
            missing = [name for name in needed if name not in columns]
            if missing:
                raise InputError(f"{table}:1: no column {', '.join(missing)}")
            for row in reader:
                values = {name: row[columns[name]] or "" for name in needed}
                call = values["CALL_ID"].strip()
                for side in _SIDES:
                    pin = values[f"{side}PIN"].strip()
                    gender = values[f"{side}SX.DL"].strip()[:1].lower()
                    if not (call and pin and gender in ("m", "f")):
                        raise InputError(
                            f"{table}:{reader.line_num}: expected a call, and for "
                            f"side {side} a PIN and m or f, got '{call}', '{pin}', "
                            f"'{gender}'"
                        )
                    speakers[call, side] = (pin + gender, gender)
    return speakers


def read_transcript(path: str) -> Iterator[tuple[str, str, float, float]]:
    """File and line, side, first and last second of each utterance.

    Raises:
        InputError: names the line.
    """
    with open(path, encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = _LINE.match(line)
            if not match or not float(match[1]) < float(match[2]):
                raise InputError(
                    f"{path}:{number}: expected '<start> <end> A: words' with start < "
                    f"end, or B, got '{line.strip()[:60]}'"
                )
            yield f"{path}:{number}", match[3], float(match[1]), float(match[2])


def find_recordings(folders: list[str]) -> list[recordings.Utterance]:
    """The utterances of all calls that have a sound and a transcript.

    Raises:
        InputError: a file cannot be used; names it, and the line.
    """
    sounds, transcripts, tables = find_files(folders)
    speakers = read_speakers(tables)
    for files, others, what in (
        (sounds, transcripts, "transcript"),
        (transcripts, sounds, "sound file"),
    ):
        lacking = sorted(call for call in files if call not in others)
        if lacking:
            _log.warning(
                "%d calls have no %s: %s", len(lacking), what, " ".join(lacking[:5])
            )
    found = []
    for call in sorted(sounds.keys() & transcripts.keys()):
        for where, side, start, end in read_transcript(transcripts[call]):
            if (call, side) not in speakers:
                raise InputError(f"{where}: call {call} is in none of {tables}")
            speaker, gender = speakers[call, side]
            name = f"{call}-{side}-{round(100 * start):06d}-{round(100 * end):06d}"
            found.append(
                recordings.Utterance(
                    where=where,
                    path=sounds[call],
                    speaker=speaker,
                    name=name,
                    channel=_SIDES.index(side) + 1,
                    times=(start, end),
                    gender=gender,
                )
            )
    if not found:
        raise InputError(f"{' '.join(folders)}: no call with sound and transcript")
    return found


def main() -> int:
    """The data directory, or 1 and one line on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    recordings.add_arguments(parser)
    parser.set_defaults(rate=RATE)
    parser.add_argument("folder", nargs="+")
    parser.add_argument("data_dir")
    return recordings.run(parser, lambda args: find_recordings(args.folder))


if __name__ == "__main__":
    sys.exit(main())
