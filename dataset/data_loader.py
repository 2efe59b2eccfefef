"""Batches of segments for training and validation, read by worker processes."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator

from dataset.batch_reader import ReadingOptions
from dataset.block_sampler import BLOCK_BYTES, BlockSampler, find_blocks
from dataset.errors import InputError
from dataset.masks import Masks
from dataset.sampler import (
    RANDOM_SAMPLERS,
    RandomSampler,
    SequentialSampler,
)
from dataset.segment_queue import SegmentQueue
from dataset.speaker_info import SpeakerInfo, load_speaker_info
from dataset.waveform_reader import WaveformOptions

_logger = logging.getLogger("kaldi")


class KaldiDataRandomQueue(SegmentQueue):
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


class KaldiDataSeqQueue(SegmentQueue):
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
