"""Matrices and vectors: against Kaldi's own files, kaldiio and kaldi_native_io."""

import io
from pathlib import Path

import kaldi_native_io
import kaldiio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset import kaldi_io
from dataset.errors import InputError
from dataset.kaldi_objects import (
    read_int,
    read_int_vector,
    read_matrix,
    read_number,
    read_tokens,
    read_vector,
    write_int,
    write_int_vector,
    write_matrix,
    write_number,
    write_vector,
)

GOLDEN = Path(__file__).parents[1] / "data/kaldi/feats"
FEATS = np.random.default_rng(0).normal(0, 9, (40, 5)).astype(np.float32)


def written(write, *arguments) -> bytes:
    stream = io.BytesIO()
    write(stream, *arguments)
    return stream.getvalue()


def test_text_is_kaldis_byte_for_byte(tmp_path):
    for archive, head in (
        ("mfcc.ark", "mfcc_head.txt"),
        ("mfcc_cm2.ark", "mfcc_cm2_decoded_head.txt"),
    ):
        ((key, matrix),) = kaldi_io.read_mat_ark(GOLDEN / archive)
        kaldi_io.write_mat(tmp_path / "x", matrix, key=key, binary=False)
        text = (tmp_path / "x").read_bytes()
        assert text.startswith((GOLDEN / head).read_bytes())
    mean = kaldi_io.read_vec_flt(GOLDEN / "mean.vec")
    kaldi_io.write_vec_flt(tmp_path / "x", mean, binary=False)
    assert (tmp_path / "x").read_bytes() == (GOLDEN / "mean.vec").read_bytes()


def test_binary_is_kaldis_byte_for_byte(tmp_path):
    for name, read, write in (
        ("mfcc.ark", kaldi_io.read_mat_ark, kaldi_io.write_mat),
        ("vad.ark", kaldi_io.read_vec_flt_ark, kaldi_io.write_vec_flt),
    ):
        ((key, value),) = read(GOLDEN / name)
        write(tmp_path / "x", value, key=key)
        assert (tmp_path / "x").read_bytes() == (GOLDEN / name).read_bytes()
        assert value.dtype == np.float32 and value.flags.writeable


def test_text_forms():
    assert written(write_vector, np.array([1, -0.5, 1e-5, 1e10]), False) == (
        b" [ 1 -0.5 1e-05 1e+10 ]\n"
    )
    assert written(write_vector, np.array([np.inf, -np.inf, np.nan]), False) == (
        b" [ inf -inf nan ]\n"
    )
    assert written(write_vector, np.zeros(0), False) == b" [ ]\n"
    assert written(write_matrix, np.zeros((0, 3)), False) == b" [ ]\n"
    assert written(write_matrix, np.eye(2), False) == b" [\n  1 0 \n  0 1 ]\n"
    assert written(write_int_vector, [1, -2], False) == b"1 -2 \n"
    assert written(write_int, 3, False) == b"3 \n"
    assert written(write_number, 1 / 3, False) == b"0.3333333 \n"
    # as single precision, and infinite where that ends
    assert written(write_number, 0.77794705, False) == b"0.7779471 \n"
    assert written(write_number, 1e300, False) == b"inf \n"
    assert written(write_number, 1e300, True) == b"\0B\4\0\0\x80\x7f"


@pytest.mark.parametrize(
    "text, expected",
    [
        (b"[ 1 2 ; 3 4 ]\n", [[1, 2], [3, 4]]),
        (b" [\n 1 2 \n 3 4 ]\n", [[1, 2], [3, 4]]),
        (b" [\r\n 1 2 \r\n\r\n 3 4\r\n]\r\n", [[1, 2], [3, 4]]),
        (b"[1 2]", [[1, 2]]),
        (b"[inf nan]", [[np.inf, np.nan]]),
        (b"[ 1e300 ]", [[np.inf]]),
    ],
)
def test_text_matrices(text, expected):
    matrix = read_matrix(io.BytesIO(text))
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array(expected, np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_round_trips_keep_precision(tmp_path, dtype):
    path = tmp_path / "x"
    for shape, write, read in (
        ((7, 3), kaldi_io.write_mat, kaldi_io.read_mat),
        ((0, 0), kaldi_io.write_mat, kaldi_io.read_mat),
        ((9,), kaldi_io.write_vec_flt, kaldi_io.read_vec_flt),
        ((0,), kaldi_io.write_vec_flt, kaldi_io.read_vec_flt),
    ):
        value = np.random.default_rng(1).normal(size=shape).astype(dtype)
        write(path, value)
        assert read(path).dtype == dtype and (read(path) == value).all()
        write(path, value, binary=False)
        np.testing.assert_allclose(read(path), value, rtol=1e-6)
    kaldi_io.write_vec_int(path, [-(2**31), 5, 2**31 - 1])
    assert kaldi_io.read_vec_int(path).tolist() == [-(2**31), 5, 2**31 - 1]
    kaldi_io.write_vec_int(path, [], binary=False)
    assert kaldi_io.read_vec_int(path).tolist() == []


def test_others_read_what_we_write(tmp_path):
    path = tmp_path / "x.ark"
    with kaldi_io.open_or_fd(path, "wb") as stream:
        kaldi_io.write_mat(stream, FEATS, key="a")
        kaldi_io.write_mat(stream, FEATS.astype(np.float64), key="b")
        kaldi_io.write_mat(stream, FEATS[::-1], key="c", compression_method=3)
    ours = dict(kaldi_io.read_mat_ark(path))
    with open(path, "rb") as stream:
        for key, value in kaldiio.load_ark(stream):
            np.testing.assert_allclose(ours[key], value, atol=1e-5)
    with kaldi_native_io.SequentialFloatMatrixReader(f"ark:{path}") as reader:
        for key, value in reader:
            assert (ours[key].astype(np.float32) == np.array(value)).all()
    with kaldi_native_io.Int32VectorWriter(f"ark:{path}") as writer:
        writer.write("a", [1, -2, 3])
    assert dict(kaldi_io.read_vec_int_ark(path))["a"].tolist() == [1, -2, 3]
    expected = path.read_bytes()
    kaldi_io.write_vec_int(path, np.array([1, -2, 3]), key="a")
    assert path.read_bytes() == expected


def test_scripts(tmp_path):
    with kaldi_io.open_or_fd(tmp_path / "x.ark", "wb") as stream:
        kaldi_io.write_mat(stream, FEATS, key="a")
        offset = stream.tell() + 2
        kaldi_io.write_mat(stream, 2 * FEATS, key="b", compression_method=2)
    ark, scp = tmp_path / "x.ark", tmp_path / "x.scp"
    scp.write_bytes(
        f"a {ark}:2\r\n\nb   {ark}:{offset} \nc {ark}:2[1:3,0:1]\n"
        f"d tail -c +3 {ark} |\n".encode()
    )
    found = dict(kaldi_io.read_mat_scp(scp))
    assert list(found) == ["a", "b", "c", "d"]
    assert (found["a"] == FEATS).all() and (found["d"] == FEATS).all()
    assert (found["b"] == kaldi_io.read_mat(f"{ark}:{offset}")).all()
    assert (found["c"] == FEATS[1:4, :2]).all()
    assert found["c"].flags.owndata  # not the whole matrix kept for a part of it


def test_small_things(tmp_path):
    for binary in (True, False):
        stream = io.BytesIO()
        kaldi_io.write_binary_flag(stream, binary)
        kaldi_io.write_token(stream, "<Plda>")
        kaldi_io.write_int32(stream, -7, binary)
        kaldi_io.write_float(stream, 0.1, binary)
        kaldi_io.write_float(stream, 0.1, binary, double=True)
        kaldi_io.write_vector_body(stream, np.array([0.1, 2.0]), binary)
        kaldi_io.write_matrix_body(stream, np.array([[0.1, 2.0]]), binary)
        kaldi_io.write_token(stream, "</Plda>")
        for source in (io.BytesIO(stream.getvalue()), tmp_path / "x"):
            (tmp_path / "x").write_bytes(stream.getvalue())
            with kaldi_io.open_or_fd(source) as back:
                assert kaldi_io.read_binary_flag(back) == binary
                kaldi_io.expect_token(back, "<Plda>")
                assert kaldi_io.read_int32(back, binary) == -7
                single = kaldi_io.read_float(back, binary)
                assert single == (float(np.float32(0.1)) if binary else 0.1)
                assert kaldi_io.read_float(back, binary) == 0.1
                assert kaldi_io.read_vector_body(back, binary).tolist() == [0.1, 2]
                assert kaldi_io.read_matrix_body(back, binary).tolist() == [[0.1, 2]]
                with pytest.raises(InputError, match="<X>, got '</Plda>'"):
                    kaldi_io.expect_token(back, "<X>")


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "expected '\\['"),
        (b"[ 1 2", "expected '\\]'"),
        (b"[ 1 2 ] 3\n", "the line to end"),
        (b"[ 1 2 \n 3 ]\n", "row 2 has 1 columns"),
        (b"[ 1 x ]", "expected a number, got 'x'"),
        (b"[ 1_000 ]", "expected a number, got '1_000'"),
        (b"\0B", "truncated"),
        (b"\0CFM ", "binary mark"),
        (b"\0BFV \4\1\0\0\0", "expected FM, DM, CM, CM2 or CM3, got"),
        (b"\0BCM4 ", "expected FM, DM, CM, CM2 or CM3, got"),
        (b"\0BFM \5\1\0\0\0\4\1\0\0\0", "size mark 5"),
        (b"\0BFM \4\xff\xff\xff\xff\4\1\0\0\0", "-1 rows"),
        (b"\0BFM \4\1\0\0\0\4\0\0\0\0", "1 rows and 0 columns"),
        (b"\0BFM \4\xff\xff\xff\x7f\4\xff\xff\xff\x7f", "truncated: expected 1844"),
        (b"\0BCM " + bytes(8) + b"\xff\xff\xff\x7f" * 2, "truncated: expected 461"),
        (b"\0BCM2 " + bytes(8) + b"\xff" * 8, "-1 rows"),
        (b"\0BCM2 " + bytes(7), "truncated"),
    ],
)
def test_damaged_matrices(tmp_path, data, message):
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match=message) as info:
        kaldi_io.read_mat(tmp_path / "x", key="utt")
    assert str(info.value).startswith(f"key utt: {tmp_path}/x: ")


