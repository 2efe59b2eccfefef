"""What a pooling or another layer of its own kind is made of: operations by name.

The names and options are those of `keras.ops`, whose functions are NumPy's but for a
few. Arrays are float32; the first axis is that of the batch, here always one utterance.
To let another operation be part of a light network, add a row.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_BLOCK = 128
"""Numbers whose float32 sum is exact to a few last bits; beyond, sums are float64."""


def total(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The sum; over many frames as exact as one in float64, and nearly as fast."""
    if axis != 1 or x.shape[1] <= _BLOCK:
        return np.asarray(x.sum(axis=axis, keepdims=keepdims), dtype=np.float32)
    result = np.zeros_like(x[:, :1], dtype=np.float64)
    for begin in range(0, x.shape[1], _BLOCK):
        result += x[:, begin : begin + _BLOCK].sum(axis=1, keepdims=True)
    return (result if keepdims else result[:, 0]).astype(np.float32)


def mean(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    """The mean, by `total`."""
    result = total(x, axis, keepdims)
    return result * np.float32(result.size / x.size)


def relu(x: Array) -> Array:
    return np.maximum(x, np.float32(0))


def sigmoid(x: Array) -> Array:
    return np.float32(0.5) + np.float32(0.5) * np.tanh(np.float32(0.5) * x)


def logsumexp(x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    largest = x.max(axis=axis, keepdims=True)
    result = np.log(total(np.exp(x - largest), axis, True)) + largest
    return result if keepdims else np.squeeze(result, axis=axis)


def softmax(x: Array, axis: int = -1) -> Array:
    return np.exp(x - logsumexp(x, axis, keepdims=True))


def reshape(x: Array, newshape: tuple[int | None, ...]) -> Array:
    """At most one size is not known beforehand: the number of frames."""
    return np.reshape(x, [-1 if size is None else size for size in newshape])


def einsum(*operands: Array, subscripts: str) -> Array:
    return np.einsum(subscripts, *operands, optimize=True)


OPERATIONS: dict[str, Callable[..., Any]] = {
    "Absolute": np.absolute,
    "Add": np.add,
    "Cast": lambda x, dtype: x.astype(dtype),
    "Clip": lambda x, x_min, x_max: np.clip(x, x_min, x_max),
    "Concatenate": lambda xs, axis: np.concatenate(xs, axis=axis),
    "ConvertToTensor": lambda x, **options: x,
    "Divide": np.divide,
    "Einsum": einsum,
    "Exp": np.exp,
    "ExpandDims": lambda x, axis: np.expand_dims(x, axis),
    "GetItem": lambda x, key: x[key],
    "Greater": np.greater,
    "Less": np.less,
    "Log": np.log,
    "Logsumexp": logsumexp,
    "Matmul": np.matmul,
    "Max": lambda x, axis, keepdims: x.max(axis=axis, keepdims=keepdims),
    "Maximum": np.maximum,
    "Mean": mean,
    "Min": lambda x, axis, keepdims: x.min(axis=axis, keepdims=keepdims),
    "Minimum": np.minimum,
    "Multiply": np.multiply,
    "Negative": np.negative,
    "Power": np.power,
    "Relu": relu,
    "Reshape": reshape,
    "Sigmoid": sigmoid,
    "Softmax": softmax,
    "Sqrt": np.sqrt,
    "Square": np.square,
    "Squeeze": lambda x, axis: np.squeeze(x, axis=axis),
    "Stack": lambda xs, axis: np.stack(xs, axis=axis),
    "StopGradient": lambda x: x,
    "Subtract": np.subtract,
    "Sum": total,
    "Tanh": np.tanh,
    "Transpose": lambda x, axes: np.transpose(x, axes),
    "TrueDivide": np.true_divide,
    "Where": np.where,
}
