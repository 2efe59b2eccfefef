"""The CSV tables of a training: whole rows, each once, whatever broke off."""

import csv

import pytest

from dataset.errors import InputError
from misc.training_log import TRAINING, VALIDATION, TrainingLog, read_log


def row(step):
    return {"step": step, "epoch": 0, "loss": 1.5, "learning_rate": 1e-5}


@pytest.fixture
def log(tmp_path):
    log = TrainingLog(str(tmp_path), TRAINING, 0)
    for step in (10, 20, 30):
        log.append(row(step))
    return log


def test_rows_come_back_without_what_they_lack(log):
    assert read_log(log.path) == [row(10), row(20), row(30)]


def test_a_spreadsheet_reads_it(log):
    with open(log.path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [r["learning_rate"] for r in rows] == ["1e-05"] * 3
    assert rows[0]["accuracy"] == ""
    assert list(rows[0]) == list(TRAINING.columns)


def test_steps_are_written_in_full(log):
    log.append(row(123_456_789))
    assert read_log(log.path)[-1]["step"] == 123_456_789


def test_no_file_no_rows(tmp_path):
    assert read_log(str(tmp_path / "training_log.csv")) == []


def test_going_on_takes_out_what_came_after(log, tmp_path):
    resumed = TrainingLog(str(tmp_path), TRAINING, 20)
    assert resumed.rows == read_log(log.path) == [row(10), row(20)]
    resumed.append(row(30))
    assert read_log(log.path) == [row(10), row(20), row(30)]


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_row_cut_short_is_no_row(log, tmp_path, cut):
    with open(log.path, "rb+") as stream:
        stream.truncate(stream.seek(0, 2) - cut)
    assert read_log(log.path) == [row(10), row(20)]
    TrainingLog(str(tmp_path), TRAINING, 20).append(row(30))
    assert read_log(log.path) == [row(10), row(20), row(30)]


def test_columns_of_an_older_file_are_kept_by_name(tmp_path):
    path = tmp_path / VALIDATION.name
    path.write_text("loss,step\n2.5,5\n")
    log = TrainingLog(str(tmp_path), VALIDATION, 5)
    assert log.rows == [{"loss": 2.5, "step": 5}]
    assert path.read_text() == "epoch,step,loss,eer,learning_rate,seconds\n,5,2.5,,,\n"


@pytest.mark.parametrize(
    "text", ["step,loss\n1,x\n", "step,loss\n1,2,3\n", "a,b\n1,2\n", "step,loss\n,2\n"]
)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / TRAINING.name
    path.write_text(text)
    with pytest.raises(InputError, match=f"{path}: line 2: expected the columns"):
        TrainingLog(str(tmp_path), TRAINING, 5)
    assert path.read_text() == text


def test_a_full_disk_names_the_file(tmp_path):
    log = TrainingLog(str(tmp_path), TRAINING, 0)
    log.path = "/dev/full"
    with pytest.raises(OSError) as caught:
        log.append(row(1))
    assert caught.value.filename == "/dev/full"
