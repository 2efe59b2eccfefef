"""Kills nnet/train.py over and over, and compares the run with an unbroken one.

    tests/killed_training.py --kills 60

trains tiny networks, one for each optimizer and kind of loader, and prints where the
kills hit. Ends with status 1 if a run differs in one bit.
"""

from __future__ import annotations

import argparse
import collections
import io
import itertools
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import toy  # noqa: E402

from misc.run_dir import RunDir  # noqa: E402

LISTS = ("train", "train/spklist", "valid", "train/spklist")
CASES: dict[str, dict[str, object]] = {
    "sgd, no workers": {"optimizer": "sgd"},
    "momentum, 2 workers": {
        "optimizer": "momentum",
        "momentum": 0.9,
        "num_parallel_datasets": 2,
    },
    "adam, raw features, 2 workers": {
        "raw_features": True,
        "num_parallel_datasets": 2,
    },
    "adam, few checkpoints": {"keep_checkpoint_max": 1, "save_checkpoints_steps": 2},
}
SETTING = {
    "num_epochs": 4,
    "num_steps_per_epoch": 3,
    "save_checkpoints_steps": 1,
    "keep_checkpoint_max": 100,
    "valid_max_iterations": 3,
}


class Training:
    """A tiny training in a folder of its own, killed at some moments.

    Args:
        folder: where; `train` and `valid` are made in it.
        changes: of the configuration.
    """

    def __init__(self, folder: Path, **changes: object) -> None:
        self.folder = folder
        for part, seed in (("train", 0), ("valid", 9)):
            toy.write_vad(toy.write_data_dir(folder / part, seed=seed))
        toy.write_config(folder / "c.json", **SETTING | changes)

    def command(self, name: str) -> list[str]:
        """Begins a run or, once its folder is there, continues it."""
        model_dir = self.folder / name
        begun = (model_dir / "nnet").exists()
        how = ["--cont"] if begun else ["--config", str(self.folder / "c.json")]
        lists = [str(self.folder / part) for part in LISTS]
        program = str(ROOT / "nnet/train.py")
        return [sys.executable, program, *how, *lists, str(model_dir)]

    def run(self, name: str) -> None:
        """Trains to the end."""
        done = subprocess.run(self.command(name), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def run_and_kill(self, name: str, moment: Moment) -> str | None:
        """Trains until the moment; where it was then, or None if it had ended."""
        command = self.command(name)
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            moment.wait(process, self.folder / name)
        finally:
            process.kill()
        _, errors = process.communicate()
        assert process.returncode in (0, -9), errors
        check_whole(self.folder / name)
        return where(self.folder / name) if process.returncode else None


class Moment:
    """When to kill: so long after something has changed in the folder.

    Args:
        what: `start`, or the beginning of a file's name: `model-`, `valid_loss`, ...
        number: how many times a name like it must have appeared.
        delay: seconds to let pass then.
    """

    def __init__(self, what: str, number: int, delay: float) -> None:
        self.what, self.number, self.delay = what, number, delay

    def wait(self, process: subprocess.Popen, model_dir: Path) -> None:
        """Returns at that moment, or when the process has ended."""
        seen: set[tuple[str, int]] = set(_names(model_dir))
        new: set[tuple[str, int]] = set()
        while self.what != "start" and process.poll() is None:
            now = set(_names(model_dir))
            new |= {(name, i) for name, i in now - seen if name.startswith(self.what)}
            seen |= now
            if len(new) >= self.number:
                break
            time.sleep(0.0005)
        with_end = time.monotonic() + self.delay
        while time.monotonic() < with_end and process.poll() is None:
            time.sleep(0.001)


def moments(rng: random.Random, startup: float) -> Iterator[Moment]:
    """Moments spread over start, step, checkpoint, end of epoch and validation."""
    for what in itertools.cycle(
        ("start", "model-", "checkpoint", "valid_loss", "learning_rate", "model-")
    ):
        if what == "start":
            yield Moment(what, 0, rng.uniform(0, startup))
        else:
            yield Moment(what, rng.randint(1, 4), rng.choice((0, rng.uniform(0, 0.1))))


def _names(model_dir: Path) -> Iterator[tuple[str, int]]:
    """Names in the run's folder, with what tells a new file of the same name."""
    try:
        for entry in os.scandir(model_dir / "nnet"):
            yield entry.name, entry.inode()
    except FileNotFoundError:
        return


def where(model_dir: Path) -> str:
    """What the process had been doing when it died, as far as files tell."""
    folder = model_dir / "nnet"
    if not folder.exists():
        return "before the folder"
    temporary = [name.split(".tmp")[0] for name in os.listdir(folder) if ".tmp" in name]
    if temporary:
        return "writing " + temporary[0].split("-")[0]
    run = RunDir(str(model_dir))
    steps, per_epoch = run.checkpoints(), run.params().num_steps_per_epoch
    if not steps:
        return "before the first checkpoint"
    if len(run.valid_losses()) > steps[-1] // per_epoch:
        return "between losses and checkpoint"
    return "between checkpoints"


def check_whole(model_dir: Path) -> None:
    """Every file with a final name can be read, and what is listed is there."""
    folder = model_dir / "nnet"
    if not folder.exists():
        return
    json.loads((folder / "config.json").read_text())
    run = RunDir(str(model_dir))
    assert len(run.learning_rates()) <= len(run.valid_losses()) + 1
    for step in run.checkpoints():
        assert os.path.exists(run.model_file(step)), f"model-{step} is missing"
    for path in folder.glob("model-*.keras"):
        if ".tmp" not in path.name:
            assert zipfile.ZipFile(path).testzip() is None, path


def differences(one: Path, other: Path) -> list[str]:
    """Files of two runs that differ: models by their numbers, the others by bytes."""
    names = {
        path.name
        for folder in (one, other)
        for path in (folder / "nnet").iterdir()
        if not path.name.endswith(("_log.csv", "versions.json"))
        and "tfevents" not in path.name
    }
    wrong = []
    for name in sorted(names):
        paths = [folder / "nnet" / name for folder in (one, other)]
        if not all(path.exists() for path in paths):
            wrong.append(f"{name} is in one only")
        elif name.endswith(".keras"):
            first, second = map(variables, paths)
            wrong += [
                f"{name}: {key}"
                for key in first.keys() | second.keys()
                if not np.array_equal(first.get(key), second.get(key))
            ]
        elif paths[0].read_bytes() != paths[1].read_bytes():
            wrong.append(name)
    return wrong


def variables(path: Path) -> dict[str, np.ndarray]:
    """All numbers of a Keras file: weights, optimizer and step."""
    data = zipfile.ZipFile(path).read("model.weights.h5")
    found: dict[str, np.ndarray] = {}
    with h5py.File(io.BytesIO(data)) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: item[()]})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


def main() -> int:
    """Kills, compares, counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng, wrong = random.Random(args.seed), []
    hits: collections.Counter[str] = collections.Counter()
    for case, changes in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            training = Training(Path(folder), **changes)
            begun = time.monotonic()
            training.run("whole")
            startup = time.monotonic() - begun
            todo, round_ = -(-args.kills // len(CASES)), 0
            for moment in moments(rng, startup):
                if not todo:
                    break
                place = training.run_and_kill(f"killed{round_}", moment)
                todo -= place is not None
                hits[str(place)] += 1
                if place is None:
                    wrong += _compare(training, round_, case)
                    round_ += 1
            training.run(f"killed{round_}")
            wrong += _compare(training, round_, case)
        print(f"{case}: {sum(hits.values())} starts so far", flush=True)
    for place, number in hits.most_common():
        print(f"{number:4d} {place}")
    print("\n".join(wrong) or "every run equals the unbroken one, bit for bit")
    return bool(wrong)


def _compare(training: Training, round_: int, case: str) -> list[str]:
    pair = training.folder / "whole", training.folder / f"killed{round_}"
    return [f"{case}: {line}" for line in differences(*pair)]


if __name__ == "__main__":
    sys.exit(main())
