"""The learning rate of each step, set before it."""

from __future__ import annotations

import keras

from misc.params import Params
from misc.run_dir import RunDir
from misc.schedule import epoch_rates, step_rate


class LearningRate(keras.callbacks.Callback):
    """Sets the optimizer's rate, by misc/schedule.py.

    Rates follow from the step and the files of the run alone, so that a resumed run
    goes on as the unbroken one would have.

    Args:
        run: the folder of the run.
        params: its configuration.
    """

    def __init__(self, run: RunDir, params: Params):
        super().__init__()
        self.run = run
        self.config = params

    def on_epoch_begin(self, epoch, logs=None):
        losses = [loss for loss, _ in self.run.valid_losses()[:epoch]]
        recorded = self.run.learning_rates()[: epoch + 1]
        self.epoch_rate = epoch_rates(self.config, losses, recorded)[epoch]
        self.rate = None
        self.step = self.model.steps_done

    def on_train_batch_begin(self, batch, logs=None):
        rate = step_rate(self.config, self.step, self.epoch_rate)
        if rate != self.rate:
            if keras.backend.backend() == "jax":  # its variables are out on loan in fit
                self.model.jax_state_sync()
            self.rate = self.model.optimizer.learning_rate = rate
        self.step += 1
