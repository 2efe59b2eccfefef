"""The end of a training whose numbers are no longer finite, and what led to it."""

from __future__ import annotations

import math
from typing import NamedTuple

import keras
import numpy as np

from dataset.data_loader import KaldiDataRandomQueue
from dataset.errors import InputError
from misc.run_dir import RunDir
from misc.whole_files import write_text

LISTING = "not_finite.txt"
_MOST_STEPS = 200  # that are read again
_STANDS_OUT = 100.0
"""A segment is suspected if its largest value is so many times the usual one."""


class _Row(NamedTuple):
    step: int
    utterance: str
    first_frame: int
    num_frames: int
    largest: np.float32  # absolute value


class NotFinite:
    """Looks for NaNs and infinities, and makes the error that ends the training.

    What led to it is in a batch since the weights were last seen to be finite. These
    batches are read again: a batch is a function of seed and step.

    Args:
        run: its folder gets `not_finite.txt`, the segments of these batches.
        queue: the training batches.
        first_step: where this process began.
    """

    def __init__(
        self, run: RunDir, queue: KaldiDataRandomQueue, first_step: int
    ) -> None:
        self.run, self.queue, self.good_step = run, queue, first_step

    def check_loss(self, loss: float, step: int) -> None:
        """The loss of a step, before its update.

        Raises:
            InputError: it is not finite: by its batch, or the update of one before.
        """
        if not math.isfinite(loss):
            raise self._error(f"the loss is {loss} at step {step}", step)

    def check_weights(self, model: keras.Model, step: int) -> None:
        """The weights after a step; only finite ones may be kept.

        Raises:
            InputError: they are not, though the loss was.
        """
        for weight in model.weights:
            if not np.isfinite(keras.ops.convert_to_numpy(weight)).all():
                raise self._error(
                    f"{weight.path} is not finite after {step} steps", step
                )
        self.good_step = step

    def last_checkpoint(self) -> str:
        """What to go back to, in words."""
        kept = self.run.checkpoints()
        last = self.run.model_file(kept[-1]) if kept else "none yet"
        return f"Last good checkpoint: {last}"

    def _error(self, what: str, step: int) -> InputError:
        first = max(self.good_step + 1, step - _MOST_STEPS + 1)
        rows = [row for s in range(step, first - 1, -1) for row in self._rows(s)]
        path = self.run.file(LISTING)
        lines = ["step utterance first_frame num_frames largest_value\n"]
        lines += [" ".join(map(str, row)) + "\n" for row in rows]
        write_text(path, "".join(lines))
        return InputError(
            f"{what}: training stops. {path} lists the {len(rows)} segments of the "
            f"{step + 1 - first} batches that may be the cause, the last one first; "
            f"{_suspect(rows)}. {self.last_checkpoint()}"
        )

    def _rows(self, step: int) -> list[_Row]:
        """The segments of a step, counted from 1; the queue counts from 0."""
        task = self.queue.describe(step - 1)
        features, _ = self.queue.read(step - 1)
        largest = np.abs(features).max(axis=(1, 2))
        return [
            _Row(step, segment.utterance, segment.start, task.length, value)
            for segment, value in zip(task.segments, largest, strict=True)
        ]


def _suspect(rows: list[_Row]) -> str:
    """What to do, by how far the largest value stands out."""
    worst = max(rows, key=lambda row: row.largest)
    usual = float(np.median([row.largest for row in rows]))
    if worst.largest > _STANDS_OUT * usual:
        return (
            f"utterance {worst.utterance} of step {worst.step} has values up to "
            f"{worst.largest:.3g}, where {usual:.3g} is usual: compute its features "
            "anew or leave it out"
        )
    return (
        f"none of them has unusual values (up to {worst.largest:.3g}): lower the "
        "learning rate or set clip_gradient"
    )
