"""Training on several GPUs of one machine: each step's batch is split over them.

By TensorFlow's MirroredStrategy and Keras' `fit`. A step on n devices is the step that
one device would do: batch normalisation takes the statistics of the whole batch, the
loss is the mean over it, and losses that are no mean over utterances see all of it.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

from dataset.errors import InputError
from misc.params import Params

if TYPE_CHECKING:
    import tensorflow as tf


def gpus(number: int) -> list[str]:
    """The names of the first GPUs, as many as asked for; none if it is 1.

    Raises:
        InputError: there are fewer.
    """
    if number < 1:
        raise InputError(f"--num-gpus {number}: expected at least 1")
    if number == 1:
        return []
    if keras.backend.backend() != "tensorflow":
        raise InputError(f"--num-gpus {number}: needs Keras' TensorFlow backend")
    import tensorflow as tf

    present = len(tf.config.list_physical_devices("GPU"))
    if number > present:
        raise InputError(f"--num-gpus {number}: TensorFlow finds {present} GPUs here")
    return [f"GPU:{index}" for index in range(number)]


def check_shares(devices: Sequence[str], params: Params) -> None:
    """Refuses batches that cannot be split evenly.

    Raises:
        InputError: naming the keys.
    """
    size = params.num_speakers_per_batch * params.num_segments_per_speaker
    if devices and size % len(devices):
        raise InputError(
            f"'num_speakers_per_batch' x 'num_segments_per_speaker' = {size}: expected "
            f"a multiple of {len(devices)}, the number of devices"
        )


def shared_scope(devices: tuple[str, ...]) -> contextlib.AbstractContextManager:
    """Where a model has to be made, or loaded, that several devices train."""
    return _strategy(devices).scope() if len(devices) > 1 else contextlib.nullcontext()


@functools.cache
def _strategy(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    """One for a process: the messages of two would be taken for each other's."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


def num_replicas() -> int:
    """Devices that share the batches of the model at hand."""
    if keras.backend.backend() != "tensorflow":
        return 1
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync


def whole_batch(values: Sequence) -> list:
    """Tensors with the rows of all devices; to be called in a step. Differentiable.

    Each device adds its rows to zeros in the others' places.
    """
    number = num_replicas()
    if number == 1:
        return list(values)
    import tensorflow as tf

    replica, gathered = _replica(), []
    for rows in map(ops.convert_to_tensor, values):
        own = ops.one_hot(replica.replica_id_in_sync_group, number, dtype=rows.dtype)
        placed = tf.tensordot(own, rows, axes=0)  # (devices, rows, ...)
        whole = replica.all_reduce(tf.distribute.ReduceOp.SUM, placed)
        gathered.append(ops.reshape(whole, [-1, *rows.shape[1:]]))
    return gathered


def _replica() -> tf.distribute.ReplicaContext | None:
    import tensorflow as tf

    return tf.distribute.get_replica_context()


class ClipsAcrossDevices:
    """Makes an optimizer clip the gradient of the whole batch, not each device's.

    Keras clips before it adds up what the devices have. With the clipped sum over n
    given to it by each, its own clipping does nothing, and the sum is the clipped one.
    """

    def apply(self, grads, trainable_variables=None):
        number = num_replicas()
        if number > 1 and self.global_clipnorm and _replica():
            import tensorflow as tf

            grads = _replica().all_reduce(tf.distribute.ReduceOp.SUM, list(grads))
            clipped, _ = tf.clip_by_global_norm(grads, self.global_clipnorm)
            grads = [gradient / number for gradient in clipped]
        super().apply(grads, trainable_variables)
