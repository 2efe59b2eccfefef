"""Every program of the recipes: its run bit, and its usage."""

import os
import subprocess
from pathlib import Path

import pytest
from fisher_runs import ENVIRONMENT

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "egs/shared", ROOT / "nnet", *(ROOT / "egs").glob("*/v1")]
FOLDERS += (ROOT / "egs").glob("*/v1/local")
FILES = sorted(
    path
    for folder in FOLDERS
    for path in folder.iterdir()
    if path.suffix in (".sh", ".py") and not path.is_symlink()
)
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
PROGRAMS = [name for name in NAMES if (ROOT / name).read_bytes()[:2] == b"#!"]


@pytest.mark.parametrize("name", NAMES)
def test_programs_have_a_run_bit_and_modules_have_none(name):
    assert os.access(ROOT / name, os.X_OK) == (name in PROGRAMS)


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_tell_their_use(name):
    path = ROOT / name
    recipe = next((p for p in path.parents if p.name == "v1"), ROOT / "egs/sre/v1")
    if path.parent.name == "shared":
        path = Path("shared") / path.name
    done = subprocess.run(
        [path, "--help"],
        cwd=recipe,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in (done.stdout + done.stderr).lower()
