"""Data directories: the text tables of a corpus, and the copies made of them.

Keys are utterances, speakers or recordings; recordings are the utterances themselves
where there is no file `segments`. Each function holds one table at a time, beside
utt2spk, so that a million utterances fit in memory.

The layout is that of https://kaldi-asr.org/doc/data_prep.html. Which utterances to take
is in dataset/data_selection.py, checking and repairing in dataset/data_dir_check.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dataset.errors import InputError
from dataset.front_end_conf import (
    common_conf,
    data_conf,
    read_conf,
    replace_data_conf,
)
from dataset.text_table import (
    Table,
    read_table,
    read_utt2spk,
    show,
    sort_table,
    spk2utt_from,
    write_lines,
    write_table,
)

UTTERANCE_TABLES = (
    "feats.scp",
    "vad.scp",
    "text",
    "segments",
    "utt2lang",
    "utt2dur",
    "utt2num_frames",
    "utt2uniq",
    "utt2warp",
)
SPEAKER_TABLES = ("cmvn.scp", "spk2gender", "spk2warp")
RECORDING_TABLES = ("wav.scp", "reco2dur", "reco2file_and_channel")
FRAME_SHIFT = "frame_shift"
"""A file with one number: the seconds from a frame of feats.scp to the next."""

ALL_TABLES = UTTERANCE_TABLES + SPEAKER_TABLES + RECORDING_TABLES


def read_speakers(directory: str) -> Table:
    """The utt2spk that makes a folder a data directory."""
    path = os.path.join(directory, "utt2spk")
    utt2spk = read_utt2spk(path)
    if not utt2spk:
        raise InputError(f"{path} is empty")
    return utt2spk


def write_speakers(directory: str, utt2spk: Mapping[bytes, bytes]) -> None:
    """Writes utt2spk, and spk2utt sorted by speaker."""
    write_table(os.path.join(directory, "utt2spk"), utt2spk)
    spk2utt = sort_table(spk2utt_from(utt2spk))
    write_table(os.path.join(directory, "spk2utt"), spk2utt)


def present_tables(
    directory: str,
    utterance_extra: Sequence[str] = (),
    speaker_extra: Sequence[str] = (),
) -> dict[str, str]:
    """Tables there are (but utt2spk, spk2utt) -> utterance, speaker or recording."""
    kinds = dict.fromkeys((*UTTERANCE_TABLES, *utterance_extra), "utterance")
    kinds |= dict.fromkeys((*SPEAKER_TABLES, *speaker_extra), "speaker")
    kinds |= dict.fromkeys(RECORDING_TABLES, "recording")
    return {
        name: kind
        for name, kind in kinds.items()
        if os.path.isfile(os.path.join(directory, name))
    }


def recording_of(directory: str, utterances: Iterable[bytes]) -> Table:
    """What each utterance is cut from: a recording, or the utterance itself."""
    path = os.path.join(directory, "segments")
    if not os.path.isfile(path):
        return {utterance: utterance for utterance in utterances}
    segments = read_table(path)
    return {
        utt: segments[utt].split(None, 1)[0] for utt in utterances if utt in segments
    }


@dataclass(frozen=True)
class Renaming:
    """What a copy adds to the ids; `copy` numbers the copies of one source."""

    utterance: tuple[bytes, bytes] = (b"", b"")  # prefix, suffix
    speaker: tuple[bytes, bytes] = (b"", b"")
    recording: tuple[bytes, bytes] = (b"", b"")
    copy: int = 0

    def apply(self, kind: str, name: bytes) -> bytes:
        """The new id of an utterance, a speaker or a recording."""
        prefix, suffix = getattr(self, kind)
        return prefix + name + suffix


Change = Callable[[bytes, bytes, Renaming], bytes]


def copy(
    source: str,
    destination: str,
    renamings: Sequence[Renaming],
    changes: Mapping[str, Change | None] | None = None,
) -> None:
    """Copies a data directory under new ids, once for each renaming.

    `utt2uniq` tells which utterances are versions of one: it is kept, and made where an
    utterance gets a new name.

    Args:
        changes: for some tables a function of (key, value, renaming) that gives the new
            value, or None if the table is to be left behind.
    """
    utt2spk = read_speakers(source)
    prepare(destination, source)
    changes = dict(changes or {})
    kinds = present_tables(source)
    recording = "recording" if "segments" in kinds else "utterance"
    names = [(n, k) for n, k in kinds.items() if changes.get(n, _keep) is not None]
    for name, kind in names:
        kind = recording if kind == "recording" else kind
        table = read_table(os.path.join(source, name))
        change = changes.get(name) or _keep
        if name == "segments":
            change = _then_rename_recording(change)
        renamed = _renamed(table, kind, renamings, change)
        write_table(os.path.join(destination, name), renamed)
    if "feats.scp" in dict(names):
        _copy_feature_facts(source, destination)
    speakers = _renamed(utt2spk, "utterance", renamings, _rename_speaker)
    write_speakers(destination, speakers)
    if "utt2uniq" not in kinds and any(r.utterance != (b"", b"") for r in renamings):
        identity = dict(zip(utt2spk, utt2spk, strict=True))
        uniq = _renamed(identity, "utterance", renamings, _keep)
        write_table(os.path.join(destination, "utt2uniq"), uniq)


def subset(source: str, destination: str, utterances: Container[bytes]) -> int:
    """Copies the part of a data directory that belongs to some utterances.

    Returns:
        How many utterances there are in it.
    """
    utt2spk = read_speakers(source)
    utt2spk = {utt: spk for utt, spk in utt2spk.items() if utt in utterances}
    if not utt2spk:
        raise InputError(f"none of the utterances asked for is in {source}/utt2spk")
    prepare(destination, source)
    keep: dict[str, Container[bytes]] = {
        "utterance": utt2spk,
        "speaker": set(utt2spk.values()),
        "recording": set(recording_of(source, utt2spk).values()),
    }
    for name, kind in present_tables(source).items():
        table = read_table(os.path.join(source, name))
        kept = {key: value for key, value in table.items() if key in keep[kind]}
        write_table(os.path.join(destination, name), kept)
    _copy_feature_facts(source, destination)
    write_speakers(destination, utt2spk)
    return len(utt2spk)


def combine(
    destination: str, sources: Sequence[str], extra: Sequence[str] = ()
) -> list[str]:
    """Puts data directories together: the tables that all of them have.

    Where one has `segments` or `utt2uniq`, those that lack it get the trivial one. The
    same utterance or recording may be in two directories only with the same value; of
    two values for a speaker the first in the C locale's order is taken.

    Args:
        extra: further tables to combine.

    Returns:
        What was left out or chosen, a sentence for each.

    Raises:
        InputError: a key has two values, or the features two frame shifts.
    """
    for source in sources:
        read_speakers(source)
    shifts = _frame_shifts(sources)
    prepare(destination, *sources)
    notes: list[str] = []
    for name in (*ALL_TABLES, *extra):
        path = os.path.join(destination, name)
        found = [os.path.isfile(os.path.join(s, name)) for s in sources]
        if all(found) or (any(found) and name in _TRIVIAL):
            tables = (_read_or_make(s, name) for s in sources)
            if name in SPEAKER_TABLES:
                write_table(path, _merge_speakers(name, tables, notes))
            else:
                write_table(path, _merge(name, sources, tables))
        elif any(found):
            notes.append(f"{name} is left out: not all directories have it")
    files, left_out = common_conf(sources)
    replace_data_conf(destination, files)
    for shift in shifts:
        write_lines(os.path.join(destination, FRAME_SHIFT), [shift + b"\n"])
    write_speakers(destination, _merge("utt2spk", sources, map(read_speakers, sources)))
    return [*notes, *left_out]


def split(directory: str, parts: Sequence[Sequence[bytes]], destination: str) -> None:
    """Writes the parts of a data directory to destination/1, destination/2, ...

    An older `destination` is replaced as a whole, so that no other process sees a half.

    Args:
        parts: the utterances of each part.
    """
    temporary = f"{destination}.tmp{os.getpid()}"
    folders = [os.path.join(temporary, str(n)) for n in range(1, len(parts) + 1)]
    try:
        for folder in folders:
            os.makedirs(folder)
        _write_parts(directory, parts, folders)
        if os.path.isdir(destination):
            os.rename(destination, temporary + ".old")
        os.rename(temporary, destination)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(temporary + ".old", ignore_errors=True)


def _write_parts(
    directory: str, parts: Sequence[Sequence[bytes]], folders: Sequence[str]
) -> None:
    utt2spk = read_speakers(directory)
    for folder, part in zip(folders, parts, strict=True):
        write_speakers(folder, {utt: utt2spk[utt] for utt in part})
    recording = recording_of(directory, utt2spk)
    for name, kind in present_tables(directory).items():
        table = read_table(os.path.join(directory, name))
        for folder, part in zip(folders, parts, strict=True):
            keys: Iterable[bytes] = part
            if kind == "speaker":
                keys = sorted({utt2spk[utt] for utt in part})
            elif kind == "recording":
                keys = sorted({recording[utt] for utt in part if utt in recording})
            piece = {key: table[key] for key in keys if key in table}
            write_table(os.path.join(folder, name), piece)


def prepare(destination: str, *sources: str) -> None:
    """An empty place for the copy: tables of an earlier one would not fit the new."""
    for source in sources:
        if os.path.realpath(source) == os.path.realpath(destination):
            raise InputError(f"source and destination are the same directory: {source}")
    os.makedirs(destination, exist_ok=True)
    for name in ("utt2spk", "spk2utt", FRAME_SHIFT, *ALL_TABLES):
        path = os.path.join(destination, name)
        if os.path.lexists(path):
            os.unlink(path)
    replace_data_conf(destination, {})


def _keep(key: bytes, value: bytes, renaming: Renaming) -> bytes:
    return value


def _rename_speaker(key: bytes, value: bytes, renaming: Renaming) -> bytes:
    return renaming.apply("speaker", value)


def _then_rename_recording(change: Change) -> Change:
    def changed(key: bytes, value: bytes, renaming: Renaming) -> bytes:
        recording, _, times = change(key, value, renaming).partition(b" ")
        return renaming.apply("recording", recording) + b" " + times

    return changed


def _renamed(
    table: Table, kind: str, renamings: Sequence[Renaming], change: Change
) -> Table:
    return sort_table(
        {
            renaming.apply(kind, key): change(key, value, renaming)
            for renaming in renamings
            for key, value in table.items()
        }
    )


def _merge(name: str, sources: Sequence[str], tables: Iterable[Table]) -> Table:
    merged: Table = {}
    for source, table in zip(sources, tables, strict=True):
        for key, value in table.items():
            if merged.setdefault(key, value) != value:
                raise InputError(
                    f"{source}/{name}: {show(key)} has another value than in a "
                    "directory before it; utils/copy_data_dir.sh --utt-prefix makes "
                    "ids different"
                )
    return sort_table(merged)


def _merge_speakers(name: str, tables: Iterable[Table], notes: list[str]) -> Table:
    merged: Table = {}
    differ: dict[bytes, None] = {}
    for table in tables:
        for key, value in table.items():
            if merged.setdefault(key, value) != value:
                differ[key] = None
                merged[key] = min(value, merged[key])
    if differ:
        first = show(next(iter(differ)))
        notes.append(
            f"{name}: {len(differ)} speakers with two values (first: {first}); "
            "the first in sorted order is taken"
        )
    return sort_table(merged)


def _copy_feature_facts(source: str, destination: str) -> None:
    path = os.path.join(source, FRAME_SHIFT)
    if os.path.isfile(path):
        shutil.copyfile(path, os.path.join(destination, FRAME_SHIFT))
    replace_data_conf(destination, read_conf(data_conf(source)))


def _frame_shifts(sources: Iterable[str]) -> list[bytes]:
    """The frame shift of the directories with features; none if no file says it."""
    found: dict[bytes, str] = {}
    for source in sources:
        path = os.path.join(source, FRAME_SHIFT)
        if os.path.isfile(path) and os.path.isfile(os.path.join(source, "feats.scp")):
            with open(path, "rb") as stream:
                found.setdefault(stream.read().strip(), source)
    if len(found) > 1:
        text = ", ".join(f"{show(s)} in {name}" for s, name in found.items())
        raise InputError(f"features of different frame shifts: {text}")
    return list(found)


def _read_or_make(source: str, name: str) -> Table:
    path = os.path.join(source, name)
    return read_table(path) if os.path.isfile(path) else _TRIVIAL[name](source)


def _own_uniq(source: str) -> Table:
    return {utterance: utterance for utterance in read_speakers(source)}


def _whole_recordings(source: str) -> Table:
    path = os.path.join(source, "utt2dur")
    if not os.path.isfile(path):
        raise InputError(
            f"another directory has segments, so {path} is needed: "
            f"run utils/data/get_utt2dur.sh {source}"
        )
    return {u: b"%b 0 %b" % (u, seconds) for u, seconds in read_table(path).items()}


_TRIVIAL = {"utt2uniq": _own_uniq, "segments": _whole_recordings}
