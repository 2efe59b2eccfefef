"""TensorBoard's file of a run."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter


class EventFile:
    """Scalars and histograms for TensorBoard, which reads them while they grow.

    Args:
        folder: where the file is made.
        step: where this process goes on; TensorBoard forgets what an earlier one, that
            broke off, wrote of later steps.
    """

    def __init__(self, folder: str, step: int) -> None:
        self._writer = EventFileWriter(folder)
        if step:
            self._add(step + 1, session_log=SessionLog(status=SessionLog.START))

    def add_scalars(self, values: Mapping[str, float], step: int) -> None:
        """Adds figures by name."""
        for name, value in values.items():
            self._add(step, summary=scalar_pb(name, float(value)))

    def add_histogram(self, name: str, values: np.ndarray, step: int) -> None:
        """Adds the distribution of an array's elements."""
        self._add(step, summary=histogram_pb(name, np.asarray(values, np.float64)))

    def flush(self) -> None:
        """Hands all to the operating system."""
        self._writer.flush()

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()

    def _add(self, step: int, **content: Summary | SessionLog) -> None:
        event = Event(wall_time=time.time(), step=step, **content)
        self._writer.add_event(event)
