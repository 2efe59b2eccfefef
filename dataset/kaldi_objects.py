"""Kaldi's objects in an open stream: matrices, vectors, integers, words.

An object begins with the bytes 0 'B' if it is binary; else it is text. "Body" is what
comes after that mark. (Kaldi: src/matrix/kaldi-matrix.cc, kaldi-vector.cc and
src/util/kaldi-holder-inl.h.)
"""

from __future__ import annotations

import struct

import numpy as np

from dataset import compressed_matrix
from dataset.errors import InputError
from dataset.kaldi_stream import Stream, read_exactly
from dataset.kaldi_tokens import (
    decode_word,
    parse_float,
    parse_int,
    read_binary_flag,
    read_float,
    read_int32,
    read_line,
    read_single_word,
    read_token,
    write_binary_flag,
    write_float,
    write_int32,
)

_FLOAT_TYPES: dict[bytes, np.dtype] = {b"F": np.dtype("<f4"), b"D": np.dtype("<f8")}
_INT_ELEMENT = np.dtype([("size", "i1"), ("value", "<i4")])
_COMPRESSED = (b"CM", b"CM2", b"CM3")


# Objects without their binary mark.


def read_matrix_body(stream: Stream, binary: bool) -> np.ndarray:
    """A matrix [rows, cols]: float32, float64, compressed (gives float32), or text.

    Text gives float64, which holds what is written in it.
    """
    if not binary:
        return _read_text_matrix(stream)
    token = read_token(stream).encode()
    if token in _COMPRESSED:
        return _read_compressed(stream, token)
    element = _element_type(token, b"M", "FM, DM, CM, CM2 or CM3")
    rows, cols = read_int32(stream, True), read_int32(stream, True)
    if rows < 0 or cols < (rows > 0):
        raise InputError(f"matrix with {rows} rows and {cols} columns: damaged")
    data = read_exactly(stream, rows * cols * element.itemsize, "a matrix")
    return np.frombuffer(data, element).reshape(rows, cols)


def _read_compressed(stream: Stream, token: bytes) -> np.ndarray:
    data = read_exactly(stream, compressed_matrix.HEADER_SIZE, "a matrix header")
    header = compressed_matrix.parse_header(token, data)
    body = read_exactly(stream, header.body_size, "a compressed matrix")
    return compressed_matrix.decode_rows(
        header, np.frombuffer(body, np.uint8), 0, header.rows
    )


def _element_type(token: bytes, kind: bytes, expected: str) -> np.dtype:
    element = _FLOAT_TYPES.get(token[:1])
    if element is None or token[1:] != kind:
        raise InputError(f"expected {expected}, got {token[:40]!r}")
    return element


def write_matrix_body(
    stream: Stream,
    matrix: np.ndarray,
    binary: bool,
    compression_method: int | None = None,
) -> None:
    """A matrix; float64 is written in double precision, all else in single."""
    matrix = _as_float(matrix, 2)
    if not binary:
        stream.write(_format_matrix(matrix))
    elif compression_method is not None:
        stream.write(compressed_matrix.compress(matrix, compression_method))
    else:
        rows, cols = matrix.shape if matrix.size else (0, 0)
        token = b"DM " if matrix.dtype == np.float64 else b"FM "
        stream.write(token + struct.pack("<bibi", 4, rows, 4, cols))
        stream.write(matrix.tobytes())


def read_vector_body(stream: Stream, binary: bool) -> np.ndarray:
    """A vector [dim]: float32, float64, or text, which gives float64."""
    if not binary:
        text = _read_bracketed(stream).strip()
        if b"\n" in text:
            raise InputError(
                "expected a text vector, which ends on its line: a matrix?"
            )
        return _parse_floats(text)
    token = read_token(stream).encode()
    element = _element_type(token, b"V", "FV or DV")
    dim = read_int32(stream, True)
    if dim < 0:
        raise InputError(f"vector of dimension {dim}: damaged")
    data = read_exactly(stream, dim * element.itemsize, "a vector")
    return np.frombuffer(data, element)


