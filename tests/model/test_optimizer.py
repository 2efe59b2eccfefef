"""TensorFlow 1's update rules, in float64 loops, with a rate that changes."""

import keras
import numpy as np
import pytest
import toy

from misc.params import Params
from model.optimizer import Momentum, make_optimizer

RNG = np.random.default_rng(0)
GRADIENTS = RNG.normal(size=(12, 3))
RATES = [0.1] * 4 + [0.05] * 4 + [0.2] * 4


def momentum(w, nesterov):
    past = np.zeros(3)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        past = 0.9 * past + gradient
        w = w - rate * (gradient + 0.9 * past if nesterov else past)
    return w


def adam(w):
    first, second = np.zeros(3), np.zeros(3)
    for t, (gradient, rate) in enumerate(zip(GRADIENTS, RATES, strict=True), 1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        w = w - rate * first / (np.sqrt(second) + 1e-8)
    return w


def clipped(w):
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        w = w - rate * gradient * min(1, 1 / np.linalg.norm(gradient))
    return w


@pytest.mark.parametrize(
    "keys, expected",
    [
        ({"optimizer": "sgd"}, lambda w: w - np.array(RATES) @ GRADIENTS),
        ({"optimizer": "momentum", "momentum": 0.9}, lambda w: momentum(w, False)),
        (
            {"optimizer": "momentum", "momentum": 0.9, "use_nesterov": True},
            lambda w: momentum(w, True),
        ),
        ({"optimizer": "adam"}, adam),
        (
            {"optimizer": "sgd", "clip_gradient": True, "clip_gradient_norm": 1},
            clipped,
        ),
    ],
)
def test_updates(tmp_path, keys, expected):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json", **keys)))
    start = RNG.normal(size=3)
    weight = keras.Variable(start)
    optimizer = make_optimizer(params)
    for gradient, rate in zip(GRADIENTS, RATES, strict=True):
        optimizer.learning_rate = rate
        gradient = keras.ops.convert_to_tensor(gradient.astype(np.float32))
        optimizer.apply([gradient], [weight])
    np.testing.assert_allclose(weight, expected(start), atol=1e-5)


def test_batches_are_accumulated_to_the_update_of_their_mean(tmp_path):
    """Clipped as a whole; the weights stay in between."""
    keys = {"optimizer": "momentum", "momentum": 0.9, "clip_gradient": True}
    keys |= {"clip_gradient_norm": 0.5, "num_steps_per_epoch": 12}

    def updated(gradients, **more):
        path = toy.write_config(tmp_path / "c.json", **keys | more)
        optimizer = make_optimizer(Params.from_json(str(path)))
        optimizer.learning_rate = 0.1
        weight, course = keras.Variable(np.ones(3), dtype="float32"), []
        for gradient in gradients.astype(np.float32):
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
            course.append(np.asarray(weight))
        return np.array(course)

    means = GRADIENTS.reshape(4, 3, 3).mean(axis=1)
    course = updated(GRADIENTS, accumulate_batches=3)
    np.testing.assert_allclose(course[2::3], updated(means), rtol=1e-6)
    np.testing.assert_array_equal(course[2:11:3], course[3::3])
    np.testing.assert_array_equal(course[:2], 1)


def apply(optimizer, gradient, weight):
    """An update as `fit` makes it: under JAX without a state."""
    if keras.backend.backend() != "jax":
        optimizer.apply([gradient], [weight])
        return
    values = [v.value for v in optimizer.variables]
    (new,), values = optimizer.stateless_apply(values, [gradient], [weight.value])
    for variable, value in zip(optimizer.variables, values, strict=True):
        variable.assign(value)
    weight.assign(new)


def test_float16_leaves_out_a_step_that_overflows(tmp_path):
    path = toy.write_config(tmp_path / "c.json", optimizer="sgd", precision="float16")
    optimizer = make_optimizer(Params.from_json(str(path)))
    optimizer.learning_rate = 1.0
    weight = keras.Variable(np.ones(2))
    optimizer.build([weight])
    for gradient, expected in ((np.inf, 1), (0.5, 0.5), (np.nan, 0.5), (0.25, 0.25)):
        scale = float(optimizer.scale_loss(1.0))
        assert scale > 1000
        scaled = keras.ops.convert_to_tensor(np.float32([gradient * scale, 0]))
        apply(optimizer, scaled, weight)
        np.testing.assert_allclose(weight, [expected, 1])


def test_momentum_is_made_anew_from_its_configuration():
    config = Momentum(momentum=0.5, nesterov=True).get_config()
    again = Momentum.from_config(config)
    assert again.momentum == 0.5 and again.nesterov