@pytest.mark.parametrize(
    "read, data, message",
    [
        (read_vector, b"[\n 1 2 \n 3 4 ]", "a matrix\\?"),
        (read_vector, b"\0BFM \4", "expected FV or DV"),
        (read_vector, b"\0BFV \4\xff\xff\xff\xff", "dimension -1"),
        (read_int_vector, b"1 2.5\n", "integer, got '2.5'"),
        (read_int_vector, b"3000000000\n", "integer, got '3000000000'"),
        (read_int_vector, b"\0B\4\1\0\0\0\5\0\0\0\0", "not 4 bytes"),
        (read_int, b"1 2\n", "got 2 words"),
        (read_int, b"\n", "got 0 words"),
        (read_int, b"", "truncated"),
        (read_number, b"\0B\5aaaaa", "size mark 5"),
        (read_number, b"one\n", "number, got 'one'"),
        (read_tokens, b"\xff\n", "UTF-8"),
    ],
)
def test_other_damaged_objects(read, data, message):
    with pytest.raises(InputError, match=message):
        read(io.BytesIO(data))


@pytest.mark.parametrize(
    "write, value, message",
    [
        (write_matrix, np.zeros(3), "2-dimensional"),
        (write_matrix, np.array([["a"]]), "2-dimensional numbers"),
        (write_vector, np.zeros((1, 3)), "1-dimensional"),
        (write_int_vector, [0.5], "vector of integers"),
        (write_int_vector, [2**31], "32-bit"),
        (write_int, 0.5, "32-bit integer"),
        (write_int, 2**31, "32-bit integer"),
    ],
)
def test_what_cannot_be_written(write, value, message):
    with pytest.raises(InputError, match=message):
        write(io.BytesIO(), value, False)


