"""What the queues of training and of validation share: batches, ahead and in order.

The calling process plans (dataset.sampler, 0.1 ms a batch) and sends each worker the
names of the segments of a batch; so the workers need none of the tables, and start at
once. They read into shared memory (dataset.worker_pool); batches are handed out in
the order of their numbers, the same for any number of workers.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

import numpy as np

from dataset.archive_check import check_archives
from dataset.bad_segments import BadSegments
from dataset.batch_reader import STORED_FEATURES, ReadingOptions
from dataset.block_sampler import BlockSampler
from dataset.errors import InputError
from dataset.sampler import Sampler, Segments
from dataset.segments import Segment, Task
from dataset.speaker_info import SpeakerInfo
from dataset.waveform_check import check_recordings
from dataset.worker_pool import LocalReader, WorkerPool

Batch = tuple[np.ndarray, np.ndarray]


class SegmentQueue:
    """What both queues share: planning ahead, fetching in order, stopping.

    Attributes:
        dim: dimension of the features.
        num_total_speakers: number of classes, the lines of the spklist.
        bad: counts the segments that could not be used.
        wait_seconds: time spent in fetch() so far, that is, lost to the consumer.
        step: number of the batch that fetch() gives next.
    """

    def __init__(
        self,
        info: SpeakerInfo,
        sampler: Sampler,
        num_parallel: int,
        max_qsize: int,
        first_step: int = 0,
        part: slice = slice(None),
        max_bad: float = 0.0,
        reading: ReadingOptions = STORED_FEATURES,
    ) -> None:
        if num_parallel < 0:
            raise InputError(f"num_parallel_datasets is {num_parallel}, below 0")
        if max_qsize < 1:
            raise InputError(f"max_queue_size must be at least 1, got {max_qsize}")
        if first_step < 0:
            raise InputError(f"the first step must be at least 0, got {first_step}")
        self.num_total_speakers = info.num_speakers
        if reading.waveforms:
            self.dim = check_recordings(info, reading.waveforms, max_bad > 0)
        else:
            self.dim = check_archives(info, max_bad > 0)
        if reading.masks:
            reading.masks.check(self.dim)
        self.bad = BadSegments(max_bad)
        self.wait_seconds = 0.0
        self.step = first_step
        self._info, self._sampler, self._reading = info, sampler, reading
        self._blocks = sampler if isinstance(sampler, BlockSampler) else None
        self._part = part
        self._num_parallel, self._max_qsize = num_parallel, max_qsize
        self._source: LocalReader | WorkerPool | None = None
        self._labels: deque[np.ndarray] = deque()  # of the batches under way
        self._failure: Exception | None = None
        self._started = self._stopped = False
        self._lock = threading.Lock()

    @property
    def worker_ids(self) -> list[int]:
        """Process ids of the workers that are running."""
        return self._source.process_ids if self._source else []

    @property
    def num_ready(self) -> int:
        """Batches that may lie ready, or be under way, now that it is running."""
        return self._source.num_slots if self._source else 0

    def start(self) -> None:
        """Starts the workers, which begin to read; does nothing if they are running."""
        with self._lock:
            if self._source is None:
                self._started, self._stopped, self._failure = True, False, None
                self._source = self._open_source()
            self._submit()

    def stop(self) -> None:
        """Stops the workers at once, in any state; a waiting fetch() sees the end."""
        self._stopped = True
        source = self._source
        if source is not None:
            source.stop()
        with self._lock:
            self._forget()
        self.bad.report()

    def go_to(self, step: int) -> None:
        """The next batch that fetch() gives is this one."""
        if self.step != step:
            self.stop()
            self.step = step
            self.start()

    def fetch(self) -> Batch:
        """The next batch: float32 [segments, frames, dim] and int32 labels [segments].

        The arrays are the caller's own.

        Raises:
            StopIteration: there are no more batches, or stop() was called.
            InputError: a segment cannot be used, or too many; the message names the
                utterance.
            WorkerDied: a worker has died.
            RuntimeError: start() was not called.
        """
        begun = time.perf_counter()
        with self._lock:
            try:
                return self._fetch()
            finally:
                self.wait_seconds += time.perf_counter() - begun

    def describe(self, step: int) -> Task:
        """What the batch number `step`, from 0, is made of."""
        return self._task(step, self._plan(step))

    def read(self, step: int) -> Batch:
        """The batch number `step`, read here and now, whatever is under way.

        Raises:
            InputError: a segment cannot be used, and may not be bad.
        """
        reader, plan = LocalReader(self._reading), self._plan(step)
        reader.submit(self._task(step, plan))
        features, faults = reader.take(step)
        self.bad.mend(features, plan.labels, faults)
        return features, plan.labels

    def _fetch(self) -> Batch:
        if self._failure is not None:
            raise self._failure
        if not self._started:
            raise RuntimeError("call start() before fetch(), or use a with block")
        if self._source is None or self._stopped or self._at_end(self.step):
            raise StopIteration
        try:
            features, faults = self._source.take(self.step)
            labels = self._labels.popleft()
            self.bad.replace(features, labels, faults)
            self.step += 1
            self._submit()
        except Exception as error:
            if self._stopped:
                raise StopIteration from None
            self._failure = error
            self._source.stop()
            self._forget()
            raise
        return features, labels

    def _forget(self) -> None:
        self._source = None
        self._labels.clear()

    def _open_source(self) -> LocalReader | WorkerPool:
        if not self._num_parallel:
            return LocalReader(self._reading)
        slot_size = self._sampler.max_batch_size * self._sampler.max_len * self.dim
        # As many waiting as was asked for, and one in the hands of each worker.
        num_slots = self._max_qsize + self._num_parallel
        return WorkerPool(self._num_parallel, num_slots, slot_size, self._reading)

    def _at_end(self, step: int) -> bool:
        num_batches = self._sampler.num_batches
        return num_batches is not None and step >= num_batches

    def _submit(self) -> None:
        """Sends off batches until as many are under way as there is room for."""
        source = self._source
        while source is not None and len(self._labels) < source.num_slots:
            step = self.step + len(self._labels)
            if self._at_end(step):
                return
            plan = self._plan(step)
            self._labels.append(plan.labels)
            parts = self._blocks.take_blocks(step) if self._blocks else ()
            source.submit(self._task(step, plan)._replace(parts=parts))

    def _plan(self, step: int) -> Segments:
        """The rows of a batch that this process wants."""
        plan = self._sampler.plan(step)
        return plan._replace(
            utterances=plan.utterances[self._part],
            starts=plan.starts[self._part],
            labels=plan.labels[self._part],
        )

    def _task(self, step: int, plan: Segments) -> Task:
        first_row = self._part.start or 0
        return Task(step, self._name(plan), plan.length, self.dim, first_row)

    def _name(self, plan: Segments) -> list[Segment]:
        rows, starts = plan.utterances.tolist(), plan.starts.tolist()
        return list(map(self._info.segment, rows, starts))

    def __iter__(self) -> Iterator[Batch]:
        self.start()
        return self

    def __next__(self) -> Batch:
        return self.fetch()

    def __enter__(self: Queue) -> Queue:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


Queue = TypeVar("Queue", bound=SegmentQueue)
