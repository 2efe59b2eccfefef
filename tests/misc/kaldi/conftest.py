"""Commands are tested as programs: through the shell, ours first on the PATH."""

import os
import subprocess
from pathlib import Path

import pytest

BIN = Path(__file__).parents[3] / "misc/kaldi/bin"


@pytest.fixture(scope="session")
def run_in():
    """Runs a shell command line in a folder; checks its exit status."""
    path = f"{BIN}:{os.environ['PATH']}"
    environment = dict(os.environ, LC_ALL="C", PATH=path, OMP_NUM_THREADS="1")

    def run(folder, command, status=0):
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


@pytest.fixture
def run(run_in, tmp_path):
    """Runs a shell command line in the test's folder; checks its exit status."""
    return lambda command, status=0: run_in(tmp_path, command, status)
