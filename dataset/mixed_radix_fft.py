"""Kaldi's Fourier transform of frames whose length is no power of two.

The float32 operations of RealFft and ComplexFft (src/matrix/matrix-functions.cc), which
split off one prime factor of the size after the other, in their order and with their
tables, on many frames at once. Why the rounding matters: see `split_radix_fft`.
"""

from __future__ import annotations

import functools

import numpy as np

from dataset.split_radix_fft import c_float_function

_HALF = np.float32(0.5)


def real_fft(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fourier transform of real signals, without the bin at the Nyquist frequency.

    Args:
        columns: float32 [size, frames], one signal a column; size is even.

    Returns:
        Real and imaginary parts, float32 [size / 2, frames] each.
    """
    size, frames = columns.shape
    half = size // 2
    # The even samples are taken as real, the odd ones as imaginary parts.
    pairs = columns.reshape(half, 2, frames).swapaxes(0, 1)
    real, imag = _complex_fft(pairs[:, None])[:, 0]
    result = np.empty((2, half, frames), np.float32)
    result[0, 0], result[1, 0] = real[0] + imag[0], 0
    rows = np.arange(1, half // 2 + 1)
    mirrored = half - rows
    even = _HALF * (real[rows] + real[mirrored]), _HALF * (imag[rows] - imag[mirrored])
    odd = _HALF * (imag[rows] + imag[mirrored]), -_HALF * (real[rows] - real[mirrored])
    turned = _product(_powers(size, len(rows) + 1)[:, 1:, None], odd)
    result[0, mirrored], result[1, mirrored] = even[0] - turned[0], turned[1] - even[1]
    result[0, rows], result[1, rows] = even[0] + turned[0], even[1] + turned[1]
    return result[0], result[1]


def _complex_fft(parts: np.ndarray) -> np.ndarray:
    """Transforms [2, transforms, size, frames]: real and imaginary parts of signals."""
    count, size, frames = parts.shape[1:]
    if size == 1:
        return parts
    factor = next(p for p in range(2, size + 1) if size % p == 0)
    rest = size // factor
    interleaved = parts.reshape(2, count, rest, factor, frames).swapaxes(2, 3)
    shorter = _complex_fft(interleaved.reshape(2, count * factor, rest, frames))
    shorter = shorter.reshape(2, count, factor, rest, frames)
    turns = _turns(size, factor)
    result = np.repeat(shorter[:, :, :1], factor, axis=2)
    for p in range(1, factor):
        result += _product(turns[:, p - 1, :, :, None], shorter[:, :, p, None])
    return result.reshape(2, count, size, frames)


def _product(first: np.ndarray, second: np.ndarray | tuple) -> np.ndarray:
    """Of complex numbers, whose parts are along the first axis."""
    real1, imag1 = first
    real2, imag2 = second
    return np.stack([real2 * real1 - imag2 * imag1, real2 * imag1 + imag2 * real1])


@functools.lru_cache(maxsize=64)
def _turns(size: int, factor: int) -> np.ndarray:
    """What the p-th of `factor` sub-transforms, p > 0, is times in each row.

    [2, factor - 1, factor, size / factor]: exp(-2 pi i p row / size), by repeated
    multiplication as in Kaldi.
    """
    step = _root(factor)
    first = np.empty((2, factor, size // factor), np.float32)
    first[:, 0] = _powers(size, size // factor)
    for row in range(1, factor):
        first[:, row] = _product(step, first[:, row - 1])
    powers = [first]
    while len(powers) < factor - 1:
        powers.append(_product(first, powers[-1]))
    return np.stack(powers, axis=1)


@functools.lru_cache(maxsize=64)
def _powers(size: int, count: int) -> np.ndarray:
    """exp(-2 pi i k / size) for k below `count`, [2, count], multiplied up."""
    root, powers = _root(size), np.empty((2, count), np.float32)
    powers[:, 0] = 1, 0
    for k in range(1, count):
        powers[:, k] = _product(root, powers[:, k - 1])
    return powers


def _root(size: int) -> np.ndarray:
    angle = np.float32(-2 * np.pi / size)
    return np.array([c_float_function(name)(angle)[()] for name in ("cosf", "sinf")])
