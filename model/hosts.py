"""Training by several processes, on several hosts or GPUs: the steps, and the files.

Keras' own `fit` fails with MultiWorkerMirroredStrategy (keras issue 20585). All
processes do the same in step, validation and checkpoints included; only the first one
writes into the run's folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator

import keras
import numpy as np

from dataset.errors import InputError


@contextlib.contextmanager
def own_folder(model_dir: str, rank: int) -> Iterator[str]:
    """The folder that this process writes to: a run to go on with, if there is one.

    For all but the first it is temporary, its files links to those of the run.
    """
    if not rank:
        yield model_dir
        return
    with tempfile.TemporaryDirectory() as folder:
        run = os.path.join(os.path.abspath(model_dir), "nnet")
        if os.path.exists(run):
            shutil.copytree(run, os.path.join(folder, "nnet"), copy_function=os.symlink)
        yield folder


def fit_in_step(
    model: keras.Model,
    batches: Iterable[tuple[np.ndarray, np.ndarray]],
    initial_epoch: int,
    epochs: int,
    steps_per_epoch: int,
    callbacks: keras.callbacks.CallbackList,
) -> None:
    """What Keras' `fit` does, for the hosts of the model's strategy.

    Raises:
        InputError: another process has ended.
    """
    import tensorflow as tf

    @tf.function(reduce_retracing=True)
    def step(features, labels):
        model.distribute_strategy.run(model.train_step, args=((features, labels),))

    model.stop_training = False
    callbacks.on_train_begin()
    incoming = iter(batches)  # one for all epochs: each new one begins again
    try:
        for epoch in range(initial_epoch, epochs):
            model.reset_metrics()
            callbacks.on_epoch_begin(epoch)
            for number, batch in zip(range(steps_per_epoch), incoming, strict=False):
                callbacks.on_train_batch_begin(number)
                step(*map(tf.convert_to_tensor, batch))
                callbacks.on_train_batch_end(number, model.get_metrics_result())
            callbacks.on_epoch_end(epoch)
            if model.stop_training:
                break
    except tf.errors.OpError as error:
        if isinstance(error, (tf.errors.UnavailableError, tf.errors.AbortedError)):
            reason = str(error.message).splitlines()[0]
            raise InputError(f"another host's process has ended: {reason}") from None
        raise
    callbacks.on_train_end()
