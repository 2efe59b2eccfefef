"""The Fourier transform of Kaldi's features, to the last bit.

In bands that are nearly silent beside loud ones, a float32 transform leaves little but
its own rounding, and the logarithm shows it: two good transforms differ there by 0.004
in the cepstra. So this one does the float32 operations of Kaldi's srfft.cc (H. Malvar,
Signal Processing with Lapped Transforms, 1992), in their order and with their tables,
on many frames at once: the sub-transforms of one size are stacked, which leaves each
of them as it was.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable

import numpy as np

_HALF = np.float32(0.5)
_SQRT_HALF = np.float32(np.sqrt(0.5))


def c_float_function(name: str) -> Callable[[np.ndarray], np.ndarray]:
    """The C library's own `cosf`, `logf` ..., on arrays of float32.

    NumPy's differ from it in some last bits, and Kaldi's tables are made with it.
    """
    function = getattr(ctypes.CDLL(None), name)
    function.restype, function.argtypes = ctypes.c_float, [ctypes.c_float]
    return np.vectorize(function, otypes=[np.float32])


def real_fft(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fourier transform of real signals, without the bin at the Nyquist frequency.

    Args:
        columns: float32 [size, frames], one signal a column; size is a power of two,
            4 or more.

    Returns:
        Real and imaginary parts, float32 [size / 2, frames] each.
    """
    # The even samples are taken as real, the odd ones as imaginary parts.
    real, imag = _complex_fft(columns[0::2], columns[1::2])
    here, mirrored = _output_rows(len(real))
    a, b = real[here], real[mirrored]
    c, d = imag[here], imag[mirrored]
    even_real, even_imag = _HALF * (a + b), _HALF * (c - d)
    odd_real, odd_imag = _HALF * (c + d), -_HALF * (a - b)
    turn_real, turn_imag = _turns(len(columns))
    return (
        even_real + (odd_real * turn_real - odd_imag * turn_imag),
        even_imag + (odd_real * turn_imag + odd_imag * turn_real),
    )


def _complex_fft(real: np.ndarray, imag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Transforms columns [size, frames]; the rows come out as `_output_rows` tells."""
    size, frames = real.shape
    real, imag = real[:, None], imag[:, None]  # [size, sub-transforms, frames]
    waiting = np.empty((2, size // 2, 0, frames), np.float32)
    while size > 1:
        half, count = size // 2, real.shape[1]
        even = np.empty((2, half, count + waiting.shape[2], frames), np.float32)
        odd = np.empty((2, half, count, frames), np.float32)
        for part, whole in enumerate((real, imag)):
            np.add(whole[:half], whole[half:], out=even[part, :, :count])
            np.subtract(whole[:half], whole[half:], out=odd[part])
        even[:, :, count:] = waiting
        if size == 2:
            even = np.concatenate([even, odd], axis=2)
        else:
            waiting = _split_odd(odd, size)
        real, imag = even
        size = half
    return real[0], imag[0]


def _split_odd(odd: np.ndarray, size: int) -> np.ndarray:
    """The two quarter-size transforms that give the rows of odd numbers."""
    _, half, count, frames = odd.shape
    quarter = half // 2
    split = np.empty((2, quarter, 2 * count, frames), np.float32)
    one, three = split[:, :, :count], split[:, :, count:]
    (real1, imag1), (real2, imag2) = odd[:, :quarter], odd[:, quarter:]
    np.add(real1, imag2, out=one[0])
    np.subtract(imag1, real2, out=one[1])
    np.subtract(real1, imag2, out=three[0])
    np.add(imag1, real2, out=three[1])
    if size > 4:
        _rotate(one, size, 1)
        _rotate(three, size, 3)
    return split


def _rotate(rows: np.ndarray, size: int, times: int) -> None:
    """Multiplies row n by exp(-2 pi i n times / size), in place."""
    real, imag = rows[:, size // 8]
    sum_, difference = real + imag, imag - real
    real, imag = rows[:, 1:]
    cosine, minus_sum, sine_less_cosine = _rotation(size, times)
    shared = cosine * (real + imag)
    new_imag = minus_sum * real
    new_imag += shared
    np.multiply(sine_less_cosine, imag, out=real)
    real += shared
    imag[...] = new_imag
    if times == 1:  # an eighth of a turn
        rows[:, size // 8] = sum_ * _SQRT_HALF, difference * _SQRT_HALF
    else:
        rows[:, size // 8] = difference * _SQRT_HALF, sum_ * -_SQRT_HALF


@functools.lru_cache(maxsize=64)
def _rotation(size: int, times: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """cos, -(sin + cos) and sin - cos of the angles of rows 1 to size / 4 - 1."""
    rows = np.arange(1, size // 4)
    angle = (times * rows * (2 * np.pi) / size).astype(np.float32)
    cosine = c_float_function("cosf")(angle) if len(rows) else angle
    sine = c_float_function("sinf")(angle) if len(rows) else angle
    column = (slice(None), None, None)
    return cosine[column], -(sine + cosine)[column], (sine - cosine)[column]


@functools.lru_cache(maxsize=8)
def _turns(size: int) -> tuple[np.ndarray, np.ndarray]:
    """exp(-2 pi i k / size), k = 0 to size / 2 - 1, by repeated multiplication."""
    half = size // 2
    root = np.float32(2 * np.pi / size * -1)
    root_real = c_float_function("cosf")(root)[()]
    root_imag = c_float_function("sinf")(root)[()]
    real, imag = np.ones(half, np.float32), np.zeros(half, np.float32)
    for k in range(1, half // 2 + 1):
        r, i = real[k - 1], imag[k - 1]
        real[k] = r * root_real - i * root_imag
        imag[k] = r * root_imag + i * root_real
    for k in range(1, half // 2):
        real[half - k], imag[half - k] = -real[k], imag[k]
    return real[:, None], imag[:, None]


@functools.lru_cache(maxsize=8)
def _output_rows(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where `_complex_fft` leaves row k of the result, and row -k."""
    bases, strides = [0], 1  # a sub-transform gives rows base, base + stride, ...
    waiting: list[int] = []
    while size > 1:
        ones = [base + strides for base in bases]
        threes = [base + 3 * strides for base in bases]
        if size == 2:
            bases = bases + waiting + ones
        else:
            bases, waiting = bases + waiting, ones + threes
        strides *= 2
        size //= 2
    here = np.argsort(bases)
    return here, here[-np.arange(len(here))]
