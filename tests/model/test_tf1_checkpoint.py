"""Folders of the original, fabricated: its names, small sizes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from misc.run_dir import RunDir
from model.keras_network import KerasNetwork
from model.optimizer import Momentum
from model.speaker_net import SpeakerNet
from model.trainer import Trainer, load_model
from model.variable_names import original_names

tf = pytest.importorskip("tensorflow")

KEYS = toy.CONFIG | {"optimizer": "momentum", "momentum": 0.9, "learning_rate": 0.01}
ATTENTION = {
    "pooling_type": "self_attention",
    "att_key_input": "tdnn4_relu",
    "att_key_num_nodes": [8, 6],
    "att_key_network_type": 3,
    "att_value_input": "tdnn5_relu",
    "att_value_num_nodes": [],
    "att_value_network_type": 0,
    "att_apply_nonlinear": True,
    "att_use_scale": True,
    "att_num_heads": 2,
    "att_split_key": False,
    "att_penalty_term": 0,
}
VLAD = {
    "pooling_type": "ghost_vlad",
    "vlad_num_centers": 3,
    "vlad_num_ghosts": 1,
    "vlad_key_input": "tdnn4_relu",
    "vlad_value_input": "tdnn5_relu",
    "vlad_key_num_nodes": [8],
    "vlad_value_num_nodes": [7],
    "vlad_final_l2_norm": True,
}
RING = {
    "aux_loss_func": ["ring_loss"],
    "ring_loss_init": 20,
    "ring_loss_lambda": 0.01,
    "network_relu_type": "prelu",
}


def original_values(keys, tmp_path):
    """A random value for each variable that the original would have saved."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(keys))
    net = SpeakerNet(Params.from_json(str(path)), 5, 6)
    rng = np.random.default_rng(0)
    values = {}
    for name, weight in original_names(net).items():
        shape = tuple(weight.shape)
        if "_conv/kernel" in name:
            shape = (1, *shape)
        if name.endswith("alpha"):
            shape = shape[-1:]
        value = rng.uniform(0.1, 0.6, shape).astype(np.float32)
        values[name] = value
        if weight.trainable and keys["optimizer"] == "momentum":
            values[f"{name}/optimizer"] = value / 2
        if weight.trainable and keys["optimizer"] == "adam":
            values[f"{name}/optimizer"] = value / 2
            values[f"{name}/optimizer_1"] = value / 4
    if keys["optimizer"] == "adam":
        values |= {"beta1_power": np.float32(0.9), "beta2_power": np.float32(0.999)}
    return values


def write_folder(folder: Path, keys, values, step=10):
    """A model folder as the original's training leaves it."""
    nnet = folder / "nnet"
    nnet.mkdir(parents=True)
    (nnet / "config.json").write_text(json.dumps(keys))
    (nnet / "feature_dim").write_text("5\n")
    where = f"/somewhere/else/nnet/model-{step}"  # it writes absolute names
    (nnet / "checkpoint").write_text(
        f'model_checkpoint_path: "{where}"\nall_model_checkpoint_paths: "{where}"\n'
    )
    (nnet / "valid_loss").write_text("0 4.000000 0.300000\n1 3.500000 0.250000\n")
    (nnet / "learning_rate").write_text("0 0.01000000\n1 0.01000000\n2 0.00500000\n")
    names = sorted(values)
    tf.raw_ops.SaveV2(
        prefix=str(nnet / f"model-{step}"),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=[values[name] for name in names],
    )
    return folder


@pytest.mark.parametrize("more", [{}, ATTENTION, VLAD, RING])
@pytest.mark.parametrize("optimizer", ["sgd", "momentum", "adam"])
def test_every_variable_finds_its_place(tmp_path, more, optimizer):
    keys = KEYS | more | {"optimizer": optimizer}
    if optimizer != "momentum":
        del keys["momentum"]
    values = original_values(keys, tmp_path)
    folder = write_folder(tmp_path / "run", keys, values)
    model = load_model(RunDir(str(folder)))
    assert (model.num_speakers, model.feature_dim) == (6, 5)
    assert int(model.optimizer.iterations) == int(model.global_step) == 10
    names = original_names(model)
    for name, weight in names.items():
        np.testing.assert_array_equal(np.ravel(weight), np.ravel(values[name]))
    ids = {id(weight): name for name, weight in names.items()}
    slots = {
        "sgd": {},
        "momentum": {"momentums": "/optimizer"},
        "adam": {"_momentums": "/optimizer", "_velocities": "/optimizer_1"},
    }[optimizer]
    for attribute, suffix in slots.items():
        pairs = zip(
            model.trainable_variables, getattr(model.optimizer, attribute), strict=True
        )
        for weight, slot in pairs:
            expected = values[ids[id(weight)] + suffix]
            np.testing.assert_array_equal(np.ravel(slot), np.ravel(expected))


