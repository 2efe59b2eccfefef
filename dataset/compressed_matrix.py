"""Kaldi's compressed matrices CM, CM2 and CM3: arrays in, bytes out, and back.

The layout and the arithmetic are those of Kaldi's src/matrix/compressed-matrix.cc, with
the same single-precision roundings: decoding and encoding agree with it bit for bit.

A body is a token, a header (float32 minimum, float32 range, int32 rows, int32 columns)
and the data:

- `CM`: four uint16 percentiles (0, 25, 75, 100) per column, then one byte per element,
  column by column; a byte counts along three straight lines between the percentiles.
- `CM2`, `CM3`: a uint16 or a uint8 per element, row by row, linear over the range.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from dataset.errors import InputError

METHODS = range(1, 8)
"""What `--compression-method` may be."""

_HEADER = struct.Struct("<ffii")
HEADER_SIZE = _HEADER.size

_SPEECH_FEATURE, _TWO_BYTE_AUTO = 2, 3
_FIXED_RANGES = {4: (-32768.0, 65535.0), 6: (0.0, 255.0), 7: (0.0, 1.0)}
_TOKENS = {2: b"CM", 3: b"CM2", 4: b"CM2", 5: b"CM3", 6: b"CM3", 7: b"CM3"}
_BYTE: np.dtype[Any] = np.dtype("u1")
_TWO_BYTES: np.dtype[Any] = np.dtype("<u2")
_ELEMENTS = {b"CM": _BYTE, b"CM2": _TWO_BYTES, b"CM3": _BYTE}

_ROWS_AT_ONCE = 2048  # in encoding, which takes 60 bytes for each that it makes

# Bytes 0..64, 65..192 and 193..255 lie on the three lines of a column.
_BYTES_PER_LINE = np.array([65, 128, 63])
_TAIL = 193
_POSITION_ON_LINE = np.concatenate(
    [np.arange(65) / 64, np.arange(1, 129) / 128, np.arange(1, 64)]
).astype(np.float32)


class Header(NamedTuple):
    """What a compressed matrix says of itself, and the type of its elements."""

    token: bytes
    min_value: float
    range: float
    rows: int
    cols: int

    @property
    def body_size(self) -> int:
        """Bytes that follow the header."""
        if not self.rows or not self.cols:
            return 0
        percentiles = 8 * self.cols if self.token == b"CM" else 0
        return percentiles + self.rows * self.cols * _ELEMENTS[self.token].itemsize


def parse_header(token: bytes, buffer: Any, offset: int = 0) -> Header:
    """The header at `offset`; `buffer` holds at least `HEADER_SIZE` bytes from there.

    Raises:
        InputError: the sizes make no sense.
    """
    header = Header(token, *_HEADER.unpack_from(buffer, offset))
    if header.rows < 0 or header.cols < (header.rows > 0):
        raise InputError(
            f"compressed matrix with {header.rows} rows and {header.cols} columns: "
            "damaged"
        )
    return header


@np.errstate(over="ignore", invalid="ignore")  # a damaged header is not our business
def decode_rows(
    header: Header,
    body: np.ndarray,
    start: int,
    stop: int,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Rows `start:stop` of a compressed matrix; the other rows are not touched.

    Args:
        header: from `parse_header`.
        body: uint8 [header.body_size], what follows the header.
        out: the array to be filled; None: a new one.

    Returns:
        float32 [stop - start, cols].
    """
    if out is None:
        out = np.empty((stop - start, header.cols), np.float32)
    if not out.size:
        return out
    if header.token == b"CM":
        ends = np.float32(header.min_value), np.float32(header.range)
        points = _percentile_values(*ends, _percentiles_of(header, body))
        _look_up(_value_tables(points), header, body, start, out)
        return out
    element = _ELEMENTS[header.token]
    first, last = start * header.cols, stop * header.cols
    codes = body.view(element)[first:last].reshape(stop - start, header.cols)
    levels = 256**element.itemsize - 1
    # Kaldi rounds the step to float, the product to float, then the sum.
    step = np.float32(np.float64(header.range) * (1.0 / levels))
    np.multiply(codes, step, out=out)
    out += np.float32(header.min_value)
    return out


