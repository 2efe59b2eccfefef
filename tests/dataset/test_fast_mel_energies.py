"""The fast features are those of Kaldi's operations, within rounding."""

import dataclasses

import numpy as np
import pytest

from dataset.features import FbankOptions, MfccOptions, compute_fbank, compute_mfcc
from dataset.float32_product import unthreaded_product

SAMPLES = np.random.default_rng(0).normal(0, 1000, 16000).astype(np.float32)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"use_energy": False, "raw_energy": False},
        {"energy_floor": 1e12, "cepstral_lifter": 0.0},
        {"remove_dc_offset": False, "preemphasis_coefficient": 0.5},
        {"window_type": "hamming", "frame_length": 20.0, "snip_edges": False},
        {"round_to_power_of_two": False, "frame_length": 32.0, "htk_compat": True},
        {"low_freq": 60.0, "high_freq": -400.0, "num_mel_bins": 40, "num_ceps": 40},
        {"sample_frequency": 8000.0, "allow_downsample": True},
    ],
)
def test_mfcc_and_fbank(changes):
    known = {f.name for f in dataclasses.fields(FbankOptions)}
    own = {name: value for name, value in changes.items() if name in known}
    for compute, options in (
        (compute_mfcc, MfccOptions(**({"dither": 0.0} | changes))),
        (compute_fbank, FbankOptions(**({"dither": 0.0} | own))),
        (compute_fbank, FbankOptions(dither=0.0, use_power=False, use_energy=True)),
        (compute_fbank, FbankOptions(dither=0.0, use_log_fbank=False)),
    ):
        exact = compute(SAMPLES, 16000, options)
        fast = compute(SAMPLES, 16000, options, exact=False)
        assert fast.dtype == np.float32 and len(exact) > 90
        np.testing.assert_allclose(fast, exact, rtol=1e-4, atol=1e-3)


def test_no_frame():
    assert compute_mfcc(SAMPLES[:100], 16000, MfccOptions(), exact=False).size == 0


@pytest.mark.parametrize(
    "shape", [(1, 3, 2), (5, 7, 3), (1000, 257, 30), (9, 900, 900)]
)
def test_product_in_parts(shape):
    n, k, m = shape
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(n, k)).astype(np.float32)
    matrix = rng.normal(size=(k, m)).astype(np.float32)
    product = unthreaded_product(rows, matrix)
    assert product.dtype == np.float32
    exact = rows.astype(np.float64) @ matrix
    np.testing.assert_allclose(product, exact, rtol=0, atol=1e-4)
