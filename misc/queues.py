"""The queues that a configuration asks for: training batches and a validation pass."""

from __future__ import annotations

import itertools

import numpy as np

from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from dataset.speaker_info import SpeakerInfo, load_speaker_info
from misc import augmentation
from misc.params import Params


def read_tables(
    params: Params, data_dir: str, spklist: str, copies: bool
) -> SpeakerInfo:
    """The tables of a data directory, as the features of the configuration need them.

    Args:
        copies: with those at other speeds: those of the training.

    Raises:
        InputError: as `load_speaker_info`.
    """
    return load_speaker_info(
        data_dir,
        spklist,
        params.raw_features,
        params.waveform_features is not None,
        augmentation.speeds(params) if copies else (),
    )


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
    info = info or read_tables(params, data_dir, spklist, copies=True)
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
        waveforms=augmentation.augmented_waveforms(params, info),
        masks=augmentation.masks(params),
        sample_by=params.sample_by,
        max_bad_segments=params.max_bad_segments,
        block_pool_mb=params.block_pool_mb,
        info=info,
        part=part,
    )


def validation_queue(
    params: Params, data_dir: str, spklist: str, info: SpeakerInfo | None = None
) -> KaldiDataSeqQueue:
    """Each utterance of the validation set once; arguments as for `training_queue`.

    It is read through here, so that no training ends at its first validation. No
    segment of it may be bad: its figures would not be those of the whole set. And there
    must be trials for its EER.

    Raises:
        InputError: the data cannot be used, or not with these options.
    """
    waveforms = augmentation.plain_waveforms(params)
    queue = KaldiDataSeqQueue(
        data_dir,
        spklist,
        # Of stored features it is too short a pass to pay for processes.
        num_parallel=params.num_parallel_datasets if waveforms else 0,
        batch_size=params.num_speakers_per_batch * params.num_segments_per_speaker,
        min_len=params.min_segment_len,
        max_len=params.max_segment_len,
        seed=params.seed,
        raw_features=params.raw_features,
        waveforms=waveforms,
        info=info,
    )
    passed = itertools.islice(queue, params.valid_max_iterations)
    _, counts = np.unique(
        np.concatenate([labels for _, labels in passed]), return_counts=True
    )
    queue.stop()
    if len(counts) < 2 or counts.max() < 2:
        raise InputError(
            f"{data_dir}: {counts.sum()} utterances of {len(counts)} speakers, as far "
            "as 'valid_max_iterations' goes: the EER needs two speakers at least, and "
            "two utterances of one"
        )
    return queue