@np.errstate(over="ignore", invalid="ignore")
def decode_segments(
    segments: Sequence[tuple[Header, np.ndarray, int]],
    out: np.ndarray,
    at: Callable[[int], None] = lambda number: None,
) -> None:
    """As many rows of each of some `CM` matrices: 0.6 of the time of one at a time.

    Args:
        segments: header, body as for `decode_rows`, first row; all of the same columns.
        out: float32 [segments, rows, cols], to be filled.
        at: called with the number of the segment before its body is looked at.
    """
    percentiles = np.empty((len(segments), out.shape[2], 4), np.uint16)
    for i, (header, body, _) in enumerate(segments):
        at(i)
        percentiles[i] = _percentiles_of(header, body)
    ends = np.array([header[1:3] for header, _, _ in segments], np.float32)
    low, value_range = ends.T[:, :, None, None]
    tables = _value_tables(_percentile_values(low, value_range, percentiles))
    for i, (header, body, start) in enumerate(segments):
        at(i)
        _look_up(tables[i], header, body, start, out[i])


def _percentiles_of(header: Header, body: np.ndarray) -> np.ndarray:
    return body[: 8 * header.cols].view("<u2").reshape(header.cols, 4)


def _look_up(
    tables: np.ndarray, header: Header, body: np.ndarray, start: int, out: np.ndarray
) -> None:
    """Rows from `start` on into `out`, by the value of each byte in each column."""
    rows, cols = header.rows, header.cols
    # uint16 is enough, and twice as fast as wider types, up to 256 columns.
    index_type = np.uint16 if cols <= 256 else np.int64
    offsets = np.arange(0, 256 * cols, 256, dtype=index_type)
    codes = body[8 * cols :].reshape(cols, rows)[:, start : start + len(out)]
    out[:] = tables.ravel().take(codes + offsets[:, None]).T


def _percentile_values(
    min_value: np.ndarray | np.float32,
    value_range: np.ndarray | np.float32,
    percentiles: np.ndarray,
) -> np.ndarray:
    """uint16 percentiles [..., cols, 4] as float32 values."""
    step = value_range * np.float32(1.52590218966964e-05)
    return min_value + step * percentiles.astype(np.float32)


def _value_tables(points: np.ndarray) -> np.ndarray:
    """The value of each byte in each column: float32 [matrices, cols, 256].

    Kaldi multiplies the float slope by the byte's place on the line and divides by the
    line's length in double precision. Only for the last line, of 63 steps, does that
    differ from arithmetic in float.
    """
    starts = points[..., :3]
    tables = (points[..., 1:] - starts).repeat(_BYTES_PER_LINE, axis=-1)
    tables *= _POSITION_ON_LINE
    tail = tables[..., _TAIL:].astype(np.float64)
    tail *= 1 / 63.0
    tail += points[..., 2:3].astype(np.float64)
    tables += starts.repeat(_BYTES_PER_LINE, axis=-1)
    tables[..., _TAIL:] = tail
    return tables


def compress(matrix: np.ndarray, method: int = 1) -> bytes:
    """Encodes as Kaldi's `copy-feats --compress=true --compression-method=<method>`.

    Args:
        matrix: float [rows, cols].
        method: 1 automatic (2 if there are more than 8 rows, else 3), 2 speech
            feature, 3 two bytes, 4 two-byte signed integer, 5 one byte, 6 one-byte
            unsigned integer, 7 one byte for 0 to 1.

    Returns:
        The body with its token: b"CM ...", b"CM2 ..." or b"CM3 ...".

    Raises:
        InputError: an unknown method, or values that are not finite.
    """
    if method not in METHODS:
        raise InputError(f"compression method must be 1 to 7, got {method}")
    matrix = np.asarray(matrix, np.float32)
    if matrix.size == 0:
        return b"CM " + _HEADER.pack(0.0, 0.0, 0, 0)
    if np.isnan(matrix).any():
        raise InputError("cannot compress a matrix with NaN")
    if method == 1:
        method = _SPEECH_FEATURE if len(matrix) > 8 else _TWO_BYTE_AUTO
    token = _TOKENS[method]
    min_value, value_range = _FIXED_RANGES.get(method) or _range_of(matrix)
    header = Header(token, min_value, value_range, *matrix.shape)
    if token == b"CM":
        percentiles, codes = _encode_by_columns(header, matrix)
        body = percentiles.tobytes() + codes.tobytes()
    else:
        body = _quantise(header, matrix, _ELEMENTS[token]).tobytes()
    return token + b" " + _HEADER.pack(*header[1:]) + body


