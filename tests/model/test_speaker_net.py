"""The network against a plain NumPy forward pass; saving; training from a seed."""

import dataclasses

import keras
import numpy as np
import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from model.speaker_net import SpeakerNet
from model.tdnn import CONTEXT

RNG = np.random.default_rng(0)


def make_params(tmp_path, **changes):
    return Params.from_json(str(toy.write_config(tmp_path / "c.json", **changes)))


@pytest.fixture
def net(tmp_path):
    net = SpeakerNet(make_params(tmp_path), feature_dim=5, num_speakers=6)
    for weight in net.weights:  # moving averages too: zeros and ones hide errors
        weight.assign(RNG.uniform(0.1, 0.6, weight.shape) * 0.3 + 0.1)
    return net


def numpy_forward(net, x):
    """All endpoints for one utterance x (frames, dim), in float64."""
    w = {weight.path: np.asarray(weight, np.float64) for weight in net.weights}
    out = {}
    for name in ("tdnn1", "tdnn2", "tdnn3", "tdnn4", "tdnn5", None, "tdnn6", "tdnn7"):
        if name is None:
            mean = x.mean(0)
            deviation = np.sqrt(np.maximum(((x - mean) ** 2).mean(0), 1e-12))
            x = out["pooling"] = np.concatenate([mean, deviation])
            continue
        kind = "conv" if name < "tdnn4" else "dense"
        kernel, bias = (w[f"{name}_{kind}/{part}"] for part in ("kernel", "bias"))
        if kind == "conv":
            size, frames = len(kernel), len(x) - len(kernel) + 1
            x = sum(x[i : i + frames] @ kernel[i] for i in range(size)) + bias
        else:
            x = x @ kernel + bias
        out[f"{name}_{kind}"] = x
        gamma, beta, mean, variance = (
            w[f"{name}_bn/{part}"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        x = out[f"{name}_bn"] = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
        if name != "tdnn7":  # linear here
            x = out[f"{name}_relu"] = np.maximum(x, 0)
    out["output"] = x
    return out


def test_every_endpoint_equals_a_numpy_forward(net):
    x = RNG.normal(size=(23, 5))
    expected = numpy_forward(net, x)
    assert set(net.endpoint_names) == set(expected)
    got = net.network(x[None].astype(np.float32), training=False)
    for name, value in expected.items():
        scale = abs(value).max()
        np.testing.assert_allclose(
            np.asarray(got[name])[0] / scale, value / scale, atol=2e-5, err_msg=name
        )


def test_context(net):
    assert net.node("tdnn5_relu").output.shape[1] is None
    one = net.network(np.zeros((1, CONTEXT, 5), np.float32))["tdnn5_relu"]
    assert one.shape[1] == 1


def test_unknown_choices_are_refused(tmp_path):
    for key in ("network_type", "pooling_type", "loss_func"):
        params = make_params(tmp_path, **{key: "nonsense"})
        with pytest.raises(InputError, match=f"'{key}': expected one of .*, got"):
            SpeakerNet(params, 5, 6)


def test_unknown_node_lists_the_endpoints(net):
    with pytest.raises(InputError, match="no endpoint 'tdnn9'; there are: tdnn1_conv"):
        net.node("tdnn9")


@pytest.mark.parametrize("relu", ["relu", "prelu", "lrelu"])
def test_saved_models_load_equal(tmp_path, relu):
    params = make_params(
        tmp_path,
        network_relu_type=relu,
        feature_norm=True,
        feature_scaling_factor=7.0,
    )
    net = SpeakerNet(params, 5, 6)
    net.compile(optimizer="adam")
    x = RNG.normal(size=(4, 20, 5)).astype(np.float32)
    net.fit(x, np.arange(4), verbose=0)
    net.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert dataclasses.asdict(again.params) == dataclasses.asdict(params)
    np.testing.assert_array_equal(
        again.predict(x, verbose=0), net.predict(x, verbose=0)
    )
    lengths = np.linalg.norm(net.predict(x, verbose=0), axis=1)
    np.testing.assert_allclose(lengths, 7.0, rtol=1e-5)
    assert int(again.optimizer.iterations) == 1


def test_a_constant_channel_has_finite_gradients(tmp_path):
    net = SpeakerNet(make_params(tmp_path), 5, 6)
    net.compile(optimizer=keras.optimizers.SGD(0.1))
    x = np.zeros((4, 20, 5), np.float32)
    net.fit(x, np.arange(4), verbose=0)
    assert all(np.isfinite(np.asarray(w)).all() for w in net.weights)
