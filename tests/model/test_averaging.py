"""The mean of checkpoints, as a model folder of its own."""

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

PROGRAM = Path(__file__).parents[2] / "nnet/average_checkpoints.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data and a run of three epochs."""
    folder = tmp_path_factory.mktemp("run")
    toy.write_data_dir(folder / "train")
    params = Params.from_json(str(toy.write_config(folder / "c.json", num_epochs=3)))
    Trainer(params, str(folder / "run")).train(*lists(folder))
    return folder


def lists(folder):
    return [str(folder / "train"), str(folder / "train/spklist")] * 2


def average(*arguments):
    command = [str(x) for x in (sys.executable, PROGRAM, *arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_mean_is_a_model_folder(folder, tmp_path):
    run = RunDir(str(folder / "run"))
    before = {path.name: path.read_bytes() for path in (folder / "run/nnet").iterdir()}
    to = tmp_path / "mean"
    done = average("--number", 2, folder / "run", to, *lists(folder)[:2])
    assert done.returncode == 0, done.stderr
    assert "mean of 2 checkpoints: 10, 15" in done.stderr
    assert done.stderr.count("validation loss") == 2
    after = {path.name: path.read_bytes() for path in (folder / "run/nnet").iterdir()}
    assert before == after
    mean = load_model(RunDir(str(to)))
    newest = [load_model(run, str(step)) for step in (10, 15)]
    for a, b, m in zip(newest[0].weights, newest[1].weights, mean.weights, strict=True):
        if m is mean.global_step:
            assert int(m) == 15
        else:
            expected = (np.float64(a) + np.float64(b)) / 2
            np.testing.assert_allclose(m, expected, rtol=1e-6, atol=1e-9)
    with pytest.raises(InputError, match="nnet/finetune.py"):  # no run to go on with
        Trainer(mean.params, str(to)).train(*lists(folder), continue_training=True)


def test_what_cannot_be_averaged(folder, tmp_path):
    done = average(folder / "run", folder / "run")
    assert done.returncode == 1 and "expected another folder" in done.stderr
    done = average(tmp_path / "none", tmp_path / "mean")
    assert done.returncode == 1 and "0 checkpoints, no two to average" in done.stderr
    assert not (tmp_path / "mean").exists()
