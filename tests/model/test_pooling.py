"""Every pooling against the original's numbers; what does not fit is refused."""

from pathlib import Path

import keras
import numpy as np
import pytest
import toy
from gradients import value_and_gradients
from keras import ops

from dataset.errors import InputError
from misc.params import Params
from model.pooling import POOLINGS, GhostVlad, SelfAttention, StatisticsPooling
from model.speaker_net import SpeakerNet

GOLDEN = np.load(Path(__file__).parents[1] / "data/original/pooling.npz")
ATTENTION = {
    "pooling_type": "self_attention",
    "att_key_input": "tdnn4_relu",
    "att_key_num_nodes": [16],
    "att_key_network_type": 3,
    "att_value_input": "tdnn5_relu",
    "att_value_num_nodes": [],
    "att_value_network_type": 0,
    "att_apply_nonlinear": False,
    "att_use_scale": True,
    "att_num_heads": 1,
    "att_split_key": False,
    "att_penalty_term": 0.0,
}
VLAD = {
    "pooling_type": "ghost_vlad",
    "vlad_num_centers": 5,
    "vlad_num_ghosts": 2,
    "vlad_key_input": "tdnn4_relu",
    "vlad_value_input": "tdnn5_relu",
    "vlad_key_num_nodes": [16],
    "vlad_value_num_nodes": [],
    "vlad_final_l2_norm": True,
}
TWO = {"att_key_num_nodes": [20, 16]}
CASES = {
    "stat": {"pooling_type": "statistics_pooling"},
    **{
        f"att_keytype{t}": ATTENTION | TWO | {"att_key_network_type": t} for t in (0, 1)
    },
    **{
        f"att_keytype{t}": ATTENTION | TWO | {"att_key_network_type": t} for t in (2, 3)
    },
    "att_value_mlp": ATTENTION
    | {"att_value_num_nodes": [20, 16], "att_value_network_type": 2},
    **{
        f"att_h{heads}_split{split}": ATTENTION
        | {"att_num_heads": heads, "att_split_key": bool(split)}
        | {"att_penalty_term": 0.5}
        for heads in (2, 4)
        for split in (0, 1)
    },
    "att_noscale": ATTENTION | {"att_use_scale": False},
    "att_nonlinear": ATTENTION | {"att_apply_nonlinear": True, "att_num_heads": 2},
    "vlad": VLAD,
    "vlad_noghost_nol2": VLAD | {"vlad_num_ghosts": 0, "vlad_final_l2_norm": False},
    "vlad_value_mlp": VLAD | {"vlad_value_num_nodes": [12]},
}


def make_params(tmp_path, **changes):
    return Params.from_json(str(toy.write_config(tmp_path / "c.json", **changes)))


def golden_weights(case):
    """Name of the original, without its scopes -> array."""
    start = f"{case}/var/"
    names = [k for k in GOLDEN.files if k.startswith(start)]
    return {name[len(start) :].split(".", 1)[1]: GOLDEN[name] for name in names}


def set_weights(model, golden):
    for weight in model.weights:
        name = weight.path.replace("/", ".")
        ends = {name, name.split(".")[-1]}  # query and centres have no layer there
        hits = [g for g in golden if g in ends or g.endswith("." + name)]
        assert len(hits) == 1, name
        weight.assign(golden.pop(hits[0]))
    assert not golden, "weights that nothing took"


@pytest.mark.parametrize("mode", ["predict", "train"])
@pytest.mark.parametrize("case", CASES)
def test_poolings_of_the_original(tmp_path, case, mode):
    """1e-5 relative; gradients 1e-4."""
    params = make_params(tmp_path, **CASES[case], batchnorm_momentum=0.99)
    inputs = [
        keras.Input((None, 24), name="key"),
        keras.Input((None, 32), name="value"),
    ]
    endpoints = dict(zip(("tdnn4_relu", "tdnn5_relu"), inputs, strict=True))
    pooled = POOLINGS[params.pooling_type](endpoints, params)
    model = keras.Model(inputs, endpoints | {"pooling": pooled})
    set_weights(model, golden_weights(case))
    value = keras.Variable(GOLDEN["value"])
    seen = {}

    def sum_of_squares():
        feed = [ops.convert_to_tensor(GOLDEN["key"]), ops.convert_to_tensor(value)]
        out = model(feed, training=mode == "train")["pooling"]
        return ops.sum(ops.square(out))

    before = [np.asarray(w) for w in model.weights]
    _, (gradient,) = value_and_gradients(sum_of_squares, [value])
    for weight, old in zip(model.weights, before, strict=True):
        weight.assign(old)  # moving averages
    seen = model([GOLDEN["key"], GOLDEN["value"]], training=mode == "train")
    for name in ("out", "attention_weights", "vlad_weights"):
        golden = f"{case}/{mode}/{name}"
        if golden in GOLDEN:
            ours = np.asarray(seen["pooling" if name == "out" else name])
            scale = abs(GOLDEN[golden]).max()
            np.testing.assert_allclose(ours / scale, GOLDEN[golden] / scale, atol=1e-5)
    golden = f"{case}/{mode}/grad_value"
    if golden in GOLDEN:
        # Clusters have unit length: there it is rounding noise in both.
        scale = 1.0 if "vlad" in case else abs(GOLDEN[golden]).max()
        np.testing.assert_allclose(
            gradient / scale, GOLDEN[golden] / scale, atol=1e-4 * scale**0
        )
    if f"{case}/{mode}/penalty" in GOLDEN:
        penalty = sum(float(x) for x in model.get_layer("attention").losses)
        golden = float(GOLDEN[f"{case}/{mode}/penalty"])
        assert penalty == pytest.approx(golden, rel=1e-5)


