"""Rates and their files beside those of the original's scripts, for the same losses."""

import json
from pathlib import Path

import pytest
import toy

from misc.params import Params
from misc.run_dir import RunDir
from misc.schedule import epoch_rates, start_rates

GOLDEN = json.loads(
    (Path(__file__).parents[1] / "data/original/lr_control.json").read_text()
)
EER = 0.125


def replay(case, folder):
    """The run's folder after as many epochs as the original went."""
    keys = ("learning_rate", "reduce_lr_epochs", "early_stop_epochs")
    changes = {key: case[key] for key in (*keys, "min_learning_rate")}
    params = Params.from_json(str(toy.write_config(folder / "c.json", **changes)))
    run = RunDir(str(folder / "model"))
    run.create(params, feature_dim=5, num_speakers=6)
    for done in range(1, len(case["valid_losses"]) + 1):
        losses = case["valid_losses"][:done]
        rates = epoch_rates(params, losses, run.learning_rates())
        history = [(loss, EER) for loss in losses]
        run.write_progress(history, start_rates(params, rates))
    return run


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("train")])
def test_training_writes_the_originals_files(name, tmp_path):
    run, case = replay(GOLDEN[name], tmp_path), GOLDEN[name]
    assert Path(run.file("learning_rate")).read_text() == case["learning_rate_file"]
    assert Path(run.file("valid_loss")).read_text() == case["valid_loss_file"]


@pytest.mark.parametrize("name", [name for name in GOLDEN if name.startswith("fine")])
def test_fine_tuning_halves_by_the_rule_of_training(name, tmp_path):
    """The original's goes on counting reduce_lr_epochs / 2 epochs later, ours two.

    With its 2 and steady losses it halved each epoch after the first halving.
    """
    run, case = replay(GOLDEN[name], tmp_path), GOLDEN[name]
    assert Path(run.file("valid_loss")).read_text() == case["valid_loss_file"]
    lines = case["learning_rate_file"].splitlines()
    theirs = [float(line.split()[1]) for line in lines]
    first = next((i for i, rate in enumerate(theirs) if rate < theirs[0]), len(theirs))
    ours = run.learning_rates()
    assert len(ours) == len(theirs)
    expected = theirs[:first]
    for epoch in range(first, len(theirs)):
        expected.append(theirs[0] / 2 ** ((epoch - first) // 2 + 1))
    assert ours == pytest.approx(expected, abs=1e-8)
