"""The tables a loader works from: who says what, where it is stored, how long it is."""

from __future__ import annotations

import array
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from dataset.errors import InputError
from dataset.segments import UNCHANGED, Segment
from dataset.sound_reader import Sound
from dataset.utterance_table import (
    UtteranceIndex,
    fill_index,
    read_pairs,
    refuse_line,
)
from dataset.vad_table import VadTable

T = TypeVar("T")


class TextColumn:
    """Strings in one block of memory: two million `str` would take twice the room."""

    def __init__(self, strings: Iterable[str]) -> None:
        block = bytearray()
        ends = array.array("q", [0])
        for text in strings:
            block += text.encode()
            ends.append(len(block))
        self._block = bytes(block)
        self._ends = ends

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return self._block[self._ends[index] : self._ends[index + 1]].decode()


@dataclass(frozen=True, eq=False)
class SpeakerInfo:
    """A data directory and the classes of its speakers.

    The columns have one entry per utterance, in the order of feats.scp (of waveforms,
    that of wav.scp or segments). With speeds, `num_frames` and `label` go on with those
    of the copies at the first speed, then at the second, ...
    """

    num_speakers: int  # classes: the lines of the spklist, present or not; and copies
    utterance: TextColumn
    rxfilename: TextColumn  # e.g. 'raw.1.ark:23'
    num_frames: np.ndarray  # int64; with `vad` the voiced ones, maybe none
    label: np.ndarray  # int32, index of the speaker in the spklist
    vad: VadTable | None = None  # if the features are raw, or to be made of waveforms
    times: np.ndarray | None = None  # float64 [utterances, 2], s; if there are segments
    speeds: tuple[Fraction, ...] = ()

    def segment(self, row: int, start: int) -> Segment:
        """The segment of a row that begins at a frame."""
        copy, row = divmod(row, len(self.utterance))
        utterance, rxfilename, times = self.sound(row)
        vad = None if self.vad is None else self.vad[row]
        speed = self.speeds[copy - 1] if copy else UNCHANGED
        return Segment(utterance, rxfilename, start, vad, times, speed)

    def sound(self, row: int) -> Sound:
        """The recording, or the part of one, that an utterance is."""
        times = None if self.times is None else tuple(self.times[row].tolist())
        return Sound(self.utterance[row], self.rxfilename[row], times)

    def with_copies(self, speeds: Sequence[Fraction]) -> SpeakerInfo:
        """The utterances and their copies at other speeds, which are new speakers.

        The copy of speaker n at speed number k (from 1) is speaker n + k times the
        number of speakers.
        """
        if self.vad is None:
            raise ValueError("there are copies only of waveforms, which have a VAD")
        voiced = [self.vad.num_voiced_at(speed) for speed in speeds]
        labels = [
            self.label + np.int32(copy * self.num_speakers)
            for copy in range(len(speeds) + 1)
        ]
        return dataclasses.replace(
            self,
            num_speakers=self.num_speakers * (len(speeds) + 1),
            num_frames=np.concatenate([self.num_frames, *voiced]),
            label=np.concatenate(labels),
            speeds=tuple(speeds),
        )

    @property
    def num_listed_speakers(self) -> int:
        """The lines of the spklist."""
        return self.num_speakers // (len(self.speeds) + 1)

    @property
    def num_stored_frames(self) -> np.ndarray:
        """int64 [utterances]; those that are not voiced, too."""
        return self.vad.num_frames if self.vad else self.num_frames


def load_speaker_info(
    data_dir: str,
    spklist: str,
    raw_features: bool = False,
    waveforms: bool = False,
    speeds: Sequence[Fraction] = (),
) -> SpeakerInfo:
    """Reads feats.scp, utt2num_frames and spk2utt of a data directory.

    Args:
        data_dir: the directory.
        spklist: file of lines `speaker index`; the indices are 0 .. n-1.
        raw_features: read vad.scp, too, and all that it points to.
        waveforms: the same; and in place of feats.scp read wav.scp, and segments if
            there is one.
        speeds: of waveforms, add copies at these speeds.

    Raises:
        InputError: a file is missing or malformed, a speaker is not in the spklist, or
            the files do not speak of the same utterances and frames.
    """
    classes = _read_spklist(spklist)
    index, times = UtteranceIndex(data_dir, waveforms), array.array("d")
    rxfilename = TextColumn(fill_index(index, times))
    if not index:
        raise InputError(f"{index.path} is empty")
    num_frames = _read_num_frames(os.path.join(data_dir, "utt2num_frames"), index)
    label = _read_labels(os.path.join(data_dir, "spk2utt"), index, classes)
    vad = None
    if raw_features or waveforms:
        vad = _read_vad(os.path.join(data_dir, "vad.scp"), index, num_frames)
        num_frames = vad.num_voiced
    info = SpeakerInfo(
        len(classes),
        TextColumn(index),
        rxfilename,
        num_frames,
        label,
        vad,
        np.array(times).reshape(-1, 2) if times else None,
    )
    return info.with_copies(speeds) if speeds else info


