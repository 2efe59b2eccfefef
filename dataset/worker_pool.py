"""The training process's side of the data workers: start, hand out, collect, stop."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import weakref
from collections import deque
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

import numpy as np

from dataset.batch_reader import BatchReader, ReadingOptions
from dataset.errors import WorkerDied
from dataset.segments import Fault, Task
from dataset.shared_ring import RingShape, SharedRing, create_shared_file

_logger = logging.getLogger("kaldi")

# Batches that a worker is told of at a time: enough to keep it busy between two calls
# of take(), few enough that neither they nor the answers ever fill a socket's buffer.
_AHEAD = 4

# Seconds without a batch after which a warning says what is being waited for.
_PATIENCE = 60.0


class LocalReader:
    """Reads batches in the calling process, when they are taken."""

    num_slots = 1
    process_ids: list[int] = []

    def __init__(self, options: ReadingOptions) -> None:
        self._tasks: dict[int, Task] = {}
        self._reader = BatchReader(options)

    def submit(self, task: Task) -> None:
        """Asks for a batch."""
        self._tasks[task.step] = task

    def take(self, step: int) -> tuple[np.ndarray, list[Fault]]:
        """The batch, float32 [segments, frames, dim], and what of it is no use."""
        task = self._tasks.pop(step)
        batch = np.empty(task.shape, np.float32)
        faults = self._reader.read(task, batch, np.zeros(1, np.int64))
        return batch, faults

    def stop(self) -> None:
        """Nothing is running."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    tasks: deque[Task] = field(default_factory=deque)  # sent and not yet answered


class WorkerPool:
    """Worker processes that read batches into a ring of shared memory.

    At most num_slots batches may be submitted and not yet taken, with consecutive
    steps. The workers are killed by stop(), when the pool is no longer referenced and
    at exit; should this process be killed, they see the end of their connection.
    They hold nothing that would need tidying up.

    Args:
        num_workers: number of processes.
        num_slots: number of batches in the ring.
        slot_size: float32 values of the largest batch.
        options: how segments are read.
    """

    def __init__(
        self, num_workers: int, num_slots: int, slot_size: int, options: ReadingOptions
    ) -> None:
        self.num_slots = num_slots
        shape = RingShape(num_workers, num_slots, slot_size)
        self._waiting: deque[Task] = deque()  # not yet sent to any worker
        self._done: dict[int, list[Fault] | Exception] = {}
        self._workers: list[_Worker] = []
        self._shapes: dict[int, tuple[int, int, int]] = {}
        self._kill = weakref.finalize(self, _kill_workers, self._workers)
        ring_fd = create_shared_file(shape.num_bytes)
        try:
            self._ring = SharedRing(ring_fd, shape)
            for index in range(num_workers):
                self._workers.append(_start_worker(index, ring_fd, shape))
        finally:
            os.close(ring_fd)
        for worker in self._workers:
            self._tell(worker, options)

    @property
    def process_ids(self) -> list[int]:
        """Of the workers."""
        return [worker.process.pid for worker in self._workers]

    def submit(self, task: Task) -> None:
        """Asks for a batch.

        Raises:
            WorkerDied: a worker has died.
        """
        self._shapes[task.step] = task.shape
        self._waiting.append(task)
        self._send()

    def take(self, step: int) -> tuple[np.ndarray, list[Fault]]:
        """Waits for a batch, and what of it is no use.

        It is a copy, so that its slot is free at once.

        Raises:
            WorkerDied: a worker has died.
        """
        self._collect(0)
        while step not in self._done:
            if not self._collect(_PATIENCE):
                self._warn_of_waiting(step)
        faults = self._done.pop(step)
        if isinstance(faults, Exception):
            raise faults
        return self._ring.batch(step, self._shapes.pop(step)).copy(), faults

    def stop(self) -> None:
        """Kills the workers, from any thread; who waits in take() gets WorkerDied."""
        self._kill()

    def _collect(self, timeout: float) -> bool:
        """Notes which batches are done; whether any worker had something to say."""
        connections = [worker.connection for worker in self._workers]
        ready = wait(connections, timeout)
        for worker in self._workers:
            if worker.connection in ready:
                self._receive(worker)
        self._send()
        return bool(ready)

    def _send(self) -> None:
        """Hands waiting tasks to the workers with the fewest ones before them."""
        while self._waiting:
            worker = min(self._workers, key=lambda worker: len(worker.tasks))
            if len(worker.tasks) == _AHEAD:
                return
            worker.tasks.append(self._waiting.popleft())
            self._tell(worker, worker.tasks[-1])

    def _tell(self, worker: _Worker, message: ReadingOptions | Task) -> None:
        try:
            worker.connection.send(message)
        except OSError:
            raise self._death(worker) from None

    def _receive(self, worker: _Worker) -> None:
        try:
            while worker.connection.poll():
                step, faults = worker.connection.recv()
                worker.tasks.popleft()
                self._done[step] = faults
        except (EOFError, OSError):
            raise self._death(worker) from None

    def _warn_of_waiting(self, step: int) -> None:
        for worker in self._workers:
            if any(task.step == step for task in worker.tasks):
                _logger.warning(
                    "batch %d: no data for %d s from the worker with process id %d, %s",
                    step,
                    _PATIENCE,
                    worker.process.pid,
                    self._place(worker),
                )

    def _death(self, worker: _Worker) -> WorkerDied:
        status = worker.process.wait()
        cause = f"ended with status {status}"
        if status < 0:
            cause = f"was killed by signal {-status} ({signal.strsignal(-status)})"
        hint = {
            -signal.SIGBUS: "; was the archive cut short or its disk lost?",
            -signal.SIGKILL: "; was there too little memory?",
        }.get(status, "")
        return WorkerDied(
            f"a data worker (process id {worker.process.pid}) {cause} "
            f"{self._place(worker)}{hint}"
        )

    def _place(self, worker: _Worker) -> str:
        progress = int(self._ring.progress[self._workers.index(worker)])
        if not progress or not worker.tasks:
            return "between batches"
        segment = worker.tasks[0].segments[progress - 1]
        return f"while reading utterance {segment.utterance} ({segment.rxfilename})"


def _start_worker(index: int, ring_fd: int, shape: RingShape) -> _Worker:
    ours, theirs = Pipe()
    fds = (theirs.fileno(), ring_fd)
    arguments = [str(number) for number in (*fds, index, *shape)]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONSAFEPATH": "1",  # the current directory is no place for modules
        "OPENBLAS_NUM_THREADS": "1",  # threads that would only take memory
        # glibc gave memory back after a segment, for a hundred page faults at the next.
        "MALLOC_TRIM_THRESHOLD_": str(1 << 26),
        "MALLOC_MMAP_THRESHOLD_": str(1 << 25),
    }
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "dataset.segment_worker", *arguments],
            pass_fds=fds,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the training process
        )
    return _Worker(process, ours)


def _kill_workers(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
    for worker in workers:
        worker.process.wait()