def write_vector_body(stream: Stream, vector: np.ndarray, binary: bool) -> None:
    """A vector; float64 is written in double precision, all else in single."""
    vector = _as_float(vector, 1)
    if binary:
        token = b"DV " if vector.dtype == np.float64 else b"FV "
        stream.write(token + struct.pack("<bi", 4, len(vector)))
        stream.write(vector.tobytes())
    else:
        stream.write(b" [ " + _format_row(vector) + b"]\n")


# Whole objects, as they follow a key or stand in a file.


def read_matrix(stream: Stream) -> np.ndarray:
    """A matrix with its mark; text and compressed forms give float32."""
    binary = read_binary_flag(stream)
    matrix = read_matrix_body(stream, binary)
    return matrix if binary else to_single(matrix)


def write_matrix(
    stream: Stream,
    matrix: np.ndarray,
    binary: bool = True,
    compression_method: int | None = None,
) -> None:
    """A matrix with its mark."""
    write_binary_flag(stream, binary)
    write_matrix_body(stream, matrix, binary, compression_method)


def read_vector(stream: Stream) -> np.ndarray:
    """A vector with its mark; text gives float32."""
    look_ahead = getattr(stream, "peek", None)
    head = look_ahead(10)[:10] if look_ahead is not None else b""
    if head[:6] == b"\0BFV \4" and len(head) == 10:  # most often: at one go
        dim = int.from_bytes(head[6:], "little")
        if dim < 2**31:
            stream.read(10)
            return np.frombuffer(
                read_exactly(stream, 4 * dim, "a vector"), _FLOAT_TYPES[b"F"]
            )
    binary = read_binary_flag(stream)
    vector = read_vector_body(stream, binary)
    return vector if binary else to_single(vector)


def write_vector(stream: Stream, vector: np.ndarray, binary: bool = True) -> None:
    """A vector with its mark."""
    write_binary_flag(stream, binary)
    write_vector_body(stream, vector, binary)


def read_int_vector(stream: Stream) -> np.ndarray:
    """Integers such as alignments or pdf-ids, int32 [dim]; text is one line."""
    if not read_binary_flag(stream):
        words = decode_word(read_line(stream)).split()
        if words[:1] == ["["] and words[-1:] == ["]"]:
            words = words[1:-1]
        return np.array([parse_int(word) for word in words], np.int32)
    dim = read_int32(stream, True)
    if dim < 0:
        raise InputError(f"integer vector of dimension {dim}: damaged")
    data = read_exactly(stream, dim * _INT_ELEMENT.itemsize, "an integer vector")
    elements = np.frombuffer(data, _INT_ELEMENT)
    if (elements["size"] != 4).any():
        raise InputError("integer vector whose elements are not 4 bytes long: damaged")
    return elements["value"].copy()


def write_int_vector(stream: Stream, vector: np.ndarray, binary: bool = True) -> None:
    """Integers with their mark, or one line of text."""
    vector = np.asarray(vector)
    if vector.ndim != 1 or (vector.size and vector.dtype.kind not in "iu"):
        raise InputError(
            f"expected a vector of integers, got shape {vector.shape} of {vector.dtype}"
        )
    if vector.size and not -(2**31) <= vector.min() <= vector.max() < 2**31:
        raise InputError("expected a vector of 32-bit integers")
    if not binary:
        stream.write(b"%d " * len(vector) % tuple(vector.tolist()) + b"\n")
        return
    elements = np.empty(len(vector), _INT_ELEMENT)
    elements["size"], elements["value"] = 4, vector
    write_binary_flag(stream, True)
    write_int32(stream, len(vector), True)
    stream.write(elements.tobytes())


def read_int(stream: Stream) -> int:
    """An integer with its mark, or alone on a line of text."""
    if read_binary_flag(stream):
        return read_int32(stream, True)
    return parse_int(read_single_word(stream))


