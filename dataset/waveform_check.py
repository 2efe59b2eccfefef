"""Makes features of a few recordings, to find what is wrong before training."""

from __future__ import annotations

import dataclasses
import os
import time

import numpy as np

from dataset.archive_check import Sample, judge
from dataset.errors import InputError
from dataset.sound_reader import seekable_file
from dataset.speaker_info import SpeakerInfo
from dataset.waveform_reader import WaveformOptions, WaveformReader

_FEW = 100
_FEW_SECONDS = 2.0

_NUM_SIZES = 1000

_NAMED = 3
"""Recordings that cannot be used which are told of one by one."""


def check_recordings(
    info: SpeakerInfo, waveforms: WaveformOptions, tolerant: bool
) -> int:
    """Makes a frame of some recordings before anything is started.

    Args:
        tolerant: what cannot be used is only told of, unless that is all.

    Returns:
        The dimension of the features.

    Raises:
        InputError: the first thing that cannot be used.
    """
    sample = make_sample(info, waveforms, _FEW, 1, seed=0, seconds=_FEW_SECONDS)
    return judge(sample, tolerant)


def make_sample(
    info: SpeakerInfo,
    waveforms: WaveformOptions,
    number: int,
    length: int,
    seed: int,
    seconds: float,
) -> Sample:
    """Makes up to `length` frames of some utterances, without augmentation.

    Args:
        seconds: no further one is begun after this time.
    """
    rng = np.random.default_rng(seed)
    voiced = info.num_frames[: len(info.utterance)]
    rows = np.flatnonzero(voiced)
    if len(rows) > number:
        rows = np.sort(rng.choice(rows, number, replace=False))
    reader = WaveformReader(dataclasses.replace(waveforms, augmentation=None))
    end, num_read = time.monotonic() + seconds, 0
    faults = []
    for row in rows.tolist():
        if num_read and time.monotonic() > end:
            break
        num_read += 1
        frames = min(length, int(voiced[row]))
        start = int(rng.integers(voiced[row] - frames, endpoint=True))
        try:
            reader.read(info.segment(row, start), frames, rng)
        except InputError as error:
            faults.append(str(error))
    dim = waveforms.dim if len(faults) < num_read else 0
    return Sample(len(rows), num_read, dim, len(faults), faults[:_NAMED])


def recording_bytes(info: SpeakerInfo, seed: int) -> int:
    """About how many bytes the recordings take, by the files of some of them."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(len(info.utterance), size=_NUM_SIZES).tolist()
    files = [seekable_file(info.rxfilename[row]) for row in rows]
    sizes = [os.path.getsize(f) for f in files if f and os.path.isfile(f)]
    return sum(sizes) * len(info.utterance) // _NUM_SIZES
