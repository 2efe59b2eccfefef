"""How long a training step takes on this device, with the batches in memory."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence

import keras
import numpy as np

from dataset.errors import InputError
from model.speaker_net import SpeakerNet
from model.trainer import Feed

_WARM_UP = 3
"""Steps in which the graph is made and kernels are chosen."""

_MOST_STEPS = 100


def step_seconds(
    model: SpeakerNet,
    batches: Sequence[tuple[np.ndarray, np.ndarray]],
    seconds: float,
) -> float:
    """Trains for about so many seconds, as `fit` does in earnest; the mean per step.

    Args:
        model: compiled; its weights are changed.
        batches: features and labels, taken in turn. Their lengths should be those of
            the training, for the time depends on them.

    Raises:
        InputError: the loss is not finite.
    """
    clock = _Clock()
    data = Feed(itertools.cycle(batches), model.feature_dim).as_keras_data()

    def train(steps: int) -> float:
        model.fit(
            data, steps_per_epoch=steps, verbose=0, shuffle=False, callbacks=[clock]
        )
        return clock.times[-1] - clock.times[0]

    train(_WARM_UP)
    rough = clock.times[-1] - clock.times[-2]
    steps = min(_MOST_STEPS, max(3, math.ceil(seconds / max(rough, 1e-6))))
    # Between the first step's end and the last one's: fit's own start is not counted.
    return train(steps + 1) / steps


def describe(model: SpeakerNet) -> str:
    """The network's size and what it takes, in a line."""

    def megabytes(variables: Sequence[keras.Variable]) -> str:
        sizes = (math.prod(v.shape) * np.dtype(v.dtype).itemsize for v in variables)
        return f"{sum(sizes) / 1e6:.1f} MB"

    return (
        f"{model.params.network_type}: {model.count_params()} weights, "
        f"{megabytes(model.weights)}, and the optimizer "
        f"{megabytes(model.optimizer.variables)}; {model.feature_dim} features a frame,"
        f" {model.context} frames at least, {model.num_speakers} speakers\n"
    )


def device_name() -> str:
    """Where Keras computes."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return "the GPU" if tf.config.list_physical_devices("GPU") else "the CPU"
    import jax

    return "the CPU" if jax.default_backend() == "cpu" else "the GPU"


class _Clock(keras.callbacks.Callback):
    """When each step of a `fit` ended; refuses a loss that is not finite."""

    def on_train_begin(self, logs=None):
        self.times: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])  # waits for the device
        self.times.append(time.perf_counter())
        if not math.isfinite(loss):
            raise InputError(
                f"the training loss is {loss} at step {batch}: are the features, "
                "'learning_rate' and the loss' keys sensible?"
            )
