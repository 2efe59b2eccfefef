"""The network against a plain NumPy forward pass; saving; training from a seed."""

import dataclasses

import keras
import numpy as np
import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from model.speaker_net import SpeakerNet

RNG = np.random.default_rng(0)


def make_params(tmp_path, **changes):
    return Params.from_json(str(toy.write_config(tmp_path / "c.json", **changes)))


@pytest.fixture
def net(tmp_path):
    return random_net(make_params(tmp_path))


def random_net(params):
    net = SpeakerNet(params, feature_dim=5, num_speakers=6)
    for weight in net.network.weights:  # zeros and ones hide errors
        weight.assign(RNG.uniform(0.1, 0.6, weight.shape) * 0.3 + 0.1)
        if weight.name in ("bias", "beta"):  # both signs before the ReLUs
            weight.assign(RNG.normal(size=weight.shape))
    return net


def numpy_forward(net, x):
    """All endpoints for one utterance x (frames, dim), in float64."""
    params = net.params
    w = {weight.path: np.asarray(weight, np.float64) for weight in net.network.weights}
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
        if name != "tdnn7" or not params.last_layer_no_bn:
            gamma, beta, mean, variance = (
                w[f"{name}_bn/{part}"]
                for part in ("gamma", "beta", "moving_mean", "moving_variance")
            )
            x = (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta
            out[f"{name}_bn"] = x
        if name != "tdnn7" or not params.last_layer_linear:
            slope = {"relu": 0.0, "lrelu": 0.2}.get(params.network_relu_type)
            if slope is None:
                slope = w[f"{name}_relu/alpha"].reshape(-1)
            x = out[f"{name}_relu"] = np.where(x > 0, x, slope * x)
    if params.feature_norm:
        x = params.feature_scaling_factor * x / np.linalg.norm(x)
    out["output"] = x
    return out


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"network_relu_type": "prelu", "last_layer_linear": False},
        {"network_relu_type": "lrelu", "last_layer_no_bn": True},
        {"last_layer_no_bn": True, "last_layer_linear": False},
        {"feature_norm": True, "feature_scaling_factor": 30},
        {"num_nodes_frame_layers": 7, "num_nodes_last_layer": 3},
    ],
)
def test_every_endpoint_equals_a_numpy_forward(tmp_path, changes):
    net = random_net(make_params(tmp_path, **changes))
    x = RNG.normal(size=(23, 5))
    expected = numpy_forward(net, x)
    assert net.endpoint_names == list(expected)
    got = net.network(x[None].astype(np.float32), training=False)
    for name, value in expected.items():
        scale = abs(value).max()
        np.testing.assert_allclose(
            np.asarray(got[name])[0] / scale, value / scale, atol=2e-5, err_msg=name
        )


def test_context(net):
    assert net.node("tdnn5_relu").output.shape[1] is None
    assert net.context == 15
    one = net.network(np.zeros((1, 15, 5), np.float32))["tdnn5_relu"]
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
