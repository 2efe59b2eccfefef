"""Utterances that are parts of recordings: lines of a data directory's `segments`."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.options import option
from dataset.wav import Wave


@dataclasses.dataclass(frozen=True)
class SegmentOptions:
    """Options of extract-segments."""

    min_segment_length: float = option(
        0.1, "Leave out segments shorter than this (seconds)"
    )
    max_overshoot: float = option(
        0.5,
        "Cut segments that pass the end by up to this (seconds), leave out others",
    )


class Segment(NamedTuple):
    """A line of a segments file; end -1: to the end; channel -1: not given."""

    key: str
    recording: str
    start: float
    end: float
    channel: int


def parse_segment(line: str) -> Segment:
    """A line `segment recording start end [channel]`.

    Raises:
        InputError: it is no such line.
    """
    words = line.split()
    try:
        key, recording, start, end = (
            words[0],
            words[1],
            float(words[2]),
            float(words[3]),
        )
        channel = int(words[4]) if len(words) > 4 else -1
    except (IndexError, ValueError):
        words = []
    if len(words) not in (4, 5) or len(words) == 5 and channel < 0:
        raise InputError(
            f"expected 'segment recording start end [channel]', got '{line.rstrip()}'"
        )
    if not 0 <= start < (np.inf if end == -1 else end):
        raise InputError(f"segment {key}: no time from {start:g} s to {end:g} s")
    return Segment(key, recording, start, end, channel)


def check_channels(wave: Wave, segment: Segment) -> None:
    """Raises InputError if the recording has several channels, and none is named."""
    if segment.channel < 0 and len(wave.samples) > 1:
        raise InputError(
            f"recording {segment.recording} has {len(wave.samples)} channels, so the "
            "line must end with one"
        )


def cut_segment(
    wave: Wave, segment: Segment, options: SegmentOptions | None = None
) -> Wave:
    """The samples of a segment; times are compared in single precision, as in Kaldi.

    Raises:
        InputError: it is not in the recording, or too short.
    """
    options = options or SegmentOptions()
    channels, length = wave.samples.shape
    seconds = np.float32(length) / np.float32(wave.rate)
    latest = float(seconds + np.float32(options.max_overshoot))
    shortest = float(np.float32(options.min_segment_length))
    duration = float(seconds)
    end = duration if segment.end == -1 else segment.end
    if segment.start > duration or end > latest:
        raise InputError(
            f"segment {segment.key}: {segment.start:g} s to {segment.end:g} s is not "
            f"in recording {segment.recording} of {wave.duration:g} s"
        )
    end = min(end, duration)
    first = int(segment.start * wave.rate + 0.5)
    last = min(int(end * wave.rate + 0.5), length)
    if end - segment.start < shortest or first >= last:
        raise InputError(
            f"segment {segment.key}: {end - segment.start:g} s is less than "
            f"--min-segment-length={options.min_segment_length:g}"
        )
    if segment.channel >= channels:
        raise InputError(
            f"segment {segment.key}: recording {segment.recording} has {channels} "
            "channels, counted from 0"
        )
    channel = max(segment.channel, 0)
    return Wave(wave.samples[channel : channel + 1, first:last], wave.rate)
