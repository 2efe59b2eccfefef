"""Training on Keras' `fit`: model, optimizer and queues from a configuration."""

from __future__ import annotations

import contextlib
import functools
import logging
import zipfile
from collections.abc import Iterator

import keras

from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from misc.model_front_end import training_conf
from misc.params import Params
from misc.queues import training_queue, validation_queue
from misc.run_dir import RunDir
from misc.schedule import epoch_rates, reason_to_stop
from model.callbacks import (
    EpochEnd,
    StepEnd,
    UnhurriedCallbacks,
    save_checkpoint,
    validate,
)
from model.distributed import Sharing
from model.event_file import EventFile
from model.feed import Feed, FromStep
from model.hosts import fit_in_step
from model.learning_rate import LearningRate
from model.not_finite import NotFinite
from model.optimizer import make_optimizer
from model.speaker_net import SpeakerNet, check_choices
from model.tf1_checkpoint import load_original
from model.variable_names import copy_weights

_logger = logging.getLogger("train")


def load_model(run: RunDir, checkpoint: str = "last") -> SpeakerNet:
    """The model of a run, ours or the original's, with its optimizer.

    Args:
        checkpoint: `last`, `-1` (best validation loss) or a number of steps.

    Raises:
        InputError: no such checkpoint, or its file cannot be read.
    """
    step = run.choose_checkpoint(checkpoint)
    if run.is_original(step):
        return load_original(run, step)
    path = run.model_file(step)
    try:
        return keras.saving.load_model(path)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be loaded: {reason}") from None


class Trainer:
    """A run: training and validation data, and the folder it is kept in.

    Args:
        params: the configuration; for a run that goes on, that of its folder is used.
        model_dir: the folder; its `nnet/` is filled.
        sharing: who shares the batches. A run may go on with others.

    Raises:
        InputError: a choice that is in no table, a batch that cannot be shared.
    """

    def __init__(
        self, params: Params, model_dir: str, sharing: Sharing | None = None
    ) -> None:
        check_choices(params)
        self.params = params
        self.run = RunDir(model_dir)
        self.sharing = sharing or Sharing()
        self.rows = self.sharing.rows(params)

    def train(
        self,
        train_dir: str,
        train_spklist: str,
        valid_dir: str,
        valid_spklist: str,
        continue_training: bool = False,
    ) -> None:
        """Trains to the end of `num_epochs`, or until the rate or patience is used up.

        A run that goes on, a training or a fine-tuning, gets the batches it would have
        had; from the first one, if it was interrupted before its first checkpoint.

        Raises:
            InputError: data that cannot be used, a NaN; the folder is in use.
        """
        lists = (train_dir, train_spklist, valid_dir, valid_spklist)
        with self.run.locked():
            model = None
            if not continue_training:
                self._refuse_lists_of_weights()
            elif self.run.checkpoints():
                with self.sharing.scope():
                    model = load_model(self.run)
                _check_history(self.run, self.params, model.steps_done)
            else:
                _logger.info("%s has no checkpoint yet: step 0", self.run.path)
            with self._open(*lists, model) as (queue, valid_queue):
                if model is None:
                    model = self._new_model(queue, valid_queue)
                    self.run.create(
                        self.params,
                        queue.dim,
                        queue.num_total_speakers,
                        front_end=training_conf(self.params, train_dir),
                    )
                else:
                    _check_fits(model, queue, valid_queue)
                self._fit(model, queue, valid_queue)

    def _refuse_lists_of_weights(self) -> None:
        if self.params.noload_var_list or self.params.noupdate_var_list:
            raise InputError(
                "'noload_var_list' and 'noupdate_var_list' are for nnet/finetune.py; "
                "nnet/train.py starts all weights anew"
            )

    def finetune(
        self,
        train_dir: str,
        train_spklist: str,
        valid_dir: str,
        valid_spklist: str,
        pretrained_dir: str,
        checkpoint: str = "-1",
    ) -> None:
        """Trains on from the weights of another model, by `noload_var_list`.

        The first checkpoint, `model-0`, is what the training starts from; its
        validation loss is logged.

        Args:
            pretrained_dir: the folder of a run, ours or the original's.
            checkpoint: `last`, `-1` (best validation loss) or a number of steps.

        Raises:
            InputError: as for `train`; a pretrained model that does not fit.
        """
        source = load_model(RunDir(pretrained_dir), checkpoint)
        lists = (train_dir, train_spklist, valid_dir, valid_spklist)
        with self.run.locked(), self._open(*lists, None) as (queue, valid_queue):
            model = self._new_model(queue, valid_queue)
            number = copy_weights(source, model, self.params.noload_var_list)
            loss, eer = validate(model, valid_queue, self.params)
            _logger.info(
                "%d weights from %s; validation loss %.4f, EER %.2f %%",
                number,
                pretrained_dir,
                loss,
                100 * eer,
            )
            keep = self.params.keep_checkpoint_max
            self.run.create(
                self.params,
                queue.dim,
                queue.num_total_speakers,
                first=lambda draft: save_checkpoint(model, draft, keep),
                front_end=training_conf(self.params, train_dir),
            )
            self._fit(model, queue, valid_queue)

    @contextlib.contextmanager
    def _open(
        self,
        train_dir: str,
        train_spklist: str,
        valid_dir: str,
        valid_spklist: str,
        model: SpeakerNet | None,
    ) -> Iterator[tuple[KaldiDataRandomQueue, KaldiDataSeqQueue]]:
        """The queues of training and validation, the former at the model's step."""
        keras.utils.set_random_seed(self.params.seed)
        step = model.steps_done if model else 0
        with (
            validation_queue(self.params, valid_dir, valid_spklist) as valid_queue,
            training_queue(
                self.params, train_dir, train_spklist, step, part=self.rows
            ) as queue,
        ):
            if queue.dim != valid_queue.dim:
                raise InputError(
                    f"{train_dir} has {queue.dim}-dimensional features, {valid_dir} "
                    f"has {valid_queue.dim}"
                )
            yield queue, valid_queue

    def _new_model(
        self, queue: KaldiDataRandomQueue, valid_queue: KaldiDataSeqQueue
    ) -> SpeakerNet:
        with self.sharing.scope():
            model = compiled_model(self.params, queue.dim, queue.num_total_speakers)
        _check_fits(model, queue, valid_queue)
        _logger.info(
            "%s: %d weights, %d features a frame, %d speakers",
            self.params.network_type,
            model.count_params(),
            model.feature_dim,
            model.num_speakers,
        )
        return model

    def _fit(
        self,
        model: SpeakerNet,
        queue: KaldiDataRandomQueue,
        valid_queue: KaldiDataSeqQueue,
    ) -> None:
        """Epochs of `num_steps_per_epoch`; the first may be the rest of one."""
        step = model.steps_done
        finished, begun = divmod(step, self.params.num_steps_per_epoch)
        losses = [loss for loss, _ in self.run.valid_losses()[:finished]]
        rates = epoch_rates(
            self.params, losses, self.run.learning_rates()[: finished + 1]
        )
        reason = reason_to_stop(self.params, losses, rates)
        if reason and not begun:
            _logger.info("this training has ended: %s", reason)
            return
        not_finite = NotFinite(self.run, queue, step)
        with contextlib.closing(EventFile(self.run.path, step)) as events:
            shared = (events, not_finite, step)
            callbacks = [
                LearningRate(self.run, self.params),
                EpochEnd(self.run, self.params, valid_queue, *shared),
                StepEnd(self.run, self.params, queue, *shared),
            ]
            self._fit_epochs(model, queue, step, callbacks)

    def _fit_epochs(
        self,
        model: SpeakerNet,
        queue: KaldiDataRandomQueue,
        step: int,
        callbacks: list[keras.callbacks.Callback],
    ) -> None:
        per_epoch = self.params.num_steps_per_epoch
        epoch, done = divmod(step, per_epoch)
        batches = FromStep(queue, step)
        fit = Feed(batches, queue.dim).fit
        if self.sharing.num_hosts > 1:
            fit = functools.partial(fit_in_step, batches=batches)
        for begin, end, steps in (
            (epoch, epoch + 1 if done else epoch, per_epoch - done),
            (epoch + 1 if done else epoch, self.params.num_epochs, per_epoch),
        ):
            if begin >= end or model.stop_training:
                continue
            batches.step = model.steps_done
            fit(
                model,
                initial_epoch=begin,
                epochs=end,
                steps_per_epoch=steps,
                callbacks=UnhurriedCallbacks(callbacks, add_history=True, model=model),
            )


