"""Batch normalisation, by TensorFlow's fused operation where that is at hand."""

from __future__ import annotations

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class BatchNormalization(layers.BatchNormalization):
    """Keras' batch normalisation, with the same numbers in less time.

    In training, Keras computes moments and their gradients in a dozen passes over all
    frames, which is an eighth of a step of the x-vector. TensorFlow has one operation
    for them. Devices that share a batch, and other backends, take Keras' way.

    Input shape: (batch, frames, channels). Frames of float16 or bfloat16 stay so in
    memory; statistics are float32.
    """

    def call(self, inputs, training=None, mask=None):
        fused = keras.backend.backend() == "tensorflow" and not self.synchronized
        if not (training and fused):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        rows = ops.expand_dims(ops.cast(inputs, self.compute_dtype), 1)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=rows,
            scale=ops.cast(self.gamma, "float32"),
            offset=ops.cast(self.beta, "float32"),
            mean=[],
            variance=[],
            epsilon=self.epsilon,
            is_training=True,
        )
        # It returns the unbiased variance.
        number = ops.cast(tf.size(inputs) // inputs.shape[-1], "float32")
        variance = variance * (ops.maximum(number - 1.0, 1.0) / number)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance)
        return ops.squeeze(outputs, 1)

    def _move(self, average, value):
        average.assign(average * self.momentum + value * (1.0 - self.momentum))
