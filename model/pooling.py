"""Poolings: from frames (batch, frames, channels) to one vector (batch, dim).

A pooling is a function `(endpoints, params) -> tensor`: it picks its inputs among the
endpoints of the network so far, and adds what it wants seen. To add one, write the
function and a row in POOLINGS.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from misc.params import Params

VARIANCE_FLOOR = 1e-12


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class StatisticsPooling(layers.Layer):
    """Mean and standard deviation over time (Snyder et al., Interspeech 2017).

    The variance is the biased one. Where it is at most 1e-12 the deviation is 1e-6 and
    has no gradient, as in the original: the square root never sees a zero.

    Input shape: (batch, frames, channels). Output shape: (batch, 2 * channels).
    Computed in float32 whatever the policy: a bfloat16 variance has three digits.
    """

    def __init__(self, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)

    def call(self, x):
        mean = ops.mean(x, axis=1, keepdims=True)
        variance = ops.mean(ops.square(x - mean), axis=1)
        deviation = ops.sqrt(
            ops.where(variance > VARIANCE_FLOOR, variance, VARIANCE_FLOOR)
        )
        return ops.concatenate([ops.squeeze(mean, axis=1), deviation], axis=-1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], 2 * input_shape[-1])


def statistics_pooling(
    endpoints: dict[str, keras.KerasTensor], params: Params
) -> keras.KerasTensor:
    """Statistics of the last frame-level layer."""
    return StatisticsPooling(name="pooling")(list(endpoints.values())[-1])


POOLINGS = {"statistics_pooling": statistics_pooling}
