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
    training_log.csv, validation_log.csv   the log as tables (misc/training_log.py)
    front_end/      how the features are made (misc/model_front_end.py)
    not_finite.txt  the batches that a NaN came from (model/not_finite.py)
    events.out.*    TensorBoard's scalars

A folder of the original has `model-N.index` and `model-N.data-*` in place of
`model-N.keras`, and is taken wherever one of ours is; these files are never written or
deleted here.

Every file but TensorBoard's and the tables is whole (misc/whole_files.py), and so is
the folder: it appears with its configuration in it. An older run moves to
`.backup/nnet`, where one is kept; `.lock` keeps a second training out.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import importlib.metadata
import json
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterator, Mapping

from dataset.errors import InputError
from misc.params import Params
from misc.whole_files import remove_temporaries, sync, temporary_name, write_text

SUFFIX = ".keras"
RATES = "learning_rate_list"


class RunDir:
    """Paths and small files of one run; `path` is `nnetdir/nnet`."""

    def __init__(self, model_dir: str, name: str = "nnet") -> None:
        self.model_dir = model_dir
        self.path = os.path.join(model_dir, name)

    @property
    def front_end(self) -> str:
        """The folder that says how the features are made."""
        return self.file("front_end")

    def file(self, name: str) -> str:
        """The path of a file of this run."""
        return os.path.join(self.path, name)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """The folder is this process's alone; what dead ones left is taken away.

        The lock ends with the process, however that ends. Where the file system has
        no locks, none is taken. If no run comes of it, nothing is left.

        Raises:
            InputError: another process is training in this folder.
        """
        os.makedirs(self.model_dir, exist_ok=True)
        path = os.path.join(self.model_dir, ".lock")
        with open(path, "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno == errno.EWOULDBLOCK:
                    raise InputError(
                        f"{self.model_dir}: another process is training in this folder"
                    ) from None
            self._tidy()
            try:
                yield
            finally:
                if not os.path.exists(self.path):
                    os.remove(path)
                    with contextlib.suppress(OSError):  # it may have held other things
                        os.rmdir(self.model_dir)

    def _tidy(self) -> None:
        """Removes what is half-written, and models that have left the list."""
        remove_temporaries(self.model_dir)
        if not os.path.isdir(self.path):
            return
        remove_temporaries(self.path)
        steps = self.checkpoints()
        for step in self._models():
            if steps and step < steps[-1] and step not in steps:
                os.remove(self.model_file(step))

    def create(
        self,
        params: Params,
        feature_dim: int,
        num_speakers: int,
        first: Callable[[RunDir], object] | None = None,
        front_end: Mapping[str, str] | None = None,
    ) -> None:
        """Makes the folder for a new run, whole.

        An older run moves to `.backup/nnet` if it has a model. So the backup is
        always a run with one, and is deleted only when another takes its place.

        Args:
            first: puts more files into the folder, which has another name by then.
            front_end: the files of `self.front_end`, name to content, if any is known.
        """
        draft = RunDir(self.model_dir, os.path.basename(temporary_name(self.path)))
        try:
            os.makedirs(draft.path)
            draft._write_facts(params, feature_dim, num_speakers)
            if front_end:
                os.mkdir(draft.front_end)
            for name, text in (front_end or {}).items():
                write_text(os.path.join(draft.front_end, name), text)
            if first:
                first(draft)
            self._make_way()
            os.replace(draft.path, self.path)
            sync(self.model_dir)
        finally:
            shutil.rmtree(draft.path, ignore_errors=True)

    def _write_facts(self, params: Params, feature_dim: int, num_speakers: int) -> None:
        write_text(self.file("feature_dim"), f"{feature_dim}\n")
        write_text(self.file("num_speakers"), f"{num_speakers}\n")
        write_text(self.file("versions.json"), json.dumps(versions(), indent=2) + "\n")
        rates = params.learning_rate_list()
        if rates is not None:  # the folder must not depend on a file elsewhere
            write_text(self.file(RATES), "".join(f"{rate!r}\n" for rate in rates))
            params = dataclasses.replace(params, learning_rate=RATES)
        write_text(self.file("config.json"), params.to_json())

    def _make_way(self) -> None:
        if not os.path.isdir(self.path):
            return
        if not any(name.startswith("model-") for name in os.listdir(self.path)):
            shutil.rmtree(self.path)
            return
        backup = os.path.join(self.model_dir, ".backup")
        os.makedirs(backup, exist_ok=True)
        # Until it is moved, the run that replaces the backup is where it was.
        shutil.rmtree(os.path.join(backup, "nnet"), ignore_errors=True)
        os.replace(self.path, os.path.join(backup, "nnet"))
        sync(backup)

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

    def _models(self) -> list[int]:
        """Steps of our model files that are in the folder, listed or not."""
        pattern = re.compile(rf"model-(\d+){re.escape(SUFFIX)}")
        matches = map(pattern.fullmatch, os.listdir(self.path))
        return [int(match[1]) for match in matches if match]

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
