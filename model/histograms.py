"""Distributions of weights and gradients, to look at with TensorBoard."""

from __future__ import annotations

import keras

from dataset.data_loader import KaldiDataRandomQueue
from model.event_file import EventFile


def add_histograms(
    events: EventFile, model: keras.Model, queue: KaldiDataRandomQueue, step: int
) -> None:
    """Adds `weights/<name>` and `gradients/<name>` of everything that is trained.

    The gradients are those of the batch of `step`, after its update; the batch is read,
    and its loss computed, once more. Under JAX there are none.
    """
    for weight in model.trainable_variables:
        values = keras.ops.convert_to_numpy(weight)
        events.add_histogram(f"weights/{weight.path}", values, step)
    if keras.backend.backend() == "tensorflow":
        for name, values in _gradients(model, queue, step).items():
            events.add_histogram(f"gradients/{name}", values, step)


def _gradients(model: keras.Model, queue: KaldiDataRandomQueue, step: int):
    """The gradient by each weight; the model is left as it was."""
    import tensorflow as tf

    features, labels = queue.read(step - 1)
    changed = [*model.non_trainable_variables, *model.metrics_variables]
    before = [keras.ops.convert_to_numpy(variable) for variable in changed]
    with tf.GradientTape() as tape:
        output = model(features, training=True)
        loss = model.compute_loss(y=labels, y_pred=output)
    values = [variable.value for variable in model.trainable_variables]
    gradients = tape.gradient(loss, values)
    for variable, value in zip(changed, before, strict=True):
        variable.assign(value)
    return {
        variable.path: keras.ops.convert_to_numpy(gradient)
        for variable, gradient in zip(model.trainable_variables, gradients, strict=True)
    }