def test_the_names_of_the_original():
    path = Path(__file__).parents[1] / "data/original/variables.json"
    for case, keys in {
        "arcsoftmax_small": {},
        "amsoftmax_att_small": ATTENTION
        | {"att_key_num_nodes": [32, 24], "att_num_heads": 1}
        | {"att_apply_nonlinear": False},
        "softmax_ghostvlad_small": VLAD
        | {"vlad_num_centers": 4, "vlad_num_ghosts": 2}
        | {"vlad_key_num_nodes": [32], "vlad_value_num_nodes": []},
    }.items():
        widths = {
            "num_nodes_frame_layers": 512,
            "num_nodes_pooling_layer": 64,
            "num_nodes_last_layer": 48,
        }
        keys = {k: v for k, v in (KEYS | keys | widths).items() if k != "loss_func"}
        if case != "softmax_ghostvlad_small":
            margins = ("m", "lambda_min", "lambda_base", "lambda_gamma", "lambda_power")
            keys |= {f"amsoftmax_{m}": 0.2 for m in margins}
            keys |= {"loss_func": "additive_margin_softmax"}
        else:
            keys |= {"loss_func": "softmax"}
        lists = {k: tuple(v) for k, v in keys.items() if isinstance(v, list)}
        net = SpeakerNet(Params(**keys | lists), 30, 40)
        expected = json.loads(path.read_text())[case]
        ours = {n: tuple(w.shape) for n, w in original_names(net).items()}
        assert set(ours) == set(expected)
        for name, shape in expected.items():
            if "_conv/kernel" in name:
                shape = shape[1:]
            assert ours[name] == tuple(shape), name


def test_extraction(tmp_path):
    folder = write_folder(tmp_path / "run", KEYS, original_values(KEYS, tmp_path))
    network = KerasNetwork(str(folder), node="tdnn6_dense")
    x = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    [embedding] = network([x])
    assert np.isfinite(embedding).all()
    best = KerasNetwork(str(folder), checkpoint="-1")  # epoch 1, step 10
    np.testing.assert_array_equal(best([x])[0], embedding)


def test_without_slots_or_small_files(tmp_path):
    values = original_values(KEYS, tmp_path)
    values = {n: v for n, v in values.items() if not n.endswith("/optimizer")}
    folder = write_folder(tmp_path / "run", KEYS, values)
    (folder / "nnet/feature_dim").unlink()
    model = load_model(RunDir(str(folder)))
    assert model.feature_dim == 5
    assert all((np.asarray(m) == 0).all() for m in model.optimizer.momentums)


def test_a_cluster_table_is_no_embedding(tmp_path):
    keys = KEYS | VLAD
    folder = write_folder(tmp_path / "run", keys, original_values(keys, tmp_path))
    with pytest.raises(InputError, match="'vlad_centers' does not depend on the in"):
        KerasNetwork(str(folder), node="vlad_centers")


def test_training_goes_on_from_it(tmp_path):
    """From step 10, two epochs of five: to the end of the fourth."""
    data = str(toy.write_data_dir(tmp_path / "data"))
    keys = KEYS | {"num_epochs": 4}
    values = original_values(keys, tmp_path)
    folder = write_folder(tmp_path / "run", keys, values)
    run = RunDir(str(folder))
    Trainer(run.params(), str(folder)).train(
        data, f"{data}/spklist", data, f"{data}/spklist", continue_training=True
    )
    assert run.checkpoints() == [10, 15, 20]
    assert run.is_original(10) and not run.is_original(15)
    assert run.valid_losses()[:2] == [(4.0, 0.3), (3.5, 0.25)]
    assert len(run.valid_losses()) == 4
    assert run.learning_rates()[:4] == [0.01, 0.01, 0.005, 0.005]
    model = load_model(run)
    assert int(model.global_step) == 20
    assert isinstance(model.optimizer, Momentum)


