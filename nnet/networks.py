"""Opens a trained network, in its light form if there is one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys

from dataset.errors import InputError
from misc.embedder import Network
from misc.light.light_file import read_light
from misc.light.net import UNSUPPORTED, LightNet
from misc.light.place import find_light
from misc.run_dir import RunDir
from nnet import program

_logger = logging.getLogger("network")

_MAKE = os.path.join(os.path.dirname(os.path.realpath(__file__)), "make_light.py")


def open_network(
    model_dir: str, node: str = "", checkpoint: str = "last", gpu: int = -1
) -> Network:
    """A model's network, ready for one of its endpoints.

    Args:
        model_dir: the folder of a run, ours or the original's.
        node: an endpoint; empty: the configuration's embedding_node.
        checkpoint: `last`, `-1` (best validation loss) or a number of steps.
        gpu: its number; -1: none.

    Raises:
        InputError: no such model, checkpoint, endpoint or GPU.
    """
    run = RunDir(model_dir)
    step = run.choose_checkpoint(checkpoint)
    if gpu < 0:
        description, weights = read_light(find_light(run, step) or _make(run, step))
        if UNSUPPORTED not in description:
            return LightNet(description, weights, node)
        _logger.info("TensorFlow computes: %s", description[UNSUPPORTED])
    os.environ["CUDA_VISIBLE_DEVICES"] = str(gpu)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # for jobs that share it
    program.import_keras_quietly()
    program.use_threads(int(os.environ.get("OMP_NUM_THREADS", 1)))
    import keras

    from model.keras_network import KerasNetwork

    if gpu >= 0 and not keras.distribution.list_devices("gpu"):
        raise InputError(f"no GPU {gpu} is found: see nvidia-smi, or leave out --gpu")

    return KerasNetwork(model_dir, node, str(step))


def _make(run: RunDir, step: int) -> str:
    """The light form, made in a process that has Keras, so that this one need not."""
    _logger.info("%s: model-%d is prepared, once", run.path, step)
    command = [sys.executable, _MAKE, "--checkpoint", str(step), run.model_dir]
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1].split(") ", 1)[-1] if lines else f"status {done.returncode}"
        raise InputError(reason)
    return done.stdout.decode().splitlines()[-1]
