"""Segments of stored utterances: what a loader asks for, and how one is read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import FeatureReader


class Segment(NamedTuple):
    """Some frames of one stored utterance."""

    utterance: str
    rxfilename: str
    start: int


class Task(NamedTuple):
    """A batch to be read: the number of the batch, and frames of one length and dim."""

    step: int
    segments: list[Segment]
    length: int
    dim: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.segments), self.length, self.dim


def read_segment(
    reader: FeatureReader, segment: Segment, length: int, dim: int
) -> np.ndarray:
    """The frames of a segment, float32 [length, dim].

    Raises:
        InputError: they cannot be read, have another dimension, or are not all finite;
            the message names the utterance and where it is stored.
    """
    utterance, rxfilename, start = segment
    try:
        frames = reader.read(rxfilename, start, length)
    except (InputError, OSError) as error:
        raise InputError(
            f"utterance {utterance}: cannot read frames {start} to {start + length}: "
            f"{error} (is feats.scp or utt2num_frames out of date?)"
        ) from None
    if frames.shape[1] != dim:
        raise InputError(
            f"utterance {utterance}: expected features of dimension {dim} as in the "
            f"first utterance of feats.scp, got {frames.shape[1]} in {rxfilename}"
        )
    if not np.isfinite(frames).all():
        row = int(np.argmin(np.isfinite(frames).all(axis=1)))
        raise InputError(
            f"utterance {utterance}: frame {start + row} of {rxfilename} has values "
            "that are NaN or infinite; compute these features anew or leave it out"
        )
    return frames
