"""The queues that a configuration asks for: training batches and a validation pass."""

from __future__ import annotations

import itertools

from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.speaker_info import SpeakerInfo
from misc.params import Params


def training_queue(
    params: Params,
    data_dir: str,
    spklist: str,
    step: int = 0,
    info: SpeakerInfo | None = None,
) -> KaldiDataRandomQueue:
    """Training batches from `step` on; `info`: the tables, if they are read already.

    Raises:
        InputError: the data cannot be used, or not with these options.
    """
    return KaldiDataRandomQueue(
        data_dir,
        spklist,
        num_parallel=params.num_parallel_datasets,
        max_qsize=params.max_queue_size,
        num_speakers=params.num_speakers_per_batch,
        num_segments=params.num_segments_per_speaker,
        min_len=params.min_segment_len,
        max_len=params.max_segment_len,
        seed=params.seed,
        start_step=step,
        raw_features=params.raw_features,
        sample_by=params.sample_by,
        max_bad_segments=params.max_bad_segments,
        info=info,
    )


def validation_queue(
    params: Params, data_dir: str, spklist: str, info: SpeakerInfo | None = None
) -> KaldiDataSeqQueue:
    """Each utterance of the validation set once; arguments as for `training_queue`.

    It is read through here, so that no training ends at its first validation. No
    segment of it may be bad: its figures would not be those of the whole set.

    Raises:
        InputError: the data cannot be used, or not with these options.
    """
    queue = KaldiDataSeqQueue(
        data_dir,
        spklist,
        num_parallel=0,  # too short a pass to pay for processes
        batch_size=params.num_speakers_per_batch * params.num_segments_per_speaker,
        min_len=params.min_segment_len,
        max_len=params.max_segment_len,
        seed=params.seed,
        raw_features=params.raw_features,
        info=info,
    )
    for _ in itertools.islice(queue, params.valid_max_iterations):
        pass
    queue.stop()
    return queue
