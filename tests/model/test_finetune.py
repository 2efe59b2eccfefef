"""Fine-tuning: what is loaded, what starts anew, what stays, what is refused."""

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
from model.trainer import Trainer, load_model
from model.variable_names import original_names

ROOT = Path(__file__).parents[2]
LISTS = {"noload_var_list": ["softmax"], "noupdate_var_list": ["tdnn1", "tdnn2_bn"]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six speakers to train on, four others to fine-tune to, and a trained model."""
    folder = tmp_path_factory.mktemp("data")
    toy.write_data_dir(folder / "train")
    toy.write_data_dir(folder / "other", num_speakers=4, seed=7)
    config = toy.write_config(folder / "c.json")
    params = Params.from_json(str(config))
    Trainer(params, str(folder / "model")).train(*lists(folder, "train"))
    return folder


def lists(folder, name):
    part = str(folder / name)
    return [part, f"{part}/spklist", part, f"{part}/spklist"]


def finetune(data, tmp_path, *, name="fine", **changes):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json", **changes)))
    Trainer(params, str(tmp_path / name)).finetune(
        *lists(data, "other"), str(data / "model")
    )
    return RunDir(str(tmp_path / name))


def test_large_margin_fine_tuning_as_shipped(data, tmp_path):
    """The file's keys, but for the size of everything."""
    path = ROOT / "nnet_conf/voxceleb/tdnn_arcsoftmax_m0.50_large_margin_finetune.json"
    shipped = json.loads(path.read_text())
    own = ("loss", "arcsoftmax", "learning", "final", "clip", "feature", "last_layer")
    keys = {k: v for k, v in shipped.items() if k.startswith(own)}
    assert keys["arcsoftmax_m"] == 0.5 and not shipped.get("noload_var_list")
    for name in ("model", "fine"):
        changes = keys | {"arcsoftmax_m": 0.25} if name == "model" else keys
        if name == "fine":
            changes = changes | {"min_segment_len": 40, "max_segment_len": 40}
        config = toy.write_config(tmp_path / f"{name}.json", **changes)
        trainer = Trainer(Params.from_json(str(config)), str(tmp_path / name))
        if name == "model":
            trainer.train(*lists(data, "train"))
        else:
            trainer.finetune(*lists(data, "train"), str(tmp_path / "model"))
    run = RunDir(str(tmp_path / "fine"))
    assert run.checkpoints() == [0, 5, 10]
    np.testing.assert_allclose(run.learning_rates(), [1e-4, 5e-5, 2.5e-5], rtol=1e-3)
    before, start = weights(RunDir(str(tmp_path / "model")), "-1"), weights(run, "0")
    for name, value in before.items():
        np.testing.assert_array_equal(value, start[name])


def weights(run, checkpoint="last"):
    names = original_names(load_model(run, checkpoint))
    return {name: np.asarray(weight) for name, weight in names.items()}


def test_loaded_anew_and_kept(data, tmp_path):
    run = finetune(data, tmp_path, **LISTS)
    assert run.checkpoints() == [0, 5, 10]
    assert run.number("num_speakers") == 4
    before, start = weights(RunDir(str(data / "model")), "-1"), weights(run, "0")
    after = weights(run)
    for name, value in start.items():
        if "softmax" not in name:
            np.testing.assert_array_equal(value, before[name])
        kept = "tdnn1" in name or "tdnn2_bn" in name
        assert (value == after[name]).all() == kept, name
    assert start["softmax/output/kernel"].shape == (16, 4)


def test_lists_of_the_original_may_name_its_optimizer(data, tmp_path):
    names = ["softmax", "optimizer", "beta1_power", "beta2_power"]
    run = finetune(data, tmp_path, noload_var_list=names, num_epochs=1)
    assert run.checkpoints() == [0, 5]


def test_it_goes_on_as_if_unbroken(data, tmp_path):
    whole = finetune(data, tmp_path, **LISTS)
    part = finetune(data, tmp_path, name="part", **LISTS, num_epochs=1)
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json", **LISTS)))
    Trainer(params, str(tmp_path / "part")).train(
        *lists(data, "other"), continue_training=True
    )
    one, other = weights(whole), weights(part)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize(
    "changes, words",
    [
        ({}, r"softmax/output/kernel is \(16, 6\) there and \(16, 4\) here.*noload"),
        ({"noload_var_list": ["sotfmax"]}, "'noload_var_list': 'sotfmax' is in no"),
        (
            LISTS | {"noupdate_var_list": ["tdnn8"]},
            "'noupdate_var_list': 'tdnn8' is in no",
        ),
        (
            LISTS | {"last_layer_no_bn": True, "num_nodes_pooling_layer": 20},
            r"tdnn5_dense/kernel is \(16, 24\) there and \(16, 20\) here",
        ),
        (
            LISTS | {"network_relu_type": "prelu"},
            "tdnn/tdnn1_relu/alpha is not in it",
        ),
    ],
)
def test_what_does_not_fit_is_refused(data, tmp_path, changes, words):
    with pytest.raises(InputError, match=words):
        finetune(data, tmp_path, **changes)
    assert not (tmp_path / "fine").exists()


def test_training_from_scratch_takes_no_lists(data, tmp_path):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json", **LISTS)))
    with pytest.raises(InputError, match="are for nnet/finetune.py"):
        Trainer(params, str(tmp_path / "run")).train(*lists(data, "other"))


def test_another_number_of_speakers_is_refused_by_continue(data, tmp_path):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    with pytest.raises(InputError, match="4 speakers .* has 6. nnet/finetune.py"):
        Trainer(params, str(data / "model")).train(
            *lists(data, "other"), continue_training=True
        )


def test_program(data, tmp_path):
    config = toy.write_config(tmp_path / "c.json", noload_var_list=["softmax"])
    command = [sys.executable, ROOT / "nnet/finetune.py", "--config", config]
    command += ["--set", "num_epochs=1", *lists(data, "other")]
    command += [data / "model", tmp_path / "fine"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "weights from" in done.stderr and "validation loss" in done.stderr
    assert RunDir(str(tmp_path / "fine")).checkpoints() == [0, 5]
    shown = subprocess.run(
        [sys.executable, ROOT / "nnet/inspect_model.py", tmp_path / "fine"],
        capture_output=True,
        text=True,
    )
    assert shown.returncode == 0, shown.stderr
    for words in (
        "speakers   4",
        "checkpoint 5 (ours) of 0, 5",
        "tdnn/tdnn1_conv/kernel",
    ):
        assert words in shown.stdout
