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

from dataset.errors import InputError
from dataset.front_end import ComputeMfccOptions, FrontEnd, read_front_end
from dataset.options import read_config
from misc.backend import verifier
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
    front_end = model_front_end(run)
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
        "front_end": None if front_end is None else front_end_facts(front_end),
        "versions": versions(),
    }


def model_front_end(run: RunDir) -> FrontEnd | None:
    """The front end that a model folder holds; None if it holds none.

    Raises:
        InputError: a file of it is missing or wrong.
    """
    folder = os.path.join(run.model_dir, verifier.FOLDER)
    if not os.path.isdir(folder):
        return None
    path = os.path.join(folder, verifier.EMBEDDING_CONF)
    return read_front_end(folder, read_config(verifier.EmbeddingOptions, path).compress)


def front_end_facts(front_end: FrontEnd) -> dict[str, Any]:
    """A front end by the names of Kaldi's options."""
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