def test_errors_in_archives_name_the_key(tmp_path):
    path = tmp_path / "x.ark"
    path.write_bytes(b"a [ 1 ]\nb [ 1 \n")
    with pytest.raises(InputError, match=f"{path}, key b: truncated"):
        list(kaldi_io.read_mat_ark(path))
    path.write_bytes(b"a [ 1 ]\nb")
    with pytest.raises(InputError, match=f"{path}, after key a: expected a space"):
        list(kaldi_io.read_mat_ark(path))
    path.write_bytes(bytes(5000))
    with pytest.raises(InputError, match="not a Kaldi file"):
        list(kaldi_io.read_mat_ark(path))


@pytest.mark.parametrize(
    "line, message",
    [
        (b"key", ":2: expected 'key rxfilename', got 'key'"),
        (b"\xff x", ":2: expected a word in UTF-8"),
        (b"k x.ark:99", "key k: x.ark:99: expected '\\['"),
        (b"k no.ark:9", "key k: cannot open no.ark"),
        (b"k x.ark:2[0:99]", "does not fit"),
        (b"k x.ark:2[0:99", "cannot open x.ark:2\\[0: No such"),
        (b"k x.ark:" + b"9" * 5000, "key k: cannot open"),
        (b"k false |", "'false' failed with status 1"),
    ],
)
def test_bad_lines_of_scripts(tmp_path, monkeypatch, line, message):
    monkeypatch.chdir(tmp_path)
    kaldi_io.write_mat("x.ark", FEATS, key="a")
    Path("x.scp").write_bytes(b"a x.ark:2\n" + line + b"\n")
    with pytest.raises(InputError, match=message):
        list(kaldi_io.read_mat_scp("x.scp"))


READERS = [read_matrix, read_vector, read_int_vector]
READERS += [read_int, read_number, read_tokens]
PIECES = [b"\0B", b"FM ", b"CM ", b"CM2 ", b"DV ", b"\4", b"\1\0\0\0", b"[", b"]", b" "]
PIECES += [b"\n", b"1", b"-", b"_", b"e9", b"\xff\xff\xff\x7f", bytes(8)]
MIXTURES = st.lists(st.sampled_from(PIECES) | st.binary(max_size=3), max_size=15)
ANY_BYTES = st.binary(max_size=60) | MIXTURES.map(b"".join)


@settings(deadline=None, max_examples=400)
@given(data=ANY_BYTES, buffered=st.booleans())
def test_any_bytes_are_read_or_refused(data, buffered):
    for read in READERS:
        stream = io.BytesIO(data)
        try:
            read(io.BufferedReader(stream, 8) if buffered else stream)
        except InputError:
            pass
    for entries in (kaldi_io.read_mat_ark, kaldi_io.read_vec_int_ark):
        try:
            list(entries(io.BytesIO(b"key " + data)))
        except InputError:
            pass


@settings(deadline=None, max_examples=100)
@given(cut=st.integers(1, 11066), place=st.integers(0, 300), value=st.integers(0, 255))
def test_damaged_archives_are_read_or_refused(cut, place, value):
    data = bytearray((GOLDEN / "mfcc_cm2.ark").read_bytes())
    with pytest.raises(InputError):
        list(kaldi_io.read_mat_ark(io.BytesIO(data[:cut])))
    data[place] = value
    try:
        list(kaldi_io.read_mat_ark(io.BytesIO(data)))
    except InputError:
        pass
