"""Layers that treat each frame alike, on the frames of many utterances at once.

Frames of all utterances lie below one another without gaps, so that a product of
matrices serves them together; no frame of one utterance enters a result of another.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Index = npt.NDArray[np.intp]

BLOCK = 384
"""Rows of a product: few enough to be in the cache still when a bias is added."""


@dataclasses.dataclass(frozen=True)
class Rows:
    """The frames of utterances, float32 [sum of lengths, channels].

    Attributes:
        values: the frames of the first utterance, then those of the second, ...
        lengths: the number of frames of each; None: one row an utterance.
    """

    values: Array
    lengths: Index | None

    def utterances(self) -> list[Array]:
        """Views [1, frames, channels], or [1, channels]."""
        if self.lengths is None:
            return [self.values[i : i + 1] for i in range(len(self.values))]
        parts = np.split(self.values, np.cumsum(self.lengths)[:-1])
        return [part[None] for part in parts]


def stack(utterances: Sequence[Array]) -> Rows:
    """The inverse of `Rows.utterances`."""
    if utterances[0].ndim == 2:
        return Rows(np.concatenate(utterances), None)
    lengths = np.array([x.shape[1] for x in utterances])
    return Rows(np.concatenate([x[0] for x in utterances]), lengths)


Pointwise = Callable[[Array], None]
"""Changes rows in place."""


class RowLayer(Protocol):
    """From rows to rows."""

    def __call__(self, x: Rows) -> Rows: ...


class Scratch:
    """Memory that is used again: fresh pages cost more than what is done with them."""

    def __init__(self) -> None:
        self._parts: dict[str, Array] = {}

    def take(self, name: str, *shape: int) -> Array:
        """Uninitialised float32; what was taken under this name is no longer ours."""
        size = int(np.prod(shape))
        part = self._parts.get(name)
        if part is None or part.size < size:
            part = self._parts[name] = np.empty(size, np.float32)
        return part[:size].reshape(shape)


class PointwiseLayer:
    """Nonlinearities where no product stands before them."""

    def __init__(self, finish: Sequence[Pointwise]) -> None:
        self._finish = finish

    def __call__(self, x: Rows) -> Rows:
        values = x.values.copy()
        for change in self._finish:
            change(values)
        return Rows(values, x.lengths)


class Affine:
    """x W + b, then what is done to each element.

    Args:
        weight: [channels, units].
        bias: [units].
        finish: in order.
    """

    def __init__(self, weight: Array, bias: Array, finish: Sequence[Pointwise]) -> None:
        self._weight, self._bias, self._finish = weight, bias, finish

    def __call__(self, x: Rows) -> Rows:
        out = np.empty((len(x.values), len(self._bias)), np.float32)
        for begin in range(0, len(out), BLOCK):
            part = slice(begin, begin + BLOCK)
            self.into(x.values[part], out[part])
        return Rows(out, x.lengths)

    def into(self, x: Array, out: Array) -> None:
        """For a block of rows."""
        np.matmul(x, self._weight, out=out)
        out += self._bias
        for change in self._finish:
            change(out)


class Convolution:
    """A convolution over frames without padding, as a product of spliced frames.

    Args:
        kernel: [width, channels, units].
        bias: [units].
        dilation: frames between taps.
        finish: as for Affine.
        scratch: shared by the layers of a network.
    """

    def __init__(
        self,
        kernel: Array,
        bias: Array,
        dilation: int,
        finish: Sequence[Pointwise],
        scratch: Scratch,
    ) -> None:
        self._taps = np.arange(len(kernel)) * dilation
        self._units = len(bias)
        self._affine = Affine(kernel.reshape(-1, self._units), bias, finish)
        self._scratch = scratch

    def __call__(self, x: Rows) -> Rows:
        before = frame_counts(x)
        after = before - self._taps[-1]
        frames = np.arange(after.sum()) + np.repeat(
            starts(before) - starts(after), after
        )
        out = np.empty((len(frames), self._units), np.float32)
        for begin in range(0, len(out), BLOCK):
            part = slice(begin, begin + BLOCK)
            read = frames[part, None] + self._taps
            splices = self._scratch.take("splices", *read.shape, x.values.shape[1])
            x.values.take(read, axis=0, out=splices, mode="clip")
            self._affine.into(splices.reshape(len(read), -1), out[part])
        return Rows(out, after)


def frame_counts(x: Rows) -> Index:
    """The lengths of rows that are frames."""
    if x.lengths is None:
        raise ValueError("a convolution needs frames")
    return x.lengths


def starts(lengths: Index) -> Index:
    """The first row of each utterance."""
    return np.cumsum(lengths) - lengths
