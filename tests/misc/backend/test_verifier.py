"""The back end of a verifier folder; its scores against the commands' are in
tests/nnet/test_verify.py."""

import numpy as np
import pytest

from dataset.errors import InputError
from dataset.kaldi_io import write_mat, write_vec_flt
from misc.backend.plda import Plda
from misc.backend.plda_file import write_plda
from misc.backend.verifier import BackEnd, read_back_end

RNG = np.random.default_rng(0)
ENROL, TEST = RNG.normal(size=(3, 5)), RNG.normal(size=5)


def cosine(left, right):
    return left @ right / np.sqrt((left @ left) * (right @ right))


def test_cosines_without_and_with_mean_and_transform():
    mean, transform = RNG.normal(size=5), RNG.normal(size=(4, 6))
    average = ENROL.mean(axis=0)
    assert BackEnd().score(ENROL, TEST) == pytest.approx(cosine(average, TEST))
    centred = BackEnd(mean=mean)
    expected = cosine(average - mean, TEST - mean)
    assert centred.score(ENROL, TEST) == pytest.approx(expected)
    left, right = (
        transform[:, :5] @ (v - mean) + transform[:, 5] for v in (average, TEST)
    )
    both = BackEnd(mean, transform)
    assert both.score(ENROL, TEST) == pytest.approx(cosine(left, right))


def write(folder, mean=None, transform=None, plda=None):
    if mean:
        write_vec_flt(str(folder / "mean.vec"), np.zeros(mean, np.float32))
    if transform:
        write_mat(str(folder / "transform.mat"), np.ones(transform, np.float32))
    if plda:
        write_plda(folder / "plda", Plda(np.zeros(plda), np.eye(plda), np.ones(plda)))
    return str(folder)


@pytest.mark.parametrize(
    "parts",
    [{}, {"mean": 5}, {"transform": (4, 5)}, {"transform": (4, 6), "plda": 4},
     {"mean": 5, "transform": (4, 6), "plda": 4}, {"mean": 5, "plda": 5}],
)  # fmt: skip
def test_parts_that_fit_are_read(tmp_path, parts):
    found = read_back_end(write(tmp_path, **parts))
    assert found.score_name == ("PLDA" if "plda" in parts else "cosine")
    assert np.isfinite(found.score(ENROL, TEST))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"mean": 5, "transform": (4, 7)}, r"transform\.mat: takes vectors of dim"),
        ({"transform": (4, 6), "plda": 5}, "plda: takes vectors of dimension 5, but"),
        ({"mean": 5, "plda": 4}, "plda: takes vectors of dimension 4, but"),
    ],
)
def test_parts_that_do_not_fit_are_refused(tmp_path, parts, message):
    with pytest.raises(InputError, match=message):
        read_back_end(write(tmp_path, **parts))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"mean": 4}, "mean.vec takes vectors of dimension 4, got 5"),
        ({"transform": (4, 4)}, "takes vectors of dimension 4 or 3, got 5"),
        ({"plda": 4}, "plda takes vectors of dimension 4, got 5"),
    ],
)
def test_embeddings_of_another_dimension_are_refused(tmp_path, parts, message):
    with pytest.raises(InputError, match=message):
        read_back_end(write(tmp_path, **parts)).score(ENROL, TEST)
