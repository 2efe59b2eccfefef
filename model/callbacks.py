"""What happens besides the steps of training: validation, rates, checkpoints, logs."""

from __future__ import annotations

import logging
import math
import time

import keras
import numpy as np
from tensorboard.summary import Writer

from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from misc.metrics import compute_cos_pairwise_eer
from misc.params import Params
from misc.run_dir import RunDir, halving_rates, reason_to_stop
from misc.whole_files import write_whole

_logger = logging.getLogger("train")


def validate(
    model: keras.Model, batches: KaldiDataSeqQueue, params: Params
) -> tuple[float, float]:
    """Loss without margin, and cosine EER of the output, over a validation set.

    The loss is taken over all utterances at once; one that compares the utterances of a
    batch, over the batches of `speaker_groups`.

    Returns:
        The mean loss per utterance, and the equal error rate as a fraction.

    Raises:
        InputError: the loss is not finite, or there are too few utterances.
    """
    outputs, labels = [], []
    limit = range(params.valid_max_iterations)
    for _, (features, label) in zip(limit, batches, strict=False):
        # Devices that share the training each compute all of it.
        outputs.append(np.asarray(model.predict_on_batch(features))[: len(label)])
        labels.append(label)
    batches.stop()
    embeddings, targets = np.concatenate(outputs), np.concatenate(labels)
    groups = [np.arange(len(targets))]
    if model.head.compares_utterances:
        groups = speaker_groups(targets, *_group_size(params), params.seed)
    losses = [
        float(model.head.loss(embeddings[g], targets[g], step=0, training=False)[0])
        for g in groups
    ]
    loss = float(np.mean(losses))
    if not math.isfinite(loss):
        steps = model.steps_done
        raise InputError(f"the validation loss is {loss} after {steps} steps")
    return loss, compute_cos_pairwise_eer(embeddings, targets)


def _group_size(params: Params) -> tuple[int, int]:
    """Speakers, and segments of each, in a batch of the validation loss."""
    if params.batch_type == "end2end":
        return (
            params.num_valid_speakers_per_batch,
            params.num_valid_segments_per_speaker,
        )
    return params.num_speakers_per_batch, params.num_segments_per_speaker


def speaker_groups(
    labels: np.ndarray, num_speakers: int, num_segments: int, seed: int
) -> list[np.ndarray]:
    """Batches of a few utterances of each of a few speakers; each at most once.

    Args:
        labels: the speaker of each utterance, [N].
        num_speakers, num_segments: what each batch has.
        seed: the same seed gives the same batches.

    Returns:
        Indices of utterances, [num_speakers * num_segments] each.

    Raises:
        InputError: fewer than `num_speakers` speakers have `num_segments` utterances.
    """
    rng = np.random.default_rng(seed)
    shares = []
    for speaker in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == speaker))
        number = len(own) // num_segments
        shares.append(list(own[: number * num_segments].reshape(-1, num_segments)))
    groups = []
    while sum(map(bool, shares)) >= num_speakers:
        # Those who have most left come first: then few are left over.
        order = sorted(rng.permutation(len(shares)), key=lambda s: -len(shares[s]))
        groups.append(np.concatenate([shares[s].pop() for s in order[:num_speakers]]))
    if not groups:
        raise InputError(
            f"the validation loss needs {num_speakers} speakers with {num_segments} "
            f"utterances each; there are {sum(map(bool, shares))} such speakers"
        )
    return groups


class EpochEnd(keras.callbacks.Callback):
    """After each epoch: validates, writes files and a checkpoint, sets the next rate.

    `valid/loss` and `valid/eer` go to TensorBoard, too.

    The rates follow from the files alone, so that a resumed run goes on as the unbroken
    one would have.

    Args:
        run: the folder of the run.
        params: its configuration.
        valid_queue: the validation set.
        scalars: TensorBoard's file.
    """

    def __init__(
        self,
        run: RunDir,
        params: Params,
        valid_queue: KaldiDataSeqQueue,
        scalars: Writer,
    ):
        super().__init__()
        self.scalars = scalars
        self.run = run
        self.config = params
        self.valid_queue = valid_queue

    def on_epoch_begin(self, epoch, logs=None):
        losses = [loss for loss, _ in self.run.valid_losses()[:epoch]]
        self.model.optimizer.learning_rate = self._rates(epoch, losses)[epoch]

    def on_epoch_end(self, epoch, logs=None):
        started = time.monotonic()
        loss, eer = validate(self.model, self.valid_queue, self.config)
        history = [*self.run.valid_losses()[:epoch], (loss, eer)]
        losses = [value for value, _ in history]
        rates = self._rates(epoch, losses)
        self.run.write_progress(history, rates[: epoch + 2])
        save_checkpoint(self.model, self.run, self.config.keep_checkpoint_max)
        step = self.model.steps_done
        self.scalars.add_scalar("valid/loss", loss, step)
        self.scalars.add_scalar("valid/eer", eer, step)
        self.scalars.flush()
        _logger.info(
            "epoch %d: validation loss %.4f, EER %.2f %%, in %.1f s",
            epoch,
            loss,
            100 * eer,
            time.monotonic() - started,
        )
        losses = [value for value, _ in self.run.valid_losses()]  # as they are kept
        if reason := reason_to_stop(self.config, losses, rates):
            _logger.info("training ends: %s", reason)
            self.model.stop_training = True

    def _rates(self, epoch: int, losses: list[float]) -> list[float]:
        listed = self.config.learning_rate_list()
        if listed is not None:
            return listed
        return halving_rates(
            float(self.config.learning_rate),
            losses,
            self.config.reduce_lr_epochs,
            self.run.learning_rates()[: epoch + 1],
        )


