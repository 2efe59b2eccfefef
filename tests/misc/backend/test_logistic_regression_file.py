"""Kaldi's file, byte for byte as LogisticRegression::Write and WriteIntegerVector."""

import io

import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend.logistic_regression import LogisticRegression
from misc.backend.logistic_regression_file import (
    read_logistic_regression,
    write_logistic_regression,
)

MODEL = LogisticRegression(
    np.array([[1.5, -2.0], [0.25, 3.0], [-1.0, 0.0]]), np.array([0, 1, 1], np.int32)
)
TEXT = (
    b"<LogisticRegression> <weights>  [\n  1.5 -2 \n  0.25 3 \n  -1 0 ]\n"
    b"<class> [ 0 1 1 ]\n</LogisticRegression> "
)
BINARY = (
    b"\0B<LogisticRegression> <weights> FM \4\3\0\0\0\4\2\0\0\0"
    + np.array([1.5, -2.0, 0.25, 3.0, -1.0, 0.0], "<f4").tobytes()
    + b"<class> \4\3\0\0\0\0\0\0\0\1\0\0\0\1\0\0\0</LogisticRegression> "
)


@pytest.mark.parametrize(("binary", "content"), [(False, TEXT), (True, BINARY)])
def test_both_forms(tmp_path, binary, content):
    write_logistic_regression(tmp_path / "model", MODEL, binary)
    assert (tmp_path / "model").read_bytes() == content
    found = read_logistic_regression(str(tmp_path / "model"))
    np.testing.assert_array_equal(found.weights, MODEL.weights)
    np.testing.assert_array_equal(found.classes, MODEL.classes)


def test_older_files_have_no_classes():
    for content in (
        TEXT.replace(b"<class> [ 0 1 1 ]\n", b""),
        BINARY[: BINARY.index(b"<class>")] + b"</LogisticRegression> ",
    ):
        found = read_logistic_regression(io.BytesIO(content))
        assert found.classes.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (TEXT.replace(b"1 1 ]", b"1 ]"), "a class for each row, got .* and 2 classes"),
        (TEXT.replace(b"0 1 1", b"0 1 x"), "expected classes, got '0 1 x'"),
        (TEXT.replace(b"0 1 1", b"0 -1 1"), "a class for each row"),
        (TEXT.replace(b"0.25", b"nan"), "not finite"),
        (TEXT.replace(b"</Log", b"</Lag"), "got '</Lag"),
        (TEXT[:40], "truncated"),
        (BINARY[:-40], "truncated"),
        (BINARY.replace(b"<class> \4", b"<class> \10"), "expected 4-byte classes"),
        (b"<Plda> ", "expected token <LogisticRegression>"),
    ],
)
def test_damaged_files_are_refused(content, message):
    with pytest.raises(InputError, match=message):
        read_logistic_regression(io.BytesIO(content))
