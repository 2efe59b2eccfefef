"""Classification heads and auxiliary losses: from embeddings and labels to a loss.

A head is a layer that owns the output weights. `loss` gives the scalar and the logits
without margin; validation (`training=False`) is without margin and auxiliaries. Losses
that compare the utterances of a batch are in model/pair_loss.py. To add one, write the
class and a row in LOSSES of model/speaker_net.py (docs/adding.md).
"""

from __future__ import annotations

from typing import ClassVar

import keras
from keras import layers, ops

from misc.params import Params
from model.common import TINY, l2, length, unit_length


class Head(layers.Layer):
    """What every head has in common. Always float32: margins are small.

    Args:
        num_speakers: classes.
        params: the configuration.
    """

    compares_utterances: ClassVar[bool] = False
    """The loss needs several utterances of a speaker in a batch, and has no logits."""

    needs_whole_batch: ClassVar[bool] = False
    """The loss is no mean over the utterances of a batch, nor over parts of it."""

    def __init__(self, num_speakers: int, params: Params, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.num_speakers = num_speakers
        self.params = params

    def loss(self, embeddings, labels, step, training):
        """The loss of a batch.

        Args:
            embeddings: (batch, dim), float.
            labels: (batch,), integers below num_speakers.
            step: optimizer updates so far, for annealed margins.
            training: False takes the margin away.

        Returns:
            The scalar loss, and the logits without margin (batch, num_speakers); None
            in their place if `compares_utterances`.
        """
        raise NotImplementedError

    def margin_state(self, step: int) -> dict[str, float]:
        """What the log says of the margin at a step: `lambda`, `margin`, or nothing."""
        return {}


class OutputLayer(Head):
    """A head with an output layer: one column of `kernel` for each speaker."""

    use_bias = False

    def build(self, input_shape):
        scale = self.params.output_weight_l2_regularizer
        if scale is None:
            scale = self.params.weight_l2_regularizer
        self.output_layer = layers.Dense(
            self.num_speakers,
            use_bias=self.use_bias,
            kernel_regularizer=l2(scale),
            dtype="float32",
            name="output",
        )
        self.output_layer.build(input_shape)

    @property
    def kernel(self):
        """(dim, num_speakers)."""
        return self.output_layer.kernel


class Softmax(OutputLayer):
    """Plain softmax with bias: the mean cross-entropy."""

    use_bias = True

    def loss(self, embeddings, labels, step, training):
        logits = self.output_layer(ops.cast(embeddings, "float32"))
        return cross_entropy(labels, logits), logits


class MarginSoftmax(OutputLayer):
    """Softmax over cosines with a margin on the target's, annealed.

    With unit columns W_k and c = cos(x, W_y) the logits are x.W_k, and the target's is
    (1 - a) x.W_y + a |x| phi(c, m), a = 1 / (1 + lambda),
    lambda = max(min, base (1 + gamma step)^-power). x itself keeps its length, unless
    `feature_norm` has set it. The margin m of an additive one may grow with the step.
    """

    prefix: ClassVar[str]
    """The keys of the margin are `<prefix>_m`, `<prefix>_lambda_min` and so on."""

    def loss(self, embeddings, labels, step, training):
        x = ops.cast(embeddings, "float32")
        logits = ops.matmul(x, unit_length(self.kernel, axis=0))
        if not training:
            return cross_entropy(labels, logits), logits
        columns = ops.expand_dims(ops.cast(labels, "int32"), 1)
        plain = ops.take_along_axis(logits, columns, axis=1)
        norm = length(x)
        cosine = ops.clip(plain / norm, -1.0, 1.0)
        target = norm * PHI[self.params.loss_func](cosine, self.margin(step))
        change = self.strength(step) * (target - plain)
        hot = ops.one_hot(labels, self.num_speakers, dtype="float32")
        return cross_entropy(labels, logits + hot * change), logits

    def margin(self, step):
        """The margin m at a step."""
        return self._key("m")

    def strength(self, step):
        """The share a of the margin at a step: from about 0 to 1 as lambda falls."""
        low, base, gamma, power = (
            self._key(f"lambda_{part}") for part in ("min", "base", "gamma", "power")
        )
        step = ops.cast(step, "float32")
        lam = ops.maximum(low, base * ops.power(1.0 + gamma * step, -power))
        return 1.0 / (1.0 + lam)

    def margin_state(self, step: int) -> dict[str, float]:
        lam = 1.0 / float(self.strength(step)) - 1.0
        return {"lambda": lam, "margin": float(self.margin(step))}

    def _key(self, name: str) -> float:
        return getattr(self.params, f"{self.prefix}_{name}")


class AngularSoftmax(MarginSoftmax):
    """A-softmax (Liu et al., SphereFace, CVPR 2017), m = 1, 2 or 4."""

    prefix = "asoftmax"


class GrowingMarginSoftmax(MarginSoftmax):
    """With a margin that is 0 to `margin_start_step`, and whole at `margin_full_step`.

    WeSpeaker's and others' schedules are of this kind. Beside it lambda may fall, too.
    """

    def margin(self, step):
        start, full = self.params.margin_start_step, self.params.margin_full_step
        if not full:
            return self._key("m")
        step = ops.cast(step, "float32")
        return self._key("m") * ops.clip((step - start) / (full - start), 0, 1)


class AdditiveMarginSoftmax(GrowingMarginSoftmax):
    """AM-softmax (Wang et al., Additive margin softmax, 2018, eq. 5)."""

    prefix = "amsoftmax"


class AdditiveAngularMarginSoftmax(GrowingMarginSoftmax):
    """AAM-softmax (Deng et al., ArcFace, CVPR 2019, eq. 3)."""

    prefix = "arcsoftmax"


def multiple_angle(cosine, m: int):
    """(-1)^k cos(m theta) - 2k for theta in [k pi / m, (k + 1) pi / m]; m = 1, 2, 4.

    Falls steadily from 1 at theta = 0 to 1 - 2m at pi (SphereFace, eq. 7).
    """
    if m == 1:
        return cosine
    sign = ops.sign(cosine)
    square = ops.square(cosine)
    if m == 2:
        return 2.0 * sign * square - 1.0
    inner = ops.sign(2.0 * square - 1.0) * sign
    return inner * (8.0 * square * (square - 1.0) + 1.0) + 2.0 * sign + inner - 3.0


def additive_margin(cosine, m):
    """cos theta - m."""
    return cosine - m


def additive_angle(cosine, m):
    """cos(theta + m) up to theta = pi - m; beyond, where that would rise, its
    continuation -cos(theta + m) - 2, which goes on falling."""
    m = ops.cast(m, cosine.dtype)
    sine = ops.sqrt(ops.maximum(1.0 - ops.square(cosine), TINY))
    moved = cosine * ops.cos(m) - sine * ops.sin(m)
    return ops.where(cosine > -ops.cos(m), moved, -2.0 - moved)


PHI = {
    "asoftmax": multiple_angle,
    "additive_margin_softmax": additive_margin,
    "additive_angular_margin_softmax": additive_angle,
}


class RingLoss(layers.Layer):
    """ring_loss_lambda * mean (|x| - r)^2, r learnt (Zheng et al., CVPR 2018)."""

    needs_whole_batch = False

    def __init__(self, params: Params):
        super().__init__(dtype="float32", name="softmax_ringloss")
        self.params = params
        self.r = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(params.ring_loss_init),
            name="r",
        )
        self.built = True

    def loss(self, embeddings, labels, head):
        """The scalar for a batch; arguments as of `Head.loss`."""
        off = length(ops.cast(embeddings, "float32")) - self.r
        return self.params.ring_loss_lambda * ops.mean(ops.square(off))


class HypersphericalEnergy(layers.Layer):
    """mhe_lambda / mean |w_y - w_k|^2 over the batch's y and all k, unit columns.

    Liu et al., Learning towards minimum hyperspherical energy, NeurIPS 2018. k = y is
    among them, as in the original.
    """

    needs_whole_batch = True

    def __init__(self, params: Params):
        super().__init__(dtype="float32", name="mhe")
        self.params = params
        self.built = True

    def loss(self, embeddings, labels, head):
        """The scalar for a batch; arguments as of `Head.loss`."""
        columns = unit_length(head.kernel, axis=0)
        targets = ops.take(columns, ops.cast(labels, "int32"), axis=1)
        distance = 2.0 - 2.0 * ops.matmul(ops.transpose(targets), columns)
        return self.params.mhe_lambda / (ops.mean(distance) + 1e-6)


AUXILIARY_LOSSES = {"ring_loss": RingLoss, "mhe_loss": HypersphericalEnergy}


def cross_entropy(labels, logits):
    """The mean cross-entropy of (batch, classes) logits."""
    return ops.mean(
        keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    )
