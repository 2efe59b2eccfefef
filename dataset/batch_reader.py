"""The segments of batches, from stored features or from waveforms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import FeatureReader
from dataset.masks import Masks
from dataset.segments import Fault, Task, read_segment, read_together
from dataset.waveform_reader import WaveformOptions, WaveformReader


class ReadingOptions(NamedTuple):
    """What is the same for all segments.

    Attributes:
        seed: decides, with the batch's number and the place in it, all that is random.
        waveforms: how features are made; None: they are stored.
        masks: what is set to zero.
    """

    seed: int = 0
    waveforms: WaveformOptions | None = None
    masks: Masks | None = None


STORED_FEATURES = ReadingOptions()


class BatchReader:
    """Reads segments."""

    def __init__(self, options: ReadingOptions) -> None:
        self._options = options
        self._stored = FeatureReader()
        self._waveforms = (
            WaveformReader(options.waveforms) if options.waveforms else None
        )

    def check_whole(self) -> None:
        """As of FeatureReader."""
        self._stored.check_whole()

    def read(self, task: Task, batch: np.ndarray, progress: np.ndarray) -> list[Fault]:
        """Reads the segments of a batch; rows that cannot be used are left as they are.

        Args:
            batch: float32 [segments, frames, dim], to be filled.
            progress: [1], gets 1 + the row that is being read, at the end 0.
        """
        with self._stored.watch:
            return self._read_batch(task, batch, progress)

    def _read_batch(
        self, task: Task, batch: np.ndarray, progress: np.ndarray
    ) -> list[Fault]:
        def at(row: int) -> None:
            progress[0] = row + 1

        faults = []
        stored = not self._waveforms
        is_read = stored and read_together(self._stored, task, batch, at)
        for row, segment in enumerate(task.segments):
            at(row)
            try:
                self._finish(task, row, batch[row], is_read)
            except InputError as error:
                faults.append(Fault(row, segment.utterance, str(error)))
        progress[0] = 0
        return faults

    def _finish(self, task: Task, row: int, out: np.ndarray, is_read: bool) -> None:
        """Reads a segment, unless that has been done, and applies masks."""
        seed, waveforms, masks = self._options
        segment = task.segments[row]
        rng = None
        if waveforms or masks:
            rng = _generator(seed, task.step, task.first_row + row)
        if self._waveforms and rng:
            out[:] = self._waveforms.read(segment, task.length, rng)
        elif not is_read:
            out[:] = read_segment(self._stored, segment, task.length, task.dim)
        if masks and rng:
            masks.apply(out, rng)


def _generator(seed: int, step: int, row: int) -> np.random.Generator:
    """Random numbers of an example: those of its batch's sampler, 2^192 of them on."""
    key = np.array([seed, step], np.uint64)
    counter = np.array([0, 0, 0, row + 1], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
