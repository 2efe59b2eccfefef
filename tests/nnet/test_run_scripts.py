"""The shell scripts around the trainings, as a recipe calls them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import toy

ROOT = Path(__file__).parents[2]
TRAIN = "config data/train data/train/spklist data/valid data/train/spklist".split()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    """A folder like one under egs/, with data and a configuration."""
    folder = tmp_path_factory.mktemp("recipe")
    (folder / "nnet").symlink_to(ROOT / "nnet")
    (folder / "utils").symlink_to(ROOT / "misc/kaldi/utils")
    python = Path(sys.executable).parent
    path = f"export PATH={python}:{ROOT}/misc/kaldi/utils:{ROOT}/misc/kaldi/bin:$PATH\n"
    (folder / "path.sh").write_text(path)
    toy.write_data_dir(folder / "data/train")
    toy.write_data_dir(folder / "data/valid", seed=9)
    toy.write_config(folder / "config", num_epochs=1)
    return folder


def call(recipe, script, *arguments):
    command = ["bash", f"nnet/{script}.sh", *arguments]
    return subprocess.run(
        command,
        cwd=recipe,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize(
    "script, number",
    [
        ("run_train_nnet", 6),
        ("run_finetune_nnet", 7),
        ("run_train_lr_learning", 6),
        ("run_finetune_lr_learning", 7),
    ],
)
def test_usage(recipe, script, number):
    done = call(recipe, script, *["x"] * (number - 1))
    assert done.returncode == 100
    usage = done.stderr.split("Options:")[0]
    assert usage.count("<") == number and "e.g.: " in usage
    done = call(recipe, script, *["x"] * number)
    assert done.returncode == 1 and "no such file: x" in done.stderr
    assert os.access(ROOT / f"nnet/{script}.sh", os.X_OK)


def test_training_again_keeps_the_log_and_fails_truly(recipe):
    often = ("--overrides", "show_training_progress=2 num_steps_per_epoch=400")
    options = ("--env", "tf_gpu", *often)
    done = call(recipe, "run_train_nnet", *options, *TRAIN, "exp/net")
    assert done.returncode == 0, done.stderr
    assert "--env has no effect" in done.stderr
    assert re.match(r"         step 2 of 400: loss .* \d:\d\d:\d\d left\n", done.stdout)
    log = recipe / "exp/net/log/train_nnet.log"
    assert "epoch 0: validation loss" in log.read_text()
    again = ("--continue-training", "true", "--overrides", "seed=-1")
    done = call(recipe, "run_train_nnet", *again, *TRAIN, "exp/net")
    assert done.returncode == 1
    assert "'seed': must be at least 0" in log.read_text()
    backup = recipe / "exp/net/.backup/log/train_nnet.log"
    assert "epoch 0: validation loss" in backup.read_text()


def test_learning_rate_range_test(recipe):
    done = call(
        recipe,
        "run_train_lr_learning",
        *("--tune-period", "1", "--num-gpus", "2", "--env", "tf_gpu"),
        *TRAIN,
        "exp/rates",
    )
    assert done.returncode == 0, done.stderr
    assert "--num-gpus has no effect" in done.stderr
    lines = (recipe / "exp/rates/learning_rate_tuning").read_text().splitlines()
    assert lines[1].startswith("1 0.00001150 ")
    log = (recipe / "exp/rates/log/train_lr_learning.log").read_text()
    assert "learning_rate_tuning.png" in log
    done = call(recipe, "run_train_lr_learning", "--tune-period", "0", *TRAIN, "exp/b")
    assert done.returncode == 1
    log = (recipe / "exp/b/log/train_lr_learning.log").read_text()
    assert "expected a whole number above 0, got 0" in log
