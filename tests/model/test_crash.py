"""nnet/train.py killed, and with the disk full: nothing is lost, nothing half-written.

tests/killed_training.py does the same at as many random moments as wanted.
"""

import os
import resource
import subprocess

import pytest
from killed_training import Moment, Training, differences

from misc.run_dir import RunDir


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    training = Training(
        tmp_path_factory.mktemp("training"),
        optimizer="momentum",
        momentum=0.9,
        num_parallel_datasets=2,
    )
    training.run("whole")
    return training


def test_killed_again_and_again_it_ends_as_the_unbroken_run(training):
    for moment in (
        Moment("feature_dim", 1, 0.3),  # before the first checkpoint
        Moment("model-2.tmp", 1, 0),
        Moment("valid_loss", 1, 0),
        Moment("model-", 5, 0.01),
    ):
        place = training.run_and_kill("killed", moment)
        assert place, "it had ended already"
    training.run("killed")
    assert differences(training.folder / "whole", training.folder / "killed") == []
    assert not [n for n in os.listdir(training.folder / "killed/nnet") if ".tmp" in n]


def test_a_disk_that_fills_up(training):
    """A limit on the size of files stands for it: small ones still find room."""
    command = training.command("full")
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    Moment("checkpoint", 2, 0).wait(process, training.folder / "full")
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
    _, errors = process.communicate()
    assert process.returncode == 1 and "Traceback" not in errors
    assert "File too large: " in errors.splitlines()[-1]
    assert not [n for n in os.listdir(training.folder / "full/nnet") if ".tmp" in n]
    assert RunDir(str(training.folder / "full")).choose_checkpoint() < 12
    training.run("full")
    assert differences(training.folder / "whole", training.folder / "full") == []