def test_continuing_needs_the_losses_so_far(tmp_path):
    folder = write_folder(tmp_path / "run", KEYS, original_values(KEYS, tmp_path))
    (folder / "nnet/valid_loss").write_text("0 4.000000 0.300000\n")
    trainer = Trainer(RunDir(str(folder)).params(), str(folder))
    with pytest.raises(InputError, match="has 1 epochs, model-10 has finished 2"):
        trainer.train("no", "matter", "which", "data", continue_training=True)


def test_slots_of_another_optimizer_are_left_out(tmp_path, caplog):
    values = original_values(KEYS, tmp_path)
    keys = toy.CONFIG | {"optimizer": "adam"}
    folder = write_folder(tmp_path / "run", keys, values)
    with caplog.at_level("INFO"):
        model = load_model(RunDir(str(folder)))
    assert "its momentum is left out, as the optimizer is now adam" in caplog.text
    assert all((np.asarray(m) == 0).all() for m in model.optimizer._momentums)


def test_import_for_good(tmp_path):
    keys = KEYS | ATTENTION
    folder = write_folder(tmp_path / "run", keys, original_values(keys, tmp_path))
    new = tmp_path / "new"
    done = import_checkpoint(folder, new)
    assert done.returncode == 0, done.stderr
    one, other = (load_model(RunDir(str(path))) for path in (folder, new))
    for a, b in zip(one.weights, other.weights, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("valid_loss", "learning_rate"):
        whole = (folder / "nnet" / name).read_bytes()
        assert (new / "nnet" / name).read_bytes() == whole
    again = import_checkpoint(folder, new)
    assert again.returncode == 1 and "is there already" in again.stderr
    ours = import_checkpoint(new, tmp_path / "third")
    assert ours.returncode == 1 and "no checkpoint of the original" in ours.stderr


def import_checkpoint(*folders):
    program = Path(__file__).parents[2] / "nnet/import_checkpoint.py"
    command = [sys.executable, str(program), *map(str, folders)]
    return subprocess.run(command, capture_output=True, text=True)


def spoil(name):
    """A function (values, folder before writing) -> values that breaks one thing."""

    def change(values):
        if name == "missing":
            del values["tdnn/tdnn2_bn/gamma"]
        elif name == "unused":
            values["tdnn/tdnn9_dense/kernel"] = np.zeros((2, 2), np.float32)
        elif name == "shape":
            values["tdnn/tdnn6_dense/bias"] = np.zeros(3, np.float32)
        elif name == "slot":
            del values["tdnn/tdnn2_conv/kernel/optimizer"]
        elif name == "nan":
            values["tdnn/tdnn1_conv/bias"][3] = np.nan
        return values

    return change


@pytest.mark.parametrize(
    "name, words",
    [
        ("missing", "tdnn/tdnn2_bn/gamma is missing"),
        ("unused", "tdnn/tdnn9_dense/kernel is not part of the configured net"),
        ("shape", r"tdnn/tdnn6_dense/bias is \(3,\), expected \(512,\)"),
        ("slot", "tdnn/tdnn2_conv/kernel/optimizer is missing"),
        ("nan", "tdnn/tdnn1_conv/bias has values that are not finite"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, name, words):
    values = spoil(name)(original_values(KEYS, tmp_path))
    folder = write_folder(tmp_path / "run", KEYS, values)
    with pytest.raises(InputError, match=words):
        load_model(RunDir(str(folder)))


def test_damaged_files_are_named(tmp_path):
    folder = write_folder(tmp_path / "run", KEYS, original_values(KEYS, tmp_path))
    data = folder / "nnet/model-10.data-00000-of-00001"
    index = folder / "nnet/model-10.index"
    whole = data.read_bytes()
    data.write_bytes(whole[:1000])
    with pytest.raises(InputError, match="model-10: cannot be read"):
        load_model(RunDir(str(folder)))
    data.unlink()
    with pytest.raises(InputError, match="data-00000-of-00001 is missing"):
        load_model(RunDir(str(folder)))
    data.write_bytes(whole)
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(InputError, match="model-10: cannot be read"):
        load_model(RunDir(str(folder)))
