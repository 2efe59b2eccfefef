"""Layers that networks share. Their names are the original's, and so the format."""

from __future__ import annotations

import keras
from keras import layers, ops

from misc.params import Params

BATCHNORM_EPSILON = 1e-3
LEAKY_SLOPE = 0.2
PRELU_START = 0.01


def l2(scale: float) -> keras.regularizers.Regularizer | None:
    """The original's regulariser of kernels, scale * sum(w^2) / 2."""
    return keras.regularizers.L2(scale / 2) if scale else None


def activation(kind: str, rank: int, name: str) -> layers.Layer:
    """The activation `network_relu_type`, for tensors of rank 2 or 3.

    A PReLU has one slope per unit, shared by all frames.
    """
    if kind == "prelu":
        start = keras.initializers.Constant(PRELU_START)
        shared = [1] if rank == 3 else None
        return layers.PReLU(alpha_initializer=start, shared_axes=shared, name=name)
    if kind == "lrelu":
        return layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=name)
    return layers.ReLU(name=name)


def affine_block(
    endpoints: dict[str, keras.KerasTensor],
    x: keras.KerasTensor,
    name: str,
    units: int,
    params: Params,
    kernel_size: int | None = None,
    use_bn: bool = True,
    use_relu: bool = True,
) -> keras.KerasTensor:
    """Affine layer, batch normalisation, activation; each output is an endpoint.

    Note the order: Kaldi's TDNN has the ReLU before the normalisation.

    Args:
        endpoints: filled with `<name>_{conv or dense}`, `<name>_bn`, `<name>_relu`.
        x: (batch, frames, channels) or (batch, channels).
        kernel_size: frames of a valid convolution; None: a dense layer.
    """
    regularizer = l2(params.weight_l2_regularizer)
    if kernel_size is None:
        affine = f"{name}_dense"
        x = layers.Dense(units, kernel_regularizer=regularizer, name=affine)(x)
    else:
        affine = f"{name}_conv"
        x = layers.Conv1D(
            units, kernel_size, kernel_regularizer=regularizer, name=affine
        )(x)
    endpoints[affine] = x
    if use_bn:
        x = endpoints[f"{name}_bn"] = layers.BatchNormalization(
            momentum=params.batchnorm_momentum,
            epsilon=BATCHNORM_EPSILON,
            name=f"{name}_bn",
        )(x)
    if use_relu:
        relu = activation(params.network_relu_type, len(x.shape), f"{name}_relu")
        x = endpoints[f"{name}_relu"] = relu(x)
    return x


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class L2Scaling(layers.Layer):
    """Scales each row to a fixed length: x * scale / max(|x|, 1e-6).

    The original writes the bound as x * scale / sqrt(max(|x|^2, 1e-12)).
    """

    def __init__(self, scale: float, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def call(self, x):
        squared = ops.sum(ops.square(x), axis=-1, keepdims=True)
        return x * (self.scale / ops.sqrt(ops.maximum(squared, 1e-12)))

    def get_config(self):
        return super().get_config() | {"scale": self.scale}
