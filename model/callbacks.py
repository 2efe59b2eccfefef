"""What happens besides the steps of training: validation, rates, checkpoints, logs."""

from __future__ import annotations

import datetime
import logging
import math
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from misc.metrics import compute_cos_pairwise_eer
from misc.params import Params
from misc.run_dir import RunDir
from misc.schedule import epoch_rates, reason_to_stop, start_rates
from misc.training_log import TRAINING, VALIDATION, TrainingLog
from misc.whole_files import write_whole
from model.event_file import EventFile
from model.histograms import add_histograms
from model.not_finite import NotFinite

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
        raise InputError(
            f"the validation loss is {loss} after {steps} steps: "
            f"{_not_finite(batches, embeddings)}"
        )
    return loss, compute_cos_pairwise_eer(embeddings, targets)


def _not_finite(batches: KaldiDataSeqQueue, embeddings: np.ndarray) -> str:
    """Which utterances of a validation set have outputs that are not finite."""
    tasks = map(batches.describe, range(len(batches)))
    names = [segment.utterance for task in tasks for segment in task.segments]
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if len(bad) in (0, len(embeddings)):
        return "lower the learning rate or set clip_gradient"
    return (
        f"the outputs of {len(bad)} of {len(embeddings)} utterances of "
        f"{batches.data_dir} are not finite, that of {names[bad[0]]} first"
    )


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
    """After each epoch: validates, writes files and a checkpoint, may end the training.

    `valid/loss` and `valid/eer` go to TensorBoard and to `validation_log.csv`, too.

    Args:
        run: the folder of the run.
        params: its configuration.
        valid_queue: the validation set.
        events: TensorBoard's file.
        not_finite: asked before weights are kept.
        first_step: where this process began.
    """

    def __init__(
        self,
        run: RunDir,
        params: Params,
        valid_queue: KaldiDataSeqQueue,
        events: EventFile,
        not_finite: NotFinite,
        first_step: int,
    ):
        super().__init__()
        self.events = events
        self.not_finite = not_finite
        self.log = TrainingLog(run.path, VALIDATION, first_step)
        self.run = run
        self.config = params
        self.valid_queue = valid_queue

    def on_epoch_end(self, epoch, logs=None):
        started = time.monotonic()
        step = self.model.steps_done
        self.not_finite.check_weights(self.model, step)
        try:
            loss, eer = validate(self.model, self.valid_queue, self.config)
        except InputError as error:
            last = self.not_finite.last_checkpoint()
            raise InputError(f"{error}. {last}") from None
        history = [*self.run.valid_losses()[:epoch], (loss, eer)]
        losses = [value for value, _ in history]
        recorded = self.run.learning_rates()[: epoch + 1]
        rates = epoch_rates(self.config, losses, recorded)
        starts = start_rates(self.config, rates[: epoch + 2])
        self.run.write_progress(history, starts)
        seconds = time.monotonic() - started
        figures = {"loss": loss, "eer": eer}
        rate = current_rate(self.model)
        which = {"epoch": epoch, "step": step, "learning_rate": rate}
        self.log.append(which | figures | {"seconds": seconds})
        save_checkpoint(self.model, self.run, self.config.keep_checkpoint_max)
        self.events.add_scalars({f"valid/{k}": v for k, v in figures.items()}, step)
        self.events.flush()
        _logger.info(
            "epoch %d: validation loss %.4f, EER %.2f %%, in %.1f s",
            epoch,
            loss,
            100 * eer,
            seconds,
        )
        losses = [value for value, _ in self.run.valid_losses()]  # as they are kept
        if reason := reason_to_stop(self.config, losses, rates):
            _logger.info("training ends: %s", reason)
            self.model.stop_training = True


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

    A log line's figures are a row of `training_log.csv`; TensorBoard gets them as
    `train/...`, every `save_summary_steps`. They are means since the line before;
    losses and accuracy at most since the epoch's beginning.

    The loss is looked at one step late, when the device has the next one to do: so it
    never waits for the log.

    Args:
        run: the folder of the run.
        params: its configuration.
        queue: the training batches, asked how long they were waited for.
        events: TensorBoard's file.
        not_finite: asked about losses and weights.
        first_step: where this process began.

    Raises:
        InputError: the loss is not finite.
    """

    def __init__(
        self,
        run: RunDir,
        params: Params,
        queue: KaldiDataRandomQueue,
        events: EventFile,
        not_finite: NotFinite,
        first_step: int,
    ):
        super().__init__()
        self.run = run
        self.config = params
        self.queue = queue
        self.events = events
        self.not_finite = not_finite
        self.step = self.first_step = self.mark_step = first_step
        self.log = TrainingLog(run.path, TRAINING, first_step)
        self.seconds = self.log.rows[-1]["seconds"] if self.log.rows else 0.0
        self.mark_seconds, self.mark_wait = self.seconds, queue.wait_seconds
        self.started = time.monotonic()
        self.unseen: Any = None  # the loss of the last step, still on the device

    def on_epoch_begin(self, epoch, logs=None):
        self.resumed = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        self._check_unseen()
        self.step += 1
        self.unseen = logs["loss"]
        line = self._is_due(self.config.show_training_progress)
        summary = self._is_due(self.config.save_summary_steps)
        if line or summary or self._is_due(self.config.num_steps_per_epoch):
            self._check_unseen()
        now = time.monotonic()
        self.seconds += now - self.resumed
        self.resumed = now
        if line or summary:
            self._report(self._figures(logs), line, summary)
            self.resumed = time.monotonic()  # looking is not the steps' time
        at_epoch_end = self._is_due(self.config.num_steps_per_epoch)
        if self._is_due(self.config.save_checkpoints_steps) and not at_epoch_end:
            self._save()

    def _is_due(self, every: int) -> bool:
        return self.step % every == 0

    def _check_unseen(self) -> None:
        if self.unseen is not None:
            loss, self.unseen = float(self.unseen), None
            self.not_finite.check_loss(loss, self.step)

    def _save(self) -> None:
        self._check_unseen()
        self.not_finite.check_weights(self.model, self.step)
        save_checkpoint(self.model, self.run, self.config.keep_checkpoint_max)
        self.resumed = time.monotonic()

    def _figures(self, logs: Mapping[str, Any]) -> dict[str, float]:
        """What a row of the log says of the steps since the row before."""
        steps = self.step - self.mark_step
        seconds = max(self.seconds - self.mark_seconds, 1e-9)
        waited = self.queue.wait_seconds - self.mark_wait
        figures = {
            "loss": float(logs["raw_loss"]),
            "total_loss": float(logs["loss"]),
            "learning_rate": current_rate(self.model),
            "segments_per_second": steps * self._batch_size() / seconds,
            "data_wait": min(waited / seconds, 1.0),
        }
        if "accuracy" in logs:
            figures["accuracy"] = float(logs["accuracy"])
        return figures | self.model.head.margin_state(self.step)

    def _batch_size(self) -> int:
        return self.config.num_speakers_per_batch * self.config.num_segments_per_speaker

    def _report(self, figures: dict[str, float], line: bool, summary: bool) -> None:
        if summary:
            scalars = {f"train/{name}": value for name, value in figures.items()}
            self.events.add_scalars(scalars, self.step)
            if self.config.summary_histograms:
                add_histograms(self.events, self.model, self.queue, self.step)
        if line:
            self.not_finite.check_weights(self.model, self.step)
            epoch = (self.step - 1) // self.config.num_steps_per_epoch
            when = {"step": self.step, "epoch": epoch, "seconds": self.seconds}
            self.log.append(when | figures)
            total = self.config.num_epochs * self.config.num_steps_per_epoch
            _logger.info(
                "step %d of %d: %s, %s left",
                self.step,
                total,
                described(figures),
                self._time_left(total),
            )
            self.model.reset_metrics()
            self.mark_step, self.mark_seconds = self.step, self.seconds
            self.mark_wait = self.queue.wait_seconds

    def _time_left(self, total: int) -> datetime.timedelta:
        """With what validations and checkpoints take."""
        passed = time.monotonic() - self.started
        left = (total - self.step) * passed / (self.step - self.first_step)
        return datetime.timedelta(seconds=round(left))


def described(figures: Mapping[str, float]) -> str:
    """The figures of a row, in words."""
    parts = [f"loss {figures['loss']:.3f}"]
    if f"{figures['total_loss']:.3f}" != f"{figures['loss']:.3f}":
        parts[0] += f" (regularised {figures['total_loss']:.3f})"
    if "accuracy" in figures:
        parts.append(f"accuracy {100 * figures['accuracy']:.1f} %")
    parts.append(f"rate {figures['learning_rate']:.3g}")
    names = ("lambda", "margin")
    parts += [f"{name} {figures[name]:.3g}" for name in names if name in figures]
    parts.append(f"{figures['segments_per_second']:.0f} segments/s")
    parts.append(f"waited for data {100 * figures['data_wait']:.1f} %")
    return ", ".join(parts)


class UnhurriedCallbacks(keras.callbacks.CallbackList):
    """Hands a step's logs to the callbacks as they are, on the device.

    Keras' own list makes numbers of them first, and so waits for the end of each step.
    """

    def on_train_batch_end(self, batch, logs=None):
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)
