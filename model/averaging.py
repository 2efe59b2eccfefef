"""The mean of a run's checkpoints, as a model of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from misc.run_dir import RunDir
from model.speaker_net import SpeakerNet
from model.trainer import load_model


def average_checkpoints(run: RunDir, steps: Sequence[int]) -> SpeakerNet:
    """The model whose weights are the means of those at these steps, oldest first.

    As others do it (WeSpeaker's average_model.py), the moving mean and variance of
    batch normalisations are averaged as they are; along the last checkpoints of a
    training they hardly differ. The number of steps and the optimizer are the last's.

    Raises:
        InputError: a checkpoint that is not there or cannot be read.
    """
    values = []
    for step in steps:
        model = load_model(run, str(step))
        values.append(model.get_weights())
    for weight, *parts in zip(model.weights, *values, strict=True):
        if weight is not model.global_step:
            weight.assign(np.mean(parts, axis=0, dtype=np.float64))
    return model
