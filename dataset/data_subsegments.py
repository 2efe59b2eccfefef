"""Data directories of parts of utterances: the parts' tables without a new computation.

Features and voice activity of a part are rows of its utterance's, `file:offset[a:b]`.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import NamedTuple

from dataset.data_dir import (
    FRAME_SHIFT,
    prepare,
    read_speakers,
    recording_of,
    write_speakers,
)
from dataset.errors import InputError
from dataset.kaldi_range import split_range
from dataset.text_table import Table, read_numbers, read_table, show, write_table

DEFAULT_FRAME_SHIFT = 0.01


class Part(NamedTuple):
    """A part of an utterance, in seconds from its beginning."""

    utterance: bytes
    begin: float
    end: float


def read_parts(path: str) -> dict[bytes, Part]:
    """Reads lines `new-utterance old-utterance begin end`.

    Raises:
        InputError: a line is not of that form, or a part does not end after it begins.
    """
    parts = {}
    for key, value in read_table(path).items():
        words = value.split()
        try:
            part = Part(words[0], float(words[1]), float(words[2]))
        except (IndexError, ValueError):
            part = Part(b"", 0.0, 0.0)
        if len(words) != 3 or not 0 <= part.begin < part.end:
            raise InputError(
                f"{path}: {show(key)}: expected 'utterance begin end', seconds with "
                f"0 <= begin < end, got '{show(value)}'"
            )
        parts[key] = part
    return parts


def subsegment(
    source: str,
    destination: str,
    parts: Mapping[bytes, Part],
    end_padding: float = 0.0,
    text: Table | None = None,
) -> int:
    """Makes a data directory whose utterances are parts of another's.

    `cmvn.scp` and `utt2dur` are left behind: they would no longer be true.

    Args:
        end_padding: seconds added to the ends in `segments`, not to the features.
        text: what is said in each part; None: no `text`.

    Returns:
        How many parts there are.

    Raises:
        InputError: a part of an utterance that is not there, or beyond its end.
    """
    utt2spk = read_speakers(source)
    for key, part in parts.items():
        if part.utterance not in utt2spk:
            raise InputError(
                f"{show(key)}: {show(part.utterance)} is not in {source}/utt2spk"
            )
    segments = _segments(source, parts, end_padding)
    rows = _rows(source, parts)
    whole = {part.utterance for part in parts.values()}
    uniq, lang, feats, vad = (
        _of_utterances(source, name, whole)
        for name in ("utt2uniq", "utt2lang", "feats.scp", "vad.scp")
    )
    prepare(destination, source)
    write_table(os.path.join(destination, "segments"), segments)
    recordings = {value.split()[0] for value in segments.values()}
    for name in ("wav.scp", "reco2dur", "reco2file_and_channel"):
        _write_kept(source, destination, name, recordings)
    speakers = {utt2spk[part.utterance] for part in parts.values()}
    _write_kept(source, destination, "spk2gender", speakers)
    for name, table in (("utt2uniq", uniq), ("utt2lang", lang)):
        if table:
            mapped = {k: table[p.utterance] for k, p in parts.items()}
            write_table(os.path.join(destination, name), mapped)
    if text is not None:
        write_table(os.path.join(destination, "text"), text)
    for name, table in (("feats.scp", feats), ("vad.scp", vad)):
        if table and rows:
            cut = {k: _cut(table[p.utterance], *rows[k]) for k, p in parts.items()}
            write_table(os.path.join(destination, name), cut)
    if rows:
        counts = {k: b"%d" % (last - first + 1) for k, (first, last) in rows.items()}
        write_table(os.path.join(destination, "utt2num_frames"), counts)
    write_speakers(destination, {k: utt2spk[p.utterance] for k, p in parts.items()})
    return len(parts)


def frame_shift(directory: str) -> float:
    """Seconds from a frame to the next, from `frame_shift` or durations; else 0.01."""
    path = os.path.join(directory, FRAME_SHIFT)
    if os.path.exists(path):
        with open(path, "rb") as stream:
            return _seconds(stream.read().strip(), path)
    paths = [os.path.join(directory, n) for n in ("utt2dur", "utt2num_frames")]
    if not all(map(os.path.exists, paths)):
        return DEFAULT_FRAME_SHIFT
    durations, frames = map(read_numbers, paths)
    common = [key for key in durations if key in frames][:1000]
    seconds = sum(float(durations[key]) for key in common)
    number = sum(float(frames[key]) for key in common)
    # The ends of an utterance have no frames of their own: a little too long.
    return (round(seconds / number, 3) if number else 0) or DEFAULT_FRAME_SHIFT


def _seconds(text: bytes, path: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InputError(f"{path}: expected seconds above zero, got '{show(text)}'")
    return seconds


def _segments(source: str, parts: Mapping[bytes, Part], end_padding: float) -> Table:
    utterances = {part.utterance for part in parts.values()}
    recording = recording_of(source, utterances)
    whole = _of_utterances(source, "segments", utterances)
    segments = {}
    for key, part in parts.items():
        offset = _begin(source, whole[part.utterance]) if whole else 0.0
        begin, end = offset + part.begin, offset + part.end + end_padding
        name = recording[part.utterance]
        segments[key] = b"%b %.10g %.10g" % (name, round(begin, 6), round(end, 6))
    return segments


def _begin(source: str, segment: bytes) -> float:
    try:
        begin = float(segment.split()[1])
    except (IndexError, ValueError):
        begin = -1.0
    if not 0 <= begin < float("inf"):
        raise InputError(
            f"{source}/segments: expected 'recording begin end', got '{show(segment)}'"
        )
    return begin


def _rows(source: str, parts: Mapping[bytes, Part]) -> dict[bytes, tuple[int, int]]:
    """First and last frame of each part; none without features."""
    if not os.path.exists(os.path.join(source, "feats.scp")):
        return {}
    path = os.path.join(source, "utt2num_frames")
    counts = read_numbers(path)
    shift = frame_shift(source)
    rows = {}
    for key, part in parts.items():
        if part.utterance not in counts:
            raise InputError(f"{path}: {show(part.utterance)} is missing")
        number = int(float(counts[part.utterance]))
        first = int(part.begin / shift + 0.5)
        last = min(int(part.end / shift - 0.5), number - 1)
        if first > last:
            raise InputError(
                f"{show(key)}: frames {first} to {last} of {show(part.utterance)}, "
                f"which has {number}"
            )
        rows[key] = first, last
    return rows


def _cut(rxfilename: bytes, first: int, last: int) -> bytes:
    """Rows of an entry, which may be rows of another already."""
    name, extent = split_range(os.fsdecode(rxfilename))
    rows, comma, columns = (extent or "").partition(",")
    if rows not in ("", ":"):
        try:
            begin = int(rows.split(":")[0])
        except ValueError:
            raise InputError(
                f"expected rows [first:last]: {show(rxfilename)}"
            ) from None
        first, last = first + begin, last + begin
    return os.fsencode(f"{name}[{first}:{last}{comma}{columns}]")


def _of_utterances(directory: str, name: str, utterances: Collection[bytes]) -> Table:
    """A table that knows all of some utterances; nothing if there is no such file."""
    table = _read_if_there(directory, name)
    missing = [utt for utt in sorted(utterances) if table and utt not in table]
    if missing:
        raise InputError(
            f"{directory}/{name} lacks {show(missing[0])}; utils/fix_data_dir.sh drops "
            "what is not in all tables"
        )
    return table


def _read_if_there(directory: str, name: str) -> Table:
    path = os.path.join(directory, name)
    return read_table(path) if os.path.exists(path) else {}


def _write_kept(source: str, destination: str, name: str, keys: set[bytes]) -> None:
    table = _read_if_there(source, name)
    if table:
        kept = {key: value for key, value in table.items() if key in keys}
        write_table(os.path.join(destination, name), kept)
