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


def test_momentum_is_made_anew_from_its_configuration():
    config = Momentum(momentum=0.5, nesterov=True).get_config()
    again = Momentum.from_config(config)
    assert again.momentum == 0.5 and again.nesterov
