"""Layers that networks share. Their names are the original's, and so the format."""

from __future__ import annotations

import keras
from keras import layers, ops

from misc.params import Params
from model.distributed import num_replicas
from model.normalization import BatchNormalization

BATCHNORM_EPSILON = 1e-3
LEAKY_SLOPE = 0.2
PRELU_START = 0.01
TINY = 1e-12


def l2(scale: float) -> keras.regularizers.Regularizer | None:
    """The original's regulariser of kernels, scale * sum(w^2) / 2."""
    return keras.regularizers.L2(scale / 2) if scale else None


def _precision(rank: int) -> str | None:
    """Of a layer: float32 for utterances, which are few; the policy's for frames."""
    return "float32" if rank == 2 else None


def nonlinearity(kind: str, params: Params, rank: int, name: str) -> layers.Layer:
    """A ReLU of the configuration's `network_relu_type`, or a tanh.

    A PReLU has one slope per unit, shared by all frames.

    Args:
        kind: `relu` or `tanh`.
        rank: of the tensor, 2 (utterances) or 3 (frames).
    """
    dtype = _precision(rank)
    if kind == "tanh":
        return layers.Activation("tanh", name=name, dtype=dtype)
    if params.network_relu_type == "prelu":
        start = keras.initializers.Constant(PRELU_START)
        shared = [1] if rank == 3 else None
        return layers.PReLU(
            alpha_initializer=start, shared_axes=shared, name=name, dtype=dtype
        )
    if params.network_relu_type == "lrelu":
        return layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=name, dtype=dtype)
    return layers.ReLU(name=name, dtype=dtype)


def batch_normalization(params: Params, rank: int, name: str) -> layers.Layer:
    """Batch normalisation with the original's constants, over the devices' batches.

    Of a tensor of rank 2 or 3.
    """
    kind = BatchNormalization if rank == 3 else layers.BatchNormalization
    return kind(
        momentum=params.batchnorm_momentum,
        epsilon=BATCHNORM_EPSILON,
        synchronized=num_replicas() > 1,
        name=name,
        dtype=_precision(rank),
    )


def affine_block(
    endpoints: dict[str, keras.KerasTensor],
    x: keras.KerasTensor,
    name: str,
    units: int,
    params: Params,
    kernel_size: int | None = None,
    use_bn: bool = True,
    then: str | None = "relu",
) -> keras.KerasTensor:
    """Affine layer, batch normalisation, nonlinearity; each output is an endpoint.

    Note the order: Kaldi's TDNN has the ReLU before the normalisation.

    Args:
        endpoints: filled with `<name>_{conv or dense}`, `<name>_bn`, `<name>_<then>`.
        x: (batch, frames, channels) or (batch, channels).
        kernel_size: frames of a valid convolution; None: a dense layer.
        use_bn: with batch normalisation.
        then: the nonlinearity, `relu` or `tanh`; None: none.
    """
    regularizer = l2(params.weight_l2_regularizer)
    if kernel_size is None:
        affine = f"{name}_dense"
        x = layers.Dense(
            units,
            kernel_regularizer=regularizer,
            name=affine,
            dtype=_precision(len(x.shape)),
        )(x)
    else:
        affine = f"{name}_conv"
        x = layers.Conv1D(
            units, kernel_size, kernel_regularizer=regularizer, name=affine
        )(x)
    endpoints[affine] = x
    if use_bn:
        x = batch_normalization(params, len(x.shape), f"{name}_bn")(x)
        endpoints[f"{name}_bn"] = x
    if then:
        x = nonlinearity(then, params, len(x.shape), f"{name}_{then}")(x)
        endpoints[f"{name}_{then}"] = x
    return x


def unit_length(x, axis: int = -1):
    """Vectors along an axis divided by their length, x / max(|x|, 1e-6).

    The original writes the bound as x / sqrt(max(|x|^2, 1e-12)). Here a vector shorter
    than that has no gradient: a million times another overflows in half precision.
    """
    x = ops.convert_to_tensor(x)
    squared = ops.sum(ops.square(x), axis=axis, keepdims=True)
    x = ops.where(squared > TINY, x, ops.stop_gradient(x))
    return x / ops.sqrt(ops.maximum(squared, TINY))


def length(x):
    """The length of each row, (batch, 1); at least 1e-12, its gradient finite.

    A row is divided by its largest element first, so that no square overflows or
    vanishes.
    """
    largest = ops.stop_gradient(ops.max(ops.abs(x), axis=-1, keepdims=True))
    largest = ops.maximum(largest, TINY)
    squared = ops.sum(ops.square(x / largest), axis=-1, keepdims=True)
    return ops.maximum(largest * ops.sqrt(ops.maximum(squared, TINY)), TINY)


@keras.saving.register_keras_serializable("tf_kaldi_speaker")
class L2Scaling(layers.Layer):
    """Scales each row to a fixed length, as `unit_length` bounds it. In float32."""

    def __init__(self, scale: float, **kwargs):
        super().__init__(**{"dtype": "float32"} | kwargs)
        self.scale = scale

    def call(self, x):
        return unit_length(x) * self.scale

    def get_config(self):
        return super().get_config() | {"scale": self.scale}
