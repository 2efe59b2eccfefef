"""A data worker: reads the segments of batches into the shared ring.

Started by dataset.worker_pool as a program of its own (`python -m`), not by
multiprocessing, which would import the training script, and with it TensorFlow
(5 s and 700 MB), in each worker.
"""

from __future__ import annotations

import os
import sys
import traceback
from multiprocessing.connection import Connection

import numpy as np

from dataset.batch_reader import BatchReader
from dataset.segments import Fault, Task
from dataset.shared_ring import RingShape, SharedRing

# Seconds between two looks at whether the training process still lives.
_LOOK = 0.5


def serve(connection: Connection, ring: SharedRing, index: int) -> None:
    """Reads tasks until the other end is closed; answers each.

    The options of the reading come before the tasks, each of which comes with the
    number of a slot. An answer is the step and the
    segments that cannot be used, or an exception.
    """
    reader, parent = BatchReader(connection.recv()), os.getppid()
    while True:
        while not connection.poll(_LOOK):
            # A child that it forked would keep the other end open.
            if os.getppid() != parent:
                return
        slot, task = connection.recv()
        batch = ring.batch(slot, task.shape)
        progress = ring.progress[index : index + 1]
        connection.send((task.step, _read(reader, task, batch, progress)))


def _read(
    reader: BatchReader, task: Task, batch: np.ndarray, progress: np.ndarray
) -> list[Fault] | Exception:
    try:
        return reader.read(task, batch, progress)
    except Exception:
        return RuntimeError(f"in a data worker:\n{traceback.format_exc()}")


def main() -> None:
    """Arguments: descriptors of connection and ring, worker's number, ring's shape."""
    connection_fd, ring_fd, index, *shape = map(int, sys.argv[1:])
    ring = SharedRing(ring_fd, RingShape(*shape))
    try:
        serve(Connection(connection_fd), ring, index)
    except (EOFError, ConnectionError):
        pass  # the training process has closed its end, or is no more


if __name__ == "__main__":
    main()
