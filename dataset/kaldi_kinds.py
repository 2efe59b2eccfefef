"""The kinds of values that Kaldi's tables hold, and how each is read and written.

Sound files and HTK's features are read by modules that most commands can do without.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from dataset import kaldi_objects
from dataset.errors import InputError
from dataset.kaldi_objects import to_single
from dataset.kaldi_stream import Stream


class Kind(NamedTuple):
    """How the values of a table are read from, and written to, a stream."""

    read: Callable[[Any], Any]
    write: Callable[..., None]


def _read_matrix(stream: Stream) -> np.ndarray:
    return to_single(kaldi_objects.read_matrix(stream))


def _write_matrix(
    stream: Stream,
    value: np.ndarray,
    binary: bool,
    compression_method: int | None = None,
) -> None:
    kaldi_objects.write_matrix(
        stream, to_single(np.asarray(value)), binary, compression_method
    )


def _read_double_matrix(stream: Stream) -> np.ndarray:
    return kaldi_objects.read_matrix(stream).astype(np.float64)


def _write_double_matrix(stream: Stream, value: np.ndarray, binary: bool) -> None:
    kaldi_objects.write_matrix(stream, np.asarray(value, np.float64), binary)


def _read_vector(stream: Stream) -> np.ndarray:
    return to_single(kaldi_objects.read_vector(stream))


def _write_vector(stream: Stream, value: np.ndarray, binary: bool) -> None:
    kaldi_objects.write_vector(stream, to_single(np.asarray(value)), binary)


def _read_wave(source: Any) -> Any:
    from dataset.wav import read_wave  # most commands have no sound to read

    return read_wave(source)


def _write_wave(stream: Stream, value: Any, binary: bool) -> None:
    from dataset.wav import write_wave

    if not binary:
        raise InputError("sound files have no text form: leave out ,t")
    write_wave(stream, value.samples, value.rate)


def _write_double(stream: Stream, value: float, binary: bool) -> None:
    kaldi_objects.write_number(stream, value, binary, double=True)


def _read_htk(stream: Stream) -> np.ndarray:
    from dataset.htk import read_htk_frames

    return read_htk_frames(stream)


def _write_htk(stream: Stream, value: Any, binary: bool) -> None:
    from dataset.htk import write_htk

    write_htk(stream, value, binary)


KINDS = {
    "matrix": Kind(_read_matrix, _write_matrix),
    "double_matrix": Kind(_read_double_matrix, _write_double_matrix),
    "vector": Kind(_read_vector, _write_vector),
    "int_vector": Kind(kaldi_objects.read_int_vector, kaldi_objects.write_int_vector),
    "int": Kind(kaldi_objects.read_int, kaldi_objects.write_int),
    "float": Kind(kaldi_objects.read_number, kaldi_objects.write_number),
    "double": Kind(kaldi_objects.read_number, _write_double),
    "tokens": Kind(kaldi_objects.read_tokens, kaldi_objects.write_tokens),
    "wave": Kind(_read_wave, _write_wave),
    "htk": Kind(_read_htk, _write_htk),
}
