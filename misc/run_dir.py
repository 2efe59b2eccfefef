"""The folder of a run, `nnetdir/nnet`, with the original's files.

    config.json     the configuration, defaults written out
    feature_dim     dimension of the features
    num_speakers    classes of the head
    model-N.keras   the model after N optimizer steps
    checkpoint      which of them is the last, and which are kept
    learning_rate   lines `epoch rate`, epoch 0 first; a run that goes on keeps to them
    learning_rate_list   a copy of the file of rates, where the configuration names one
    valid_loss      lines `epoch loss eer`, one for each finished epoch
    versions.json   what the run was made with
    events.out.*    TensorBoard's scalars

A folder of the original has `model-N.index` and `model-N.data-*` in place of
`model-N.keras`, and is taken wherever one of ours is; these files are never written or
deleted here.

Every file is written under a temporary name, synced and renamed: after a crash each is
the old one or the new one.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Sequence

from dataset.errors import InputError
from misc.params import Params

SUFFIX = ".keras"
RATES = "learning_rate_list"


def write_whole(path: str, write: Callable[[str], object]) -> None:
    """Makes a file by `write(temporary name)`, then gives it its final name.

    Raises:
        OSError: naming the file.
    """
    root, suffix = os.path.splitext(path)
    temporary = f"{root}.tmp{os.getpid()}{suffix}"
    try:
        write(temporary)
        with open(temporary, "rb") as stream:
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), path) from None
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def write_text(path: str, text: str) -> None:
    """Writes a small text file whole."""

    def write(name: str) -> None:
        with open(name, "w", encoding="utf-8") as stream:
            stream.write(text)

    write_whole(path, write)


class RunDir:
    """Paths and small files of one run; `path` is `nnetdir/nnet`."""

    def __init__(self, model_dir: str) -> None:
        self.model_dir = model_dir
        self.path = os.path.join(model_dir, "nnet")

    def file(self, name: str) -> str:
        """The path of a file of this run."""
        return os.path.join(self.path, name)

    def create(self, params: Params, feature_dim: int, num_speakers: int) -> None:
        """Makes the folder for a new run; an older one moves to `.backup`."""
        if os.path.isdir(self.path):
            backup = os.path.join(os.path.dirname(self.path), ".backup")
            shutil.rmtree(os.path.join(backup, "nnet"), ignore_errors=True)
            os.makedirs(backup, exist_ok=True)
            os.replace(self.path, os.path.join(backup, "nnet"))
        os.makedirs(self.path)
        write_text(self.file("feature_dim"), f"{feature_dim}\n")
        write_text(self.file("num_speakers"), f"{num_speakers}\n")
        write_text(self.file("versions.json"), json.dumps(versions(), indent=2) + "\n")
        rates = params.learning_rate_list()
        if rates is not None:  # the folder must not depend on a file elsewhere
            write_text(self.file(RATES), "".join(f"{rate!r}\n" for rate in rates))
            params = dataclasses.replace(params, learning_rate=RATES)
        write_text(self.file("config.json"), params.to_json())

    def params(self) -> Params:
        """The configuration that the run was started with.

        The original may have left a file of rates elsewhere: only training asks for it.
        """
        return Params.from_json(self.file("config.json"), read_rates=False)

    def number(self, name: str) -> int:
        """The content of `feature_dim` or `num_speakers`.

        Raises:
            InputError: the file is missing or holds no number.
        """
        try:
            with open(self.file(name), encoding="utf-8") as stream:
                return int(stream.read())
        except OSError as error:
            raise InputError(
                f"{self.file(name)}: {error.strerror}; is this a model folder?"
            ) from None
        except ValueError:
            raise InputError(f"{self.file(name)}: expected a whole number") from None

    def model_file(self, step: int) -> str:
        """The path of the model after `step` optimizer steps."""
        return self.file(f"model-{step}{SUFFIX}")

    def is_original(self, step: int) -> bool:
        """Whether a checkpoint is in the original's files, TensorFlow 1's."""
        return not os.path.exists(self.model_file(step)) and os.path.exists(
            self.file(f"model-{step}.index")
        )

    def has(self, step: int) -> bool:
        """Whether a checkpoint's file is there, ours or the original's."""
        return os.path.exists(self.model_file(step)) or self.is_original(step)

    def checkpoints(self) -> list[int]:
        """Steps of the models that are kept, oldest first; empty before the first."""
        try:
            with open(self.file("checkpoint"), encoding="utf-8") as stream:
                lines = stream.read().splitlines()
        except FileNotFoundError:
            return []
        names = [
            line for line in lines if line.startswith("all_model_checkpoint_paths")
        ]
        steps = [re.search(r'model-(\d+)"', name) for name in names]
        return [int(match[1]) for match in steps if match]

    def add_checkpoint(self, step: int, keep: int) -> None:
        """Lists a model that was just written, and deletes those beyond `keep`.

        The best by validation loss stays, however old.
        """
        steps = [s for s in self.checkpoints() if s != step] + [step]
        kept = steps[-keep:]
        best = self.best_step(step)
        if best in steps and best not in kept:
            kept = [best, *kept]
        lines = [f'model_checkpoint_path: "model-{step}"']
        lines += [f'all_model_checkpoint_paths: "model-{s}"' for s in kept]
        write_text(self.file("checkpoint"), "\n".join(lines) + "\n")
        for old in set(steps) - set(kept):
            if os.path.exists(self.model_file(old)):
                os.remove(self.model_file(old))

    def choose_checkpoint(self, which: str = "last") -> int:
        """The step of a checkpoint: `last`, `-1` (best validation loss), or a number.

        Raises:
            InputError: there is none, or not that one.
        """
        steps = self.checkpoints()
        if not steps:
            raise InputError(f"{self.path}: no checkpoint; is this a model folder?")
        if which == "last":
            return self._kept(steps[-1], steps)
        if which == "-1":
            best = self.best_step(steps[-1])
            return self._kept(steps[-1] if best is None else best, steps)
        if not which.isdigit():
            raise InputError(f"checkpoint '{which}': expected last, -1 or a number")
        return self._kept(int(which), steps)

    def _kept(self, step: int, steps: list[int]) -> int:
        """The step, if its file is there; a resumed original does not list them all."""
        if not self.has(step):
            listed = ", ".join(str(s) for s in steps)
            raise InputError(
                f"{self.path}: neither model-{step}{SUFFIX} nor model-{step}.index is "
                f"there; 'checkpoint' lists {listed}"
            )
        return step

    def valid_losses(self) -> list[tuple[float, float]]:
        """(loss, EER) of each finished epoch."""
        try:
            with open(self.file("valid_loss"), encoding="utf-8") as stream:
                rows = [line.split() for line in stream]
            return [(float(loss), float(eer)) for _, loss, eer in rows]
        except FileNotFoundError:
            return []
        except ValueError:
            raise InputError(
                f"{self.file('valid_loss')}: expected lines 'epoch loss eer'"
            ) from None

    def learning_rates(self) -> list[float]:
        """The rate of each epoch so far, and of the next; empty before the first."""
        try:
            with open(self.file("learning_rate"), encoding="utf-8") as stream:
                return [float(line.split()[1]) for line in stream if line.strip()]
        except FileNotFoundError:
            return []
        except (ValueError, IndexError):
            raise InputError(
                f"{self.file('learning_rate')}: expected lines 'epoch rate'"
            ) from None

    def best_step(self, last: int) -> int | None:
        """The step up to `last` with the lowest validation loss; None before any.

        After a crash there may be a loss whose checkpoint was not written.
        """
        per_epoch = self.params().num_steps_per_epoch
        losses = [loss for loss, _ in self.valid_losses()][: last // per_epoch]
        return (losses.index(min(losses)) + 1) * per_epoch if losses else None

    def write_progress(
        self, losses: list[tuple[float, float]], rates: list[float]
    ) -> None:
        """Writes `valid_loss` and `learning_rate` for the epochs so far."""
        lines = [f"{i} {loss:f} {eer:f}\n" for i, (loss, eer) in enumerate(losses)]
        write_text(self.file("valid_loss"), "".join(lines))
        lines = [f"{i} {rate:.8f}\n" for i, rate in enumerate(rates)]
        write_text(self.file("learning_rate"), "".join(lines))


def halving_rates(
    first: float,
    losses: Sequence[float],
    patience: int,
    recorded: Sequence[float | None] = (),
) -> list[float]:
    """Learning rates of the epochs so far and of the next, from the validation losses.

    The original's rule: after `patience` epochs without a better loss the rate is
    halved, and the count goes on two epochs later. Rates that are recorded, with eight
    decimals, win where they differ: the original may have come to them otherwise.
    """

    def at(epoch: int, rate: float) -> float:
        known = recorded[epoch] if epoch < len(recorded) else None
        return rate if known is None or abs(known - rate) <= 1e-8 else known

    rates, best, best_epoch = [at(0, first)], float("inf"), 0
    for epoch, loss in enumerate(losses):
        rate = rates[-1]
        if loss < best:
            best, best_epoch = loss, epoch
        elif epoch - best_epoch >= patience:
            rate /= 2
            best_epoch += 2
        rates.append(at(epoch + 1, rate))
    return rates


def versions() -> dict[str, str]:
    """What a run depends on besides its configuration."""
    packages = ("numpy", "keras", "tensorflow", "jax")
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
