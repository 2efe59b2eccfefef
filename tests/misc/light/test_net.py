"""LightNet on descriptions made by hand; those made from Keras: tests/model."""

import numpy as np
import pytest

from dataset.errors import InputError
from misc.light.net import POINTWISE, LightNet
from misc.light.ops import OPERATIONS, logsumexp, mean, sigmoid, softmax, total

RNG = np.random.default_rng(0)
WEIGHTS = {
    "w": RNG.normal(size=(3, 4)),
    "b": RNG.normal(size=4),
    "scale": RNG.uniform(1, 2, size=4),
    "shift": RNG.normal(size=4),
    "k": RNG.normal(size=(2, 4, 3)),
    "kb": RNG.normal(size=3),
}
WEIGHTS = {name: value.astype(np.float32) for name, value in WEIGHTS.items()}


def step(op, *args, **options):
    return {"op": op, "args": list(args), "options": options}


def value(i):
    return {"value": i}


def weight(name):
    return {"weight": name}


STEPS = [
    step("affine", value(0), weight("w"), weight("b")),
    step("scale", value(1), weight("scale"), weight("shift")),
    step("tanh", value(2)),
    step("convolution", value(3), weight("k"), weight("kb"), dilation=1),
    step("leaky_relu", value(4), 0.2),
    step("Mean", value(5), axis=1, keepdims=False),
    step("Multiply", value(6), 2.0),
    step("softmax", value(7)),
]
NODES = ("affine", "scale", "tanh", "conv", "relu", "mean", "double", "softmax")
ENDPOINTS = {
    name: {"value": i, "rank": 3 if i < 6 else 2} for i, name in enumerate(NODES, 1)
}
DESCRIPTION = {
    "feature_dim": 3,
    "context": 2,
    "endpoints": ENDPOINTS | {"constant": None},
    "embedding_node": "double",
    "steps": STEPS,
}


def expected(x):
    """All endpoints of an utterance, in float64."""
    w = {name: v.astype(np.float64) for name, v in WEIGHTS.items()}
    out = {"affine": x @ w["w"] + w["b"]}
    out["scale"] = out["affine"] * w["scale"] + w["shift"]
    out["tanh"] = np.tanh(out["scale"])
    out["conv"] = out["tanh"][:-1] @ w["k"][0] + out["tanh"][1:] @ w["k"][1] + w["kb"]
    out["relu"] = np.where(out["conv"] > 0, out["conv"], 0.2 * out["conv"])
    out["mean"] = out["relu"].mean(axis=0)
    out["double"] = 2 * out["mean"]
    exponentials = np.exp(out["double"])
    out["softmax"] = exponentials / exponentials.sum()
    return out


@pytest.mark.parametrize("node", ENDPOINTS)
def test_every_endpoint(node):
    """Whatever joins what: a chain ends where the endpoint is."""
    net = LightNet(DESCRIPTION, WEIGHTS, node)
    utterances = [RNG.normal(size=(n, 3)).astype(np.float32) for n in (2, 9, 5)]
    assert net.kind == ("matrix" if ENDPOINTS[node]["rank"] == 3 else "vector")
    for got, x in zip(net(utterances), utterances, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected(x)[node], rtol=1e-5, atol=1e-6)


def test_what_is_refused():
    assert LightNet(DESCRIPTION, WEIGHTS).node == "double"
    with pytest.raises(InputError, match="no endpoint 'x'; there are: affine, scale"):
        LightNet(DESCRIPTION, WEIGHTS, "x")
    with pytest.raises(InputError, match="'constant' does not depend on the input"):
        LightNet(DESCRIPTION, WEIGHTS, "constant")
    unknown = DESCRIPTION | {"steps": [step("system", value(0))]}
    with pytest.raises(InputError, match="unknown operation 'system'"):
        LightNet(unknown, WEIGHTS, "affine")


def test_a_value_that_two_read_stays():
    """Nothing is changed in place that another step needs."""
    steps = [
        step("affine", value(0), weight("w"), weight("b")),
        step("relu", value(1)),
        step("tanh", value(1)),
        step("Subtract", value(2), value(3)),
    ]
    endpoints = {"x": {"value": 4, "rank": 3}}
    net = LightNet(DESCRIPTION | {"steps": steps, "endpoints": endpoints}, WEIGHTS, "x")
    x = RNG.normal(size=(4, 3)).astype(np.float32)
    affine = x @ WEIGHTS["w"] + WEIGHTS["b"]
    wanted = np.maximum(affine, 0) - np.tanh(affine)
    np.testing.assert_allclose(net([x])[0], wanted, rtol=1e-5, atol=1e-6)


def test_pointwise():
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    alpha = np.array([0.0, 0.5, 1.0, 2.0], np.float32)
    for name, extra, wanted in (
        ("relu", (), np.maximum(x, 0)),
        ("prelu", (alpha,), np.where(x > 0, x, alpha * x)),
        ("softmax", (), np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)),
    ):
        got = x.copy()
        POINTWISE[name](got, *extra)
        np.testing.assert_allclose(got, wanted, rtol=1e-6, err_msg=name)


def test_sums_over_many_frames():
    """Not those of float32, which lose digits with the number of frames."""
    x = (RNG.uniform(size=(1, 100_001, 2)) + 100).astype(np.float32)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(total(x, 1), exact.sum(axis=1), rtol=3e-7)
    np.testing.assert_allclose(
        mean(x, 1, True), exact.mean(axis=1, keepdims=True), 3e-7
    )
    np.testing.assert_allclose(total(x[:, :9], 2), exact[:, :9].sum(axis=2), rtol=3e-7)


def test_large_values():
    x = np.array([[-1e4, 0, 1e4]], np.float32)
    np.testing.assert_allclose(sigmoid(x), [[0, 0.5, 1]])
    np.testing.assert_allclose(softmax(x), [[0, 0, 1]])
    np.testing.assert_allclose(logsumexp(x, -1), [1e4])
    reshaped = OPERATIONS["Reshape"](np.zeros((1, 6, 4)), (1, None, 2, 2))
    assert reshaped.shape == (1, 6, 2, 2)
