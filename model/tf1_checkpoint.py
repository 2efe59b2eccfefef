"""The original's checkpoints, TensorFlow 1 files, as a SpeakerNet.

`model-N.index` and `model-N.data-*` are read through `tf.train.load_checkpoint`; no
TensorFlow 1 is needed. Names are those of `model/variable_names.py`. Strict: a variable
that is missing, left over, of another shape or not finite is an error that names it.
Momentum and Adam go on where they were, from their slots `<variable>/optimizer` and,
Adam's second, `<variable>/optimizer_1`; Adam's powers follow from the step.
"""

from __future__ import annotations

import logging
import os
import re

import keras
import numpy as np

from dataset.errors import InputError
from misc.run_dir import RunDir
from model.optimizer import make_optimizer
from model.speaker_net import SpeakerNet
from model.variable_names import original_names

KERNEL = "softmax/output/kernel"
SLOT = re.compile(r".+/optimizer(_1)?")
POWERS = {"beta1_power", "beta2_power"}

_logger = logging.getLogger("train")


def load_original(run: RunDir, step: int) -> SpeakerNet:
    """The model of the original's `model-<step>`, with its optimizer.

    Raises:
        InputError: files that cannot be read; variables that do not fit.
    """
    path = run.file(f"model-{step}")
    values = read_variables(path)
    slots = {n: v for n, v in values.items() if SLOT.fullmatch(n)}
    variables = {n: v for n, v in values.items() if n not in slots.keys() | POWERS}
    net = SpeakerNet(
        run.params(), _feature_dim(run, variables), _num_speakers(run, variables)
    )
    _assign(original_names(net), variables, path)
    net.compile(optimizer=make_optimizer(net.params), jit_compile=False)
    net.optimizer.build(net.trainable_variables)
    kind = "adam" if values.keys() & POWERS else "momentum"
    if slots and kind == net.params.optimizer:
        _assign(_slots(net), slots, path)
    elif slots:  # none at all: plain SGD, or a model made to be passed on
        _logger.info(
            "%s: its %s is left out, as the optimizer is now %s",
            path,
            kind,
            net.params.optimizer,
        )
    net.optimizer.iterations.assign(step)
    net.global_step.assign(step)
    return net


def read_variables(path: str) -> dict[str, np.ndarray]:
    """All variables of a TensorFlow checkpoint, by name.

    Args:
        path: without `.index`.

    Raises:
        InputError: a file is missing or damaged; a value is not finite.
    """
    import tensorflow as tf

    for suffix in (".index", ".data-00000-of-00001"):
        if not os.path.exists(path + suffix):
            raise InputError(f"{path}{suffix} is missing")
    try:
        reader = tf.train.load_checkpoint(path)
        names = sorted(reader.get_variable_to_shape_map())
        values = {name: np.asarray(reader.get_tensor(name)) for name in names}
    except Exception as error:  # TensorFlow turns its own into any of Python's
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be read: {reason}") from None
    for name, value in values.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise InputError(f"{path}: {name} has values that are not finite")
    return values


def _feature_dim(run: RunDir, variables: dict[str, np.ndarray]) -> int:
    if os.path.exists(run.file("feature_dim")):
        return run.number("feature_dim")
    for name, value in variables.items():
        if name.endswith("tdnn1_conv/kernel"):
            return value.shape[2]
    raise InputError(f"{run.file('feature_dim')} is missing")


def _num_speakers(run: RunDir, variables: dict[str, np.ndarray]) -> int:
    """The original's training on one task wrote no `num_speakers`."""
    if KERNEL in variables:
        return variables[KERNEL].shape[-1]
    return run.number("num_speakers") if os.path.exists(run.file("num_speakers")) else 1


def _slots(net: SpeakerNet) -> dict[str, keras.Variable]:
    """The optimizer's variables by the original's names; none for plain SGD."""
    kinds = {"momentum": ("momentums",), "adam": ("_momentums", "_velocities")}
    suffixes = ("/optimizer", "/optimizer_1")
    names = {id(v): n for n, v in original_names(net).items() if v.trainable}
    slots = {}
    for attribute, suffix in zip(
        kinds.get(net.params.optimizer, ()), suffixes, strict=False
    ):
        for variable, slot in zip(
            net.trainable_variables, getattr(net.optimizer, attribute), strict=True
        ):
            slots[names[id(variable)] + suffix] = slot
    return slots


def _assign(
    targets: dict[str, keras.Variable], values: dict[str, np.ndarray], path: str
) -> None:
    """Sets each target to the value of its name; every value must have a target."""
    missing, unused = targets.keys() - values.keys(), values.keys() - targets.keys()
    wrong = [f"{name} is missing" for name in sorted(missing)]
    wrong += [f"{name} is not part of the configured net" for name in sorted(unused)]
    for name in sorted(targets.keys() & values.keys()):
        ours, value = targets[name], values[name]
        # A convolution is [1, 5, D, C] there and [5, D, C] here; PReLU alike.
        if [n for n in value.shape if n != 1] != [n for n in ours.shape if n != 1]:
            wrong.append(f"{name} is {value.shape}, expected {tuple(ours.shape)}")
        else:
            ours.assign(value.reshape(ours.shape))
    if wrong:
        raise InputError(
            f"{path} does not fit {os.path.dirname(path)}/config.json: "
            + "; ".join(wrong)
        )
