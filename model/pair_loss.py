"""Losses that compare the utterances of a batch: triplets and end-to-end.

They are heads as in model/loss.py. Those without an output layer need batches with
several segments of each speaker (`num_segments_per_speaker`), in any order.
"""

from __future__ import annotations

import keras
from keras import ops

from dataset.errors import InputError
from model.common import TINY, unit_length
from model.loss import PHI, Head, OutputLayer

END_TO_END_SCALE = 20.0
"""Scale of the cosines in the validation loss, fixed."""


class SemihardTriplet(Head):
    """Triplets with semi-hard negatives (Schroff et al., FaceNet, CVPR 2015, 3.2).

    For each anchor and positive, the nearest negative that is farther than the
    positive, or the farthest negative if none is; the mean over these pairs of
    max(0, margin + d_ap - d_an), d the Euclidean distance of the outputs, or its
    square with `triplet_loss_squared`.
    """

    compares_utterances = True
    needs_whole_batch = True

    def loss(self, embeddings, labels, step, training):
        distance = self._distances(ops.cast(embeddings, "float32"))
        positive, negative = _pairs(labels)
        low = ops.min(distance, axis=1, keepdims=True)
        high = ops.max(distance, axis=1, keepdims=True)
        farthest = ops.max(ops.where(negative, distance, low), axis=1, keepdims=True)
        # (anchor, positive, negative)
        to_negative = ops.expand_dims(distance, 1)
        farther = ops.logical_and(
            ops.expand_dims(negative, 1), to_negative > ops.expand_dims(distance, 2)
        )
        nearest = ops.min(
            ops.where(farther, to_negative, ops.expand_dims(high, 1)), axis=2
        )
        chosen = ops.where(ops.any(farther, axis=2), nearest, farthest)
        hinge = ops.relu(self.params.margin + distance - chosen)
        return _mean_where(positive, hinge), None

    def _distances(self, x):
        product = ops.matmul(x, ops.transpose(x))
        square = ops.diagonal(product)
        square = ops.expand_dims(square, 1) - 2.0 * product + ops.expand_dims(square, 0)
        square = ops.maximum(square, 0.0)
        if self.params.triplet_loss_squared:
            return square
        # The square root has no slope at zero: none of the diagonal, nor of duplicates.
        apart = square > 0.0
        return ops.where(apart, ops.sqrt(ops.where(apart, square, 1.0)), 0.0)


class AngularTriplet(Head):
    """Triplets of cosines with the margin phi of a margin softmax on the positive's.

    `all`: the mean of cos(a, n) - phi(cos(a, p)) over the triplets where it is above
    zero. `hard`: the mean over the anchors of max(0, largest cos(a, n) - smallest
    phi(cos(a, p))). Validation is by the end-to-end loss. The margin is that of
    `loss_type`; Liu, He, Liu: Large margin softmax loss for speaker verification,
    Interspeech 2019, has the phi.
    """

    compares_utterances = True
    needs_whole_batch = True

    def loss(self, embeddings, labels, step, training):
        x = unit_length(ops.cast(embeddings, "float32"))
        if not training:
            return end_to_end_loss(x, labels), None
        cosine = ops.clip(ops.matmul(x, ops.transpose(x)), -1.0, 1.0)
        positive, negative = _pairs(labels)
        # Only pairs have a phi: it is steep at the diagonal's cosine of 1.
        phi = PHI[self.params.loss_type](
            ops.where(positive, cosine, 0.0), self.params.margin
        )
        if self.params.triplet_type == "hard":
            return _hardest(cosine, phi, positive, negative), None
        hinge = ops.relu(ops.expand_dims(cosine, 1) - ops.expand_dims(phi, 2))
        triplets = ops.logical_and(
            ops.expand_dims(positive, 2), ops.expand_dims(negative, 1)
        )
        return _mean_where(ops.logical_and(triplets, hinge > TINY), hinge), None


def _hardest(cosine, phi, positive, negative):
    """The `hard` angular triplets. Anchors without a pair of both kinds count as 0."""
    top = ops.max(ops.where(negative, cosine, -2.0), axis=1)
    bottom = ops.min(ops.where(positive, phi, 2.0), axis=1)
    whole = ops.logical_and(ops.any(positive, axis=1), ops.any(negative, axis=1))
    return ops.mean(ops.where(whole, ops.relu(top - bottom), 0.0))


