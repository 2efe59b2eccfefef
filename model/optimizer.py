"""The optimizers, with the rules of TensorFlow 1, which the original had."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from misc.params import Params
from model.distributed import ClipsAcrossDevices

ADAM_EPSILON = 1e-8


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class Momentum(ClipsAcrossDevices, keras.optimizers.SGD):
    """SGD with momentum m on the gradients: a = m a + g, w = w - rate a.

    Nesterov's: w = w - rate (g + m a). TensorFlow 1 and PyTorch have it so. Keras' own
    has the rate of the time in a: there a lower rate slows down only bit by bit.
    """

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        past = self.momentums[self._get_variable_index(variable)]
        momentum = ops.cast(self.momentum, variable.dtype)
        past_new = momentum * past + gradient
        self.assign(past, past_new)
        step = gradient + momentum * past_new if self.nesterov else past_new
        self.assign_sub(variable, rate * step)


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class SGD(ClipsAcrossDevices, keras.optimizers.SGD):
    """Plain SGD."""


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class Adam(ClipsAcrossDevices, keras.optimizers.Adam):
    """Kingma and Ba, ICLR 2015."""


def make_optimizer(params: Params) -> keras.optimizers.Optimizer:
    """The optimizer of a configuration; its rate is set at each step.

    With float16 the loss is scaled up for the gradients, as far as they stay finite
    (Micikevicius et al., Mixed precision training, ICLR 2018); a step whose gradients
    do not is left out.
    """
    options: dict[str, Any] = {}
    if params.clip_gradient:
        options["global_clipnorm"] = params.clip_gradient_norm
    if params.accumulate_batches > 1:
        options["gradient_accumulation_steps"] = params.accumulate_batches
    if params.optimizer == "adam":
        optimizer = Adam(epsilon=ADAM_EPSILON, **options)
    elif params.optimizer == "momentum":
        optimizer = Momentum(
            momentum=params.momentum, nesterov=params.use_nesterov, **options
        )
    else:
        optimizer = SGD(**options)
    if params.precision == "float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer
