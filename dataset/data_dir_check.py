"""What makes a data directory valid, and how one is mended.

`validate` stops at the first thing wrong; `fix` drops, sorts and counts. Both follow
the rules of Kaldi's utils/validate_data_dir.sh and utils/fix_data_dir.sh.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence, Set

from dataset.data_dir import present_tables, recording_of, write_speakers
from dataset.errors import InputError
from dataset.text_table import (
    Table,
    read_table,
    show,
    sort_table,
    spk2utt_from,
    write_table,
)


class Faults:
    """Counts what was wrong with the lines of a table, and remembers the first."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._first: dict[str, str] = {}

    def __call__(self, what: str, number: int, key: bytes) -> None:
        self._counts[what] += 1
        self._first.setdefault(what, f"line {number} {show(key)}".rstrip())

    def __str__(self) -> str:
        return ", ".join(
            f"{count} x {what} (first: {self._first[what]})"
            for what, count in self._counts.items()
        )


def fix(
    directory: str,
    utterance_extra: Sequence[str] = (),
    speaker_extra: Sequence[str] = (),
) -> list[str]:
    """Keeps the utterances that all tables know, sorted and once each.

    An utterance goes when it is not in feats.scp, vad.scp, text, segments, utt2lang or
    wav.scp, its recording not in wav.scp, its speaker not in cmvn.scp or spk2gender, or
    its number in utt2dur or utt2num_frames not above zero (of those tables that exist).
    Empty lines, lines without a value and repeated keys are dropped, CR LF is mended.
    The tables as they were are left in `.backup`.

    Departs from Kaldi in that an utterance without VAD goes too: the validation would
    not let it pass.

    Args:
        utterance_extra: further tables to filter by utterance.
        speaker_extra: further tables to filter by speaker.

    Returns:
        What was changed, a sentence for each.

    Raises:
        InputError: no utterance remains, or the ids do not sort by speaker; then
            nothing is changed.
    """
    notes: list[str] = []
    tables = present_tables(directory, utterance_extra, speaker_extra)
    utt2spk = _read_speakers(directory, notes)
    total = len(utt2spk)
    utt2spk = _known_everywhere(directory, tables, utt2spk, notes)
    if not utt2spk:
        raise InputError(f"{directory}: no utterance remains; {'; '.join(notes)}")
    _check_speaker_order(os.path.join(directory, "utt2spk"), utt2spk)
    _back_up(directory, ["utt2spk", "spk2utt", *tables])
    if notes or not _speakers_agree(directory, utt2spk):
        write_speakers(directory, utt2spk)
    # segments before the recordings, which it names
    for name in sorted(tables, key=lambda n: n != "segments"):
        _filter(directory, name, tables[name], utt2spk, notes)
    notes.append(f"kept {len(utt2spk)} of {total} utterances")
    return notes


def _read_mended(directory: str, name: str, notes: list[str]) -> Table:
    faults = Faults()
    table = read_table(os.path.join(directory, name), faults)
    if str(faults):
        notes.append(f"{name}: {faults}")
    keys = list(table)
    if keys != sorted(keys):
        notes.append(f"{name}: was not sorted")
        table = sort_table(table)
    return table


def _read_speakers(directory: str, notes: list[str]) -> Table:
    utt2spk = _read_mended(directory, "utt2spk", notes)
    bad = [utt for utt, speaker in utt2spk.items() if len(speaker.split()) != 1]
    if bad:
        notes.append(f"utt2spk: {len(bad)} x not two words (first: {show(bad[0])})")
    for utt in bad:
        del utt2spk[utt]
    return utt2spk


def _known_everywhere(
    directory: str, tables: Mapping[str, str], utt2spk: Table, notes: list[str]
) -> Table:
    """The part of utt2spk that the tables which decide all know."""
    owner: Mapping[bytes, bytes] = {}  # what stands for an utterance in wav.scp
    if "segments" in tables:
        segments = read_table(os.path.join(directory, "segments"), Faults())
        owner = {utt: value.split(None, 1)[0] for utt, value in segments.items()}
    for name in _DECIDING:
        if name not in tables:
            continue
        known = read_table(os.path.join(directory, name), Faults())
        if name in _POSITIVE:
            known = {k: v for k, v in known.items() if not _number_above_zero(v)}
        if utt2spk.keys() <= known.keys():
            continue
        if tables[name] == "speaker":
            missing = [utt for utt, spk in utt2spk.items() if spk not in known]
        elif tables[name] == "recording":
            missing = [utt for utt in utt2spk if owner.get(utt, utt) not in known]
        else:
            missing = [utt for utt in utt2spk if utt not in known]
        if missing:
            notes.append(_lacking(name, missing))
            gone = set(missing)
            utt2spk = {utt: spk for utt, spk in utt2spk.items() if utt not in gone}
    return utt2spk


def _lacking(name: str, missing: Sequence[bytes]) -> str:
    return f"{name} lacks {len(missing)} utterances (first: {show(missing[0])})"


def _filter(
    directory: str, name: str, kind: str, utt2spk: Table, notes: list[str]
) -> None:
    """Drops what does not belong to the utterances that are kept."""
    seen = len(notes)
    table = _read_mended(directory, name, notes)
    keep: Set[bytes] = utt2spk.keys()
    if kind == "speaker":
        keep = set(utt2spk.values())
    elif kind == "recording":
        keep = set(recording_of(directory, utt2spk).values())
    kept = table
    if not table.keys() <= keep:
        kept = {key: value for key, value in table.items() if key in keep}
        notes.append(f"{name}: kept {len(kept)} of {len(table)} lines")
    # Not rewritten for nothing: a newer file makes utils/split_data.sh split again.
    if len(notes) > seen:
        write_table(os.path.join(directory, name), kept)
    if kind == "utterance" and len(kept) < len(utt2spk):
        missing = [utt for utt in utt2spk if utt not in kept]
        notes.append(_lacking(name, missing) + ": make it anew")


def _back_up(directory: str, names: Sequence[str]) -> None:
    backup = os.path.join(directory, ".backup")
    os.makedirs(backup, exist_ok=True)
    for name in names:
        path = os.path.join(directory, name)
        if os.path.isfile(path):
            shutil.copyfile(path, os.path.join(backup, name))


def _speakers_agree(directory: str, utt2spk: Table) -> bool:
    path = os.path.join(directory, "spk2utt")
    if not os.path.isfile(path):
        return False
    found = read_table(path, Faults())
    return list(found.items()) == list(sort_table(spk2utt_from(utt2spk)).items())


def _check_speaker_order(path: str, utt2spk: Mapping[bytes, bytes]) -> None:
    last = b""
    for utterance, speaker in utt2spk.items():
        if speaker < last:
            raise InputError(
                f"{path}: sorted by utterance it is not sorted by speaker: "
                f"{show(utterance)} of {show(speaker)} comes after {show(last)}; "
                "make the speaker the beginning of the utterance's id"
            )
        last = speaker


def validate(
    directory: str,
    require: Collection[str] = ("wav.scp", "feats.scp", "text"),
    speaker_order: bool = True,
    printable: bool = True,
) -> list[str]:
    """Checks a data directory, line by line.

    Args:
        require: the tables that must be there; those that are there are checked anyway.
        speaker_order: whether utt2spk must be sorted by speaker, too.
        printable: whether `text` may hold printable characters only.

    Returns:
        Warnings.

    Raises:
        InputError: the first thing wrong, with file and line.
    """
    utt2spk_path = os.path.join(directory, "utt2spk")
    utt2spk = _checked(utt2spk_path, None, _one_word)
    if not utt2spk:
        raise InputError(f"{utt2spk_path} is empty")
    if speaker_order:
        _check_speaker_order(utt2spk_path, utt2spk)
    speakers = sort_table(spk2utt_from(utt2spk))
    path = os.path.join(directory, "spk2utt")
    for speaker, own in _checked(path, speakers, _anything).items():
        if own.split() != speakers[speaker].split():
            raise InputError(
                f"{path}: the utterances of {show(speaker)} are not those of utt2spk"
            )
    tables = present_tables(directory)
    for name in require:
        if name not in tables:
            option = "--no-" + name.removesuffix(".scp")
            raise InputError(f"no such file {directory}/{name}; {option} if so meant")
    _check_tables(directory, tables, utt2spk, speakers, printable)
    if len(speakers) == 1:
        return ["there is only one speaker: is each utterance its own speaker's?"]
    return []


def _check_tables(
    directory: str,
    tables: Mapping[str, str],
    utt2spk: Table,
    speakers: Table,
    printable: bool,
) -> None:
    if "segments" in tables and "wav.scp" not in tables:
        raise InputError(f"{directory} has segments, but no wav.scp")
    for name, kind in tables.items():
        expected: Collection[bytes] = utt2spk
        if kind == "speaker":
            expected = speakers
        elif kind == "recording":
            # in order, so that the first one missing is the same each time
            expected = dict.fromkeys(recording_of(directory, utt2spk).values())
        check = _VALUE_CHECKS.get(name, _anything)
        if name == "text" and not printable:
            check = _utf8
        _checked(os.path.join(directory, name), expected, check)


def _checked(
    path: str, expected: Collection[bytes] | None, check: Callable[[bytes], str]
) -> Table:
    """Reads a table whose keys must be sorted, and exactly those expected."""
    table = read_table(path)
    last = b""
    for number, (key, value) in enumerate(table.items(), 1):
        if key < last:
            raise InputError(
                f"{path}:{number}: {show(key)} comes after {show(last)}: not sorted "
                "(LC_ALL=C); utils/fix_data_dir.sh sorts it"
            )
        last = key
        if expected is not None and key not in expected:
            raise InputError(f"{path}:{number}: {show(key)} is known nowhere else")
        complaint = check(value)
        if complaint:
            raise InputError(f"{path}:{number}: {show(key)}: {complaint}")
    if expected is not None and len(expected) > len(table):
        missing = [key for key in expected if key not in table]
        raise InputError(
            f"{path} lacks {len(missing)} of {len(expected)} entries, "
            f"the first is {show(missing[0])}; utils/fix_data_dir.sh drops them"
        )
    return table


def _anything(value: bytes) -> str:
    return ""


def _one_word(value: bytes) -> str:
    return "" if len(value.split()) == 1 else f"expected one word, got '{show(value)}'"


def _number_above_zero(value: bytes) -> str:
    try:
        fine = 0 < float(value) < float("inf")
    except ValueError:
        fine = False
    return "" if fine else f"expected a number above zero, got '{show(value)}'"


def _count(value: bytes) -> str:
    fine = value.isdigit() and int(value) > 0
    return "" if fine else f"expected a whole number above zero, got '{show(value)}'"


def _gender(value: bytes) -> str:
    return "" if value in (b"m", b"f") else f"expected m or f, got '{show(value)}'"


def _segment(value: bytes) -> str:
    try:
        _, start, end, *channel = value.split()
        fine = len(channel) < 2 and 0 <= float(start)
        fine = fine and (float(start) < float(end) or float(end) == -1)
    except ValueError:
        fine = False
    return "" if fine else f"expected 'recording start end', got '{show(value)}'"


def _wave(value: bytes) -> str:
    return "'~' is not expanded: write the path in full" if value[:1] == b"~" else ""


def _channel(value: bytes) -> str:
    fine = len(value.split()) == 2 and value.split()[1] in (b"A", b"B", b"1")
    return "" if fine else f"expected 'file A' or 'file B', got '{show(value)}'"


def _utf8(value: bytes) -> str:
    words = value.split()
    for symbol in (b"<s>", b"</s>", b"#0"):
        if symbol in words:
            return f"the word {show(symbol)} has a meaning of its own"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "not UTF-8"
    return ""


def _transcript(value: bytes) -> str:
    complaint = _utf8(value)
    if not complaint and not value.decode().replace("\t", " ").isprintable():
        complaint = "unprintable characters; --non-print lets them pass"
    return complaint


_VALUE_CHECKS: dict[str, Callable[[bytes], str]] = {
    "text": _transcript,
    "segments": _segment,
    "wav.scp": _wave,
    "utt2dur": _number_above_zero,
    "reco2dur": _number_above_zero,
    "utt2num_frames": _count,
    "utt2uniq": _one_word,
    "spk2gender": _gender,
    "reco2file_and_channel": _channel,
}

# The tables that decide whether an utterance is kept.
_DECIDING = (
    "feats.scp",
    "vad.scp",
    "text",
    "segments",
    "utt2lang",
    "wav.scp",
    "utt2dur",
    "utt2num_frames",
    "cmvn.scp",
    "spk2gender",
)
_POSITIVE = ("utt2dur", "utt2num_frames")