def _range_of(matrix: np.ndarray) -> tuple[float, float]:
    # The first of equal ones, for among zeros it decides the sign that is stored.
    low, high = matrix.flat[matrix.argmin()], matrix.flat[matrix.argmax()]
    with np.errstate(over="ignore", invalid="ignore"):
        if high == low:
            high = np.float32(1.0 + abs(float(low)) + float(low))
        value_range = high - low
    if not np.isfinite(value_range):
        raise InputError(
            f"cannot compress a matrix with values from {low:g} to {high:g}: "
            "their range is beyond single precision"
        )
    return float(low), float(value_range)


def _quantise(header: Header, matrix: np.ndarray, element: np.dtype) -> np.ndarray:
    """Values to the nearest of 2^8 or 2^16 levels, with Kaldi's rounding."""
    levels = np.float32(256**element.itemsize - 1)
    fractions = (matrix - np.float32(header.min_value)) / np.float32(header.range)
    np.clip(fractions, 0, 1, out=fractions)
    return ((fractions * levels).astype(np.float64) + 0.499).astype(element)


def _encode_by_columns(
    header: Header, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Percentiles uint16 [cols, 4] and codes uint8 [cols, rows]."""
    percentiles = _percentiles(header, matrix)
    ends = np.float32(header.min_value), np.float32(header.range)
    points = _percentile_values(*ends, percentiles)
    codes = np.empty(matrix.shape[::-1], np.uint8)
    for start in range(0, len(matrix), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        codes[:, part] = _encode(np.ascontiguousarray(matrix[part].T), points)
    return percentiles, codes


def _encode(values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Codes of values [cols, rows] between the columns' percentiles [cols, 4]."""
    p0, p25, p75, p100 = (points[:, i : i + 1] for i in range(4))
    return np.where(
        values < p25,
        _place_on_line(values, p0, p25, 64),
        np.where(
            values < p75,
            64 + _place_on_line(values, p25, p75, 128),
            192 + _place_on_line(values, p75, p100, 63),
        ),
    )


def _percentiles(header: Header, matrix: np.ndarray) -> np.ndarray:
    """The four percentiles of each column, strictly rising: uint16 [cols, 4]."""
    rows = len(matrix)
    ordered = np.sort(matrix, axis=0)
    if rows >= 5:
        picked = ordered[[0, rows // 4, 3 * (rows // 4), rows - 1]]
    else:  # rows that are not there count as the lowest value, so only the order acts
        picked = np.repeat(ordered[:1], 4, axis=0)
        picked[:rows] = ordered
    levels = _quantise(header, picked, _TWO_BYTES).astype(np.int64)
    levels[0] = np.minimum(levels[0], 65532)
    for i, highest in ((1, 65533), (2, 65534), (3, 65535)):
        levels[i] = np.minimum(np.maximum(levels[i], levels[i - 1] + 1), highest)
    return np.ascontiguousarray(levels.T.astype("<u2"))


def _place_on_line(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, steps: int
) -> np.ndarray:
    """The nearest of `steps` + 1 points from low to high, as integers."""
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        places = (values - low) / (high - low) * np.float32(steps)
    # Where the line has no length, Kaldi's conversion to int gives a negative number.
    places = np.where(places < 2.0**31, places, 0).astype(np.float64)
    return np.clip(places + 0.5, 0, steps).astype(np.int64)
