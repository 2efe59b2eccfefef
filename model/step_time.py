"""How long a training step takes on this device, with the batches in memory."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Sequence

import keras
import numpy as np

from dataset.data_loader import KaldiDataRandomQueue
from dataset.errors import InputError
from model.feed import Feed
from model.speaker_net import SpeakerNet

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
    clock = _train(model, itertools.cycle(batches), _WARM_UP)
    rough = clock.times[-1] - clock.times[-2]
    # Between the first step's end and the last one's: fit's own start is not counted.
    steps = _number_of_steps(rough, seconds)
    clock = _train(model, itertools.cycle(batches), steps + 1)
    return (clock.times[-1] - clock.times[0]) / steps


def waited_share(
    model: SpeakerNet, queue: KaldiDataRandomQueue, step: float, seconds: float
) -> float:
    """Trains from a queue for about so many seconds; the share spent in its `fetch`.

    Less than a long training would show, if what lay ready lasts for these seconds.

    Args:
        step: seconds of a step, from `step_seconds`.

    Raises:
        InputError: as for `step_seconds`; a segment cannot be read.
        RuntimeError: a worker died.
    """
    with queue:
        steps = _number_of_steps(step, seconds)
        clock = _train(model, queue, steps + 1)
        first = min(queue.num_ready, steps // 2)
    passed = clock.times[-1] - clock.times[first]
    return (clock.waited[-1] - clock.waited[first]) / passed


def _number_of_steps(step: float, seconds: float) -> int:
    return min(_MOST_STEPS, max(3, math.ceil(seconds / max(step, 1e-6))))


def _train(model: SpeakerNet, source: Iterable, steps: int) -> _Clock:
    clock = _Clock(source)
    feed = Feed(source, model.feature_dim)
    feed.fit(model, steps_per_epoch=steps, callbacks=[clock])
    return clock


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
    """When each step ended, and how long the source had been waited for by then.

    Refuses a loss that is not finite.
    """

    def __init__(self, source: Iterable) -> None:
        super().__init__()
        self.source = source
        self.times: list[float] = []
        self.waited: list[float] = []

    def on_train_batch_end(self, batch, logs=None):
        loss = float(logs["loss"])  # waits for the device
        self.times.append(time.perf_counter())
        self.waited.append(getattr(self.source, "wait_seconds", 0.0))
        if not math.isfinite(loss):
            raise InputError(
                f"the training loss is {loss} at step {batch}: are the features, "
                "'learning_rate' and the loss' keys sensible?"
            )
