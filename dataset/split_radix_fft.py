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
    size, frames = columns.shape
    # The even samples are taken as real, the odd ones as imaginary parts.
    parts = _complex_fft(columns.reshape(size // 2, 2, frames).swapaxes(0, 1))
    here, mirrored = (parts.take(rows, axis=1) for rows in _output_rows(size // 2))
    sums, differences = here + mirrored, here - mirrored
    sums *= _HALF
    differences *= _HALF
    # The transform of the even samples, and that of the odd ones turned by exp(-i w).
    even_real, even_imag = sums[0], differences[1]
    odd_real, odd_imag = _turned(sums[1], differences[0], size)
    count = len(even_real)
    real, imag = np.empty((2, size // 2, frames), np.float32)
    np.add(even_real, odd_real, out=real[:count])
    np.add(even_imag, odd_imag, out=imag[:count])
    inner = slice(count - 2, 0, -1)  # the rows above come of the same sums
    np.subtract(even_real[inner], odd_real[inner], out=real[count:])
    np.subtract(odd_imag[inner], even_imag[inner], out=imag[count:])
    return real, imag


def _turned(real: np.ndarray, minus_imag: np.ndarray, size: int) -> np.ndarray:
    """Real and imaginary parts of (real - i minus_imag) exp(-2 pi i k / size)."""
    turns, quarter_on = _turns(size)
    product = turns * real
    product += quarter_on * minus_imag
    return product


def _complex_fft(parts: np.ndarray) -> np.ndarray:
    """Transforms [2, size, frames], real and imaginary parts of signals in columns.

    The rows come out as `_output_rows` tells.
    """
    size, frames = parts.shape[1:]
    stage = parts[:, :, None]  # [2, size, sub-transforms, frames]
    following = np.empty((2, size // 2, 2 if size == 2 else 1, frames), np.float32)
    while size > 1:
        half, count = size // 2, stage.shape[2]
        first, second = stage[:, :half], stage[:, half:]
        np.add(first, second, out=following[:, :, :count])
        if size == 2:
            np.subtract(first, second, out=following[:, :, -count:])
            return following[:, 0]
        # The odd rows come of two transforms a quarter as large: for the stage after.
        num_following = following.shape[2]
        num_after = num_following + 2 * count
        if size == 4:  # the last stage: with the odd rows of the one before
            num_after += num_following
        after = np.empty((2, size // 4, num_after, frames), np.float32)
        target = after[:, :, num_following : num_following + 2 * count]
        _split_odd(first - second, target.reshape(2, size // 4, 2, count, frames))
        stage, following, size = following, after, half
    return stage[:, 0]


def _split_odd(odd: np.ndarray, out: np.ndarray) -> None:
    """Writes the inputs of the quarter-size transforms of rows 4k + 1 and 4k + 3.

    Args:
        odd: [2, size / 2, sub-transforms, frames].
        out: [2, size / 4, 2 (4k + 1, 4k + 3), sub-transforms, frames].
    """
    quarter = out.shape[1]
    (real1, imag1), (real2, imag2) = odd[:, :quarter], odd[:, quarter:]
    rows = out[::-1] if quarter > 2 else out  # so that the products end in place
    real, imag = rows
    np.add(real1, imag2, out=real[:, 0])
    np.subtract(imag1, real2, out=imag[:, 0])
    np.subtract(real1, imag2, out=real[:, 1])
    np.add(imag1, real2, out=imag[:, 1])
    if quarter > 1:
        eighth = quarter // 2
        real, imag = rows[:, eighth]
        sum_, difference = real + imag, imag - real
        if quarter > 2:
            _rotate(out)
        out[0, eighth, 0] = sum_[0] * _SQRT_HALF
        out[1, eighth, 0] = difference[0] * _SQRT_HALF
        out[0, eighth, 1] = difference[1] * _SQRT_HALF
        out[1, eighth, 1] = sum_[1] * -_SQRT_HALF


def _rotate(swapped: np.ndarray) -> None:
    """Multiplies row n by exp(-2 pi i n / size), and where 4k + 3 by its cube.

    It finds the imaginary parts before the real ones and leaves them in order.
    """
    swapped[:, 0] = swapped[::-1, 0].copy()
    rows = swapped[:, 1:]
    cosine, factors = _rotation(4 * swapped.shape[1])
    shared = rows[0] + rows[1]
    shared *= cosine
    rows *= factors
    rows += shared


@functools.lru_cache(maxsize=64)
def _rotation(size: int) -> tuple[np.ndarray, np.ndarray]:
    """For rows 1 to size / 4 - 1 and both transforms: cosines; what parts are times.

    That is sin - cos for imaginary parts, and -(sin + cos) for real ones.
    """
    rows = np.arange(1, size // 4)[:, None] * np.array([1, 3])
    angle = (rows * (2 * np.pi) / size).astype(np.float32)
    cosine, sine = c_float_function("cosf")(angle), c_float_function("sinf")(angle)
    factors = np.stack([sine - cosine, -(sine + cosine)])
    return cosine[..., None, None], factors[..., None, None]


@functools.lru_cache(maxsize=8)
def _turns(size: int) -> tuple[np.ndarray, np.ndarray]:
    """exp(-2 pi i k / size), k = 0 to size / 4, and that times -i: [2, rows, 1] each.

    By repeated multiplication, as in Kaldi.
    """
    root = np.float32(2 * np.pi / size * -1)
    root_real = c_float_function("cosf")(root)[()]
    root_imag = c_float_function("sinf")(root)[()]
    turns = np.empty((2, size // 4 + 1, 1), np.float32)
    real, imag = turns[..., 0]
    real[0], imag[0] = 1, 0
    for k in range(1, len(real)):
        r, i = real[k - 1], imag[k - 1]
        real[k] = r * root_real - i * root_imag
        imag[k] = r * root_imag + i * root_real
    return turns, np.stack([turns[1], -turns[0]])


@functools.lru_cache(maxsize=8)
def _output_rows(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where `_complex_fft` leaves rows k and -k of the result, k = 0 to size / 2."""
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
    rows, k = np.argsort(bases), np.arange(len(bases) // 2 + 1)
    return rows[k], rows[-k]
