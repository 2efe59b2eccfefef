"""Who may import whom (docs/architecture.md), and what must stay light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "dataset": {"dataset"},
    "misc": {"dataset", "misc"},
    "model": {"dataset", "misc", "model"},
    "nnet": {"dataset", "misc", "model", "nnet"},
}
HEAVY = {"keras", "tensorflow", "jax", "torch"}


def python_files(package):
    return sorted(p for p in (ROOT / package).rglob("*.py") if not p.is_symlink())


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_point_one_way(package):
    files = python_files(package)
    assert files
    for path in files:
        for name in imported(path):
            top = name.split(".")[0]
            assert top not in ALLOWED or top in ALLOWED[package], f"{path}: {name}"
            light = package in ("dataset", "misc")
            assert not (light and top in HEAVY), f"{path}: {name}"


def test_packages_are_empty():
    for package in [*ALLOWED, "misc/kaldi", "misc/backend"]:
        assert (ROOT / package / "__init__.py").read_text() == ""


def test_links_of_the_commands():
    from misc.kaldi.main import MODULES

    names = {name for names in MODULES.values() for name in names}
    launchers = ("kaldi", "script.sh", "script.py")
    links = {
        p.name
        for p in (ROOT / "misc/kaldi").rglob("*")
        if p.is_symlink() and p.resolve().name in launchers
    }
    assert links <= names, "links without a command"
    for path in ROOT.glob("**/*"):
        if path.is_symlink() and ".venv" not in path.parts:
            assert path.exists(), f"dead link {path}"


def test_the_data_path_starts_without_keras():
    code = (
        "import sys, importlib\n"
        "sys.modules.update(dict.fromkeys(['keras', 'tensorflow']))\n"
        "for name in sys.argv[1:]: importlib.import_module(name)\n"
    )
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for package in ("dataset", "misc")
        for path in python_files(package)
        if "tools" not in path.parts and path.name != "__init__.py"
    ]
    names = [
        name for name in names if all(part.isidentifier() for part in name.split("."))
    ]
    done = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
