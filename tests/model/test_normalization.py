"""Batch normalisation of frames against float64 and against Keras' own."""

import keras
import numpy as np
import pytest
from gradients import value_and_gradients
from keras import layers, ops

from model.normalization import BatchNormalization

RNG = np.random.default_rng(0)
EPSILON = 1e-3


def reference(x, gamma, beta, g):
    """The output, and the gradients of sum(g y), in float64."""
    mean, variance = x.mean((0, 1)), x.var((0, 1))
    scale = 1 / np.sqrt(variance + EPSILON)
    unit = (x - mean) * scale
    dx = g - g.mean((0, 1)) - unit * (g * unit).mean((0, 1))
    by_gamma, by_beta = (g * unit).sum((0, 1)), g.sum((0, 1))
    return unit * gamma + beta, [gamma * scale * dx, by_gamma, by_beta]


@pytest.mark.parametrize(
    "shape, mean", [((4, 9, 5), 0), ((4, 9, 5), 300), ((1, 2, 5), 0), ((1, 1, 5), 3)]
)
def test_training_step(shape, mean):
    x = RNG.normal(mean, 2, shape).astype(np.float32)
    weight = RNG.normal(size=shape).astype(np.float32)
    gamma, beta = RNG.normal(size=(2, 5))
    layer = BatchNormalization(momentum=0.9, epsilon=EPSILON)
    layer.build(shape)
    layer.gamma.assign(gamma)
    layer.beta.assign(beta)
    inputs = keras.Variable(x)
    results = []

    def loss():
        results.append(layer(ops.convert_to_tensor(inputs), training=True))
        return ops.sum(weight * results[-1])

    _, gradients = value_and_gradients(loss, [inputs, layer.gamma, layer.beta])
    x = x.astype(np.float64)
    output, expected = reference(x, gamma, beta, weight)
    if keras.backend.backend() == "tensorflow":
        np.testing.assert_allclose(results[0], output, atol=2e-5 * (1 + mean))
        np.testing.assert_allclose(layer.moving_mean, x.mean((0, 1)) / 10, rtol=1e-5)
        variance = 0.9 + x.var((0, 1)) / 10
        np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-4)
    for ours, exact in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(ours, exact, atol=1e-4 * (1 + mean))


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("training", [True, False])
def test_beside_keras(dtype, training):
    x = RNG.normal(3, 2, (4, 9, 5)).astype(np.float32)
    results = []
    for kind in (BatchNormalization, layers.BatchNormalization):
        layer = kind(momentum=0.9, dtype=dtype)
        results.append([layer(x, training=training), *layer.weights])
    exact = 0.04 if "bfloat" in dtype else 0.005 if "float16" in dtype else 1e-5
    assert results[0][0].dtype == results[1][0].dtype
    for ours, theirs in zip(*results, strict=True):
        ours, theirs = (np.float32(ops.cast(v, "float32")) for v in (ours, theirs))
        np.testing.assert_allclose(ours, theirs, atol=exact)


def test_frozen_averages_stay():
    layer = BatchNormalization(momentum=1.0)
    x = RNG.normal(3, 2, (4, 9, 5)).astype(np.float32)
    output = np.asarray(layer(x, training=True))
    np.testing.assert_array_equal(layer.moving_mean, 0)
    np.testing.assert_array_equal(layer.moving_variance, 1)
    np.testing.assert_allclose(output.mean((0, 1)), 0, atol=1e-5)
