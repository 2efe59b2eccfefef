import numpy as np
import pytest

from dataset.mixed_radix_fft import real_fft


@pytest.mark.parametrize("size", [2, 6, 10, 14, 36, 98, 202, 320, 400, 480, 1102])
def test_is_a_fourier_transform(size):
    columns = np.random.default_rng(size).normal(size=(size, 5)).astype(np.float32)
    real, imag = real_fft(columns)
    expected = np.fft.rfft(columns.astype(np.float64), axis=0)[:-1]
    scale = np.abs(expected).max()
    # Kaldi's tables are multiplied up, and less exact the longer they are.
    np.testing.assert_allclose(real, expected.real, rtol=0, atol=2e-5 * scale)
    np.testing.assert_allclose(imag, expected.imag, rtol=0, atol=2e-5 * scale)


def test_frames_do_not_touch_one_another():
    columns = np.random.default_rng(0).normal(size=(60, 9)).astype(np.float32)
    together = real_fft(columns)
    for n in range(9):
        for whole, alone in zip(together, real_fft(columns[:, n : n + 1]), strict=True):
            np.testing.assert_array_equal(whole[:, n : n + 1], alone)
