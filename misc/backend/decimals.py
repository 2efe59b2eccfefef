"""Decimal numbers as text, many at once: what C's strtod and printf do with each."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Chunks = npt.NDArray[np.uint64]
Numbers = npt.NDArray[np.float64]


def _in_each_byte(value: int) -> np.uint64:
    return np.uint64(value * 0x0101010101010101)


_EIGHT = np.uint64(8)
LOW_BYTES = np.array([(1 << 8 * n) - 1 for n in range(9)], np.uint64)
"""Masks of the first n characters of eight."""
_POWERS = 10 ** np.arange(16, dtype=np.int64)
_MOST_DIGITS = 15
"""So many make an integer that float64 holds, and so does the power of ten."""


def plain_decimals(
    chunks: Chunks, lengths: npt.NDArray[np.int64]
) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Reads numbers such as `-12.34567`, and says which these are.

    Digits, with a minus before and a point among the first eight, at most 15 of them:
    an integer and a power of ten that float64 holds, so that their quotient is rounded
    as strtod rounds. Eight digits are read at once (D. Lemire, "Quickly parsing
    eight-digit numbers", 2018).

    Args:
        chunks: [N, C] eight characters in each, the first one lowest, zeros behind.
        lengths: [N] characters.

    Returns:
        The numbers [N], and [N] whether each was of this form; others are arbitrary.
    """
    first = chunks[:, 0].copy()
    second = chunks[:, 1].copy() if chunks.shape[1] > 1 else np.zeros_like(first)
    negative = first & np.uint64(0xFF) == ord("-")
    _drop(first, second, np.zeros(len(first), np.int64), negative)
    digits = lengths - negative
    point = _find(first, ord("."))
    has_point = point < 8
    _drop(first, second, point, has_point)
    digits -= has_point
    decimals = np.where(has_point, digits - point, 0)
    known = (digits > 0) & (digits <= _MOST_DIGITS)
    digits = digits.clip(1, _MOST_DIGITS)
    leading = np.minimum(digits, 8)
    trailing = digits - leading
    known &= _to_digits(first, leading) & _to_digits(second, trailing)
    integers = _eight_digits(first, leading) * _POWERS[trailing]
    integers += _eight_digits(second, trailing)
    numbers = integers / _POWERS[decimals.clip(0, _MOST_DIGITS)].astype(np.float64)
    np.negative(numbers, out=numbers, where=negative)
    return numbers, known


def _drop(
    first: Chunks,
    second: Chunks,
    place: npt.NDArray[np.int64],
    wanted: npt.NDArray[np.bool_],
) -> None:
    """Takes one character out of the first chunk where it is wanted."""
    before = LOW_BYTES[np.minimum(place, 8)]
    moved = (first >> _EIGHT) | (second << np.uint64(56))
    np.copyto(first, (first & before) | (moved & ~before), where=wanted)
    np.right_shift(second, _EIGHT, out=second, where=wanted)


def _find(chunk: Chunks, character: int) -> npt.NDArray[np.int64]:
    """The place of the first such character; 8 where there is none."""
    other = chunk ^ _in_each_byte(character)
    equal = (other - _in_each_byte(1)) & ~other & _in_each_byte(0x80)
    below = (equal & (~equal + np.uint64(1))) - np.uint64(1)
    return (np.bitwise_count(below) // 8).astype(np.int64)


def _to_digits(chunk: Chunks, number: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Makes `0` to `9` their values; false where another character is among them."""
    chunk ^= _in_each_byte(ord("0")) & LOW_BYTES[number]
    wrong = (chunk | (chunk + _in_each_byte(0x80 - 10))) & _in_each_byte(0x80)
    return wrong == 0


def _eight_digits(
    chunk: Chunks, number: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The value of the first digits of a chunk."""
    shift = 8 * (8 - np.maximum(number, 1))
    value = chunk << shift.astype(np.uint64)
    value = (value * np.uint64(10) + (value >> _EIGHT)) & np.uint64(0x00FF00FF00FF00FF)
    value = value * np.uint64(100) + (value >> np.uint64(16))
    value &= np.uint64(0x0000FFFF0000FFFF)
    value = value * np.uint64(10_000) + (value >> np.uint64(32))
    return (value & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _table_of_digits(form: Callable[[int], str]) -> npt.NDArray[np.uint32]:
    return np.array([form(i).encode() for i in range(10_000)], "S4").view(np.uint32)


_DIGITS = _table_of_digits(lambda i: f"{i:04d}")
_INTEGER = _table_of_digits(str)
_FRACTION = _table_of_digits(lambda i: f"{i:04d}".rstrip("0"))
_MINUS, _POINT, _NEWLINE = (np.uint32(ord(letter)) for letter in "-.\n")


def format_numbers(numbers: npt.NDArray[np.float64]) -> Bytes:
    """Each number as C's `%.7g` and a newline: [N, 32] ASCII, to be read without zeros.

    A number from 1e-4 to 1e7 is its seven digits as an integer, and of this the part
    before and the part after the point; Python formats the others, and those whose
    rounding is in doubt.
    """
    size = np.abs(numbers)
    plain = (size >= 1e-4) & (size < 9999999.0)
    size = np.where(plain, size, 1.0)
    decimals = 6 - np.floor(np.log10(size)).astype(np.int64)
    scaled = size * 10.0**decimals
    digits = np.rint(scaled)
    plain &= np.abs(np.abs(scaled - digits) - 0.5) > 1e-6
    plain &= (digits >= 1e6) & (digits < 1e7)
    integer, rest = np.divmod(digits.astype(np.int64), 10**decimals)
    rest *= 10 ** (12 - decimals)
    high, low = np.divmod(integer, 10_000)
    first, rest = np.divmod(rest, 10**8)
    second, third = np.divmod(rest, 10_000)
    text = np.zeros((len(numbers), 8), np.uint32)
    text[:, 0] = (numbers < 0) * _MINUS
    text[:, 1] = _INTEGER[high] * (high > 0)
    text[:, 2] = np.where(high > 0, _DIGITS[low], _INTEGER[low])
    text[:, 3] = ((first > 0) | (rest > 0)) * _POINT
    text[:, 4] = np.where(rest > 0, _DIGITS[first], _FRACTION[first])
    text[:, 5] = np.where(third > 0, _DIGITS[second], _FRACTION[second])
    text[:, 6] = _FRACTION[third]
    lines = text.view(np.uint8)
    for row in np.flatnonzero(~plain):
        lines[row] = 0
        word = f"{numbers[row]:.7g}".encode()
        lines[row, : len(word)] = np.frombuffer(word, np.uint8)
    lines[:, -1] = _NEWLINE
    return lines
