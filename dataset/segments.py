"""Segments of stored utterances: what a loader asks for, and how one is read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import FeatureReader
from dataset.vad_table import Vad
from dataset.voiced_segment import locate_voiced

UNCHANGED = Fraction(1)
"""The speed of what is not a copy."""


class Segment(NamedTuple):
    """Some frames of one stored utterance.

    With `vad` the stored features are raw: the frames are the voiced ones, after
    sliding CMVN, and `start` counts voiced frames. Of a recording that features are
    made of, there may be times in seconds, those of a line of `segments`, and a speed;
    with that, `start` counts the voiced frames of `vad.at_speed(speed)`.
    """

    utterance: str
    rxfilename: str
    start: int
    vad: Vad | None = None
    times: tuple[float, float] | None = None
    speed: Fraction = UNCHANGED


class Task(NamedTuple):
    """A batch to be read: the number of the batch, and frames of one length and dim.

    Of a batch that hosts share, `first_row` is the row that the first segment has.
    `parts` of archives (path, start and size in bytes) are for later batches: these
    will draw from them, and the system is to fetch them meanwhile.
    """

    step: int
    segments: list[Segment]
    length: int
    dim: int
    first_row: int = 0
    parts: Sequence[tuple[str, int, int]] = ()

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.segments), self.length, self.dim

    def __reduce__(self) -> tuple[Callable[..., Task], tuple[Any, ...]]:
        """Pickled by columns: a fifth of the time of 64 named tuples."""
        step, segments, *others = self
        return _task, (step, tuple(zip(*segments, strict=True)), *others)


def _task(step: int, columns: tuple[Any, ...], *others: Any) -> Task:
    return Task(step, list(map(Segment, *columns)), *others)


class Fault(NamedTuple):
    """Why a segment of a batch cannot be used."""

    row: int
    utterance: str
    error: str


def read_together(
    reader: FeatureReader, task: Task, out: np.ndarray, at: Callable[[int], None]
) -> bool:
    """Reads a batch of stored features in one go, if all is as it should be.

    Of raw features, and where something is wrong, each segment has to be read by
    itself; then this only has the system fetch what will be needed.

    Args:
        out: float32 [segments, frames, dim], to be filled.
        at: called with the number of the segment before its file is looked at.
    """
    for part in task.parts:
        reader.expect_part(*part)
    wanted = (_stored_frames(segment, task.length) for segment in task.segments)
    reader.expect(wanted, at)
    if any(segment.vad for segment in task.segments):
        return False
    names = [segment.rxfilename for segment in task.segments]
    starts = [segment.start for segment in task.segments]
    try:
        reader.read_many(names, starts, out, at)
    except (InputError, OSError):
        return False
    return bool(np.isfinite(out).all())


def _stored_frames(segment: Segment, length: int) -> tuple[str, int, int]:
    """Where, from which frame on, and how many are read."""
    _, rxfilename, start, vad = segment[:4]
    if not vad:
        return rxfilename, start, length
    voiced = locate_voiced(vad, start, length)
    return rxfilename, voiced.first, voiced.num_raw


def read_segment(
    reader: FeatureReader, segment: Segment, length: int, dim: int
) -> np.ndarray:
    """The frames of a segment, float32 [length, dim].

    Of raw features, only the segment and the CMVN windows around it are read.

    Raises:
        InputError: they cannot be read, have another dimension, are not all finite, or
            are not as many as VAD decisions; the message names the utterance and where
            it is stored.
    """
    utterance, rxfilename, start, vad = segment[:4]
    voiced = locate_voiced(vad, start, length) if vad else None
    first, count = (voiced.first, voiced.num_raw) if voiced else (start, length)
    try:
        if vad:
            _check_as_long(reader, rxfilename, vad)
        frames = reader.read(rxfilename, first, count)
    except (InputError, OSError) as error:
        raise InputError(
            f"utterance {utterance}: cannot read frames {first} to {first + count}: "
            f"{error} (is feats.scp or utt2num_frames out of date?)"
        ) from None
    if frames.shape[1] != dim:
        raise InputError(
            f"utterance {utterance}: expected features of dimension {dim}, as the "
            f"others have, got {frames.shape[1]} in {rxfilename}"
        )
    if not np.isfinite(frames).all():
        row = int(np.argmin(np.isfinite(frames).all(axis=1)))
        raise InputError(
            f"utterance {utterance}: frame {first + row} of {rxfilename} has values "
            "that are NaN or infinite; compute these features anew or leave it out"
        )
    return voiced.normalise(frames) if voiced else frames


def _check_as_long(reader: FeatureReader, rxfilename: str, vad: Vad) -> None:
    num_frames, _ = reader.shape(rxfilename)
    if num_frames != vad.num_frames:
        raise InputError(
            f"{rxfilename}: {num_frames} frames of features, but {vad.num_frames} VAD "
            "decisions"
        )