def save_checkpoint(model: keras.Model, run: RunDir, keep: int) -> None:
    """Saves weights, optimizer and step as the run's newest checkpoint."""
    step = model.steps_done
    write_whole(run.model_file(step), model.save)
    run.add_checkpoint(step, keep)


def current_rate(model: keras.Model) -> float:
    """The learning rate as a number."""
    return float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))


class StepEnd(keras.callbacks.Callback):
    """During an epoch: log lines, checkpoints between epochs, the end at a NaN.

    `train/loss`, `train/accuracy`, `train/learning_rate` and `train/data_wait`, a share
    of the time, go to TensorBoard.

    Args:
        run: the folder of the run.
        params: its configuration.
        queue: the training batches, asked how long they were waited for.
        first_step: where this process began.
        scalars: TensorBoard's file.

    Raises:
        InputError: the loss is not finite.
    """

    def __init__(
        self,
        run: RunDir,
        params: Params,
        queue: KaldiDataRandomQueue,
        first_step: int,
        scalars: Writer,
    ):
        super().__init__()
        self.scalars = scalars
        self.run = run
        self.config = params
        self.queue = queue
        self.step = self.first_step = first_step

    def on_train_begin(self, logs=None):
        self.mark = self.started = time.monotonic()
        self.mark_step, self.mark_wait = self.step, self.queue.wait_seconds

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        if not math.isfinite(logs["loss"]):
            raise InputError(
                f"the loss is {logs['loss']} at step {self.step}: training stops. "
                f"Checkpoints kept: {self.run.checkpoints() or 'none'}. Lower the "
                "learning rate or set clip_gradient"
            )
        if self.step % self.config.show_training_progress == 0:
            self._log(logs)
        if self.step % self.config.save_summary_steps == 0:
            self._write_scalars(logs)
        every = self.config.save_checkpoints_steps
        at_epoch_end = self.step % self.config.num_steps_per_epoch == 0
        if self.step % every == 0 and not at_epoch_end:
            save_checkpoint(self.model, self.run, self.config.keep_checkpoint_max)

    def _log(self, logs):
        now = time.monotonic()
        steps, seconds = self.step - self.mark_step, max(now - self.mark, 1e-9)
        waited = self.queue.wait_seconds - self.mark_wait
        batch = (
            self.config.num_speakers_per_batch * self.config.num_segments_per_speaker
        )
        total = self.config.num_epochs * self.config.num_steps_per_epoch
        left = (
            (total - self.step) * (now - self.started) / (self.step - self.first_step)
        )
        _logger.info(
            "step %d of %d: loss %.3f%s, rate %.2g, %.0f segments/s, waited for data "
            "%.1f %%, %d:%02d left",
            self.step,
            total,
            logs["raw_loss"],
            f", accuracy {100 * logs['accuracy']:.1f} %" if "accuracy" in logs else "",
            current_rate(self.model),
            steps * batch / seconds,
            100 * waited / seconds,
            *divmod(int(left), 60),
        )
        self.mark, self.mark_step = now, self.step
        self.mark_wait = self.queue.wait_seconds

    def _write_scalars(self, logs):
        rate = current_rate(self.model)
        waited = self.queue.wait_seconds / (time.monotonic() - self.started)
        self.scalars.add_scalar("train/loss", logs["raw_loss"], self.step)
        if "accuracy" in logs:
            self.scalars.add_scalar("train/accuracy", logs["accuracy"], self.step)
        self.scalars.add_scalar("train/learning_rate", rate, self.step)
        self.scalars.add_scalar("train/data_wait", waited, self.step)
