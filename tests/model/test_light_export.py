"""The light form of every kind of network, against Keras and against float64."""

import keras
import numpy as np
import pytest
import toy

import model.light_export
from misc.light.light_file import read_light
from misc.light.net import LightNet
from misc.light.place import find_light
from misc.params import Params
from misc.run_dir import RunDir
from model.keras_network import KerasNetwork
from model.light_export import NotLight, light_form, make_light
from model.optimizer import make_optimizer
from model.pooling import POOLINGS
from model.speaker_net import SpeakerNet

ATTENTION = {
    "pooling_type": "self_attention",
    "att_key_input": "tdnn4_relu",
    "att_key_num_nodes": (8, 6),
    "att_key_network_type": 3,
    "att_value_input": "tdnn5_relu",
    "att_value_num_nodes": (),
    "att_value_network_type": 0,
    "att_num_heads": 2,
    "att_split_key": True,
    "att_use_scale": True,
    "att_apply_nonlinear": True,
    "att_penalty_term": 0.1,
}
VLAD = {
    "pooling_type": "ghost_vlad",
    "vlad_num_centers": 3,
    "vlad_num_ghosts": 1,
    "vlad_key_input": "tdnn4_relu",
    "vlad_key_num_nodes": (8,),
    "vlad_value_input": "tdnn5_relu",
    "vlad_value_num_nodes": (6,),
    "vlad_final_l2_norm": True,
}
ONE_HEAD = {"att_num_heads": 1, "att_split_key": False, "att_penalty_term": 0.0}
CASES = {
    "statistics": {},
    "prelu": {"network_relu_type": "prelu"},
    "lrelu": {"network_relu_type": "lrelu"},
    "last layer": {"last_layer_linear": False, "last_layer_no_bn": True},
    "wide": {"num_nodes_frame_layers": 128},  # fast convolutions
    "fixed length": {"feature_norm": True, "feature_scaling_factor": 30.0},
    "attention": ATTENTION,
    "one head": ATTENTION | ONE_HEAD | {"att_apply_nonlinear": False},
    "ghost vlad": VLAD,
}


def network(**changes):
    """A SpeakerNet whose weights are those of no new one: noise, also in the biases."""
    values = toy.CONFIG | {"embedding_node": "tdnn6_dense"} | changes
    net = SpeakerNet(Params(**values), 5, 7)
    rng = np.random.default_rng(0)
    for weight in net.network.weights:
        noise = rng.normal(size=weight.shape) * 0.3
        weight.assign(abs(noise) + 0.5 if "variance" in weight.path else noise)
    return net


def utterances(lengths, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(n, 5)).astype(np.float32) for n in lengths]


@pytest.mark.parametrize("case", CASES)
def test_every_endpoint(case):
    """Of utterances together: to 1e-5 of what Keras gives for each alone."""
    net = network(**CASES[case])
    form = light_form(net)
    several = utterances((15, 40, 21, 150))
    expected = [net.network(x[None], training=False) for x in several]
    for name in net.endpoint_names:
        if name == "vlad_centers":
            continue
        for got, outputs in zip(LightNet(*form, name)(several), expected, strict=True):
            keras_output = np.asarray(outputs[name])[0]
            assert got.shape == keras_output.shape, name
            error = abs(got - keras_output).max() / abs(keras_output).max()
            assert error < 1e-5, name


def test_together_is_alone_and_exact():
    """Any batch, any order: to 5e-6 of it alone and of float64."""
    net = network(num_nodes_frame_layers=128)
    light = LightNet(*light_form(net))
    several = utterances((15, 16, 17, 18, 19, 333, 64))
    together, back = light(several), light(several[::-1])[::-1]
    for x, first, second in zip(several, together, back, strict=True):
        [alone] = light([x])
        for other in (first, second):
            assert abs(other - alone).max() < 5e-6 * abs(alone).max()
        exact = in_float64(net, x)
        assert abs(alone - exact).max() < 5e-6 * abs(exact).max()


