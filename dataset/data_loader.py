"""Batches of segments for training and validation, read by worker processes.

The calling process plans (dataset.sampler, 0.1 ms a batch) and sends each worker the
names of the segments of a batch; so the workers need none of the tables, and start at
once. They read into shared memory (dataset.worker_pool); batches are handed out in
the order of their numbers, the same for any number of workers.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TypeVar

import numpy as np

from dataset.archive_check import check_archives
from dataset.bad_segments import BadSegments
from dataset.batch_reader import STORED_FEATURES, ReadingOptions
from dataset.block_sampler import BLOCK_BYTES, BlockSampler, find_blocks
from dataset.errors import InputError
from dataset.masks import Masks
from dataset.sampler import (
    RANDOM_SAMPLERS,
    RandomSampler,
    Sampler,
    Segments,
    SequentialSampler,
)
from dataset.segments import Segment, Task
from dataset.speaker_info import SpeakerInfo, load_speaker_info
from dataset.waveform_check import check_recordings
from dataset.waveform_reader import WaveformOptions
from dataset.worker_pool import LocalReader, WorkerPool

_logger = logging.getLogger("kaldi")

Batch = tuple[np.ndarray, np.ndarray]


class _SegmentQueue:
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


Queue = TypeVar("Queue", bound=_SegmentQueue)


class KaldiDataRandomQueue(_SegmentQueue):
    """Training batches without end: a length, speakers and segments drawn for each.

    See RandomSampler and DurationSampler of dataset.sampler for what is drawn. After
    stop(), start() goes on with the batch that would have come. The stored features are
    taken as they are: CMVN and VAD have been applied before, unless `raw_features` has
    the loader do it.

        with KaldiDataRandomQueue(data, spklist, num_parallel=2, seed=1) as queue:
            for features, labels in queue:

    Args:
        data_dir: data directory with feats.scp, utt2num_frames and spk2utt.
        spklist: file of lines `speaker index`.
        num_parallel: worker processes; 0: read in the calling process.
        max_qsize: batches that may lie ready.
        num_speakers: speakers of a batch.
        num_segments: segments of each.
        min_len: shortest segment, frames.
        max_len: longest segment, frames.
        seed: decides, with the number of the batch, what is in it.
        start_step: number of the first batch, to go on where a run was stopped.
        raw_features: the stored features are raw: apply sliding CMVN and drop unvoiced
            frames, as a recipe's stage 4 does (dataset.voiced_segment). The data
            directory has a vad.scp, too; frames are voiced ones everywhere here.
        sample_by: `speaker`, each as often as any other, or `duration`, in proportion
            to the frames that each has.
        max_bad_segments: the share of segments that may be bad (missing, cut short,
            NaN, of another dimension); they are replaced (dataset.bad_segments) and
            told of. 0: the first one ends the iteration.
        waveforms: make the features of wav.scp (and segments) in place of feats.scp,
            with sliding CMVN and vad.scp as of raw features, and augment them
            (dataset.waveform_reader).
        masks: set bands of the features to zero (dataset.masks).
        block_pool_mb: draw from parts of the archives that are read one after another
            (dataset.block_sampler), as many as fit into so much memory, 10^6 bytes;
            0: from everywhere.
        info: the tables of the directory, if they have been read already.
        part: the rows of each batch that are wanted, where hosts share it.

    Attributes:
        num_speakers_left_out: speakers without an utterance of min_len frames.
        num_utterances_left_out: utterances shorter than that, which are never drawn.

    Raises:
        InputError: the data directory cannot be used, or not with these options.
    """

    def __init__(
        self,
        data_dir: str,
        spklist: str,
        num_parallel: int = 1,
        max_qsize: int = 10,
        num_speakers: int = 64,
        num_segments: int = 1,
        min_len: int = 200,
        max_len: int = 400,
        seed: int = 0,
        start_step: int = 0,
        raw_features: bool = False,
        sample_by: str = "speaker",
        max_bad_segments: float = 0.0,
        waveforms: WaveformOptions | None = None,
        masks: Masks | None = None,
        block_pool_mb: int = 0,
        info: SpeakerInfo | None = None,
        part: slice = slice(None),
    ) -> None:
        speeds = waveforms.speeds if waveforms else ()
        info = info or load_speaker_info(
            data_dir, spklist, raw_features, waveforms is not None, speeds
        )
        with _naming(data_dir):
            make = functools.partial(
                RANDOM_SAMPLERS[sample_by],
                num_classes=info.num_speakers,
                num_speakers=num_speakers,
                num_segments=num_segments,
                min_len=min_len,
                max_len=max_len,
                seed=seed,
            )
            sampler = make(info.num_frames, info.label)
            blocks = _block_sampler(info, make, block_pool_mb, seed)
        super().__init__(
            info,
            blocks or sampler,
            num_parallel,
            max_qsize,
            start_step,
            part,
            max_bad_segments,
            ReadingOptions(seed, waveforms, masks),
        )
        self.num_speakers_left_out = sampler.num_speakers_left_out
        self.num_utterances_left_out = sampler.num_utterances_left_out
        if self.num_speakers_left_out or self.num_utterances_left_out:
            _logger.warning(
                "%s: %d of %d utterances are shorter than min_segment_len = %d frames "
                "and are never drawn; %d of %d speakers have no other",
                data_dir,
                self.num_utterances_left_out,
                len(info.label),
                min_len,
                self.num_speakers_left_out,
                info.num_speakers,
            )


def _block_sampler(
    info: SpeakerInfo, make: Callable[..., RandomSampler], block_pool_mb: int, seed: int
) -> BlockSampler | None:
    """As it was asked for; it says how many speakers come together."""
    if not block_pool_mb:
        return None
    block_of, blocks = find_blocks(info.rxfilename)
    pool_size = max(1, int(block_pool_mb * 1e6) // BLOCK_BYTES)
    sampler = BlockSampler(
        info.num_frames, info.label, block_of, blocks, pool_size, make, seed
    )
    together = sampler.num_speakers_at_first
    _logger.log(
        logging.WARNING if together < info.num_speakers / 10 else logging.INFO,
        "segments are drawn from %d of %d blocks of archives at a time; the first "
        "have %d of %d speakers. For more, put the utterances into archives in random "
        "order (docs/slow_disks.md)",
        min(pool_size, len(blocks)),
        len(blocks),
        together,
        info.num_speakers,
    )
    return sampler


class KaldiDataSeqQueue(_SegmentQueue):
    """Validation batches: each utterance once; then the iteration ends.

    See dataset.sampler.SequentialSampler. start(), or iterating anew, begins with the
    first batch again: each pass is the same. len() is the number of batches.

    Args:
        data_dir: data directory with feats.scp, utt2num_frames and spk2utt.
        spklist: file of lines `speaker index`.
        num_parallel: worker processes; 0: read in the calling process.
        max_qsize: batches that may lie ready.
        batch_size: utterances of a batch; the last one may have fewer.
        min_len: shortest segment, frames, unless an utterance is shorter.
        max_len: longest segment, frames.
        shuffle: random order of the utterances, and random starts.
        seed: decides the order, the lengths and the starts.
        raw_features: as for KaldiDataRandomQueue.
        waveforms: the same; there should be no augmentation and no speeds.
        info: the tables of the directory, if they have been read already.

    Attributes:
        data_dir: the data directory.
        shortest: frames of the shortest utterance. If fewer than min_len, it is not
            left out, but shortens the batch it is in.
        num_utterances_left_out: utterances without a voiced frame.

    Raises:
        InputError: the data directory cannot be used, or not with these options.
    """

    def __init__(
        self,
        data_dir: str,
        spklist: str,
        num_parallel: int = 1,
        max_qsize: int = 10,
        batch_size: int = 128,
        min_len: int = 200,
        max_len: int = 400,
        shuffle: bool = False,
        seed: int = 0,
        raw_features: bool = False,
        waveforms: WaveformOptions | None = None,
        info: SpeakerInfo | None = None,
    ) -> None:
        info = info or load_speaker_info(
            data_dir, spklist, raw_features, waveforms is not None
        )
        with _naming(data_dir):
            sampler = SequentialSampler(
                info.num_frames, info.label, batch_size, min_len, max_len, shuffle, seed
            )
        super().__init__(
            info,
            sampler,
            num_parallel,
            max_qsize,
            reading=ReadingOptions(seed, waveforms),
        )
        self._num_batches = sampler.num_batches
        self.data_dir = data_dir
        self.shortest = sampler.shortest
        self.num_utterances_left_out = sampler.num_utterances_left_out
        if self.num_utterances_left_out:
            _logger.warning(
                "%s: %d of %d utterances have no voiced frame and are left out",
                data_dir,
                self.num_utterances_left_out,
                len(info.label),
            )

    def __len__(self) -> int:
        return self._num_batches

    def start(self) -> None:
        """Begins a pass, with the first batch."""
        if 0 < self.step < self._num_batches:
            self.stop()  # what is under way belongs to the pass given up
        self.step = 0
        super().start()


@contextlib.contextmanager
def _naming(data_dir: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise InputError(f"{data_dir}: {error}") from None
