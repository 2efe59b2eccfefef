"""The run folder: the original's files, and nothing half-written."""

import contextlib
import os
import shutil
import subprocess
import sys

import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from misc.run_dir import RunDir
from misc.whole_files import write_text

RATES = '"learning_rate": "conf/rates"'


@pytest.fixture
def run(tmp_path):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    run = RunDir(str(tmp_path / "model"))
    run.create(params, feature_dim=5, num_speakers=6)
    return run


def add(run, step, keep=2):
    write_text(run.model_file(step), "weights")
    run.add_checkpoint(step, keep)


def test_small_files(run):
    assert run.number("feature_dim") == 5
    assert run.number("num_speakers") == 6
    assert run.params().num_steps_per_epoch == 5


def test_checkpoints_are_listed_and_old_ones_deleted(run):
    for step in (5, 10, 15):
        add(run, step)
    assert run.checkpoints() == [10, 15]
    assert not os.path.exists(run.model_file(5))
    assert run.choose_checkpoint() == 15


def test_the_best_is_kept_however_old(run):
    run.write_progress([(1.0, 0.1), (2.0, 0.2), (3.0, 0.3)], [0.1] * 4)
    for step in (5, 10, 15):
        add(run, step, keep=1)
    assert run.checkpoints() == [5, 15]
    assert run.choose_checkpoint("-1") == 5
    assert run.choose_checkpoint("15") == 15


def test_a_loss_whose_checkpoint_was_lost_is_not_chosen(run):
    run.write_progress([(2.0, 0.1), (1.0, 0.2)], [0.1] * 3)
    add(run, 5)  # a crash before step 10 was saved
    assert run.choose_checkpoint("-1") == 5


def test_choices_that_are_not_there(run):
    with pytest.raises(InputError, match="no checkpoint"):
        run.choose_checkpoint()
    add(run, 5)
    for which in ("7", "best"):
        with pytest.raises(InputError, match=which):
            run.choose_checkpoint(which)


def test_what_is_on_disk_but_not_listed_can_be_chosen(run):
    add(run, 5)
    write_text(run.file("model-3.index"), "")
    assert run.choose_checkpoint("3") == 3 and run.is_original(3)
    os.remove(run.model_file(5))
    with pytest.raises(InputError, match="neither model-5.keras nor model-5.index"):
        run.choose_checkpoint()


def test_progress_files(run):
    run.write_progress([(1.5, 0.25)], [0.01, 0.005])
    with open(run.file("valid_loss")) as stream:
        assert stream.read() == "0 1.500000 0.250000\n"
    with open(run.file("learning_rate")) as stream:
        assert stream.read() == "0 0.01000000\n1 0.00500000\n"


def test_a_new_run_moves_the_old_one_away(run):
    add(run, 5)
    run.create(run.params(), 5, 6)
    assert run.checkpoints() == []
    backup = os.path.join(os.path.dirname(run.path), ".backup", "nnet")
    assert os.path.exists(os.path.join(backup, "model-5.keras"))


def test_the_backup_always_has_a_model(run):
    """A start that came to nothing does not take the place of a good run."""
    add(run, 5)
    for _ in range(3):
        run.create(run.params(), 5, 6)
    backup = os.path.join(run.model_dir, ".backup", "nnet")
    assert os.path.exists(os.path.join(backup, "model-5.keras"))
    assert sorted(os.listdir(run.model_dir)) == [".backup", "nnet"]


def test_a_folder_that_cannot_be_filled_does_not_appear(run):
    add(run, 5)

    def full(draft):
        write_text(draft.file("model-0.keras"), "weights")
        raise OSError("disk full")

    with pytest.raises(OSError):
        run.create(run.params(), 5, 6, full)
    assert run.checkpoints() == [5] and os.listdir(run.model_dir) == ["nnet"]


@pytest.mark.parametrize("call", range(1, 10))
def test_a_good_run_survives_a_crash_at_any_moment(run, monkeypatch, call):
    """While a third run takes the place of a second one; stops before each change."""
    add(run, 5)
    run.create(run.params(), 5, 6)
    add(run, 7)
    count = 0

    class Crash(BaseException):
        pass

    def crashing(function):
        def wrapped(*args, **kwargs):
            nonlocal count
            count += 1
            if count == call:
                raise Crash
            return function(*args, **kwargs)

        return wrapped

    for module, name in ((os, "replace"), (shutil, "rmtree")):
        monkeypatch.setattr(module, name, crashing(getattr(module, name)))
    with contextlib.suppress(Crash):
        run.create(run.params(), 5, 6)
    monkeypatch.undo()
    kept = [
        os.path.join(run.model_dir, place, "model-7.keras")
        for place in ("nnet", ".backup/nnet")
    ]
    assert sum(map(os.path.exists, kept)) == 1


def test_one_training_at_a_time(run):
    add(run, 5)
    program = (
        "import sys\nfrom misc.run_dir import RunDir\n"
        "with RunDir(sys.argv[1]).locked(): pass"
    )
    command = [sys.executable, "-c", program, run.model_dir]
    with run.locked():
        refused = subprocess.run(command, capture_output=True, text=True)
    assert "another process is training in this folder" in refused.stderr
    assert subprocess.run(command).returncode == 0


def test_what_a_crash_left_is_taken_away(run):
    for step in (5, 10, 15):
        add(run, step, keep=3)
    text = 'all_model_checkpoint_paths: "model-10"\n'
    write_text(run.file("checkpoint"), text * 2)  # killed before 5 was deleted
    write_text(run.file("model-12.tmp99.keras"), "half")
    write_text(run.file("model-3.index"), "the original's")
    with run.locked():
        assert run.checkpoints() == [10, 10]
    models = {name for name in os.listdir(run.path) if name.startswith("model-")}
    assert models == {"model-10.keras", "model-15.keras", "model-3.index"}


def test_no_lock_is_left_where_no_run_was_begun(tmp_path):
    with RunDir(str(tmp_path / "new")).locked():
        pass
    assert os.listdir(tmp_path) == []


def test_the_list_of_rates_is_kept_in_the_folder(tmp_path):
    (tmp_path / "rates").write_text("0.1\n0.05\n")
    config = toy.write_config(tmp_path / "c.json", learning_rate="rates")
    run = RunDir(str(tmp_path / "model"))
    run.create(Params.from_json(str(config)), 5, 6)
    (tmp_path / "rates").unlink()
    assert run.params().learning_rate_list() == [0.1, 0.05]


def test_a_list_of_rates_that_was_left_behind_is_asked_for_by_training_only(run):
    config = run.params().to_json().replace('"learning_rate": 0.01', RATES)
    write_text(run.file("config.json"), config)
    with pytest.raises(InputError, match="nnet/conf/rates: No such file"):
        run.params().learning_rate_list()
