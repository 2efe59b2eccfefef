import numpy as np
import pytest

from dataset.split_radix_fft import c_float_function, real_fft


@pytest.mark.parametrize("size", [4, 8, 16, 32, 256, 512, 2048])
def test_is_a_fourier_transform(size):
    columns = np.random.default_rng(size).normal(size=(size, 5)).astype(np.float32)
    real, imag = real_fft(columns)
    expected = np.fft.rfft(columns.astype(np.float64), axis=0)[:-1]
    scale = np.abs(expected).max()
    np.testing.assert_allclose(real, expected.real, rtol=0, atol=2e-6 * scale)
    np.testing.assert_allclose(imag, expected.imag, rtol=0, atol=2e-6 * scale)


def test_frames_do_not_touch_one_another():
    columns = np.random.default_rng(0).normal(size=(64, 9)).astype(np.float32)
    together = real_fft(columns)
    for n in range(9):
        for whole, alone in zip(together, real_fft(columns[:, n : n + 1]), strict=True):
            np.testing.assert_array_equal(whole[:, n : n + 1], alone)


def test_functions_of_the_c_library():
    angles = np.linspace(0.01, 3, 200, dtype=np.float32)
    cosines = c_float_function("cosf")(angles)
    assert cosines.dtype == np.float32
    np.testing.assert_allclose(cosines, np.cos(angles.astype(np.float64)), atol=1e-7)
