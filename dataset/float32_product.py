"""Sums of float32 products in the order of OpenBLAS, which most Kaldi builds use.

Compressed archives keep one or two bytes of a value: a last bit more or less moves a
few of 10,000 values to the next step, which one byte makes 0.1 wide. So mel energies
and cepstra are added up as by OpenBLAS' kernels for processors with AVX2
(kernel/x86_64/sdot.c and sgemv_t_4.c); on others Kaldi itself gives other last bits.
"""

from __future__ import annotations

import numpy as np

_UNTHREADED = 1 << 18
"""Multiplications up to which OpenBLAS takes one thread (interface/gemm.c)."""

_BLOCK = 256  # frames whose running sums stay in a cache


def float32_dot(weights: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """weights [n] times columns [n, frames], float32, rounded as by OpenBLAS' sdot.

    Whole blocks of 32 are added in as many float32 lanes, what remains in float64.
    """
    products = weights[:, None] * columns
    blocks = len(weights) & -32
    total = products[blocks:].sum(axis=0, dtype=np.float64)
    if blocks:
        lanes = products[:32]
        for start in range(32, blocks, 32):
            part = slice(start, start + 32)
            factors = weights[part, None].astype(np.float64)
            lanes = (factors * columns[part] + lanes).astype(np.float32)
        lanes = (lanes[:8] + lanes[8:16]) + (lanes[16:24] + lanes[24:])
        total += _add_lanes(lanes[:4] + lanes[4:])
    return total.astype(np.float32)


def float32_product(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Float32 matrix [rows, n] times columns [n, frames], rounded as by OpenBLAS.

    Four rows at a time are added with fused multiply-adds in eight lanes, the rows that
    remain without in four; the last columns come at the end.
    """
    product = np.empty((len(matrix), columns.shape[1]), np.float32)
    for start in range(0, columns.shape[1], _BLOCK):
        part = slice(start, start + _BLOCK)
        product[:, part] = _product(matrix, columns[:, part])
    return product


def _product(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    rows, lanes = len(matrix) & -4, matrix.shape[1] & -4
    product = np.empty((len(matrix), columns.shape[1]), np.float32)
    product[:rows] = _fused(matrix[:rows, :lanes], columns[:lanes])
    product[rows:] = _in_four_lanes(matrix[rows:, :lanes], columns[:lanes])
    if lanes < len(columns):
        rest = matrix[:, lanes, None] * columns[lanes]
        for n in range(lanes + 1, len(columns)):
            rest += matrix[:, n, None] * columns[n]
        product += rest
    return product


def unthreaded_product(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """rows [n, k] times matrix [k, m], in any order, but the same one on each call.

    In parts so small that OpenBLAS does not divide them among threads, for on the
    number of threads the last bits would depend.
    """
    length, width = matrix.shape
    size = max(1, _UNTHREADED // matrix.size)
    whole = len(rows) // size * size
    product = np.empty((len(rows), width), np.float32)
    parts = rows[:whole].reshape(-1, size, length)
    np.matmul(parts, matrix, out=product[:whole].reshape(-1, size, width))
    np.matmul(rows[whole:], matrix, out=product[whole:])
    return product


def _fused(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Eight running sums; four columns come first if eight do not divide them."""
    rows, n = matrix.shape
    # A product of two float32 is exact in float64: one rounding, as when fused.
    factors = matrix.T[:, :, None].astype(np.float64)
    values = columns[:, None].astype(np.float64)
    first = n % 8
    sums = np.zeros((8, rows, columns.shape[1]), np.float32)
    sums[:first] = factors[:first] * values[:first]
    exact = np.empty(sums.shape)
    for start in range(first, n, 8):
        np.multiply(factors[start : start + 8], values[start : start + 8], out=exact)
        exact += sums
        sums[...] = exact
    return _add_lanes(sums[:4] + sums[4:])


def _in_four_lanes(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    rows, n = matrix.shape
    factors, values = matrix.T[:, :, None], columns[:, None]
    sums = np.zeros((4, rows, columns.shape[1]), np.float32)
    for start in range(0, n, 4):
        part = slice(start, start + 4)
        sums += factors[part] * values[part]
    return _add_lanes(sums)


def _add_lanes(sums: np.ndarray) -> np.ndarray:
    return (sums[0] + sums[1]) + (sums[2] + sums[3])
