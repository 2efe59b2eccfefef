"""Kaldi's tables: sequences of (key, value) named by rspecifiers and wspecifiers.

`ark:...` is an archive, the values one after the other, and `scp:...` a script file of
lines `key rxfilename`; options stand before the colon: `ark,s,cs:-`, `ark,t:out.txt`,
`ark,scp:feats.ark,feats.scp`. (Kaldi: src/util/kaldi-table.cc, kaldi-table-inl.h.)

Where we depart: blank lines in a script file are passed over, and a command in a pipe
that fails ends the reading with an error, where Kaldi warns.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from dataset import kaldi_objects
from dataset.errors import InputError
from dataset.kaldi_io import ObjectReader, read_entries, read_script
from dataset.kaldi_objects import to_single
from dataset.kaldi_stream import Stream, is_pipe, located, open_or_fd

_log = logging.getLogger("kaldi")

_READ_OPTIONS = {"o", "no", "s", "ns", "cs", "ncs", "p", "np", "b", "t", "bg"}
_WRITE_OPTIONS = {"b", "t", "f", "nf", "p", "np"}


class _Kind(NamedTuple):
    """How the values of a table are read from, and written to, a stream."""

    read: Callable[[Stream], Any]
    write: Callable[..., None]


def _read_matrix(stream: Stream) -> np.ndarray:
    return to_single(kaldi_objects.read_matrix(stream))


def _write_matrix(
    stream: Stream, value: np.ndarray, binary: bool, compression_method: int | None = None
) -> None:
    kaldi_objects.write_matrix(
        stream, to_single(np.asarray(value)), binary, compression_method
    )


def _read_vector(stream: Stream) -> np.ndarray:
    return to_single(kaldi_objects.read_vector(stream))


def _write_vector(stream: Stream, value: np.ndarray, binary: bool) -> None:
    kaldi_objects.write_vector(stream, to_single(np.asarray(value)), binary)


def _read_wave(source: Any) -> Any:
    from dataset.wav import read_wave  # most commands have no sound to read

    return read_wave(source)


def _write_wave(stream: Stream, value: Any, binary: bool) -> None:
    from dataset.wav import write_wave

    write_wave(stream, value.samples, value.rate)


_KINDS = {
    "matrix": _Kind(_read_matrix, _write_matrix),
    "vector": _Kind(_read_vector, _write_vector),
    "int_vector": _Kind(kaldi_objects.read_int_vector, kaldi_objects.write_int_vector),
    "int": _Kind(kaldi_objects.read_int, kaldi_objects.write_int),
    "float": _Kind(kaldi_objects.read_number, kaldi_objects.write_number),
    "tokens": _Kind(kaldi_objects.read_tokens, kaldi_objects.write_tokens),
    "wave": _Kind(_read_wave, _write_wave),
}


class _Specifier(NamedTuple):
    """A parsed rspecifier or wspecifier: {"ark"}, {"scp"} or both, options, file."""

    forms: tuple[str, ...]
    options: frozenset[str]
    filename: str

    def has(self, option: str) -> bool:
        return option in self.options


def _parse_specifier(
    text: str, forms: tuple[tuple[str, ...], ...], options: set[str]
) -> _Specifier | None:
    before, colon, filename = text.partition(":")
    if not colon or text[-1].isspace():
        return None
    words = before.split(",")
    named = tuple(word for word in words if word in ("ark", "scp"))
    chosen = frozenset(words) - {"ark", "scp"}
    if named not in forms or not chosen <= options:
        return None
    return _Specifier(named, chosen, filename)


def _parse_rspecifier(text: str) -> _Specifier | None:
    return _parse_specifier(text, (("ark",), ("scp",)), _READ_OPTIONS)


def _parse_wspecifier(text: str) -> _Specifier | None:
    forms = (("ark",), ("scp",), ("ark", "scp"))
    return _parse_specifier(text, forms, _WRITE_OPTIONS)


def is_rspecifier(text: str) -> bool:
    """Whether a command-line argument is a table to read; else it is a file name."""
    return _parse_rspecifier(text) is not None


def is_wspecifier(text: str) -> bool:
    """Whether a command-line argument is a table to write; else it is a file name."""
    return _parse_wspecifier(text) is not None


def _require(parsed: _Specifier | None, text: str, example: str) -> _Specifier:
    if parsed is None:
        raise InputError(f"expected a table such as {example}, got '{text}'")
    return parsed
