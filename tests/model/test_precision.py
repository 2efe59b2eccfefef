"""Half precision: what stays float32, how far the numbers are off, a whole run."""

import keras
import numpy as np
import pytest
import toy
from gradients import value_and_gradients
from loss_cases import margin_keys

from misc.light.net import LightNet
from misc.params import Params
from misc.run_dir import RunDir
from model.keras_network import KerasNetwork
from model.light_export import light_form
from model.speaker_net import SpeakerNet
from model.trainer import Trainer, load_model

ATTENTION = {
    "pooling_type": "self_attention",
    "att_key_input": "tdnn5_relu",
    "att_key_num_nodes": [8],
    "att_key_network_type": 3,
    "att_value_input": "tdnn5_relu",
    "att_num_heads": 2,
    "att_penalty_term": 0.1,
}
VLAD = {
    "pooling_type": "ghost_vlad",
    "vlad_num_centers": 4,
    "vlad_num_ghosts": 1,
    "vlad_key_input": "tdnn5_relu",
    "vlad_value_input": "tdnn5_relu",
}
NAMES = ["statistics", "attention", "vlad"]
SCALED = {"feature_norm": True, "feature_scaling_factor": 30}
# Bounds of the relative error of loss and gradient. The latter goes with the root of
# the precision: rounding opens and shuts ReLUs.
HALF = {"bfloat16": (2e-2, 0.3), "float16": (4e-3, 0.12)}


def load(tmp_path, **keys):
    return Params.from_json(str(toy.write_config(tmp_path / "c.json", **keys)))


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("pooling", [{}, ATTENTION, VLAD], ids=NAMES)
def test_what_stays_float32(tmp_path, precision, pooling):
    net = SpeakerNet(load(tmp_path, precision=precision, **SCALED, **pooling), 5, 4)
    assert {w.dtype for w in net.weights} <= {"float32", "int32"}
    dtypes = {name: net.network.output[name].dtype for name in net.endpoint_names}
    assert dtypes["tdnn1_conv"] == dtypes["tdnn5_bn"] == precision
    after = net.endpoint_names.index("tdnn6_dense")
    assert {dtypes[name] for name in net.endpoint_names[after:]} == {"float32"}
    assert keras.config.dtype_policy().name == "float32", "and nothing else changes"
    assert net.in_float32().network.output["tdnn1_conv"].dtype == "float32"


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("pooling", [{}, ATTENTION, VLAD], ids=NAMES)
@pytest.mark.parametrize("prefix", ["softmax", "asoftmax", "arcsoftmax"])
def test_loss_and_gradients_beside_float32(tmp_path, precision, pooling, prefix):
    """Of features far from 0, as MFCC are."""
    keys = margin_keys(prefix, 4 if prefix == "asoftmax" else 0.3) | pooling
    keras.utils.set_random_seed(2)
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(8, 40, 5)) * 10 + 30).astype(np.float32)
    y = np.arange(8) % 4
    plain = SpeakerNet(load(tmp_path, **keys), 5, 4)
    half = SpeakerNet(load(tmp_path, precision=precision, **keys), 5, 4)
    half.set_weights(plain.get_weights())
    results = []
    for net in (plain, half):

        def loss(net=net):
            return net.compute_loss(y=y, y_pred=net(x, training=True))

        results.append(value_and_gradients(loss, net.trainable_weights))
    (value, gradients), (half_value, half_gradients) = results
    assert half_value == pytest.approx(value, rel=HALF[precision][0])
    size = off = 0.0
    for a, b in zip(gradients, half_gradients, strict=True):
        assert np.isfinite(b).all()
        size += np.square(a).sum()
        off += np.square(a - b).sum()
    assert np.sqrt(off / size) < HALF[precision][1]


@pytest.mark.parametrize("precision", HALF)
def test_a_run(tmp_path, precision):
    """It learns; it resumes exactly; its embeddings are those of a float32 model."""
    toy.write_data_dir(tmp_path / "train")
    toy.write_data_dir(tmp_path / "valid", seed=9)
    lists = [tmp_path / "train", tmp_path / "train/spklist", tmp_path / "valid"]
    lists = [str(path) for path in (*lists, lists[1])]
    keys = {"precision": precision, "num_epochs": 4, **margin_keys("arcsoftmax", 0.2)}
    run = RunDir(str(tmp_path / "run"))
    Trainer(load(tmp_path, **keys), str(tmp_path / "run")).train(*lists)
    losses = [loss for loss, _ in run.valid_losses()]
    assert losses[-1] < losses[0]
    whole = load_model(run)
    (tmp_path / "run/nnet/checkpoint").write_text(
        'all_model_checkpoint_paths: "model-10"\n'
    )
    Trainer(run.params(), str(tmp_path / "run")).train(*lists, continue_training=True)
    for a, b in zip(whole.weights, load_model(run).weights, strict=True):
        np.testing.assert_array_equal(a, b)
    x = np.random.default_rng(2).normal(size=(70, 5)).astype(np.float32)
    [embedding] = KerasNetwork(str(tmp_path / "run"))([x])
    [light] = LightNet(*light_form(whole.in_float32()))([x])
    plain = SpeakerNet(load(tmp_path, **keys | {"precision": "float32"}), 5, 6)
    plain.set_weights(whole.get_weights())
    expected = plain.node("tdnn6_dense")(x[None])[0]
    for ours in (embedding, light):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)
