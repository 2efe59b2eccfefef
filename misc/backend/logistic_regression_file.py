"""Kaldi's file of a logistic regression: `<LogisticRegression>`, weights, classes.

Binary or text, in single precision as Kaldi writes it.
"""

from __future__ import annotations

import struct

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import (
    expect_token,
    open_or_fd,
    read_binary_flag,
    read_matrix_body,
    read_object,
    read_token,
    write_binary_flag,
    write_matrix_body,
    write_token,
)
from dataset.kaldi_stream import Source, Stream, read_exactly
from misc.backend.logistic_regression import Classes, LogisticRegression


def read_logistic_regression(source: Source) -> LogisticRegression:
    """Reads a model, binary or text, from an rxfilename or an open stream.

    Raises:
        InputError: it is none, or its parts do not fit; names the source.
    """
    model: LogisticRegression = read_object(source, _read)
    return model


def write_logistic_regression(
    target: Source, model: LogisticRegression, binary: bool = True
) -> None:
    """Writes a model, in single precision as Kaldi, to a wxfilename or open stream."""
    with open_or_fd(target, "wb") as stream:
        write_binary_flag(stream, binary)
        write_token(stream, "<LogisticRegression>")
        write_token(stream, "<weights>")
        write_matrix_body(stream, model.weights.astype(np.float32), binary)
        write_token(stream, "<class>")
        if binary:
            stream.write(struct.pack("<bi", 4, len(model.classes)))
            stream.write(model.classes.astype("<i4").tobytes())
        else:
            numbers = "".join(f"{number} " for number in model.classes)
            stream.write(f"[ {numbers}]\n".encode())
        write_token(stream, "</LogisticRegression>")


def _read(stream: Stream) -> LogisticRegression:
    binary = read_binary_flag(stream)
    expect_token(stream, "<LogisticRegression>")
    expect_token(stream, "<weights>")
    weights = read_matrix_body(stream, binary).astype(np.float64)
    token = read_token(stream)
    classes = np.arange(len(weights), dtype=np.int32)  # Kaldi's older files say no more
    if token == "<class>":
        classes = _read_classes(stream, binary)
        token = read_token(stream)
    if token != "</LogisticRegression>":
        raise InputError(f"expected token </LogisticRegression>, got '{token}'")
    if not weights.size or classes.shape != (len(weights),) or classes.min() < 0:
        raise InputError(
            f"expected weights with a class for each row, got {list(weights.shape)} "
            f"weights and {len(classes)} classes"
        )
    if not np.isfinite(weights).all():
        raise InputError("the logistic regression holds numbers that are not finite")
    return LogisticRegression(weights, classes)


def _read_classes(stream: Stream, binary: bool) -> Classes:
    """Kaldi's WriteIntegerVector: size mark, number, numbers; or `[ 0 1 ]`."""
    if binary:
        size, number = struct.unpack("<bi", read_exactly(stream, 5, "the classes"))
        if size != 4 or number < 0:
            raise InputError(f"expected 4-byte classes, got {number} of {size} bytes")
        data = read_exactly(stream, 4 * number, "the classes")
        return np.frombuffer(data, "<i4").astype(np.int32)
    expect_token(stream, "[")
    words = []
    while (word := read_token(stream)) != "]":
        words.append(word)
    try:
        return np.array([int(word) for word in words], np.int32)
    except ValueError:
        raise InputError(f"expected classes, got '{' '.join(words)[:40]}'") from None
