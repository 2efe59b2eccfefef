"""The rate that each step is taken with, in real runs, unbroken and resumed."""

import keras
import numpy as np
import pytest
import toy

from misc.params import Params
from misc.run_dir import RunDir
from model import trainer
from model.trainer import Trainer, load_model

COSINE = {
    "learning_rate_schedule": "cosine",
    "final_learning_rate": 0.001,
    "warmup_steps": 3,
}
AFTER_LOSSES = {
    "reduce_lr_epochs": 1,
    "early_stop_epochs": 2,
    "num_epochs": 9,
    "learning_rate": 1e-9,  # learns nothing: each epoch is as bad as the first
    "min_learning_rate": 0,
    "warmup_steps": 8,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    toy.write_data_dir(folder / "train")
    toy.write_data_dir(folder / "valid", seed=9)
    return folder


@pytest.fixture
def used(monkeypatch):
    """The rates that the optimizer used, as the tests' trainings go on."""
    rates = []

    class Recorder(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            rates.append(float(self.model.optimizer.learning_rate))

    fit = trainer.Feed.fit

    def recorded_fit(feed, model, **arguments):
        recorder = Recorder()
        recorder.set_model(model)
        arguments["callbacks"].callbacks.append(recorder)
        fit(feed, model, **arguments)

    monkeypatch.setattr(trainer.Feed, "fit", recorded_fit)
    return rates


def train(data, tmp_path, name="run", cont=False, **changes):
    config = toy.write_config(tmp_path / "c.json", **changes)
    lists = [data / "train", data / "train/spklist", data / "valid"]
    lists = [str(path) for path in (*lists, lists[1])]
    params = Params.from_json(str(config))
    Trainer(params, str(tmp_path / name)).train(*lists, continue_training=cont)
    return RunDir(str(tmp_path / name))


def weights(run):
    return [np.asarray(w) for w in load_model(run).weights]


def test_every_step_has_its_rate(data, tmp_path, used):
    run = train(data, tmp_path, **COSINE)
    steps = np.arange(10)
    expected = 0.0055 + 0.0045 * np.cos(np.pi * steps / 10)
    expected *= np.minimum(1, (steps + 1) / 3)
    np.testing.assert_allclose(used, expected, rtol=1e-6)
    # Of the first step of each epoch, and of the one after the last.
    starts = [expected[0], expected[5], 0.001]
    np.testing.assert_allclose(run.learning_rates(), starts, atol=5e-9)


def test_halving_with_warm_up_and_early_stopping(data, tmp_path, used):
    run = train(data, tmp_path, **AFTER_LOSSES)
    losses = [round(loss, 4) for loss, _ in run.valid_losses()]
    assert len(losses) == 3 and min(losses) == losses[0], "two epochs of patience"
    halved = [1e-9] * 10 + [5e-10] * 5
    warm = np.minimum(1, (np.arange(15) + 1) / 8)
    np.testing.assert_allclose(used, halved * warm, rtol=1e-6)


@pytest.mark.parametrize("keys", [COSINE, {"accumulate_batches": 5}])
def test_resumed_within_an_epoch(data, tmp_path, used, keys):
    keys = keys | {"save_checkpoints_steps": 3, "num_epochs": 2}
    whole = train(data, tmp_path, "whole", **keys)
    rates = used[:]
    files = tmp_path / "whole/nnet"
    assert whole.checkpoints() == [3, 5, 6, 9, 10]
    expected = weights(whole)
    for later in (5, 6, 9, 10):
        (files / f"model-{later}.keras").unlink()
    (files / "checkpoint").write_text('all_model_checkpoint_paths: "model-3"\n')
    (files / "valid_loss").write_text("")
    used.clear()
    train(data, tmp_path, "whole", cont=True, **keys)
    assert used == rates[3:]
    for a, b in zip(expected, weights(whole), strict=True):
        np.testing.assert_array_equal(a, b)
