"""Classification heads: from embeddings and labels to a loss.

A head is a layer that owns the output weights. `loss` gives the scalar and the logits
without margin; validation (`training=False`) is without margin. To add one, write the
class and a row in LOSSES.
"""

from __future__ import annotations

import keras
from keras import layers, ops

from misc.params import Params
from model.common import l2

TINY = 1e-12


class Head(layers.Layer):
    """What every head has in common. Always float32: margins are small."""

    def __init__(self, num_speakers: int, params: Params, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.num_speakers = num_speakers
        self.params = params
        scale = params.output_weight_l2_regularizer
        self.regularizer = l2(params.weight_l2_regularizer if scale is None else scale)

    def loss(self, embeddings, labels, step, training):
        """The mean cross-entropy over the batch.

        Args:
            embeddings: (batch, dim), float.
            labels: (batch,), integers below num_speakers.
            step: optimizer updates so far, for annealed margins.
            training: False takes the margin away.

        Returns:
            The scalar loss, and the logits without margin (batch, num_speakers).
        """
        raise NotImplementedError


class Softmax(Head):
    """Plain softmax with bias."""

    def build(self, input_shape):
        self.output_layer = layers.Dense(
            self.num_speakers,
            kernel_regularizer=self.regularizer,
            dtype="float32",
            name="output",
        )
        self.output_layer.build(input_shape)
        super().build(input_shape)

    def loss(self, embeddings, labels, step, training):
        logits = self.output_layer(ops.cast(embeddings, "float32"))
        return _cross_entropy(labels, logits), logits


class MarginSoftmax(Head):
    """Softmax over cosines with a margin on the target's, annealed.

    With unit columns W_k and c = cos(x, W_y) the logits are x.W_k, and the target's is
    (1 - a) x.W_y + a |x| phi(c), a = 1 / (1 + lambda),
    lambda = max(min, base (1 + gamma step)^-power). x itself keeps its length, unless
    `feature_norm` has set it.
    """

    prefix = ""

    def build(self, input_shape):
        self.kernel = self.add_weight(
            shape=(input_shape[-1], self.num_speakers),
            initializer="glorot_uniform",
            regularizer=self.regularizer,
            name="output_kernel",
        )
        super().build(input_shape)

    def phi(self, cosine):
        """What the target's cosine becomes."""
        raise NotImplementedError

    def loss(self, embeddings, labels, step, training):
        x = ops.cast(embeddings, "float32")
        logits = ops.matmul(x, _unit_columns(self.kernel))
        if not training:
            return _cross_entropy(labels, logits), logits
        columns = ops.expand_dims(ops.cast(labels, "int32"), 1)
        plain = ops.take_along_axis(logits, columns, axis=1)
        squared = ops.sum(ops.square(x), axis=1, keepdims=True)
        length = ops.sqrt(ops.maximum(squared, TINY * TINY))
        cosine = ops.clip(plain / length, -1.0, 1.0)
        change = self.strength(step) * (length * self.phi(cosine) - plain)
        hot = ops.one_hot(labels, self.num_speakers, dtype="float32")
        return _cross_entropy(labels, logits + hot * change), logits

    def strength(self, step):
        """The share a of the margin at a step: from about 0 to 1 as lambda falls."""
        low, base, gamma, power = (
            getattr(self.params, f"{self.prefix}_lambda_{part}")
            for part in ("min", "base", "gamma", "power")
        )
        step = ops.cast(step, "float32")
        lam = ops.maximum(low, base * ops.power(1.0 + gamma * step, -power))
        return 1.0 / (1.0 + lam)


class AdditiveMarginSoftmax(MarginSoftmax):
    """phi(c) = c - m (Wang et al., Additive margin softmax, 2018, eq. 5)."""

    prefix = "amsoftmax"

    def phi(self, cosine):
        return cosine - self.params.amsoftmax_m


def _unit_columns(kernel):
    squared = ops.sum(ops.square(kernel), axis=0, keepdims=True)
    return kernel / ops.sqrt(ops.maximum(squared, TINY))


def _cross_entropy(labels, logits):
    return ops.mean(
        keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    )


LOSSES = {
    "softmax": Softmax,
    "additive_margin_softmax": AdditiveMarginSoftmax,
}
