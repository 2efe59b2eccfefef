"""Kaldi's file of a PLDA model: `<Plda>`, mean, transform, psi, `</Plda>`.

Binary (in double precision, as Kaldi writes it) or text; single precision is read too.
"""

from __future__ import annotations

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import (
    expect_token,
    open_or_fd,
    read_binary_flag,
    read_matrix_body,
    read_object,
    read_vector_body,
    write_binary_flag,
    write_matrix_body,
    write_token,
    write_vector_body,
)
from dataset.kaldi_stream import Source, Stream
from misc.backend.plda import Plda


def read_plda(source: Source) -> Plda:
    """Reads a model from an rxfilename or an open stream.

    Raises:
        InputError: it is no PLDA model, or its parts do not fit; names the source.
    """
    model: Plda = read_object(source, _read)
    return model


def write_plda(target: Source, plda: Plda, binary: bool = True) -> None:
    """Writes a model to a wxfilename or an open stream."""
    with open_or_fd(target, "wb") as stream:
        write_binary_flag(stream, binary)
        write_token(stream, "<Plda>")
        write_vector_body(stream, plda.mean, binary)
        write_matrix_body(stream, plda.transform, binary)
        write_vector_body(stream, plda.psi, binary)
        write_token(stream, "</Plda>")


def _read(stream: Stream) -> Plda:
    binary = read_binary_flag(stream)
    expect_token(stream, "<Plda>")
    mean = read_vector_body(stream, binary).astype(np.float64)
    transform = read_matrix_body(stream, binary).astype(np.float64)
    psi = read_vector_body(stream, binary).astype(np.float64)
    expect_token(stream, "</Plda>")
    if not (transform.shape == (mean.size, mean.size) and psi.size == mean.size > 0):
        raise InputError(
            f"expected a PLDA model of one dimension, got mean [{mean.size}], "
            f"transform {list(transform.shape)}, psi [{psi.size}]"
        )
    if not all(np.isfinite(part).all() for part in (mean, transform, psi)):
        raise InputError("the PLDA model holds numbers that are not finite")
    return Plda(mean, transform, psi)
