"""Training on several GPUs of one machine, or several hosts: they share each batch.

By TensorFlow's MirroredStrategy and Keras' `fit`, and by MultiWorkerMirroredStrategy
and model/hosts.py. A step by n devices is the step that one would do: batch
normalisation takes the statistics of the whole batch, the loss is the mean over it,
and losses that are no mean over utterances see all of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

from dataset.errors import InputError
from misc.params import Params

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class Sharing:
    """Who shares the batches of a training.

    Args:
        devices: names of this process's, `GPU:0` and so on; none: the one that Keras
            chooses.
        rank: the number of this process among those of all hosts.
        num_hosts: these processes, one for each host or GPU.
    """

    devices: tuple[str, ...] = ()
    rank: int = 0
    num_hosts: int = 1

    @classmethod
    def asked_for(cls, num_gpus: int) -> Sharing:
        """By `--num-gpus` and TensorFlow's variable TF_CONFIG.

        Raises:
            InputError: there are fewer GPUs; both are given.
        """
        cluster = json.loads(os.environ.get("TF_CONFIG") or "{}")
        hosts = cluster.get("cluster", {}).get("worker", [])
        if num_gpus == 1 and len(hosts) < 2:
            return cls()
        if keras.backend.backend() != "tensorflow":
            raise InputError("several devices need Keras' TensorFlow backend")
        if len(hosts) < 2:
            return cls(_first_gpus(num_gpus))
        if num_gpus != 1:
            raise InputError(
                f"--num-gpus {num_gpus}: where TF_CONFIG names several hosts each GPU "
                "has a process of its own"
            )
        sharing = cls((), int(cluster["task"]["index"]), len(hosts))
        _hosts()  # before TensorFlow does anything else
        return sharing

    @property
    def num_parts(self) -> int:
        """Into how many parts a batch is split."""
        return max(len(self.devices), 1) * self.num_hosts

    def rows(self, params: Params) -> slice:
        """The rows of each batch that this process reads.

        Raises:
            InputError: a batch cannot be split evenly; a way to train that was not
                tried by several devices.
        """
        if self.num_parts > 1:
            _refuse_untried(params)
        size = params.num_speakers_per_batch * params.num_segments_per_speaker
        if size % self.num_parts:
            raise InputError(
                f"'num_speakers_per_batch' x 'num_segments_per_speaker' = {size}: "
                f"expected a multiple of {self.num_parts}, the number of devices"
            )
        share = size // self.num_hosts
        return slice(self.rank * share, (self.rank + 1) * share)

    def scope(self) -> contextlib.AbstractContextManager:
        """Where a model has to be made, or loaded, that is trained by all."""
        if self.num_hosts > 1:
            return _hosts().scope()
        if len(self.devices) > 1:
            return _mirrored(self.devices).scope()
        return contextlib.nullcontext()


def _refuse_untried(params: Params) -> None:
    for name, value, tried in (
        ("accumulate_batches", params.accumulate_batches, 1),
        ("jit_compile", params.jit_compile, False),
    ):
        if value != tried:
            raise InputError(f"'{name}' = {value}: not with several devices")
    if params.precision == "float16":
        raise InputError(
            "'precision' = float16: not with several devices; bfloat16 needs no scaling"
        )


def _first_gpus(number: int) -> tuple[str, ...]:
    import tensorflow as tf

    present = len(tf.config.list_physical_devices("GPU"))
    if not 1 <= number <= present:
        raise InputError(f"--num-gpus {number}: TensorFlow finds {present} GPUs here")
    return tuple(f"GPU:{index}" for index in range(number))


# One strategy for a process: the messages of two would be taken for each other's.
@functools.cache
def _mirrored(devices: tuple[str, ...]) -> tf.distribute.MirroredStrategy:
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)


@functools.cache
def _hosts() -> tf.distribute.MultiWorkerMirroredStrategy:
    import tensorflow as tf

    tf.config.set_visible_devices(tf.config.list_physical_devices("GPU")[:1], "GPU")
    return tf.distribute.MultiWorkerMirroredStrategy()


def num_replicas() -> int:
    """Devices, of all hosts, that share the batches of the model at hand."""
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
