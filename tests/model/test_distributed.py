"""Several devices do what one does. Devices are two parts of the CPU here."""

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import toy
from killed_training import Moment, Training, variables
from two_devices import CASES

from dataset.errors import InputError
from misc.params import Params
from model.distributed import Sharing
from model.trainer import Trainer

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.distribute shares the batches"
)
PROGRAM = Path(__file__).parents[1] / "two_devices.py"


def test_two_devices_equal_one():
    """A hundred steps of each case, and a run that changes from two to one and back."""
    command = [sys.executable, str(PROGRAM)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for case, line in zip([*CASES, "a run"], lines, strict=True):
        apart = {name: value for name, value in json.loads(line).items() if value}
        assert apart and max(apart.values()) < 1e-5, (case, apart)


def test_two_hosts_equal_one(tmp_path):
    """One of them is killed: the other one ends; both go on, to the same weights."""
    training = Training(tmp_path, optimizer="sgd", learning_rate=1e-3, num_epochs=3)
    training.run("whole")
    first, second = _two_hosts(training)
    Moment("model-", 2, 0).wait(first, tmp_path / "shared")
    second.kill()
    second.communicate()
    _, errors = first.communicate(timeout=120)
    assert first.returncode == 1, errors
    assert "another host's process has ended" in errors.splitlines()[-1]
    for process in _two_hosts(training):
        _, errors = process.communicate()
        assert process.returncode == 0, errors
    whole, shared = (
        variables(tmp_path / name / "nnet/model-9.keras")
        for name in ("whole", "shared")
    )
    for name, value in whole.items():
        np.testing.assert_allclose(shared[name], value, rtol=1e-4, atol=1e-5)


def _two_hosts(training):
    with socket.socket() as one, socket.socket() as other:
        for free in (one, other):
            free.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{free.getsockname()[1]}" for free in (one, other)]
    processes = []
    for rank in range(2):
        task = {"type": "worker", "index": rank}
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
        processes.append(
            subprocess.Popen(
                training.command("shared"),
                stderr=subprocess.PIPE,
                text=True,
                env=os.environ | {"TF_CONFIG": cluster},
            )
        )
    return processes


def test_what_cannot_be_had_is_refused(tmp_path, monkeypatch):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    three = Sharing(("CPU:0", "CPU:1", "CPU:2"))
    with pytest.raises(InputError, match="= 8: expected a multiple of 3, the number"):
        Trainer(params, str(tmp_path / "run"), three)
    for key, value in (("accumulate_batches", 5), ("precision", "float16")):
        other = dataclasses.replace(params, **{key: value})
        with pytest.raises(InputError, match=f"'{key}'"):
            Sharing(("CPU:0", "CPU:1")).rows(other)
    for number in (0, 4):
        words = f"--num-gpus {number}: TensorFlow finds 0 GPUs here"
        with pytest.raises(InputError, match=words):
            Sharing.asked_for(number)
    assert Sharing.asked_for(1) == Sharing()
    hosts = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(hosts))
    with pytest.raises(InputError, match="each GPU has a process of its own"):
        Sharing.asked_for(2)
    assert Sharing(rank=1, num_hosts=2).rows(params) == slice(4, 8)
