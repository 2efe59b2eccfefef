"""The learning-rate range test: a training whose rate grows until the loss does."""

from __future__ import annotations

import logging
import math
import os

import keras

from misc.rate_test import NUM_RATES, Tried, advice, diverges, table, tried_rate
from misc.run_dir import RunDir
from misc.training_plot import plot_rate_test
from misc.whole_files import write_text
from model.feed import Feed
from model.trainer import Trainer, load_model
from model.variable_names import copy_weights

_logger = logging.getLogger("train")

TABLE = "learning_rate_tuning"


class RateTest(Trainer):
    """The test of a configuration; a run in the folder is neither read nor changed.

    Writes `learning_rate_tuning` into the model folder, lines `step rate loss`, and
    the curve beside it. The margin stays that of the first step.
    """

    def test_rates(
        self,
        train_dir: str,
        train_spklist: str,
        valid_dir: str,
        valid_spklist: str,
        tune_period: int,
        pretrained_dir: str | None = None,
        checkpoint: str = "-1",
    ) -> None:
        """Trains `tune_period` steps with each of 100 rates, or until it diverges.

        Args:
            pretrained_dir: the model whose weights a fine-tuning would start from.
            checkpoint: of that model.

        Raises:
            InputError: as for `train` and `finetune`.
        """
        source = pretrained_dir and load_model(RunDir(pretrained_dir), checkpoint)
        lists = (train_dir, train_spklist, valid_dir, valid_spklist)
        with self._open(*lists, None) as (queue, valid_queue):
            model = self._new_model(queue, valid_queue)
            if source:
                copy_weights(source, model, self.params.noload_var_list)
            os.makedirs(self.run.model_dir, exist_ok=True)
            path = os.path.join(self.run.model_dir, TABLE)
            sweep = _Sweep(path, tune_period)
            Feed(queue, queue.dim).fit(
                model, steps_per_epoch=NUM_RATES * tune_period, callbacks=[sweep]
            )
        _logger.info("%s", advice(sweep.tried))
        if sweep.tried:
            plot_rate_test(sweep.tried, f"{path}.png")
            _logger.info("the losses are in %s, their curve in %s.png", path, path)


class _Sweep(keras.callbacks.Callback):
    """Sets the rates, and writes the loss of each; ends `fit` when it diverges."""

    def __init__(self, path: str, tune_period: int) -> None:
        super().__init__()
        self.path, self.tune_period = path, tune_period
        self.tried: list[Tried] = []

    def on_train_batch_begin(self, batch, logs=None):
        if batch % self.tune_period == 0:
            self.rate = tried_rate(batch // self.tune_period)
            self.model.optimizer.learning_rate = self.rate
            self.model.reset_metrics()

    def on_train_batch_end(self, batch, logs=None):
        self.model.global_step.assign(0)  # margins are annealed by it
        if not math.isfinite(logs["loss"]):
            _logger.info("the loss is %s at rate %.3g", logs["loss"], self.rate)
            self.model.stop_training = True
        elif (batch + 1) % self.tune_period == 0:
            first = batch + 1 - self.tune_period
            self.tried.append(Tried(first, self.rate, logs["loss"]))
            write_text(self.path, table(self.tried))
            _logger.info("rate %.3g: loss %.3f", self.rate, logs["loss"])
            self.model.stop_training = diverges(self.tried)
