"""Kaldi's own files, and kaldi_native_io (Kaldi's code) on random matrices."""

import struct
from pathlib import Path

import kaldi_native_io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.compressed_matrix import (
    HEADER_SIZE,
    compress,
    decode_rows,
    decode_segments,
    parse_header,
)
from dataset.errors import InputError
from dataset.kaldi_io import read_mat

GOLDEN = Path(__file__).parents[1] / "data/kaldi/feats"
ENTRY_START = len("s3-u1 ") + 2  # the key, and 0 'B'


def decode(data: bytes, start=0, stop=None) -> np.ndarray:
    token = data.split(b" ", 1)[0]
    header = parse_header(token, data, len(token) + 1)
    body = np.frombuffer(data, np.uint8, offset=len(token) + 1 + HEADER_SIZE)
    assert len(body) == header.body_size
    return decode_rows(header, body, start, header.rows if stop is None else stop)


def kaldi_compress(matrix: np.ndarray, method: int, path: Path) -> bytes:
    with kaldi_native_io.CompressedMatrixWriter(f"ark:{path}") as writer:
        writer.write("k", matrix, kaldi_native_io.CompressionMethod(method))
    return path.read_bytes()[len("k ") + 2 :]


def kaldi_decode(path: Path) -> np.ndarray:
    with kaldi_native_io.SequentialFloatMatrixReader(f"ark:{path}") as reader:
        return np.array(next(iter(reader))[1])  # a view: copied at once


@pytest.mark.parametrize("method", [2, 3, 5])
def test_encoding_is_kaldis_byte_for_byte(method):
    name = {2: "mfcc_cm2.ark", 3: "mfcc_cm3.ark", 5: "mfcc_cm5.ark"}[method]
    matrix = read_mat(f"{GOLDEN}/mfcc.ark:{ENTRY_START - 2}")
    assert compress(matrix, method) == (GOLDEN / name).read_bytes()[ENTRY_START:]


@pytest.mark.parametrize("name", ["mfcc_cm2", "mfcc_cm3", "mfcc_cm5"])
def test_decoding_is_kaldis_to_the_last_digit(name):
    decoded = decode((GOLDEN / f"{name}.ark").read_bytes()[ENTRY_START:])
    text = (GOLDEN / f"{name}_decoded_head.txt").read_text().splitlines()[1:]
    ours = [" ".join(f"{x:.7g}" for x in row) for row in decoded[: len(text)].tolist()]
    assert ours == [line.strip() for line in text]
    assert (decoded == kaldi_decode(GOLDEN / f"{name}.ark")).all()


@pytest.mark.parametrize("first", [0.0, -0.0])
def test_sign_of_zero_is_kept_as_by_kaldi(tmp_path, first):
    matrix = np.array([[first, -first], [-first, first]], np.float32)
    assert compress(matrix, 3) == kaldi_compress(matrix, 3, tmp_path / "x")


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 40),
    cols=st.integers(1, 300),
    scale=st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 50.0, 1e30]),
    shift=st.sampled_from([0.0, 1.0, -1000.0, 3e7]),
    method=st.integers(1, 7),
    seed=st.integers(0, 999),
)
def test_all_methods_agree_with_kaldi(
    tmp_path_factory, rows, cols, scale, shift, method, seed
):
    values = np.random.default_rng(seed).laplace(shift, scale, (rows, cols))
    matrix = values.astype(np.float32)
    path = tmp_path_factory.mktemp("cm") / "x.ark"
    data = compress(matrix, method)
    assert data == kaldi_compress(matrix, method, path)
    assert (decode(data) == kaldi_decode(path)).all()


@pytest.mark.parametrize("rows", range(1, 12))
def test_few_rows_agree_with_kaldi(tmp_path, rows):
    matrix = np.random.default_rng(rows).normal(size=(rows, 5)).astype(np.float32)
    matrix[:, 1], matrix[:, 2] = matrix.max(), matrix.min()  # no room on one side
    for method in (1, 2):
        data = compress(matrix, method)
        assert data == kaldi_compress(matrix, method, tmp_path / "x")
        assert (decode(data) == kaldi_decode(tmp_path / "x")).all()


@pytest.mark.parametrize("method", range(1, 8))
def test_rows_are_those_of_the_whole(method):
    matrix = np.random.default_rng(1).normal(size=(50, 7)).astype(np.float32)
    data = compress(matrix, method)
    assert (decode(data, 11, 37) == decode(data)[11:37]).all()
    assert decode(data, 5, 5).shape == (0, 7)


def test_error_is_at_most_half_a_step():
    matrix = np.random.default_rng(1).uniform(-3, 5, (200, 4)).astype(np.float32)
    span = matrix.max() - matrix.min()
    for method, steps in ((3, 65535), (5, 255)):
        error = np.abs(decode(compress(matrix, method)) - matrix).max()
        assert error <= 0.51 * span / steps
    quartiles = np.sort(matrix, axis=0)[[0, 50, 150, 199]]
    steps = np.diff(quartiles, axis=0) / np.array([[64], [128], [63]])
    error = np.abs(decode(compress(matrix, 2)) - matrix).max(axis=0)
    assert (error <= 0.51 * steps.max(axis=0) + span / 65535).all()


def test_empty_matrix():
    assert compress(np.zeros((0, 5), np.float32)) == b"CM " + bytes(16)
    assert decode(b"CM " + bytes(16)).shape == (0, 0)


@pytest.mark.parametrize(
    "values, method",
    [([[1, np.nan]], 4), ([[1, np.inf]], 2), ([[-3e38, 3e38]], 3), ([[3e38] * 2], 5)],
)
def test_what_has_no_range_is_refused(values, method):
    with pytest.raises(InputError, match="cannot compress"):
        compress(np.array(values, np.float32), method)


@pytest.mark.parametrize("rows, cols", [(-1, 2), (2, -1), (2, 0)])
def test_sizes_that_make_no_sense(rows, cols):
    with pytest.raises(InputError, match=f"{rows} rows and {cols} columns: damaged"):
        parse_header(b"CM", struct.pack("<ffii", 0, 1, rows, cols))


def test_unknown_method():
    with pytest.raises(InputError, match="1 to 7, got 8"):
        compress(np.ones((1, 1), np.float32), 8)


def test_infinity_saturates_in_fixed_ranges():
    data = compress(np.array([[-np.inf, 0.5, np.inf]], np.float32), 7)
    assert decode(data).tolist() == [[0, pytest.approx(0.5, abs=2e-3), 1]]


@pytest.mark.parametrize("cols", [1, 30, 300])
def test_segments_together_are_those_of_each(cols):
    rng = np.random.default_rng(0)
    segments, expected = [], []
    for i in range(5):
        matrix = rng.normal(i, 10.0 ** (i - 2), (20 + i, cols))
        data = compress(matrix, 2)
        body = np.frombuffer(data, np.uint8, offset=3 + HEADER_SIZE)
        segments.append((parse_header(b"CM", data, 3), body, 2 * i))
        expected.append(decode(data, 2 * i, 2 * i + 9))
    out = np.empty((5, 9, cols), np.float32)
    looked_at = []
    decode_segments(segments, out, looked_at.append)
    np.testing.assert_array_equal(out, expected)
    assert set(looked_at) == set(range(5))
