"""Training on Keras' `fit`: model, optimizer and queues from a configuration."""

from __future__ import annotations

import contextlib
import logging

import keras
from tensorboard.summary import Writer

from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from misc.params import Params
from misc.run_dir import RunDir
from model.callbacks import EpochEnd, StepEnd
from model.speaker_net import SpeakerNet, check_choices
from model.tdnn import CONTEXT

_logger = logging.getLogger("train")


def make_optimizer(params: Params) -> keras.optimizers.Optimizer:
    """The optimizer of a configuration; its rate is set at each epoch."""
    clip = (
        {"global_clipnorm": params.clip_gradient_norm} if params.clip_gradient else {}
    )
    if params.optimizer == "adam":
        return keras.optimizers.Adam(**clip)
    if params.optimizer == "momentum":
        return keras.optimizers.SGD(
            momentum=params.momentum, nesterov=params.use_nesterov, **clip
        )
    return keras.optimizers.SGD(**clip)


def load_model(run: RunDir, checkpoint: str = "last") -> SpeakerNet:
    """The model of a run, with its optimizer.

    Args:
        checkpoint: `last`, `-1` (best validation loss) or a number of steps.

    Raises:
        InputError: no such checkpoint, or its file cannot be read.
    """
    path = run.model_file(run.choose_checkpoint(checkpoint))
    try:
        return keras.saving.load_model(path)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be loaded: {reason}") from None


class Trainer:
    """A run: training and validation data, and the folder it is kept in.

    Args:
        params: the configuration; for a run that goes on, that of its folder is used.
        model_dir: the folder; its `nnet/` is filled.

    Raises:
        InputError: a choice that is in no table, segments too short for the network.
    """

    def __init__(self, params: Params, model_dir: str) -> None:
        check_choices(params)
        if params.min_segment_len < CONTEXT:
            raise InputError(
                f"'min_segment_len' = {params.min_segment_len}: the network needs "
                f"{CONTEXT} frames"
            )
        self.params = params
        self.run = RunDir(model_dir)

    def train(
        self,
        train_dir: str,
        train_spklist: str,
        valid_dir: str,
        valid_spklist: str,
        continue_training: bool = False,
    ) -> None:
        """Trains to the end of `num_epochs`, or until the rate or patience is used up.

        A run that goes on gets the batches it would have had.

        Raises:
            InputError: data that cannot be used, nothing to continue, a NaN.
        """
        keras.utils.set_random_seed(self.params.seed)
        model = load_model(self.run) if continue_training else None
        step = int(model.optimizer.iterations) if model else 0
        valid_queue = self._valid_queue(valid_dir, valid_spklist)
        with valid_queue, self._train_queue(train_dir, train_spklist, step) as queue:
            _check_dimension(queue.dim, valid_queue.dim, train_dir, valid_dir)
            _check_context(valid_queue, valid_dir)
            if model is None:
                self.run.create(self.params, queue.dim, queue.num_total_speakers)
                model = self._new_model(queue.dim, queue.num_total_speakers)
            with contextlib.closing(Writer(self.run.path)) as scalars:
                callbacks = [
                    EpochEnd(self.run, self.params, valid_queue, scalars),
                    StepEnd(self.run, self.params, queue, step, scalars),
                ]
                self._fit(model, queue, step, callbacks)

    def _new_model(self, feature_dim: int, num_speakers: int) -> SpeakerNet:
        model = SpeakerNet(self.params, feature_dim, num_speakers)
        model.compile(optimizer=make_optimizer(self.params), jit_compile=False)
        _logger.info(
            "%s: %d weights, %d features a frame, %d speakers",
            self.params.network_type,
            model.count_params(),
            feature_dim,
            num_speakers,
        )
        return model

    def _fit(
        self,
        model: SpeakerNet,
        queue: KaldiDataRandomQueue,
        step: int,
        callbacks: list[keras.callbacks.Callback],
    ) -> None:
        """Epochs of `num_steps_per_epoch`; the first may be the rest of one."""
        per_epoch = self.params.num_steps_per_epoch
        epoch, done = divmod(step, per_epoch)
        feed = _Feed(queue)
        data = feed.as_keras_data()
        for begin, end, steps in (
            (epoch, epoch + 1 if done else epoch, per_epoch - done),
            (epoch + 1 if done else epoch, self.params.num_epochs, per_epoch),
        ):
            if begin >= end or model.stop_training:
                continue
            try:
                model.fit(
                    data,
                    initial_epoch=begin,
                    epochs=end,
                    steps_per_epoch=steps,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
            except Exception:
                # TensorFlow wraps what a generator raises in a page of its own.
                if feed.error:
                    raise feed.error from None
                raise

    def _train_queue(self, data: str, spklist: str, step: int) -> KaldiDataRandomQueue:
        return KaldiDataRandomQueue(
            data,
            spklist,
            num_parallel=self.params.num_parallel_datasets,
            max_qsize=self.params.max_queue_size,
            num_speakers=self.params.num_speakers_per_batch,
            num_segments=self.params.num_segments_per_speaker,
            min_len=self.params.min_segment_len,
            max_len=self.params.max_segment_len,
            seed=self.params.seed,
            start_step=step,
        )

    def _valid_queue(self, data: str, spklist: str) -> KaldiDataSeqQueue:
        return KaldiDataSeqQueue(
            data,
            spklist,
            num_parallel=0,  # too short a pass to pay for processes
            batch_size=self.params.num_speakers_per_batch
            * self.params.num_segments_per_speaker,
            min_len=self.params.min_segment_len,
            max_len=self.params.max_segment_len,
            seed=self.params.seed,
        )


class _Feed:
    """Gives a queue to `fit`, and remembers what the queue raised."""

    def __init__(self, queue: KaldiDataRandomQueue) -> None:
        self.queue = queue
        self.error: Exception | None = None

    def batches(self):
        try:
            yield from self.queue
        except Exception as error:
            self.error = error
            raise

    def as_keras_data(self):
        """What `fit` takes. TensorFlow must be told that lengths vary."""
        if keras.backend.backend() != "tensorflow":
            return self.batches()
        import tensorflow as tf

        signature = (
            tf.TensorSpec((None, None, self.queue.dim), tf.float32),
            tf.TensorSpec((None,), tf.int32),
        )
        data = tf.data.Dataset.from_generator(self.batches, output_signature=signature)
        options = tf.data.Options()
        # The threads of its autotuning can hold up the end of fit for most of a minute.
        options.autotune.enabled = False
        return data.with_options(options)


def _check_dimension(train: int, valid: int, train_dir: str, valid_dir: str) -> None:
    if train != valid:
        raise InputError(
            f"{train_dir} has {train}-dimensional features, {valid_dir} has {valid}"
        )


def _check_context(valid_queue: KaldiDataSeqQueue, valid_dir: str) -> None:
    if valid_queue.shortest < CONTEXT:
        raise InputError(
            f"{valid_dir}/utt2num_frames: the shortest utterance has "
            f"{valid_queue.shortest} frames; the network needs {CONTEXT}. Leave such "
            "utterances out (utils/subset_data_dir.sh)"
        )
