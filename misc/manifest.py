"""What is said of a model that leaves its folder, as JSON: `manifest.json`.

An export (nnet/export.py) and a packed model (nnet/pack.py) have one each, so that who
gets it knows what to feed it, what comes out, what it was trained on, and what may be
done with it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from typing import Any

from dataset import front_end_conf as conf
from dataset.errors import InputError
from dataset.front_end import ComputeMfccOptions
from misc.model_front_end import model_front_end
from misc.run_dir import RunDir, versions

NAME = "manifest.json"


def model_facts(
    run: RunDir, step: int, training_data: str, licence: str
) -> dict[str, Any]:
    """What is so wherever the model goes.

    Args:
        training_data, licence: as the user names them; empty: not known.

    Raises:
        InputError: the folder is no model's, or is damaged.
        OSError: a file cannot be read.
    """
    params = run.params()
    return {
        "licence": licence or None,
        "training_data": training_data or None,
        "network": {
            name: getattr(params, name)
            for name in ("network_type", "pooling_type", "loss_func", "embedding_node")
        },
        "feature_dim": run.number("feature_dim"),
        "num_speakers": run.number("num_speakers"),
        "checkpoint": {"step": step, "sha256": checkpoint_digest(run, step)},
        "front_end": _front_end_facts(run),
        "versions": versions(),
    }


def _front_end_facts(run: RunDir) -> dict[str, Any] | None:
    """How features are made, by the names of Kaldi's options; None: not fully known."""
    names = conf.conf_paths(run.front_end)
    if conf.VAD not in names or not any(kind in names for kind in conf.KINDS):
        return None
    front_end = model_front_end(run)
    kind = "mfcc" if isinstance(front_end.waves, ComputeMfccOptions) else "fbank"
    parts = dataclasses.asdict(front_end)
    return {kind: parts.pop("waves"), **parts}


def checkpoint_digest(run: RunDir, step: int) -> str:
    """The SHA-256 of a checkpoint's file; of the original's, of both in turn."""
    names = [run.model_file(step)]
    if run.is_original(step):
        parts = ("index", "data-00000-of-00001")
        names = [run.file(f"model-{step}.{part}") for part in parts]
    digest = hashlib.sha256()
    for name in names:
        with open(name, "rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def refuse_existing(path: str) -> None:
    """Refuses a target that would be written over.

    Raises:
        InputError: it is there.
    """
    if os.path.lexists(path):
        raise InputError(f"{path} is there already: name a new one, or remove it")
