"""Ranges in script files."""

import numpy as np
import pytest

from dataset.errors import InputError
from dataset.kaldi_range import split_range, take_range

MATRIX = np.arange(60).reshape(10, 6)


def test_split():
    assert split_range("a.ark:12[0:3]") == ("a.ark:12", "0:3")
    assert split_range("cat a[1].ark |") == ("cat a[1].ark |", None)


@pytest.mark.parametrize(
    "extent, rows, cols",
    [
        ("0:9", slice(0, 10), slice(0, 6)),
        ("2:2", slice(2, 3), slice(0, 6)),
        ("2:4,1:3", slice(2, 5), slice(1, 4)),
        (",1:3", slice(0, 10), slice(1, 4)),
        (":,0:0", slice(0, 10), slice(0, 1)),
        ("5:12", slice(5, 10), slice(0, 6)),  # up to 3 rows too many, as in Kaldi
    ],
)
def test_ranges(extent, rows, cols):
    assert (take_range(MATRIX, extent) == MATRIX[rows, cols]).all()


def test_range_of_a_vector():
    assert take_range(np.arange(5), "1:2").tolist() == [1, 2]


@pytest.mark.parametrize(
    "extent",
    ["5:4", "0:13", "10:11", "0:1,0:6", "0:1,2:3,4:5", "a:b", "3", "-1:3", "1:"],
)
def test_what_is_no_range(extent):
    with pytest.raises(InputError, match="range"):
        take_range(MATRIX, extent)


def test_range_of_something_else():
    with pytest.raises(InputError, match="no matrix"):
        take_range(["a"], "0:0")
