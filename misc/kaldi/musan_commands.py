"""steps/data/make_musan.sh: the MUSAN corpus as data directories."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator

from dataset.data_dir import write_speakers
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import Table, sort_table, write_table
from misc.kaldi.command import command, log, warn

RATE = 16000
"""The sampling rate of the corpus, in Hz."""


@dataclasses.dataclass(frozen=True)
class MakeMusanOptions:
    """Options of make_musan.sh."""

    sampling_rate: int = option(RATE, "Resample to this by sox; 16000: as it is")
    use_vocals: bool = option(True, "Take music with singing, too")


@command(
    "make_musan.sh",
    """
Makes data directories of MUSAN (Snyder, Chen, Povey: MUSAN, a music, speech, and noise
corpus, 2015): <data-dir>/musan_speech, musan_music, musan_noise and, of all, musan.

Usage: make_musan.sh [options] <musan-dir> <data-dir>
e.g.: steps/data/make_musan.sh --sampling-rate 16000 /corpora/musan data
""",
    MakeMusanOptions,
    (2, 2),
)
def make_musan(options: MakeMusanOptions, corpus: str, destination: str) -> int:
    """The script make_musan.sh."""
    everything: Table = {}
    missing = 0
    for kind in ("speech", "music", "noise"):
        folder = os.path.join(corpus, kind)
        if not os.path.isdir(folder):
            raise InputError(f"{folder} is missing: is {corpus} the MUSAN corpus?")
        sounds = dict(_sounds(folder))
        if kind == "music":
            sounds, without = _music(folder, sounds, options.use_vocals)
            missing += without
        if not sounds:
            raise InputError(f"{folder} has no wav files")
        table = {
            os.fsencode(name): _entry(path, options.sampling_rate)
            for name, path in sounds.items()
        }
        _write(os.path.join(destination, f"musan_{kind}"), table)
        everything |= table
        log(f"{destination}/musan_{kind}: {len(table)} recordings")
    _write(os.path.join(destination, "musan"), everything)
    log(f"{len(everything)} recordings; {missing} that are annotated were missing")
    return 0


def _sounds(folder: str) -> Iterator[tuple[str, str]]:
    """Name and path of each wav file below a folder."""
    for root, _, files in os.walk(folder):
        for file in files:
            name, suffix = os.path.splitext(file)
            if suffix == ".wav":
                yield name, os.path.join(root, file)


def _music(
    folder: str, sounds: dict[str, str], use_vocals: bool
) -> tuple[dict[str, str], int]:
    """The annotated pieces, and how many of these have no sound file.

    The files ANNOTATIONS have lines `name genre has-vocals musician`.
    """
    pieces, missing = {}, 0
    for root, _, files in os.walk(folder):
        if "ANNOTATIONS" not in files:
            continue
        path = os.path.join(root, "ANNOTATIONS")
        with open(path, encoding="utf-8") as stream:
            rows = [line.split() for line in stream if line.strip()]
        for row in rows:
            if len(row) < 3:
                raise InputError(f"{path}: expected 'name genre vocals ...': {row}")
            if row[0] not in sounds:
                warn(f"{path}: {row[0]} has no wav file")
                missing += 1
            elif use_vocals or row[2] != "Y":
                pieces[row[0]] = sounds[row[0]]
    return pieces, missing


def _entry(path: str, rate: int) -> bytes:
    if rate == RATE:
        return os.fsencode(path)
    return os.fsencode(f"sox -t wav {shlex.quote(path)} -r {rate} -t wav - |")


def _write(directory: str, table: Table) -> None:
    """Each recording is a speaker of its own."""
    os.makedirs(directory, exist_ok=True)
    table = sort_table(table)
    write_table(os.path.join(directory, "wav.scp"), table)
    write_speakers(directory, {name: name for name in table})
