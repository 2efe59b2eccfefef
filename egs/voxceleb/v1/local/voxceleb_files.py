"""The files of VoxCeleb1 and VoxCeleb2, in whatever of the published layouts.

    .../id10001/1zcIwhmdeo4/00001.wav                 since 2018, both corpora
    .../A.J._Buckley/1zcIwhmdeo4_0000001.wav          VoxCeleb1 of 2017
    veri_test.txt, list_test_all2.txt, ...            lists of trials

The folders above do not matter, but for `dev` and `test` in their names (dev/aac,
vox1_test_wav, ...). Keys are <id>-<video>-<00001> for both layouts, so that each list
goes with each. Sound may be wav, flac or m4a.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import NamedTuple

from dataset.errors import InputError

SUFFIXES = (".wav", ".flac", ".m4a")
"""Kinds of sound files; of a recording that is there twice, the first is taken."""

_ID = re.compile(r"id\d{5}")
_PART = re.compile(r"(?:^|[_-])(dev|test)(?:[_-]|$)")
_FLAT_NAME = re.compile(r"(.{11})_(\d{7})")  # video and segment
_DEEPEST = 6  # folders between the corpus and its speakers


class Found(NamedTuple):
    """A recording: its key begins with the speaker's id."""

    key: str
    path: str
    part: str  # dev, test, or empty where no folder's name tells


class Metadata(NamedTuple):
    """What vox1_meta.csv or vox2_meta.csv says."""

    path: str  # empty: there is none
    ids: dict[str, str]  # by the speaker's name (VGGFace ID)
    parts: dict[str, str]  # dev or test, by the speaker's id


def find_file(corpus: str, names: tuple[str, ...]) -> str | None:
    """The first of these files that is in the corpus' folder, or in one right below."""
    if not os.path.isdir(corpus):
        raise InputError(f"{corpus}: no such folder")
    folders = [corpus, *(e.path for e in os.scandir(corpus) if e.is_dir())]
    for name in names:
        for folder in sorted(folders):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                return path
    return None


def read_metadata(corpus: str, name: str) -> Metadata:
    """Reads the table of a corpus' speakers, if it is there.

    Both have a header, the id first, the name (VGGFace ID) second, the set last; that
    of VoxCeleb1 is divided by tabs, that of VoxCeleb2 by commas.

    Raises:
        InputError: a line that is no such row.
    """
    path = find_file(corpus, (name,))
    if path is None:
        return Metadata("", {}, {})
    ids, parts = {}, {}
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            fields = [field.strip() for field in re.split("[\t,]", line)]
            if number == 1 and fields[0].startswith("VoxCeleb"):
                continue
            if not _ID.fullmatch(fields[0]) or fields[-1] not in ("dev", "test"):
                raise InputError(
                    f"{path}:{number}: expected 'id name ... dev|test', divided by "
                    f"tabs or commas, got '{line.strip()}'"
                )
            ids[fields[1]], parts[fields[0]] = fields[0], fields[-1]
    return Metadata(path, ids, parts)


def find_recordings(corpus: str, metadata: Metadata) -> Iterator[Found]:
    """All recordings below a folder, in no order.

    Raises:
        InputError: the folder is missing; a speaker's name is not in the metadata.
    """
    if not os.path.isdir(corpus):
        raise InputError(f"{corpus}: no such folder")
    corpus = os.path.abspath(corpus)
    yield from _walk(corpus, _part(os.path.basename(corpus), ""), metadata, _DEEPEST)


def _walk(folder: str, part: str, metadata: Metadata, depth: int) -> Iterator[Found]:
    speaker = ""
    for entry in os.scandir(folder):
        if entry.is_dir():
            if _ID.fullmatch(entry.name):
                yield from _speaker(entry.path, entry.name, part)
            elif depth > 0 and not entry.name.startswith("."):
                below = _part(entry.name, part)
                yield from _walk(entry.path, below, metadata, depth - 1)
        elif found := _flat(entry.name):
            speaker = speaker or _speaker_id(folder, metadata)
            yield Found(f"{speaker}-{found}", entry.path, part)


def _part(name: str, otherwise: str) -> str:
    match = _PART.search(name)
    return match[1] if match else otherwise


def _speaker(folder: str, speaker: str, part: str) -> Iterator[Found]:
    """The recordings of a folder named by a speaker's id."""
    for entry in os.scandir(folder):
        if entry.is_dir():
            video = f"{speaker}-{entry.name}-"
            for name in os.listdir(entry.path):
                stem, suffix = os.path.splitext(name)
                if suffix in SUFFIXES and stem.isdecimal():
                    yield Found(video + stem, f"{entry.path}/{name}", part)
        elif found := _flat(entry.name):
            yield Found(f"{speaker}-{found}", entry.path, part)


def _flat(name: str) -> str:
    """`1zcIwhmdeo4_0000001.wav` as `1zcIwhmdeo4-00001`; empty if it is no such name."""
    stem, suffix = os.path.splitext(name)
    match = _FLAT_NAME.fullmatch(stem) if suffix in SUFFIXES else None
    return f"{match[1]}-{match[2][2:]}" if match else ""


def _speaker_id(folder: str, metadata: Metadata) -> str:
    name = os.path.basename(folder)
    if name in metadata.ids:
        return metadata.ids[name]
    if metadata.path:
        raise InputError(f"{folder}: no speaker '{name}' in {metadata.path}")
    raise InputError(
        f"{folder}: named by the speaker, as in the VoxCeleb1 of 2017; put "
        "vox1_meta.csv, which has the ids, into the corpus' folder"
    )


def read_trials(path: str, metadata: Metadata) -> dict[tuple[str, str], str]:
    """A list of trials: 'target' or 'nontarget' by the keys of its recordings.

    Lines are `1|0 <recording> <recording>`, each <id>/<video>/<00001>.wav or, in the
    list of 2017, <name>/<video>_<0000001>.wav. A trial that comes twice is kept once.

    Raises:
        InputError: a line of another kind; a name that is not in the metadata; a
            trial that is both.
    """
    keys: dict[str, str] = {}
    trials: dict[tuple[str, str], str] = {}
    with open(path, encoding="utf-8") as stream:
        for number, line in enumerate(stream, 1):
            fields = line.split()
            if len(fields) != 3 or fields[0] not in ("0", "1"):
                raise InputError(
                    f"{path}:{number}: expected '1 file file' or '0 file file', got "
                    f"'{line.strip()}'"
                )
            for file in fields[1:]:
                if file not in keys:
                    keys[file] = _key(file, metadata, f"{path}:{number}")
            pair = keys[fields[1]], keys[fields[2]]
            kind = "target" if fields[0] == "1" else "nontarget"
            if trials.setdefault(pair, kind) != kind:
                raise InputError(
                    f"{path}:{number}: a target here, none in a line before"
                )
    return trials


def _key(file: str, metadata: Metadata, where: str) -> str:
    parts = os.path.splitext(file)[0].split("/")
    if len(parts) == 3 and _ID.fullmatch(parts[0]):
        return "-".join(parts)
    if len(parts) == 2 and (found := _flat(os.path.basename(file))):
        if _ID.fullmatch(parts[0]):
            return f"{parts[0]}-{found}"
        return f"{_speaker_id(parts[0], metadata)}-{found}"
    raise InputError(
        f"{where}: expected id10270/x6uYqmx31kE/00001.wav or the like, got '{file}'"
    )