class GeneralizedAngularTriplet(OutputLayer):
    """Triplets of an utterance, its speaker's centre and other centres.

    On the unit sphere, with squared distances d_k to the centres, over the utterances
    with d_y > target_margin: the mean of the hinges margin + d_y - d_k above zero, of
    the `triplet_topn` nearest other centres (0: all); plus the mean d_y; minus the mean
    distance between centres; each with its weight. The centres are the columns of the
    output layer: `learnable`, or an `average` of the raw outputs with
    `triplet_center_momentum`, moved before the loss is taken.

    Raises:
        InputError: `triplet_topn` is not below the number of speakers.
    """

    needs_whole_batch = True

    def build(self, input_shape):
        if self.params.triplet_topn >= self.num_speakers:
            raise InputError(
                f"'triplet_topn' = {self.params.triplet_topn}: expected less than the "
                f"number of speakers, {self.num_speakers}"
            )
        super().build(input_shape)
        if self.params.triplet_center == "average":
            self.output_layer.trainable = False

    def loss(self, embeddings, labels, step, training):
        x = ops.cast(embeddings, "float32")
        hot = ops.one_hot(labels, self.num_speakers, dtype="float32")
        kernel = self.kernel
        if training and self.params.triplet_center == "average":
            kernel = ops.stop_gradient(self._moved(x, hot))
            self.kernel.assign(kernel)
        triplet, center, between, distance = self.parts(x, hot, kernel)
        p = self.params
        total = p.triplet_loss_weight * triplet + p.center_loss_weight * center
        return total + p.between_loss_weight * between, -distance

    def parts(self, x, hot, kernel):
        """The three terms without their weights, and the distances (batch, classes)."""
        x, centers = unit_length(x), unit_length(kernel, axis=0)
        square = ops.sum(ops.square(centers), axis=0, keepdims=True)
        distance = (
            ops.sum(ops.square(x), axis=1, keepdims=True)
            + square
            - 2.0 * ops.matmul(x, centers)
        )
        own = ops.sum(hot * distance, axis=1, keepdims=True)
        far = own > self.params.target_margin
        counted = ops.logical_and(far, hot == 0.0)
        hinge = ops.where(counted, self.params.margin + own - distance, 0.0)
        if self.params.triplet_topn:
            hinge, _ = ops.top_k(hinge, self.params.triplet_topn, sorted=False)
        triplet = _mean_where(hinge > TINY, hinge)
        # d_jk = 2 - 2 w_j.w_k summed over j != k, without the classes^2 matrix.
        total = ops.sum(centers, axis=1)
        others = ops.sum(ops.square(total)) - ops.sum(square)
        pairs = max(self.num_speakers * (self.num_speakers - 1), 1)
        return triplet, _mean_where(far, own), 2.0 * others / pairs - 2.0, distance

    def _moved(self, x, hot):
        """The centres, each drawn towards the utterances of its speaker in turn."""
        rate = 1.0 - self.params.triplet_center_momentum
        number = ops.sum(hot, axis=0, keepdims=True)
        return self.kernel - rate * (
            self.kernel * number - ops.matmul(ops.transpose(x), hot)
        )


class GeneralizedEndToEnd(Head):
    """GE2E (Wan et al., Generalized end-to-end loss for speaker verification, 2018).

    The similarity of an utterance to a speaker is |w| cos + b, w and b learnt, to the
    mean of the speaker's unit vectors, without itself for its own. `softmax` (eq. 6):
    cross-entropy. `contrast` (eq. 7): 1 - sigmoid(own) + the largest other sigmoid.
    The mean over the batch, where the paper has the sum. Validation: `end_to_end_loss`.
    """

    compares_utterances = True
    needs_whole_batch = True

    def build(self, input_shape):
        for name in ("w", "b"):
            start = getattr(self.params, f"init_end2end_{name}")
            weight = self.add_weight(
                shape=(), initializer=keras.initializers.Constant(start), name=name
            )
            setattr(self, name, weight)

    def loss(self, embeddings, labels, step, training):
        x = unit_length(ops.cast(embeddings, "float32"))
        if not training:
            return end_to_end_loss(x, labels), None
        cosine, number, own = _center_cosines(x, labels)
        similarity = ops.abs(self.w) * cosine + self.b
        if self.params.ge2e_loss_type == "softmax":
            return _cross_entropy_of_speakers(similarity, number), None
        positive = ops.sigmoid(ops.diagonal(similarity))
        other = ops.max(ops.where(own, 0.0, ops.sigmoid(similarity)), axis=1)
        return ops.mean(1.0 - positive + other), None


def end_to_end_loss(x, labels):
    """The softmax end-to-end loss with a fixed scale of 20, for validation.

    Args:
        x: unit vectors, (batch, dim).
        labels: (batch,), in any order; each speaker at least twice.
    """
    cosine, number, _ = _center_cosines(x, labels)
    return _cross_entropy_of_speakers(END_TO_END_SCALE * cosine, number)


def _center_cosines(x, labels):
    """Cosines of each utterance i with the centre of the speaker of utterance j.

    A column for each utterance instead of each speaker needs no order of the batch and
    no fixed numbers. For i's own speaker the centre leaves i out.

    Returns:
        The cosines (batch, batch); the number of utterances of j's speaker (batch,);
        which pairs are of one speaker (batch, batch).
    """
    labels = ops.cast(labels, "int32")
    own = ops.expand_dims(labels, 0) == ops.expand_dims(labels, 1)
    same = ops.cast(own, "float32")
    total = ops.matmul(same, x)
    without_self = ops.sum(x * unit_length(total - x), axis=1, keepdims=True)
    cosine = ops.matmul(x, ops.transpose(unit_length(total)))
    return ops.where(own, without_self, cosine), ops.sum(same, axis=0), own


def _cross_entropy_of_speakers(similarity, number):
    """Cross-entropy where each speaker's column is repeated `number` times."""
    among = ops.logsumexp(similarity - ops.log(number), axis=1)
    return ops.mean(among - ops.diagonal(similarity))


def _pairs(labels):
    """Which pairs are two utterances of one speaker, and which are of two speakers."""
    labels = ops.cast(labels, "int32")
    same = ops.expand_dims(labels, 0) == ops.expand_dims(labels, 1)
    itself = ops.cast(ops.eye(ops.shape(labels)[0]), "bool")
    return ops.logical_and(same, ops.logical_not(itself)), ops.logical_not(same)


def _mean_where(mask, values):
    """The mean of the values where the mask is true; 0 if it is so nowhere."""
    number = ops.sum(ops.cast(mask, "float32"))
    return ops.sum(ops.where(mask, values, 0.0)) / ops.maximum(number, 1.0)
