"""What a training says of itself, and how it ends at a NaN."""

import logging
import re

import keras
import numpy as np
import pytest
import toy
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dataset.data_loader import KaldiDataRandomQueue
from dataset.errors import InputError
from misc.run_dir import RunDir
from misc.training_log import read_log
from model.not_finite import LISTING
from model.trainer import load_model

MARGIN = {
    "loss_func": "additive_margin_softmax",
    "amsoftmax_m": 0.25,
    "amsoftmax_lambda_min": 0.0,
    "amsoftmax_lambda_base": 10.0,
    "amsoftmax_lambda_gamma": 1.0,
    "amsoftmax_lambda_power": 1.0,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    toy.write_data_dir(folder / "train")
    toy.write_data_dir(folder / "valid", seed=9)
    return folder


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    """A run of 2 epochs of 6 steps, with a row for each second one."""
    folder = tmp_path_factory.mktemp("run")
    changes = {"show_training_progress": 2, "save_summary_steps": 4}
    return toy.train(data, folder, num_steps_per_epoch=6, **changes, **MARGIN)


def test_rows_of_the_log(run):
    rows = read_log(str(run / "training_log.csv"))
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    assert [row["epoch"] for row in rows] == [0, 0, 0, 1, 1, 1]
    for before, row in zip(rows, rows[1:], strict=False):
        spent = row["seconds"] - before["seconds"]
        # 2 steps of 8 segments
        assert row["segments_per_second"] == pytest.approx(16 / spent, rel=0.01)
        assert 0 <= row["data_wait"] <= 1 and 0 <= row["accuracy"] <= 1
        assert row["loss"] < row["total_loss"] < row["loss"] + 0.1
    # lambda = 10 / (1 + step)
    lambdas = [row["lambda"] for row in rows]
    np.testing.assert_allclose(lambdas, 10 / (1 + np.arange(2, 13, 2)), rtol=1e-4)
    assert {row["margin"] for row in rows} == {0.25}
    assert {row["learning_rate"] for row in rows} == {0.01}


def test_rows_of_the_validation(run):
    rows = read_log(str(run / "validation_log.csv"))
    assert [(row["epoch"], row["step"]) for row in rows] == [(0, 6), (1, 12)]
    history = RunDir(str(run.parent)).valid_losses()
    figures = [(row["loss"], row["eer"]) for row in rows]
    np.testing.assert_allclose(figures, history, atol=1e-6)


def test_scalars_for_tensorboard_are_those_of_the_log(run):
    events = EventAccumulator(str(run)).Reload()
    rows = {row["step"]: row for row in read_log(str(run / "training_log.csv"))}
    names = [name for name in events.Tags()["tensors"] if name.startswith("train/")]
    assert len(names) == 8
    for name in names:
        points = {
            event.step: event.tensor_proto.float_val[0]
            for event in events.Tensors(name)
        }
        assert list(points) == [4, 8, 12]
        for step, value in points.items():
            assert value == pytest.approx(rows[step][name[6:]], rel=1e-5), name


def test_a_mean_is_of_the_steps_since_the_row_before(run, data, tmp_path):
    """A run with a row for each step says what the rows of two are the means of."""
    single = toy.train(
        data, tmp_path, num_steps_per_epoch=6, show_training_progress=1, **MARGIN
    )
    for name in ("loss", "total_loss", "accuracy"):
        ones = [row[name] for row in read_log(str(single / "training_log.csv"))]
        twos = [row[name] for row in read_log(str(run / "training_log.csv"))]
        means = np.reshape(ones, (-1, 2)).mean(axis=1)
        np.testing.assert_allclose(means, twos, rtol=1e-5)


def test_a_run_that_goes_on_has_each_row_once(run, data, tmp_path):
    """From a checkpoint, with rows after it of the training that broke off."""
    changes = {"show_training_progress": 2, "num_steps_per_epoch": 6} | MARGIN
    folder = toy.train(data, tmp_path, num_epochs=1, **changes)
    lost = "8,1,99,99,0,0,0,0,0,0,99\n10,1,9"
    with open(folder / "training_log.csv", "a") as stream:
        stream.write(lost)
    toy.train(data, tmp_path, cont=True, **changes)
    for name in ("training_log.csv", "validation_log.csv"):
        parts, whole = (read_log(str(f / name)) for f in (folder, run))
        assert [row["step"] for row in parts] == [row["step"] for row in whole]
        assert [row["loss"] for row in parts] == [row["loss"] for row in whole]
    seconds = [row["seconds"] for row in read_log(str(folder / "training_log.csv"))]
    assert seconds == sorted(seconds)


def test_histograms_are_asked_for_and_change_nothing(run, data, tmp_path):
    changes = {"show_training_progress": 2, "save_summary_steps": 4}
    folder = toy.train(
        data,
        tmp_path,
        summary_histograms=True,
        num_steps_per_epoch=6,
        **changes,
        **MARGIN,
    )
    with_them, without = (
        load_model(RunDir(str(folder.parent))) for folder in (folder, run)
    )
    for a, b in zip(with_them.variables, without.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    events = EventAccumulator(str(folder)).Reload()
    names = events.Tags()["tensors"]
    kinds = ("weights", "gradients")
    if keras.backend.backend() != "tensorflow":
        kinds = ("weights",)
    for kind in kinds:
        assert f"{kind}/tdnn1_conv/kernel" in names
        steps = [e.step for e in events.Tensors(f"{kind}/tdnn1_conv/kernel")]
        assert steps == [4, 8, 12]
    plain = EventAccumulator(str(run)).Reload().Tags()["tensors"]
    assert not any("kernel" in name for name in plain)


def test_the_line_says_it_in_words(data, tmp_path, caplog):
    caplog.set_level(logging.INFO, "train")
    toy.train(data, tmp_path, show_training_progress=5, num_epochs=1, **MARGIN)
    (line,) = [text for text in caplog.messages if text.startswith("step")]
    number = r"[\d.]+"
    assert re.fullmatch(
        rf"step 5 of 5: loss {number} \(regularised {number}\), accuracy {number} %, "
        rf"rate 0.01, lambda 1.67, margin 0.25, {number} segments/s, "
        rf"waited for data {number} %, 0:00:00 left",
        line,
    )


@pytest.fixture
def spoilt(tmp_path):
    """Features of one training utterance are so large that their squares overflow."""
    toy.write_data_dir(tmp_path / "train")
    toy.write_data_dir(tmp_path / "valid", seed=9)
    toy.scale_utterance(tmp_path / "train", "s2-u1", 1e25)
    return tmp_path


def test_an_utterance_of_huge_values_is_named(spoilt):
    """The loss stays finite: batch normalisation hides it, its moving variance not."""
    with pytest.raises(InputError) as caught:
        toy.train(
            spoilt, spoilt / "run", num_steps_per_epoch=10, save_checkpoints_steps=3
        )
    text = str(caught.value)
    step = int(re.search(r"moving_variance is not finite after (\d+) steps", text)[1])
    culprit = int(re.search(r"utterance s2-u1 of step (\d+) has values", text)[1])
    assert step - 3 < culprit <= step
    run = RunDir(str(spoilt / "run"))
    assert all(kept < culprit for kept in run.checkpoints())
    assert text.endswith(run.model_file(step - 3)) or text.endswith("none yet")
    with open(run.file(LISTING)) as stream:
        rows = [line.split() for line in stream][1:]
    assert len(rows) == 3 * 8
    largest = max(rows, key=lambda row: float(row[4]))
    assert largest[:2] == [str(culprit), "s2-u1"]


def test_a_rate_that_is_too_high_is_told_from_bad_data(data, tmp_path):
    changes = {"optimizer": "sgd", "learning_rate": 1e6, "num_steps_per_epoch": 30}
    with pytest.raises(InputError) as caught:
        toy.train(data, tmp_path, **changes)
    text = str(caught.value)
    step = int(re.match(r"the loss is [-a-z]+ at step (\d+): training stops", text)[1])
    assert "lower the learning rate" in text and "Last good checkpoint: none" in text
    lines = (tmp_path / "nnet" / LISTING).read_text().splitlines()[1:]
    named = [int(line.split()[0]) for line in lines]
    assert named == sorted(named, reverse=True) and {step, step - 1} <= set(named)


def test_what_is_listed_is_what_was_in_the_batch(data):
    folder = str(data / "train")
    with KaldiDataRandomQueue(
        folder, f"{folder}/spklist", num_speakers=4, min_len=20, max_len=30, seed=3
    ) as queue:
        for step in range(3):
            features, labels = queue.fetch()
            again, same = queue.read(step)
            np.testing.assert_array_equal(features, again)
            np.testing.assert_array_equal(labels, same)
            task = queue.describe(step)
            assert task.shape == features.shape
            speakers = [int(segment.utterance[1]) for segment in task.segments]
            assert speakers == labels.tolist()


def test_a_batch_with_replaced_segments_is_read_again_as_it_was(tmp_path):
    folder = str(toy.write_data_dir(tmp_path / "train"))
    toy.scale_utterance(tmp_path / "train", "s2-u1", np.nan)
    with KaldiDataRandomQueue(
        folder,
        f"{folder}/spklist",
        num_speakers=6,
        min_len=20,
        max_len=30,
        max_bad_segments=0.5,
    ) as queue:
        for step in range(12):
            features, labels = queue.fetch()
            for one, other in zip(queue.read(step), (features, labels), strict=True):
                np.testing.assert_array_equal(one, other)
        assert queue.bad.num_bad


def test_a_bad_validation_utterance_is_named(data, tmp_path):
    toy.write_data_dir(tmp_path / "train")
    toy.write_data_dir(tmp_path / "valid", seed=9)
    toy.scale_utterance(tmp_path / "valid", "s1-u2", 1e25)
    words = "1 of 24 utterances of .*/valid are not finite, that of s1-u2 first"
    with pytest.raises(InputError, match=words):
        toy.train(tmp_path, tmp_path / "run", num_epochs=1)
