"""Every program of the recipes: its run bit, and its usage."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT / "egs/shared", ROOT / "nnet", *(ROOT / "egs").glob("*/v1")]
FOLDERS += (ROOT / "egs").glob("*/v1/local")
FILES = sorted(
    path
    for folder in [
        ROOT / "egs/shared",
        ROOT / "nnet",
        *FOLDERS,
        *(ROOT / "egs").glob("*/v1"),
    ]
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
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"}
    environment["PYTHONPATH"] = str(ROOT)
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    done = subprocess.run(
        [path, "--help"],
        cwd=recipe,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in (done.stdout + done.stderr).lower()