def in_float64(net, x):
    """tdnn6_dense, as model/tdnn.py describes it."""
    w = {v.path: np.asarray(v, np.float64) for v in net.network.weights}
    x = x.astype(np.float64)
    for layer, width in (("1", 5), ("2", 5), ("3", 7), ("4", 1), ("5", 1)):
        affine = f"tdnn{layer}_{'conv' if width > 1 else 'dense'}"
        kernel = w[f"{affine}/kernel"].reshape(width, x.shape[1], -1)
        frames = len(x) - width + 1
        x = sum(x[k : k + frames] @ kernel[k] for k in range(width))
        x = x + w[f"{affine}/bias"]
        bn = {n: w[f"tdnn{layer}_bn/{n}"] for n in ("gamma", "beta")}
        mean, variance = (w[f"tdnn{layer}_bn/moving_{n}"] for n in ("mean", "variance"))
        x = (x - mean) / np.sqrt(variance + 1e-3) * bn["gamma"] + bn["beta"]
        x = np.maximum(x, 0)
    pooled = np.concatenate([x.mean(axis=0), np.sqrt(np.maximum(x.var(axis=0), 1e-12))])
    return pooled @ w["tdnn6_dense/kernel"] + w["tdnn6_dense/bias"]


def test_an_export_leaves_the_model_as_it_was():
    """The penalty of attention is still a loss."""
    net = network(**ATTENTION)
    x = np.stack(utterances((30, 30)))
    net(x, training=True)
    before = [float(loss) for loss in net.losses]
    light_form(net)
    net(x, training=True)
    assert [float(loss) for loss in net.losses] == before and before


class Reverse(keras.layers.Layer):
    """A pooling with an operation that the light form lacks."""

    def call(self, x):
        return keras.ops.mean(keras.ops.flip(x, axis=1), axis=1)


class Wrong(keras.layers.Layer):
    """A pooling whose light form would give something else."""

    def call(self, x):
        symbolic = isinstance(x, keras.KerasTensor) and x.shape[0] == 1
        return keras.ops.mean(x, axis=1) * (2.0 if symbolic else 1.0)


@pytest.mark.parametrize(
    "layer, reason", [(Reverse, "keras.ops Flip"), (Wrong, "differs from Keras by")]
)
def test_what_has_no_light_form(monkeypatch, tmp_path, layer, reason):
    def pooling(endpoints, params):
        return layer(name="pooling")(list(endpoints.values())[-1])

    monkeypatch.setitem(POOLINGS, "mine", pooling)
    with pytest.raises(NotLight, match=reason):
        light_form(network(pooling_type="mine"))


def save_run(folder, net):
    """A model folder with this network."""
    run = RunDir(str(folder / "net"))
    run.create(net.params, 5, 7)
    net.compile(optimizer=make_optimizer(net.params))
    net.optimizer.build(net.trainable_variables)
    net.save(run.model_file(3))
    (folder / "net/nnet/checkpoint").write_text(
        'all_model_checkpoint_paths: "model-3"\n'
    )
    return run


def test_made_once(monkeypatch, tmp_path):
    """And again for another checkpoint; in the cache if the folder is no place."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    net = network()
    run = save_run(tmp_path, net)
    path = make_light(run, 3)
    assert path == find_light(run, 3)
    monkeypatch.setattr(model.light_export, "load_model", None)  # not needed again
    assert make_light(run, 3) == path
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    [x] = utterances((50,))
    net.get_layer("tdnn").get_layer("tdnn6_dense").bias.assign_add(np.ones(512))
    net.save(run.model_file(3))
    assert find_light(run, 3) is None
    (tmp_path / "net/nnet/light").rename(tmp_path / "away")
    (tmp_path / "net/nnet/light").write_text("in the way")
    path = make_light(run, 3)
    assert path.startswith(str(tmp_path / "cache"))
    [got] = LightNet(*read_light(path))([x])
    expected = np.asarray(net.node("tdnn6_dense")(x[None]))[0]
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", ["attention", "ghost vlad", "prelu"])
def test_the_same_network_in_keras(tmp_path, case):
    """KerasNetwork, whose batches have utterances of several lengths."""
    net = network(**CASES[case])
    run = save_run(tmp_path, net)
    several = utterances((40, 36, 15, 44, 100))
    for node in ("", "tdnn4_relu", "output"):
        light = LightNet(*light_form(net), node)
        theirs = KerasNetwork(run.model_dir, node)
        for got, expected in zip(theirs(several), light(several), strict=True):
            assert abs(got - expected).max() < 1e-5 * abs(expected).max()
