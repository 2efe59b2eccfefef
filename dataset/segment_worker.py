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

from dataset.batch_reader import BatchReader
from dataset.segments import Fault, Task
from dataset.shared_ring import RingShape, SharedRing

# Seconds between two looks at whether the training process still lives.
_LOOK = 0.5


def serve(connection: Connection, ring: SharedRing, index: int) -> None:
    """Reads tasks until the other end is closed; answers each.

    The options of the reading come before the tasks. An answer is the step and the
    segments that cannot be used, or an exception.
    """
    reader, parent = BatchReader(connection.recv()), os.getppid()
    while True:
        while not connection.poll(_LOOK):
            # A child that it forked would keep the other end open.
            if os.getppid() != parent:
                return
        task = connection.recv()
        connection.send((task.step, _read(task, reader, ring, index)))


def _read(
    task: Task, reader: BatchReader, ring: SharedRing, index: int
) -> list[Fault] | Exception:
    batch = ring.batch(task.step, task.shape)
    try:
        return reader.read(task, batch, ring.progress[index : index + 1])
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