def table_faults(
    data_dir: str, spklist: str, raw_features: bool = False, waveforms: bool = False
) -> tuple[list[str], TextColumn, TextColumn]:
    """Why `load_speaker_info` refuses a directory: each table's fault, not the first.

    Returns:
        The faults; utterances and rxfilenames, as far as they can be read.
    """
    faults: list[str] = []

    def attempt(read: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return read(*arguments)
        except InputError as error:
            faults.append(str(error))
            return None

    classes = attempt(_read_spklist, spklist)
    lengths, speakers = (
        os.path.join(data_dir, name) for name in ("utt2num_frames", "spk2utt")
    )
    index = UtteranceIndex(data_dir, waveforms)
    rxfilenames: list[str] = []
    known = len(faults)
    attempt(rxfilenames.extend, fill_index(index, array.array("d")))
    if not index and len(faults) == known:
        faults.append(f"{index.path} is empty")
    whole = len(faults) == known  # else what is missing from it means nothing
    if whole:
        num_frames = attempt(_read_num_frames, lengths, index)
        if (raw_features or waveforms) and num_frames is not None:
            attempt(_read_vad, os.path.join(data_dir, "vad.scp"), index, num_frames)
    else:
        attempt(list, read_pairs(lengths))
    if whole and classes:
        attempt(_read_labels, speakers, index, classes)
    else:
        attempt(list, read_pairs(speakers))
    return faults, TextColumn(index), TextColumn(rxfilenames)


def _read_spklist(path: str) -> dict[str, int]:
    classes: dict[str, int] = {}
    for speaker, text in read_pairs(path):
        if speaker in classes:
            raise InputError(f"{path}: speaker {speaker} is there twice")
        if not text.isdecimal():
            refuse_line(path, f"{speaker} {text}", "a speaker and its index")
        classes[speaker] = int(text)
    if not classes:
        raise InputError(f"{path} is empty: expected lines 'speaker index'")
    if sorted(classes.values()) != list(range(len(classes))):
        absent = min(set(range(len(classes))) - set(classes.values()))
        raise InputError(
            f"{path}: the indices of its {len(classes)} speakers should be 0 to "
            f"{len(classes) - 1}, each once, but {absent} is not among them"
        )
    return classes


def _row_finder(index: dict[str, int]) -> Callable[[str], int | None]:
    """Looks up rows; quick where keys come in the order of feats.scp, as they should.

    For in a table of millions each lookup is a cache miss or two.
    """
    names, following = list(index), 0

    def find(utterance: str) -> int | None:
        nonlocal following
        if following < len(names) and names[following] == utterance:
            row = following
        elif (row := index.get(utterance, -1)) < 0:
            return None
        following = row + 1
        return row

    return find


def _read_num_frames(path: str, index: UtteranceIndex) -> np.ndarray:
    num_frames = array.array("q", bytes(8 * len(index)))
    find = _row_finder(index)
    for utterance, text in read_pairs(path):
        row = find(utterance)
        if row is None:
            continue  # more than is needed does no harm
        frames = int(text) if text.isdecimal() else 0
        if frames < 1:
            refuse_line(path, f"{utterance} {text}", "a positive number of frames")
        if num_frames[row]:
            raise InputError(f"{path}: utterance {utterance} is there twice")
        num_frames[row] = frames
    column = np.array(num_frames, np.int64)
    _check_complete(column > 0, index, path)
    return column


def _read_labels(
    path: str, index: UtteranceIndex, classes: dict[str, int]
) -> np.ndarray:
    labels = array.array("i", [-1]) * len(index)
    unknown, missing, seen = [], [], set()
    find = _row_finder(index)
    for speaker, utterances in read_pairs(path):
        if speaker in seen:
            raise InputError(f"{path}: speaker {speaker} is there twice")
        seen.add(speaker)
        label = classes.get(speaker, -1)
        if label < 0:
            unknown.append(speaker)
            continue
        for utterance in utterances.split():
            row = find(utterance)
            if row is None:
                missing.append(utterance)
            elif labels[row] >= 0:
                raise InputError(f"{path}: utterance {utterance} is there twice")
            else:
                labels[row] = label
    if unknown:
        raise InputError(
            f"{len(unknown)} speakers of {path} are not in the spklist: "
            f"{_some(unknown)}; make the spklist from all training speakers"
        )
    _refuse_missing(missing, path, index.table)
    column = np.array(labels, np.int32)
    _check_complete(column >= 0, index, path)
    return column


def _read_vad(path: str, index: UtteranceIndex, num_frames: np.ndarray) -> VadTable:
    if not os.path.exists(path):
        raise InputError(
            f"{path} is missing: raw features need the decisions which frames are "
            "voiced (sid/compute_vad_decision.sh)"
        )
    vad = VadTable(_vad_entries(path, index), len(index))
    _check_complete(vad.num_frames >= 0, index, path)
    differing = np.flatnonzero(vad.num_frames != num_frames)
    if len(differing):
        row = int(differing[0])
        utterance = next(name for name, place in index.items() if place == row)
        raise InputError(
            f"utterance {utterance}: {num_frames[row]} frames in utt2num_frames, but "
            f"{vad.num_frames[row]} VAD decisions in {path} (and {len(differing) - 1} "
            "more such utterances): compute both from the same features"
        )
    if not vad.num_voiced.any():
        raise InputError(f"{path}: no frame of any utterance is voiced")
    return vad


def _vad_entries(path: str, index: dict[str, int]) -> Iterator[tuple[int, str, str]]:
    """Number, utterance and rxfilename; those that are not in the index do no harm."""
    find, seen = _row_finder(index), bytearray(len(index))
    for utterance, rxfilename in read_pairs(path):
        row = find(utterance)
        if row is None:
            continue
        if seen[row]:
            raise InputError(f"{path}: utterance {utterance} is there twice")
        seen[row] = 1
        yield row, utterance, rxfilename


def _check_complete(found: np.ndarray, index: UtteranceIndex, path: str) -> None:
    if found.all():
        return
    missing = [name for name, row in index.items() if not found[row]]
    _refuse_missing(missing, index.table, path)


def _refuse_missing(missing: list[str], where: str, absent_from: str) -> None:
    if missing:
        raise InputError(
            f"{len(missing)} utterances of {where} are not in {absent_from}, the first "
            f"is {missing[0]}; mend the data directory (fix_data_dir.sh)"
        )


def _some(names: list[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
