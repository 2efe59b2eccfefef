"""Curves of trainings, ours and the original's."""

import os
from xml.etree import ElementTree

import numpy as np
import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from misc.rate_test import Tried, tried_rate
from misc.run_dir import RunDir
from misc.training_history import Epoch, History, comparison, read_history
from misc.training_log import TRAINING, TrainingLog
from misc.training_plot import plot_rate_test, plot_training


@pytest.fixture
def run(tmp_path):
    """A run after an epoch and a half, in epochs of 5 steps."""
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    run = RunDir(str(tmp_path / "model"))
    run.create(params, feature_dim=5, num_speakers=6)
    run.write_progress([(2.0, 0.3), (1.5, 0.2), (1.75, 0.1)], [0.1, 0.1, 0.05, 0.025])
    return run


def add_rows(run):
    log = TrainingLog(run.path, TRAINING, 0)
    for step in (2, 4, 16):
        row = {"step": step, "epoch": step // 5, "loss": 3 / step, "total_loss": 4}
        log.append(row | {"learning_rate": 0.1, "seconds": 900 * step})


def test_history_of_our_run(run):
    add_rows(run)
    history = read_history(run.model_dir)
    assert history.column("loss") == [(2, 1.5), (4, 0.75), (16, 0.1875)]
    assert history.column("accuracy") == []
    assert history.epochs[1] == history.best() == Epoch(10, 1.5, 0.2)
    assert history.rates == [(0, 0.1), (5, 0.1), (10, 0.05), (15, 0.05)]
    row = ["a", "16", "4.00", "1.5000", "20.00", "10", "10.00"]
    assert words(comparison({"a": history})) == [row]


def words(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_the_originals_files_are_enough(run):
    history = read_history(run.model_dir)
    assert history.rows == [] and len(history.epochs) == 3
    assert words(comparison({"a": history}))[0][:3] == ["a", "15", "-"]


def test_before_the_first_validation(run):
    add_rows(run)
    os.remove(run.file("valid_loss"))
    history = read_history(run.model_dir)
    assert history.best() is None
    row = ["a", "16", "4.00", "-", "-", "-", "-"]
    assert words(comparison({"a": history})) == [row]


def test_what_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="nowhere/nnet/config.json"):
        read_history(str(tmp_path / "nowhere"))
    os.remove(run.file("valid_loss"))
    with pytest.raises(InputError, match="neither a log line nor a finished epoch"):
        read_history(run.model_dir)


def test_axes_are_those_with_something_on_them(run, tmp_path):
    old = read_history(run.model_dir)
    plot_training({"old": old}, tmp_path / "old.svg")
    add_rows(run)
    new = read_history(run.model_dir)
    plot_training({"old": old, "new": new}, tmp_path / "both.svg")
    drawn = [(tmp_path / name).read_text() for name in ("old.svg", "both.svg")]
    counts = [text.count('id="axes_') for text in drawn]
    assert counts == [3, 3]  # the rows have neither accuracy nor waiting
    colours = [("#0072b2" in text, "#d55e00" in text) for text in drawn]
    assert colours == [(True, False), (True, True)]


def test_many_runs_of_many_points(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        {"step": 100.0 * i, "loss": 5 / i, "accuracy": 0.5, "data_wait": rng.random()}
        | {"learning_rate": 0.1, "segments_per_second": 900.0, "seconds": 1.0 * i}
        for i in range(1, 300)
    ]
    epochs = [Epoch(10_000 * i, 5 / i, 0.2 / i) for i in range(1, 4)]
    runs = {f"run {i}": History(rows, epochs, []) for i in range(9)}
    path = tmp_path / "many.png"
    plot_training(runs, path)
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert int.from_bytes(header[16:20], "big") == 1100


@pytest.mark.parametrize(
    "losses",
    [
        [3.0],
        [3.0, 3.0, 3.0],
        [3.0, 2.5, 2.0, 1.5, 1.0, 1.5, 3.0, 50.0],
        [1.0, 2.0, 3.0, 4.0, 5.0],
    ],
)
def test_rate_test(tmp_path, losses):
    tried = [Tried(i, tried_rate(i), loss) for i, loss in enumerate(losses)]
    path = tmp_path / "rates.svg"
    plot_rate_test(tried, path)
    text = path.read_text()
    ElementTree.fromstring(text)
    assert ("falls fastest" in text) == (len(losses) == 8)
