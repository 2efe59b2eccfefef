"""Multi-class logistic regression of vectors, such as for language recognition.

Kaldi: src/ivector/logistic-regression.cc. The posterior of a class is the softmax of
one affine function of the input for each class, or for each of several components
that a class is a mixture of.
"""

from __future__ import annotations

import dataclasses
import heapq

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from misc.backend.lbfgs import minimise

Array = npt.NDArray[np.float64]
Classes = npt.NDArray[np.int32]

_SPLIT_NOISE = 1e-5


@dataclasses.dataclass(frozen=True)
class LogisticRegression:
    """A trained classifier.

    Attributes:
        weights: [components, dim + 1]; the last column is the offset.
        classes: [components], the class that each component belongs to.
    """

    weights: Array
    classes: Classes

    @property
    def dim(self) -> int:
        """Of the inputs."""
        return self.weights.shape[1] - 1

    def log_posteriors(self, inputs: npt.ArrayLike) -> Array:
        """Natural logarithms of the classes' posteriors [N, classes].

        Args:
            inputs: [N, dim].

        Raises:
            InputError: another dimension.
        """
        vectors = np.asarray(inputs, dtype=np.float64)
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise InputError(
                f"The logistic regression takes vectors of dimension {self.dim}, got "
                f"{vectors.shape[-1]}"
            )
        logits = vectors @ self.weights[:, :-1].T + self.weights[:, -1]
        return _by_class(logits - _log_sum(logits), self.classes)


def train_logistic_regression(
    inputs: npt.ArrayLike,
    labels: npt.ArrayLike,
    max_steps: int = 20,
    normalizer: float = 0.0025,
    mix_up: int = 0,
    power: float = 0.15,
) -> LogisticRegression:
    """Maximises the mean log posterior less normalizer / 2 times the squared weights.

    By L-BFGS from zero weights; with `mix_up`, then again with the components split,
    from copies of the weights with a little (seeded) noise.

    Args:
        inputs: [N, dim].
        labels: [N] classes 0 .. classes - 1, each present.
        max_steps: how often L-BFGS computes the objective; a line search takes some.
        normalizer: strength of the L2 regularisation, which spares no offset.
        mix_up: number of components in all; up to the number of classes: one each.
        power: a class's share of the components goes by its count to this power.

    Raises:
        InputError: fewer than two classes, or a class without an example; wrong
            options; numbers that are not finite.
    """
    vectors = np.asarray(inputs, dtype=np.float64)
    truth = np.asarray(labels)
    if max_steps < 1 or normalizer < 0.0:
        raise InputError(
            "Expected max-steps of at least 1 and a normalizer of at least 0, got "
            f"{max_steps} and {normalizer:g}"
        )
    if not np.isfinite(vectors).all():
        raise InputError("The vectors to train on hold NaN or infinity")
    if truth.min() < 0:
        raise InputError(f"Classes are numbered from 0, got {truth.min()}")
    counts = np.bincount(truth)
    if len(counts) < 2 or not counts.all():
        raise InputError(
            f"Expected examples of each class from 0 to {max(len(counts) - 1, 1)}, "
            f"got none of class {int(np.argmin(counts)) if len(counts) > 1 else 1}"
        )
    design = np.column_stack([vectors, np.ones(len(vectors))])
    classes = np.arange(len(counts), dtype=np.int32)
    weights = np.zeros((len(counts), design.shape[1]))
    weights = _maximise(design, truth, weights, classes, max_steps, normalizer)
    if mix_up > len(counts):
        targets = split_targets(counts, mix_up, power)
        extra = np.repeat(classes, targets - 1)
        noise = np.random.default_rng(0).normal(size=(len(extra), design.shape[1]))
        weights = np.vstack([weights, weights[extra] + _SPLIT_NOISE * noise])
        classes = np.append(classes, extra)
        weights = _maximise(design, truth, weights, classes, max_steps, normalizer)
    return LogisticRegression(weights, classes)


def scale_priors(
    model: LogisticRegression, scales: npt.ArrayLike
) -> LogisticRegression:
    """The model with each class's prior multiplied by its scale [classes].

    Raises:
        InputError: not one scale for each class, or one that is not above 0.
    """
    factors = np.asarray(scales, dtype=np.float64)
    num_classes = int(model.classes.max()) + 1
    if factors.shape != (num_classes,) or not (factors > 0.0).all():
        raise InputError(
            f"Expected {num_classes} scales above 0, one for each class, got {factors}"
        )
    weights = model.weights.copy()
    weights[:, -1] += np.log(factors)[model.classes]
    return LogisticRegression(weights, model.classes)


def split_targets(
    counts: npt.ArrayLike, num_components: int, power: float
) -> npt.NDArray[np.int64]:
    """How many components each class gets: [classes], `num_components` in all or fewer.

    One each, then one at a time to the class with the largest count ** power for each
    component that it has; never more components than a class has examples.
    """
    occupancies = np.asarray(counts, dtype=np.float64)
    targets = np.ones(len(occupancies), np.int64)
    queue = [(-(count**power), index) for index, count in enumerate(occupancies)]
    heapq.heapify(queue)
    while queue and targets.sum() < num_components:
        _, index = heapq.heappop(queue)
        if targets[index] + 1 >= occupancies[index]:
            continue
        targets[index] += 1
        share = occupancies[index] ** power / targets[index]
        heapq.heappush(queue, (-share, index))
    return targets


def _maximise(
    design: Array,
    truth: npt.NDArray,
    start: Array,
    classes: Classes,
    max_steps: int,
    normalizer: float,
) -> Array:
    own = classes == truth[:, None]

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(start.shape)
        logits = design @ weights.T
        log_total = _log_sum(logits)
        log_own = _log_sum(np.where(own, logits, -np.inf))
        own_share = np.exp(np.where(own, logits - log_own, -np.inf))
        error = np.exp(logits - log_total) - own_share
        gradient = error.T @ design / len(design) + normalizer * weights
        value = np.mean(log_total - log_own) + 0.5 * normalizer * np.sum(weights**2)
        return float(value), gradient.ravel()

    return minimise(loss, start.ravel(), max_steps).reshape(start.shape)


def _by_class(log_posteriors: Array, classes: Classes) -> Array:
    columns = [
        _log_sum(log_posteriors[:, classes == number])
        for number in range(int(classes.max()) + 1)
    ]
    return np.hstack(columns)


def _log_sum(logs: Array) -> Array:
    """log sum exp over the columns: [N, 1]."""
    return np.logaddexp.reduce(logs, axis=1, keepdims=True)
