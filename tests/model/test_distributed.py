"""Several devices do what one does. Devices are two parts of the CPU here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import toy
from two_devices import CASES

from dataset.errors import InputError
from misc.params import Params
from model.distributed import gpus
from model.trainer import Trainer

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


def test_what_cannot_be_had_is_refused(tmp_path):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    with pytest.raises(InputError, match="= 8: expected a multiple of 3, the number"):
        Trainer(params, str(tmp_path / "run"), ["CPU:0", "CPU:1", "CPU:2"])
    with pytest.raises(InputError, match="--num-gpus 4: TensorFlow finds 0 GPUs here"):
        gpus(4)
    with pytest.raises(InputError, match="--num-gpus 0: expected at least 1"):
        gpus(0)
    assert gpus(1) == []
