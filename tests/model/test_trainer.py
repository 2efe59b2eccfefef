"""Whole small runs: repeatable, resumable, refused with a reason."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import toy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from toy_sounds import augmented_config, write_recordings

from dataset.errors import InputError
from dataset.kaldi_table import SequentialReader
from misc.params import Params
from misc.queues import validation_queue
from misc.run_dir import RunDir
from model.callbacks import validate
from model.keras_network import KerasNetwork
from model.trainer import Trainer, load_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    toy.write_data_dir(folder / "train")
    toy.write_data_dir(folder / "valid", seed=9)
    return folder


def train(data, tmp_path, name="run", cont=False, **changes):
    config = toy.write_config(tmp_path / "c.json", **changes)
    model_dir = tmp_path / name
    params = Params.from_json(str(config))
    lists = [str(data / part / file) for part, file in _LISTS]
    Trainer(params, str(model_dir)).train(*lists, continue_training=cont)
    return model_dir


_LISTS = [("train", ""), ("train", "spklist"), ("valid", ""), ("train", "spklist")]


def weights(model_dir):
    return [np.asarray(w) for w in load_model(RunDir(str(model_dir))).weights]


def test_the_same_seed_gives_the_same_run_and_another_does_not(data, tmp_path):
    one = train(data, tmp_path, "one")
    two = train(data, tmp_path, "two", num_parallel_datasets=2)
    other = train(data, tmp_path, "other", seed=4)
    for a, b in zip(weights(one), weights(two), strict=True):
        np.testing.assert_array_equal(a, b)
    for name in ("valid_loss", "learning_rate"):
        assert (one / "nnet" / name).read_bytes() == (two / "nnet" / name).read_bytes()
    assert any(
        (a != b).any() for a, b in zip(weights(one), weights(other), strict=True)
    )


def test_a_continued_run_equals_the_unbroken_one(data, tmp_path):
    whole = train(data, tmp_path, "whole")
    train(data, tmp_path, "parts", num_epochs=1)
    parts = train(data, tmp_path, "parts", cont=True)
    for a, b in zip(weights(whole), weights(parts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_best_checkpoint_is_the_model_that_was_validated(data, tmp_path):
    """Also after a run has gone on, with one file kept; choosing changes nothing."""
    changes = {"keep_checkpoint_max": 1, "save_checkpoints_steps": 2}
    train(data, tmp_path, num_epochs=2, **changes)
    model_dir = train(data, tmp_path, num_epochs=4, cont=True, **changes)
    run = RunDir(str(model_dir))
    files = {path: path.read_bytes() for path in (model_dir / "nnet").iterdir()}
    best = load_model(run, "-1")
    params = run.params()
    lists = str(data / "valid"), str(data / "train/spklist")
    with validation_queue(params, *lists) as queue:
        loss, eer = validate(best, queue, params)
    assert (round(loss, 6), round(eer, 6)) == min(run.valid_losses())
    assert run.choose_checkpoint() == 20
    assert files == {path: path.read_bytes() for path in files}


def test_a_run_that_has_ended_says_so(data, tmp_path, caplog):
    """It does not train on, as it would not have if it had not been asked to go on."""
    ends = {"num_epochs": 9, "early_stop_epochs": 1, "optimizer": "sgd"}
    caplog.set_level("INFO")
    model_dir = train(data, tmp_path, learning_rate=1e-4, **ends)
    losses = RunDir(str(model_dir)).valid_losses()
    assert 1 < len(losses) < 9 and "training ends: no better" in caplog.text
    train(data, tmp_path, cont=True, learning_rate=1e-4, **ends)
    assert "this training has ended: no better validation loss" in caplog.text
    assert RunDir(str(model_dir)).valid_losses() == losses


def test_training_learns(data, tmp_path):
    run = RunDir(str(train(data, tmp_path, num_epochs=6)))
    losses = [loss for loss, _ in run.valid_losses()]
    assert losses[-1] < 0.8 * losses[0]
    assert run.valid_losses()[-1][1] < 0.25


def test_a_nan_stops_with_the_step(data, tmp_path):
    with pytest.raises(InputError, match="loss is .*nan at step"):
        train(data, tmp_path, learning_rate=1e30, optimizer="sgd")
    with pytest.raises(InputError, match="validation loss is nan after 1 steps"):
        train(
            data, tmp_path, learning_rate=1e30, optimizer="sgd", num_steps_per_epoch=1
        )


def test_what_is_too_short_for_the_network_is_refused(data, tmp_path):
    with pytest.raises(InputError, match="'min_segment_len' = 14: .* needs 15 frames"):
        train(data, tmp_path, min_segment_len=14)
    toy.write_data_dir(tmp_path / "valid")
    frames = tmp_path / "valid/utt2num_frames"
    lines = frames.read_text().splitlines()
    frames.write_text("\n".join(["s0-u0 14", *lines[1:]]) + "\n")
    lists = [str(data / "train"), str(data / "train/spklist"), str(tmp_path / "valid")]
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    with pytest.raises(InputError, match="shortest utterance has 14 frames"):
        Trainer(params, str(tmp_path / "run")).train(*lists, lists[1])


def test_scalars_for_tensorboard(data, tmp_path):
    folder = train(data, tmp_path, save_summary_steps=5) / "nnet"
    events = EventAccumulator(str(folder)).Reload()
    steps = [event.step for event in events.Tensors("train/loss")]
    assert steps == [5, 10]
    eers = [event.tensor_proto.float_val[0] for event in events.Tensors("valid/eer")]
    history = RunDir(str(folder.parent)).valid_losses()
    np.testing.assert_allclose(eers, [eer for _, eer in history], atol=1e-6)


def test_embeddings_of_keras(data, tmp_path):
    """Like lengths together, others apart; each as it is alone."""
    model_dir = train(data, tmp_path)
    rng = np.random.default_rng(2)
    utterances = [
        rng.normal(size=(n, 5)).astype(np.float32) for n in (40, 30, 40, 33, 90)
    ]
    for node, kind in (("", "vector"), ("tdnn4_relu", "matrix"), ("output", "vector")):
        network = KerasNetwork(str(model_dir), node)
        assert (network.kind, network.dim, network.context) == (kind, 5, 15)
        keras_node = load_model(RunDir(str(model_dir))).node(node or "tdnn6_dense")
        for ours, x in zip(network(utterances), utterances, strict=True):
            np.testing.assert_allclose(ours, keras_node(x[None])[0], 1e-4, 1e-5)


def test_programs(data, tmp_path):
    """train.py and extract.py as a recipe calls them."""
    config = toy.write_config(tmp_path / "c.json")
    model_dir = tmp_path / "model"
    lists = [str(data / part / file) for part, file in _LISTS]
    done = _run("train.py", "--config", config, *lists, model_dir)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out.txt"
    feats = f"ark:{data}/valid/feats.ark"
    done = _run("extract.py", "-m", 45, model_dir, feats, f"ark,t:{out}")
    assert done.returncode == 0, done.stderr
    lengths = dict(
        line.split()
        for line in (data / "valid/utt2num_frames").read_text().splitlines()
    )
    enough = [name for name, length in lengths.items() if int(length) >= 45]
    assert [line.split()[0] for line in out.read_text().splitlines()] == enough
    assert f"of {len(enough)} utterances, {24 - len(enough)} skipped" in done.stderr

    done = _run("extract.py", "--node", "tdnn3_bn", model_dir, feats, f"ark,t:{out}")
    assert done.returncode == 0, done.stderr
    with SequentialReader(f"ark:{out}", "matrix") as reader:
        shapes = {name: matrix.shape for name, matrix in reader}
    assert shapes == {name: (int(n) - 14, 16) for name, n in lengths.items()}

    config.write_text(json.dumps(toy.CONFIG | {"num_epoch": 1}))
    done = _run("train.py", "--config", config, *lists, model_dir)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "unknown key 'num_epoch'; did you mean 'num_epochs'?" in done.stderr


def test_train_on_raw_features(tmp_path):
    """With and without worker processes, to the same losses; vad.scp must be there."""
    for part, seed in (("train", 0), ("valid", 9)):
        toy.write_data_dir(tmp_path / part, seed=seed)
    lists = [str(tmp_path / part / file) for part, file in _LISTS]
    config = toy.write_config(tmp_path / "c.json", raw_features=True)
    for part in ("valid", "train"):
        with pytest.raises(InputError, match=f"{part}/vad.scp is missing"):
            train(tmp_path, tmp_path, raw_features=True)
        toy.write_vad(tmp_path / part)
    losses = []
    for workers in (0, 2):
        model_dir = tmp_path / f"with{workers}"
        change = f"num_parallel_datasets={workers}"
        done = _run("train.py", "--config", config, "--set", change, *lists, model_dir)
        assert done.returncode == 0, done.stderr
        losses.append((model_dir / "nnet/valid_loss").read_text())
    assert losses[0] == losses[1] and len(losses[0].splitlines()) >= 2
    saved = json.loads((model_dir / "nnet/config.json").read_text())
    assert saved["raw_features"] is True


def test_train_on_recordings(tmp_path):
    """Augmented, with and without worker processes, to the same losses."""
    config = toy.write_config(tmp_path / "c.json", **augmented_config(tmp_path))
    for part, per_speaker in (("train", 3), ("valid", 2)):
        write_recordings(tmp_path / part, per_speaker=per_speaker)
    lists = [str(Path(part, file)) for part, file in _LISTS]
    losses = []
    for workers in (0, 2):
        change = f"num_parallel_datasets={workers}"
        arguments = ["--config", config, "--set", change, *lists, f"with{workers}"]
        done = _run("train.py", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        losses.append((tmp_path / f"with{workers}/nnet/valid_loss").read_text())
    assert losses[0] == losses[1] and len(losses[0].splitlines()) >= 2
    # Four speakers, and their copies at two other speeds.
    assert load_model(RunDir(str(tmp_path / "with2"))).num_speakers == 12


def _command(program, *arguments):
    return [str(x) for x in (sys.executable, ROOT / "nnet" / program, *arguments)]


def _run(program, *arguments, cwd=None):
    command = _command(program, *arguments)
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd)


def test_a_damaged_checkpoint_is_named(data, tmp_path):
    model_dir = train(data, tmp_path, num_epochs=1)
    path = model_dir / "nnet" / "model-5.keras"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="model-5.keras: cannot be loaded"):
        load_model(RunDir(str(model_dir)))
    keras.backend.clear_session()
