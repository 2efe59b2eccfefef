"""The whole model: frames in, embedding out, and a head that makes it a loss."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import keras
from keras import ops

from dataset.errors import InputError
from misc.params import Params
from model.distributed import num_replicas, whole_batch
from model.loss import (
    AUXILIARY_LOSSES,
    AdditiveAngularMarginSoftmax,
    AdditiveMarginSoftmax,
    AngularSoftmax,
    Softmax,
)
from model.pair_loss import (
    AngularTriplet,
    GeneralizedAngularTriplet,
    GeneralizedEndToEnd,
    SemihardTriplet,
)
from model.pooling import POOLINGS
from model.tdnn import tdnn
from model.variable_names import freeze

LONG_ENOUGH = 1000
"""Frames that any network can do with."""

NETWORKS = {"tdnn": tdnn}

LOSSES = {
    "softmax": Softmax,
    "asoftmax": AngularSoftmax,
    "additive_margin_softmax": AdditiveMarginSoftmax,
    "additive_angular_margin_softmax": AdditiveAngularMarginSoftmax,
    "semihard_triplet_loss": SemihardTriplet,
    "angular_triplet_loss": AngularTriplet,
    "generalized_angular_triplet_loss": GeneralizedAngularTriplet,
    "ge2e_loss": GeneralizedEndToEnd,
}


def check_choices(params: Params) -> None:
    """Refuses a network, pooling or loss that is in no table.

    Raises:
        InputError: naming the key and the possible values.
    """
    tables: dict[str, Mapping[str, Any]] = {
        "network_type": NETWORKS,
        "pooling_type": POOLINGS,
        "loss_func": LOSSES,
    }
    for key, table in tables.items():
        value = getattr(params, key)
        if value not in table:
            raise InputError(
                f"'{key}': expected one of {', '.join(table)}, got '{value}'"
            )


@contextlib.contextmanager
def _frames_in(precision: str) -> Iterator[None]:
    """Layers made in here compute in so many bits, unless they say otherwise."""
    before = keras.config.dtype_policy()
    mixed = precision if precision == "float32" else f"mixed_{precision}"
    keras.config.set_dtype_policy(mixed)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class SpeakerNet(keras.Model):
    """A network that `fit` trains on (features, labels).

    Inference needs no labels and no head: `call` gives the endpoint `output`, `node`
    any other. The head is an attribute with weights of its own, so that fine-tuning to
    other speakers means a new head.

    Args:
        params: the configuration; a mapping of its keys when a saved model is loaded.
        feature_dim: coefficients per frame.
        num_speakers: classes of the head.

    Input shape: (batch, frames, feature_dim); at least `context` frames.
    Output shape: (batch, num_nodes_last_layer).

    `global_step` counts the training steps, each one batch; margins are annealed by it.

    Raises:
        InputError: for a choice that is in no table, or an endpoint that is not there.
    """

    def __init__(
        self,
        params: Params | Mapping[str, Any],
        feature_dim: int,
        num_speakers: int,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.params = params if isinstance(params, Params) else Params(**params)
        check_choices(self.params)
        self.feature_dim = feature_dim
        self.num_speakers = num_speakers
        features = keras.Input((None, feature_dim), name="features")
        with _frames_in(self.params.precision):
            endpoints = NETWORKS[self.params.network_type](features, self.params)
        self.network = keras.Model(features, endpoints, name=self.params.network_type)
        self.context = self._context()
        head_type = LOSSES[self.params.loss_func]
        self.head = head_type(num_speakers, self.params, name="softmax")
        self.head.build(endpoints["output"].shape)
        self.auxiliaries = [
            AUXILIARY_LOSSES[name](self.params) for name in self.params.aux_loss_func
        ]
        # A weight, not the optimizer's count: JAX would take that for a constant.
        self.global_step = self.add_weight(
            shape=(), dtype="int32", initializer="zeros", trainable=False, name="step"
        )
        self.raw_loss = keras.metrics.Mean(name="raw_loss")
        self.accuracy = None
        if not head_type.compares_utterances:
            self.accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        self.built = True
        freeze(self, self.params.noupdate_var_list)

    def _context(self) -> int:
        """The frames that the network needs at least."""

        def works(frames: int) -> bool:
            try:
                self.network.compute_output_spec(
                    keras.KerasTensor((1, frames, self.feature_dim))
                )
            except ValueError:
                return False
            return True

        if not works(LONG_ENOUGH):
            keys = [
                f"{name} = {value}"
                for name, value in dataclasses.asdict(self.params).items()
                if name.endswith(("key_input", "value_input")) and value
            ]
            raise InputError(
                f"{self.params.pooling_type}: key and value differ in their number of "
                f"frames: {', '.join(keys)}"
            )
        return next(filter(works, range(1, LONG_ENOUGH + 1)))

    @property
    def endpoint_names(self) -> list[str]:
        """The names that `node` and `--node` take, from input to output."""
        return list(self.network.output)

    def node(self, name: str) -> keras.Model:
        """The network from features to the endpoint `name`.

        Raises:
            InputError: no such endpoint; the message lists those there are.
        """
        if name not in self.network.output:
            raise InputError(
                f"no endpoint '{name}'; there are: {', '.join(self.endpoint_names)}"
            )
        return keras.Model(self.network.input, self.network.output[name], name=name)

    def in_float32(self) -> SpeakerNet:
        """This model, or one with its weights that computes all in float32."""
        if self.params.precision == "float32":
            return self
        params = dataclasses.replace(self.params, precision="float32")
        model = SpeakerNet(params, self.feature_dim, self.num_speakers)
        model.set_weights(self.get_weights())
        return model

    def call(self, features, training=False):
        return self.network(features, training=training)["output"]

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        """The loss plus auxiliaries, penalties and regularisers; validation: the loss.

        `raw_loss`, as the original logs it, has the auxiliaries but not the rest.
        """
        if training and self.needs_whole_batch:
            y_pred, y = whole_batch([y_pred, y])
        loss, logits = self.head.loss(y_pred, y, self.global_step, training)
        if training:
            for auxiliary in self.auxiliaries:
                loss = loss + auxiliary.loss(y_pred, y, self.head)
            self.global_step.assign_add(1)
        self.raw_loss.update_state(loss)
        if self.accuracy is not None:
            self.accuracy.update_state(y, logits)
        if training and self.losses:
            loss = ops.sum([loss, *self.losses])
        return loss / num_replicas()  # Keras adds up what the devices have

    @property
    def needs_whole_batch(self) -> bool:
        """The loss is no mean over utterances that devices could take apart."""
        parts = (self.head, *self.auxiliaries)
        return any(part.needs_whole_batch for part in parts)

    @property
    def steps_done(self) -> int:
        """`global_step` as a number."""
        return int(ops.convert_to_numpy(self.global_step))

    def get_config(self):
        return super().get_config() | {
            "params": {
                key: value
                for key, value in dataclasses.asdict(self.params).items()
                if value is not None
            },
            "feature_dim": self.feature_dim,
            "num_speakers": self.num_speakers,
        }
