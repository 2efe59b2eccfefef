"""A part of an utterance is, normalised, what it is in the whole."""

from __future__ import annotations

import pathlib

import numpy as np
import pytest

from dataset.features import select_voiced, sliding_cmvn
from dataset.kaldi_io import FeatureReader, read_mat_ark, read_vec_flt_ark, write_mat
from dataset.segments import Segment, read_segment
from dataset.vad_table import Vad
from dataset.voiced_segment import CMVN, locate_voiced, subtract_means

KALDI = pathlib.Path(__file__).parents[1] / "data/kaldi/feats"
RNG = np.random.default_rng(7)


def as_vad(decisions):
    bits = np.packbits(np.asarray(decisions) != 0).tobytes()
    return Vad(len(decisions), bits)


def features_of(length, dim=3):
    """Like raw cepstra: far from 0, and drifting."""
    drift = np.linspace(80, 95, length)[:, None]
    return (drift + RNG.normal(scale=10, size=(length, dim))).astype(np.float32)


def decisions_of(kind, length):
    decisions = np.zeros(length)
    if kind == "all":
        decisions[:] = 1
    elif kind == "most":
        decisions[:] = RNG.random(length) < 0.7
        decisions[length // 2] = 1
    elif kind == "few":
        decisions[:: max(1, length // 5)] = 1
    elif kind == "ends":
        decisions[[0, -1]] = 1
    return decisions


@pytest.mark.parametrize("kind", ["all", "most", "few", "ends"])
@pytest.mark.parametrize("length", [1, 2, 31, 32, 149, 299, 300, 301, 451, 1000])
def test_segment_is_that_of_the_whole_utterance(tmp_path, kind, length):
    features, decisions = features_of(length), decisions_of(kind, length)
    whole = select_voiced(sliding_cmvn(features, CMVN), decisions)
    path = str(tmp_path / "one.mat")
    write_mat(path, features)
    reader, vad = FeatureReader(), as_vad(decisions)
    for count in {1, min(3, len(whole)), len(whole)}:
        starts = {0, (len(whole) - count) // 2, len(whole) - count}
        for start in starts:
            segment = Segment("u", path, start, vad)
            found = read_segment(reader, segment, count, 3)
            assert (found.dtype, found.shape) == (np.float32, (count, 3))
            expected = whole[start : start + count]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_on_features_and_decisions_of_kaldi():
    decisions = dict(read_vec_flt_ark(KALDI / "vad.ark"))
    for key, features in read_mat_ark(KALDI / "mfcc.ark"):
        whole = select_voiced(sliding_cmvn(features, CMVN), decisions[key])
        voiced = locate_voiced(as_vad(decisions[key]), 2, len(whole) - 5)
        raw = features[voiced.first :][: voiced.num_raw]
        np.testing.assert_allclose(
            voiced.normalise(raw), whole[2:-3], rtol=0, atol=1e-5
        )


def test_only_the_windows_are_read():
    vad = as_vad(np.ones(2000))
    voiced = locate_voiced(vad, 1000, 50)
    # From 150 frames before the first to 149 after the last.
    assert (voiced.first, voiced.num_raw) == (850, 349)
    assert locate_voiced(vad, 0, 50)[0] == 0
    assert locate_voiced(vad, 1950, 50).first + 300 == 2000


def test_offset_leaves_no_trace():
    """Sums of large values keep the digits of small ones."""
    features = features_of(700)
    rows = np.arange(150, 550)
    one = subtract_means(features, rows, rows - 150, rows + 150)
    other = subtract_means(features + np.float32(512), rows, rows - 150, rows + 150)
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
    constant = np.full((700, 2), 123.456, np.float32)
    zeros = subtract_means(constant, rows, rows - 150, rows + 150)
    np.testing.assert_allclose(zeros, 0, atol=1e-5)
