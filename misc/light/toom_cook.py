"""Convolutions over frames with half the multiplications, or less.

A. L. Toom (1963), S. A. Cook (1966); S. Winograd, Arithmetic complexity of computations
(1980); for networks, A. Lavin and S. Gray, CVPR 2016. Here in one dimension: the
m = 4 outputs y_i = sum_k g_k d_{i+k} of a kernel of width r are

    y = A^T [(G g) * (B^T d)],

with n = m + r - 1 products in place of m r; each "product" is a matrix product over
channels, and `*` goes through the n points at which polynomials are evaluated. Points
are chosen for rounding: with those below a float32 result is within 3e-6 (root mean
square, relative) of the exact one, where a plain sum is within 2e-7; after the pooling
an embedding is as near the exact value as that of TensorFlow's plain sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from misc.light.rows import (
    Array,
    Index,
    Pointwise,
    Rows,
    Scratch,
    frame_counts,
    starts,
)

OUTPUTS = 4
"""Frames that a tile gives, m."""

MIN_CHANNELS = 128
"""With fewer, the transforms cost more than the products save."""

_TILES = 384
"""Tiles that are transformed together, at most: products of few rows are slow."""

_PAIRS = {
    5: ("1/2", "1", "2"),
    7: ("2/5", "3/4", "4/3", "5/2"),
}
"""Points besides 0 and infinity, each with its negative, by the kernel's width."""

WIDTHS = tuple(_PAIRS)

Matrix = npt.NDArray[np.float64]


def transforms(width: int) -> tuple[Matrix, Matrix, Matrix]:
    """A^T [4, n], G [n, width] and B^T [n, n] for a kernel of this width.

    The correlation is the transpose of a product of polynomials, and that is
    interpolated from its values at n - 1 points and its highest coefficient. Rows are
    scaled by powers of two so that B^T and A^T have entries of like size.
    """
    pairs = [Fraction(p) for p in _PAIRS[width]]
    points = [Fraction(0), *(s * p for p in pairs for s in (1, -1))]
    size = len(points) + 1
    interpolation = _inverse(_evaluation(points, size))
    forward = np.array(interpolation, dtype=np.float64).T
    back = np.array(_evaluation(points, OUTPUTS), dtype=np.float64).T
    kernel = np.array(_evaluation(points, width), dtype=np.float64)
    rows = np.exp2(np.round(np.log2(np.abs(forward).sum(axis=1))))
    columns = np.exp2(np.round(np.log2(np.abs(back).max(axis=0))))
    return back / columns, kernel * (rows * columns)[:, None], forward / rows[:, None]


def _evaluation(points: Sequence[Fraction], size: int) -> list[list[Fraction]]:
    """Values at the points, and at infinity, of a polynomial of `size` coefficients."""
    rows = [[p**power for power in range(size)] for p in points]
    return [*rows, [Fraction(0)] * (size - 1) + [Fraction(1)]]


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Exact, by Gauss and Jordan."""
    size = len(matrix)
    rows = [
        [*row, *(Fraction(int(i == j)) for j in range(size))]
        for i, row in enumerate(matrix)
    ]
    for i in range(size):
        pivot = next(k for k in range(i, size) if rows[k][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for k in range(size):
            factor = rows[k][i]
            if k != i and factor:
                pairs = zip(rows[k], rows[i], strict=True)
                rows[k] = [a - factor * b for a, b in pairs]
    return [row[size:] for row in rows]


class FastConvolution:
    """The same as `rows.Convolution` with dilation 1.

    Tiles lie within utterances, the last one ends with its utterance; an output of an
    utterance with less than four is computed from repetitions of its last frame, and
    only what it has is kept.
    """

    def __init__(
        self,
        kernel: Array,
        bias: Array,
        finish: Sequence[Pointwise],
        scratch: Scratch,
    ) -> None:
        self._width = len(kernel)
        back, points, forward = transforms(self._width)
        self._back, self._forward = back.astype(np.float32), forward.astype(np.float32)
        flat = kernel.reshape(self._width, -1).astype(np.float64)
        self._kernels = (
            (points @ flat).astype(np.float32).reshape(-1, *kernel.shape[1:])
        )
        self._bias, self._finish, self._scratch = bias, finish, scratch

    def __call__(self, x: Rows) -> Rows:
        before = frame_counts(x)
        after = before - (self._width - 1)
        source, target = _tiles(before, after, len(self._forward))
        out = np.empty((after.sum() + 1, len(self._bias)), np.float32)
        blocks = -(-source.shape[1] // _TILES)
        for read, write in zip(
            np.array_split(source, blocks, axis=1),
            np.array_split(target, blocks, axis=1),
            strict=True,
        ):
            out[write] = self._outputs(x.values, read)
        return Rows(out[:-1], after)

    def _outputs(self, frames: Array, source: Index) -> Array:
        """What some tiles give, [4, tiles, units], from the frames [n, tiles]."""
        (size, tiles), channels = source.shape, frames.shape[1]
        units, take = len(self._bias), self._scratch.take
        data = take("splices", size, tiles, channels)
        frames.take(source, axis=0, out=data, mode="clip")
        points = take("points", size, tiles, channels)
        _combine(self._forward, data, points)
        products = take("products", size, tiles, units)
        np.matmul(points, self._kernels, out=products)
        outputs = take("outputs", OUTPUTS, tiles, units)
        _combine(self._back, products, outputs)
        outputs += self._bias
        for change in self._finish:
            change(outputs)
        return outputs


def _combine(matrix: Array, x: Array, out: Array) -> None:
    """out[i] = sum_j matrix[i, j] x[j]."""
    np.matmul(matrix, x.reshape(len(x), -1), out=out.reshape(len(out), -1))


def _tiles(before: Index, after: Index, size: int) -> tuple[Index, Index]:
    """Rows that tiles read, [size, tiles], and rows that they write, [4, tiles].

    Args:
        before, after: frames of each utterance before and after the convolution.

    What a tile computes beyond its utterance goes to a row after the last one.
    """
    number = -(-after // OUTPUTS)
    index = np.arange(number.sum()) - np.repeat(starts(number), number)
    last = np.maximum(after - OUTPUTS, 0)
    first = np.minimum(index * OUTPUTS, np.repeat(last, number))

    def rows(lengths: Index, size: int) -> tuple[Index, Index]:
        begin = np.repeat(starts(lengths), number)
        within = first + np.arange(size)[:, None]
        return begin + within, within - np.repeat(lengths, number)

    source, beyond = rows(before, size)
    target, unwanted = rows(after, OUTPUTS)
    source -= np.maximum(beyond + 1, 0)
    target[unwanted >= 0] = after.sum()
    return source, target
