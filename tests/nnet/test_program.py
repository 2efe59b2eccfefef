"""What the programs of nnet/ share."""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from misc.run_dir import RunDir
from nnet.program import training_params

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    run = RunDir(str(tmp_path / "run"))
    run.create(Params.from_json(str(toy.write_config(tmp_path / "c.json"))), 5, 6)
    return run


def params(tmp_path, *overrides, cont=True, config=""):
    given = argparse.Namespace(cont=cont, config=config, set=list(overrides))
    return training_params(given, str(tmp_path / "run"))


def test_a_run_that_goes_on_keeps_its_configuration_and_says_so(tmp_path, run, caplog):
    config = str(toy.write_config(tmp_path / "other.json", num_epochs=9))
    assert params(tmp_path, "seed=8", config=config) == run.params()
    assert "in seed, num_epochs: a run that goes on keeps its own" in caplog.text


def test_no_word_if_nothing_differs(tmp_path, run, caplog):
    assert params(tmp_path) == run.params()
    assert params(tmp_path, config=str(tmp_path / "c.json")) == run.params()
    assert not caplog.text


def test_readers_suit_the_machine_that_a_run_goes_on_at(tmp_path, run, caplog):
    changed = params(tmp_path, "num_parallel_datasets=7", "max_queue_size=3")
    assert (changed.num_parallel_datasets, changed.max_queue_size) == (7, 3)
    assert not caplog.text


def test_there_must_be_a_run_to_go_on_with(tmp_path):
    with pytest.raises(InputError, match="config.json is missing, so there is no run"):
        params(tmp_path)


def test_a_new_run_needs_a_configuration(tmp_path):
    with pytest.raises(InputError, match="--config is needed"):
        params(tmp_path, cont=False)
    config = str(toy.write_config(tmp_path / "c.json"))
    assert params(tmp_path, "seed=8", cont=False, config=config).seed == 8


def test_ctrl_c_while_tensorflow_is_imported_ends_the_program_at_once(tmp_path):
    (tmp_path / "keras.py").write_text(
        "while True:\n"  # as in code that does not come back to Python
        "    try:\n"
        "        print('importing', flush=True)\n"
        "        while True: pass\n"
        "    except KeyboardInterrupt: pass\n"
    )
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from nnet import program as p; p.import_keras_quietly()",
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"importing\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(10) == -signal.SIGINT
        finally:
            process.kill()
