"""egs/mini/v1/path.sh: the user's Kaldi leads the PATH, the embedded one follows."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    "bin": "copy-vector",
    "featbin": "compute-mfcc-feats",
    "ivectorbin": "ivector-mean",
}


@pytest.fixture
def kaldi(tmp_path):
    """A folder that looks like a Kaldi with one program of each kind."""
    for folder, program in PROGRAMS.items():
        path = tmp_path / "src" / folder / program
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return tmp_path


def after_path_sh(command, status=0, **variables):
    """Sources path.sh in the recipe's folder, then runs a command."""
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"}
    done = subprocess.run(
        ["bash", "-c", f"set -eu; . ./path.sh; {command}"],
        cwd=ROOT / "egs/mini/v1",
        env=environment | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stderr
    return done


def where(program, **variables):
    return Path(after_path_sh(f"command -v {program}", **variables).stdout.strip())


@pytest.mark.parametrize("folder, program", PROGRAMS.items())
def test_the_users_kaldi_leads(kaldi, folder, program):
    assert where(program, KALDI_ROOT=str(kaldi)) == kaldi / "src" / folder / program


def test_ours_follow(kaldi):
    found = where("compute-eer", KALDI_ROOT=str(kaldi))
    assert found == ROOT / "misc/kaldi/bin/compute-eer"
    assert where("run.pl", KALDI_ROOT=str(kaldi)) == ROOT / "egs/mini/v1/utils/run.pl"


@pytest.mark.parametrize("program", [*PROGRAMS.values(), "wav-reverberate"])
def test_ours_lead_without_kaldi_root(program):
    assert where(program) == ROOT / "misc/kaldi/bin" / program


def test_a_kaldi_that_is_not_built_is_refused(tmp_path):
    done = after_path_sh("echo on", status=1, KALDI_ROOT=str(tmp_path))
    assert done.stdout == ""
    assert f"path.sh: KALDI_ROOT={tmp_path} has no src/featbin" in done.stderr
    assert "build Kaldi there, or unset KALDI_ROOT" in done.stderr


def test_python_finds_the_project():
    code = "import misc.params, dataset.errors, sys; print(sys.path[1])"
    done = after_path_sh(f"cd /; python3 -c '{code}'", PYTHONPATH="/mine")
    assert done.stdout.strip() == str(ROOT)
    done = after_path_sh("echo $PYTHONPATH $LC_ALL", PYTHONPATH="/mine")
    assert done.stdout.split() == [f"{ROOT}:/mine", "C"]