def _check_history(run: RunDir, params: Params, step: int) -> None:
    """Refuses to go on where rates and the best epoch cannot be known.

    The original saved before it validated; and models passed on may lack the files.
    """
    params.learning_rate_list()
    known, finished = len(run.valid_losses()), step // params.num_steps_per_epoch
    if known < finished:
        raise InputError(
            f"{run.file('valid_loss')} has {known} epochs, model-{step} has finished "
            f"{finished}: add lines 'epoch loss eer', or train on from its weights "
            "with nnet/finetune.py"
        )


def _check_fits(
    model: SpeakerNet, queue: KaldiDataRandomQueue, valid_queue: KaldiDataSeqQueue
) -> None:
    """Refuses data whose dimension, speakers or lengths the model cannot take."""
    if queue.dim != model.feature_dim:
        raise InputError(
            f"{queue.dim}-dimensional features; the model takes {model.feature_dim}"
        )
    if queue.num_total_speakers != model.num_speakers:
        raise InputError(
            f"{queue.num_total_speakers} speakers in the training list; the model has "
            f"{model.num_speakers}. nnet/finetune.py trains for other speakers"
        )
    if faults := [
        *segment_faults(model),
        *validation_faults(model, valid_queue.data_dir, valid_queue.shortest),
    ]:
        raise InputError("\n".join(faults))


def segment_faults(model: SpeakerNet) -> Iterator[str]:
    """Why the model cannot take the segments that its configuration asks for."""
    if model.params.min_segment_len < model.context:
        yield (
            f"'min_segment_len' = {model.params.min_segment_len}: the network needs "
            f"{model.context} frames"
        )


def validation_faults(model: SpeakerNet, data_dir: str, shortest: int) -> Iterator[str]:
    """Why it cannot take a validation set whose shortest utterance is this long."""
    params = model.params
    voiced = params.raw_features or params.waveform_features
    frames = "voiced frames" if voiced else "frames"
    if shortest < model.context:
        yield (
            f"{data_dir}: the shortest utterance has {shortest} {frames}; the network "
            f"needs {model.context}. Leave such utterances out "
            "(utils/subset_data_dir.sh)"
        )


def compiled_model(params: Params, dim: int, num_speakers: int) -> SpeakerNet:
    """The network, new and ready to be trained.

    Raises:
        InputError: the configuration makes no network, or lacks `embedding_node`.
    """
    model = SpeakerNet(params, dim, num_speakers)
    model.node(params.embedding_node)  # now, not at extraction
    model.compile(optimizer=make_optimizer(params), jit_compile=params.jit_compile)
    model.optimizer.build(model.trainable_variables)
    return model
