"""The queues that a configuration asks for: training batches and a validation pass."""

from __future__ import annotations

from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.speaker_info import SpeakerInfo
from misc.params import Params


def training_queue(
    params: Params,
    data_dir: str,
    spklist: str,
    step: int = 0,
    info: SpeakerInfo | None = None,
    part: slice = slice(None),
) -> KaldiDataRandomQueue:
    """Training batches from `step` on.

    Args:
        info: the tables of the directory, if they are read already.
        part: the rows of each batch that are wanted, where hosts share it.

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
        info=info,
        part=part,
    )


def validation_queue(
    params: Params, data_dir: str, spklist: str, info: SpeakerInfo | None = None
) -> KaldiDataSeqQueue:
    """Each utterance of the validation set once; arguments as for `training_queue`.

    Raises:
        InputError: the data cannot be used, or not with these options.
    """
    return KaldiDataSeqQueue(
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