def write_int(stream: Stream, value: int, binary: bool = True) -> None:
    """An integer with its mark, or a line of text."""
    write_binary_flag(stream, binary)
    write_int32(stream, value, binary)
    if not binary:
        stream.write(b"\n")


def read_number(stream: Stream) -> float:
    """A number with its mark, or alone on a line of text."""
    if read_binary_flag(stream):
        return read_float(stream, True)
    return parse_float(read_single_word(stream))


def write_number(
    stream: Stream, value: float, binary: bool = True, double: bool = False
) -> None:
    """A number with its mark, or a line of text; in single precision if not double."""
    write_binary_flag(stream, binary)
    write_float(stream, value, binary, double)
    if not binary:
        stream.write(b"\n")


def read_tokens(stream: Stream) -> list[str]:
    """The words of a line."""
    return [decode_word(word) for word in read_line(stream).split()]


def write_tokens(stream: Stream, tokens: list[str], binary: bool = True) -> None:
    """A line of words, each followed by a space; they have no binary form."""
    for token in tokens:
        if token.split() != [token]:
            raise InputError(f"expected a list of words, got '{token}' in it")
    stream.write("".join(token + " " for token in tokens).encode() + b"\n")


# The text forms.


def to_single(array: np.ndarray) -> np.ndarray:
    """As float32; numbers beyond its range become infinite, as in Kaldi's reading."""
    if array.dtype == np.float32:
        return array
    with np.errstate(over="ignore"):
        return array.astype(np.float32)


def _read_text_matrix(stream: Stream) -> np.ndarray:
    lines = _read_bracketed(stream).replace(b";", b"\n").split(b"\n")
    rows = [_parse_floats(line) for line in lines if line.strip()]
    if not rows:
        return np.zeros((0, 0))
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise InputError(
                f"text matrix: row {number} has {len(row)} columns, "
                f"the first has {len(rows[0])}"
            )
    return np.stack(rows)


def _read_bracketed(stream: Stream) -> bytes:
    """What stands between `[` and `]`; reads to the end of the closing line."""
    while (byte := stream.read(1)).isspace():
        pass
    if byte != b"[":
        raise InputError(f"expected '[' to begin a text matrix or vector, got {byte!r}")
    lines = []
    while b"]" not in (line := stream.readline()):
        if not line:
            raise InputError("truncated: expected ']' to end a text matrix or vector")
        lines.append(line)
    last, _, rest = line.partition(b"]")
    if rest.strip():
        raise InputError(f"expected the line to end after ']', got {rest[:40]!r}")
    return b"".join([*lines, last])


def _parse_floats(text: bytes) -> np.ndarray:
    words = text.split()
    try:
        if b"_" not in text:  # which Python allows in numbers
            return np.array([float(word) for word in words], np.float64)
    except ValueError:
        pass
    return np.array([parse_float(word.decode(errors="replace")) for word in words])


def _as_float(array: np.ndarray, ndim: int) -> np.ndarray:
    """Little-endian float32 or float64, contiguous."""
    array = np.asarray(array)
    if array.ndim != ndim or array.dtype.kind not in "fiub":
        raise InputError(
            f"expected {ndim}-dimensional numbers, "
            f"got shape {array.shape} of {array.dtype}"
        )
    wanted = "<f8" if array.dtype == np.float64 else "<f4"
    return np.ascontiguousarray(array, wanted)


def _format_row(row: np.ndarray) -> bytes:
    """Seven significant digits, as Kaldi sets its streams, and a space after each."""
    return b"%.7g " * len(row) % tuple(row.tolist())


def _format_matrix(matrix: np.ndarray) -> bytes:
    if not matrix.size:
        return b" [ ]\n"
    return b" [" + b"".join(b"\n  " + _format_row(row) for row in matrix) + b"]\n"
