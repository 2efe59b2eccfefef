"""A training looked at before it begins: all reasons against it, and advice.

Each method looks at one thing and returns what is to be said of it; reasons why the
training could not start, or would stop at an archive, are collected in `faults`. What
needs the network is in `nnet/doctor.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from dataset import archive_check, waveform_check
from dataset.data_loader import KaldiDataRandomQueue
from dataset.errors import InputError
from dataset.speaker_info import SpeakerInfo, load_speaker_info, table_faults
from misc import augmentation, loader_check, training_check
from misc.evaluation import format_table
from misc.params import Params
from misc.queues import read_tables, training_queue, validation_queue

_NUM_SEGMENTS = 400
_SAMPLE_SECONDS = 2.0
_NUM_NAMED = 30
"""Faulty segments that are told of one by one."""

_LENGTH = 400
"""Frames that are read of each where the configuration does not say."""


class Lists(NamedTuple):
    """A data directory and a spklist.

    Attributes:
        info: None if the tables have faults.
        dim: of the features; 0 if none can be read.
        archive_bytes: size of the files that they are in.
    """

    folder: str
    spklist: str
    info: SpeakerInfo | None
    dim: int
    archive_bytes: int


class CheckUp:
    """Collects what speaks against a training, and advice.

    Args:
        config: the JSON configuration.
        overrides: `key=value` texts that win over it.

    Attributes:
        params: None if the configuration has faults; the data is looked at anyway.
        faults, advice: in the order in which they were found.
    """

    def __init__(self, config: str, overrides: Sequence[str] = ()) -> None:
        self.faults: list[str] = []
        self.advice: list[str] = []
        self.params: Params | None = None
        try:
            self.params = Params.from_json(config, overrides)
        except InputError as error:
            self.faults += str(error).splitlines()

    def blame(self, error: Exception) -> None:
        """Adds a fault, unless another one has told of it already."""
        text = str(error)
        subject = text.partition(": ")[0] + ": "
        known = subject if subject.startswith("utterance ") else text
        if not any(known in fault for fault in self.faults):
            self.faults.append(text)

    def read(
        self, folder: str, spklist: str, training: bool = True
    ) -> tuple[Lists, str]:
        """Reads the tables, and segments from across the archives."""
        info, params = None, self.params
        tolerance = params.max_bad_segments if params and training else 0.0
        try:
            if params:
                info = read_tables(params, folder, spklist, copies=training)
            else:
                info = load_speaker_info(folder, spklist)
            utterances, rxfilenames = info.utterance, info.rxfilename
        except InputError:
            faults, utterances, rxfilenames = table_faults(
                folder,
                spklist,
                params is not None and params.raw_features,
                params is not None and params.waveform_features is not None,
            )
            self.faults += faults
        if params and params.waveform_features:
            return self._read_recordings(folder, spklist, info, params, tolerance)
        if not len(rxfilenames):
            return Lists(folder, spklist, info, 0, 0), f"{folder}: no features\n"
        seed = params.seed if params else 0
        archives = archive_check.find_archives(rxfilenames, seed)
        sample = archive_check.read_sample(
            utterances,
            rxfilenames,
            info.num_stored_frames if info else None,
            archive_check.choose_rows(archives, len(rxfilenames), _NUM_SEGMENTS, seed),
            params.max_segment_len if params else _LENGTH,
            seed,
            _SAMPLE_SECONDS,
            exact=params is not None and params.raw_features,
        )
        self._judge(folder, sample, tolerance)
        text = (
            f"{folder}: {len(archives.last_row)} archives, "
            f"{loader_check.readable(archives.num_bytes)}, {sample.dim} features a "
            f"frame; of {sample.num_read} segments read from across them "
            f"{sample.num_bad} cannot be used\n"
        )
        return Lists(folder, spklist, info, sample.dim, archives.num_bytes), text

    def _read_recordings(
        self,
        folder: str,
        spklist: str,
        info: SpeakerInfo | None,
        params: Params,
        tolerance: float,
    ) -> tuple[Lists, str]:
        """Makes features of segments from across the recordings."""
        try:
            waveforms = augmentation.plain_waveforms(params)
        except InputError as error:
            self.blame(error)
            waveforms = None
        if info is None or waveforms is None:
            return Lists(folder, spklist, None, 0, 0), f"{folder}: no features\n"
        sample = waveform_check.make_sample(
            info,
            waveforms,
            _NUM_SEGMENTS,
            params.max_segment_len,
            params.seed,
            _SAMPLE_SECONDS,
        )
        self._judge(folder, sample, tolerance)
        num_bytes = waveform_check.recording_bytes(info, params.seed)
        text = (
            f"{folder}: {len(info.utterance)} recordings, about "
            f"{loader_check.readable(num_bytes)}, {waveforms.dim} features a frame; of "
            f"{sample.num_read} segments made of them {sample.num_bad} cannot be used\n"
        )
        return Lists(folder, spklist, info, sample.dim, num_bytes), text

    def _judge(self, folder: str, sample: archive_check.Sample, share: float) -> None:
        """Bad segments are faults, unless the training may replace so many."""
        told = sample.faults[:_NUM_NAMED]
        if more := sample.num_bad - len(told):
            told.append(
                f"{folder}: {more} more of the segments that were read cannot be used"
            )
        if not share or not sample.num_bad:
            self.faults += told
        elif sample.num_bad <= share * sample.num_read:
            self.advice += told
            self.advice.append(
                f"{sample.num_bad} of {sample.num_read} segments read from {folder} "
                f"would be replaced (max_bad_segments = {share:g})"
            )
        else:
            self.faults += told
            self.faults.append(
                f"{sample.num_bad} of {sample.num_read} segments read from {folder} "
                f"cannot be used, more than max_bad_segments = {share:g} allows"
            )

    def speakers(self, train: Lists) -> str:
        """What the sampler leaves out, and whether it finds enough speakers."""
        if train.info is None or self.params is None:
            return ""
        info, params = train.info, self.params
        losses = training_check.sampling_losses(
            info.num_frames, info.label, params.min_segment_len, params.max_segment_len
        )
        self.advice += training_check.data_advice(losses, info.num_speakers, params)
        return format_table(
            training_check.speaker_table(
                train.folder, info.num_speakers, losses, params
            )
        )

    def lengths(self, *parts: Lists) -> str:
        """Quantiles of the utterances' lengths."""
        known = {part.folder: part.info.num_frames for part in parts if part.info}
        return format_table(training_check.length_table(known)) if known else ""

    def validation(self, valid: Lists, train: Lists) -> None:
        """Whether the two directories go together, and validation can be set up."""
        if valid.dim and train.dim and valid.dim != train.dim:
            self.faults.append(
                f"{train.folder} has {train.dim}-dimensional features, {valid.folder} "
                f"has {valid.dim}"
            )
        if train.info and valid.info:
            numbers = train.info.num_listed_speakers, valid.info.num_listed_speakers
            if numbers[0] != numbers[1]:
                self.faults.append(
                    f"{train.spklist} has {numbers[0]} classes, {valid.spklist} has "
                    f"{numbers[1]}: validation needs the spklist of the training"
                )
        if valid.info and valid.dim and self.params:
            try:
                validation_queue(self.params, valid.folder, valid.spklist, valid.info)
            except InputError as error:
                self.blame(error)

    def reading(self, train: Lists, seconds: float) -> loader_check.Loader | None:
        """Measures the loader without workers and with them; None if it fails."""
        if train.info is None or self.params is None:
            return None
        workers = self.params.num_parallel_datasets
        speeds = []
        try:
            for number in dict.fromkeys((0, workers)):
                queue = self.queue(train, number)
                speeds.append(loader_check.measure_speed(queue, seconds))
        except (InputError, RuntimeError) as error:
            self.blame(error)
            return None
        return loader_check.Loader(
            alone=speeds[0],
            together=speeds[1] if len(speeds) > 1 else None,
            step=None,
            batch_bytes=4 * loader_check.num_values(self.params, train.dim),
            archive_bytes=train.archive_bytes,
            memory_bytes=loader_check.free_memory(),
            cores=loader_check.num_cores(),
        )

    def queue(self, train: Lists, num_workers: int) -> KaldiDataRandomQueue:
        """The training's queue, with so many workers.

        Raises:
            InputError: it cannot be opened, or the lists or the configuration have
                faults.
        """
        if train.info is None or self.params is None:
            raise InputError("the lists or the configuration have faults")
        params = dataclasses.replace(self.params, num_parallel_datasets=num_workers)
        return training_queue(params, train.folder, train.spklist, info=train.info)
