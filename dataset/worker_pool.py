"""The training process's side of the data workers: start, hand out, collect, stop."""

from __future__ import annotations

import functools
import logging
import os
import select
import signal
import subprocess
import sys
import weakref
from collections import deque
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import numpy as np

from dataset.batch_reader import BatchReader, ReadingOptions
from dataset.errors import WorkerDied
from dataset.segments import Fault, Task
from dataset.shared_ring import RingShape, SharedRing, create_shared_file

_logger = logging.getLogger("kaldi")

# Batches that a worker is told of at a time: enough to keep it busy between two calls
# of take(), few enough that neither they nor the answers ever fill a socket's buffer.
_AHEAD = 4

NUM_LENT = 4
"""Batches that consumers may keep without a copy: TensorFlow holds two or three."""

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
        """The batch, float32 [segments, frames, dim], and what of it is no use.

        Raises:
            InputError: an archive has been cut short: of this process, nobody would
                tell that it died of it.
        """
        self._reader.check_whole()
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
        shape = RingShape(num_workers, num_slots + NUM_LENT, slot_size)
        self._waiting: deque[Task] = deque()  # not yet sent to any worker
        self._done: dict[int, list[Fault] | Exception] = {}
        self._workers: list[_Worker] = []
        self._free = deque(range(shape.num_slots))
        # of the batches sent and not yet taken
        self._slots: dict[int, tuple[int, tuple[int, int, int]]] = {}
        self._kill = weakref.finalize(self, _kill_workers, self._workers)
        ring_fd = create_shared_file(shape.num_bytes)
        try:
            self._ring = SharedRing(ring_fd, shape)
            for index in range(num_workers):
                self._workers.append(_start_worker(index, ring_fd, shape))
        finally:
            os.close(ring_fd)
        self._poll = select.poll()
        for worker in self._workers:
            self._poll.register(worker.connection, select.POLLIN)
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
        self._waiting.append(task)
        self._send()

    def take(self, step: int) -> tuple[np.ndarray, list[Fault]]:
        """Waits for a batch, and what of it is no use.

        It may stay in its slot, until nothing refers to it any more; but it is a copy
        if the caller has kept so many that new ones would find no place.

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
        slot, shape = self._slots.pop(step)
        give_back = functools.partial(self._free.append, slot)
        batch = self._ring.lend(slot, shape, give_back)
        # Free are, for the time being, those of batches that may be sent, too.
        fits = len(self._free) + len(self._slots) >= self.num_slots
        return batch if fits else batch.copy(), faults

    def stop(self) -> None:
        """Kills the workers, from any thread; who waits in take() gets WorkerDied."""
        self._kill()

    def _collect(self, timeout: float) -> bool:
        """Notes which batches are done; whether any worker had something to say."""
        ready = self._poll.poll(1000 * timeout)
        descriptors = {descriptor for descriptor, _ in ready}
        for worker in self._workers:
            if worker.connection.fileno() in descriptors:
                self._receive(worker)
        self._send()
        return bool(ready)

    def _send(self) -> None:
        """Hands waiting tasks to the workers with the fewest ones before them."""
        while self._waiting:
            worker = min(self._workers, key=lambda worker: len(worker.tasks))
            if len(worker.tasks) == _AHEAD:
                return
            task = self._waiting.popleft()
            worker.tasks.append(task)
            slot = self._free.popleft()
            self._slots[task.step] = slot, task.shape
            self._tell(worker, (slot, task))

    def _tell(
        self, worker: _Worker, message: ReadingOptions | tuple[int, Task]
    ) -> None:
        try:
            worker.connection.send(message)
        except OSError:
            raise self._death(worker) from None

    def _receive(self, worker: _Worker) -> None:
        try:
            step, self._done[step] = worker.connection.recv()
        except (EOFError, OSError):
            raise self._death(worker) from None
        worker.tasks.popleft()

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