def test_ghost_vlad_by_its_definition():
    """In float64, with a gradient that does not vanish as that of the length does."""
    rng = np.random.default_rng(0)
    value = rng.normal(size=(2, 7, 3))
    weights = rng.dirichlet(np.ones(5), size=(2, 7))
    layer = GhostVlad(3, 2, final_l2_norm=True)
    out, centers = layer([weights.astype(np.float32), value.astype(np.float32)])
    centers = np.asarray(centers, np.float64)
    residual = value[:, :, None] - centers
    clusters = (weights[..., None] * residual).sum(1)[:, :3]
    clusters /= np.linalg.norm(clusters, axis=-1, keepdims=True)
    row = clusters.reshape(2, -1)
    expected = row / np.linalg.norm(row, axis=1, keepdims=True)
    np.testing.assert_allclose(out, expected, atol=1e-6)
    x = keras.Variable(value)
    direction = rng.normal(size=expected.shape)

    def projection():
        feed = [ops.convert_to_tensor(weights.astype(np.float32)), x + 0.0]
        return ops.sum(layer(feed)[0] * direction.astype(np.float32))

    _, (gradient,) = value_and_gradients(projection, [x])
    step = 1e-6

    def by_definition(value):
        clusters = (weights[..., None] * (value[:, :, None] - centers)).sum(1)[:, :3]
        clusters /= np.linalg.norm(clusters, axis=-1, keepdims=True)
        row = clusters.reshape(2, -1)
        return (row / np.linalg.norm(row, axis=1, keepdims=True) * direction).sum()

    for index in [(0, 0, 0), (1, 3, 2), (1, 6, 1)]:
        up, down = value.copy(), value.copy()
        up[index] += step
        down[index] -= step
        slope = (by_definition(up) - by_definition(down)) / (2 * step)
        assert gradient[index] == pytest.approx(slope, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["stat", "att_h2_split1", "vlad"])
def test_degenerate_frames_give_no_nan(tmp_path, name):
    params = make_params(tmp_path, **CASES[name])
    net = SpeakerNet(params, 5, 4)
    for x in (np.zeros((2, 20, 5)), np.full((2, 20, 5), 1e4), np.ones((1, 15, 5))):
        features = keras.Variable(x)

        def total(features=features):
            return ops.sum(net(ops.convert_to_tensor(features), training=True))

        value, gradients = value_and_gradients(
            total, [features, *net.trainable_weights]
        )
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize("name", CASES)
def test_saved_models_load_equal(tmp_path, name):
    net = SpeakerNet(make_params(tmp_path, **CASES[name]), 5, 4)
    x = np.random.default_rng(1).normal(size=(3, 30, 5)).astype(np.float32)
    net.compile(optimizer="adam")
    net.fit(x, np.arange(3), verbose=0)
    net.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(
        net.predict(x, verbose=0), again.predict(x, verbose=0)
    )
    assert again.endpoint_names == net.endpoint_names


@pytest.mark.parametrize(
    "layer",
    [StatisticsPooling(), SelfAttention(2, True, True, 0.5), GhostVlad(3, 1, True)],
)
def test_layers_are_made_anew_from_their_configuration(layer):
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()


def test_endpoints_in_the_originals_order(tmp_path):
    net = SpeakerNet(make_params(tmp_path, **CASES["att_keytype3"]), 5, 4)
    names = net.endpoint_names
    begin = names.index("tdnn5_relu") + 1
    assert names[begin : names.index("tdnn6_dense")] == [
        "att_key0_dense",
        "att_key0_bn",
        "att_key0_relu",
        "att_key1_dense",
        "att_key1_tanh",
        "attention_weights",
        "att_output_before_nonlinear",
        "pooling",
    ]
    net = SpeakerNet(make_params(tmp_path, **VLAD), 5, 4)
    names = net.endpoint_names
    assert names[names.index("vlad_key0_relu") + 1 : names.index("tdnn6_dense")] == [
        "vlad_weights",
        "vlad_value",
        "vlad_key",
        "vlad_centers",
        "pooling",
    ]


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"att_key_input": "tdnn6_relu"},
            "'att_key_input': no endpoint 'tdnn6_relu' before the pooling; there are: "
            "tdnn1_conv",
        ),
        (
            {"att_key_input": "tdnn1_relu"},
            "key and value differ in their number of frames: att_key_input = "
            "tdnn1_relu, att_value_input = tdnn5_relu",
        ),
        ({"att_num_heads": 5}, "the value has 24 channels, not a multiple of"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, changes, words):
    params = make_params(tmp_path, **ATTENTION | changes)
    with pytest.raises(InputError) as caught:
        SpeakerNet(params, 5, 4)
    assert words in str(caught.value)
