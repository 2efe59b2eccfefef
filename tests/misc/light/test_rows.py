"""Layers on the frames of several utterances, against plain sums in float64."""

import numpy as np
import pytest

from misc.light.rows import Affine, Convolution, PointwiseLayer, Scratch, stack
from misc.light.toom_cook import OUTPUTS, WIDTHS, FastConvolution, transforms


def relu(x):
    np.maximum(x, 0, out=x)


def convolved(x, kernel, bias, dilation=1):
    """One utterance [frames, channels], in float64, without a nonlinearity."""
    frames = len(x) - (len(kernel) - 1) * dilation
    taps = [
        x[k * dilation : k * dilation + frames].astype(np.float64) @ part
        for k, part in enumerate(kernel.astype(np.float64))
    ]
    return sum(taps) + bias


def utterances(rng, lengths, channels):
    return [rng.normal(size=(1, n, channels)).astype(np.float32) for n in lengths]


def test_rows_are_utterances_below_one_another():
    rng = np.random.default_rng(0)
    for parts in (utterances(rng, (3, 1, 4), 2), [np.ones((1, 2)), np.zeros((1, 2))]):
        for got, expected in zip(stack(parts).utterances(), parts, strict=True):
            np.testing.assert_array_equal(got, expected)


def test_affine():
    """More rows than a block; the nonlinearities in order."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(1, 600, 7)).astype(np.float32)
    weight, bias = rng.normal(size=(7, 3)), rng.normal(size=3)

    def double(rows):
        rows *= 2

    layer = Affine(weight.astype("f"), bias.astype("f"), [relu, double])
    [got] = layer(stack([x])).utterances()
    expected = 2 * np.maximum(x.astype(np.float64) @ weight + bias, 0)
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)
    before = x.copy()
    [alone] = PointwiseLayer([double])(stack([x])).utterances()
    np.testing.assert_array_equal(alone, 2 * before)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("dilation", [1, 3])
def test_convolution(dilation):
    rng = np.random.default_rng(2)
    parts = utterances(rng, (20, 13, 700), 4)
    kernel = rng.normal(size=(5, 4, 6)).astype(np.float32)
    bias = rng.normal(size=6).astype(np.float32)
    out = Convolution(kernel, bias, dilation, [], Scratch())(stack(parts))
    for got, x in zip(out.utterances(), parts, strict=True):
        expected = convolved(x[0], kernel, bias, dilation)
        np.testing.assert_allclose(got[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("width", WIDTHS)
def test_transforms_are_a_convolution(width):
    """Exactly, but for float64's rounding."""
    rng = np.random.default_rng(3)
    back, kernel, forward = transforms(width)
    g, d = rng.normal(size=width), rng.normal(size=OUTPUTS + width - 1)
    np.testing.assert_allclose(
        back @ ((kernel @ g) * (forward @ d)), np.convolve(d, g[::-1], "valid"), 1e-12
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_fast_convolution(width):
    """Utterances of all short lengths, and one of several blocks of tiles."""
    rng = np.random.default_rng(4)
    lengths = [*range(width, width + 10), 1200]
    parts = utterances(rng, lengths, 16)
    kernel = rng.normal(size=(width, 16, 8)).astype(np.float32)
    bias = rng.normal(size=8).astype(np.float32)
    out = FastConvolution(kernel, bias, [relu], Scratch())(stack(parts))
    assert list(out.lengths) == [n - width + 1 for n in lengths]
    for got, x in zip(out.utterances(), parts, strict=True):
        expected = np.maximum(convolved(x[0], kernel, bias), 0)
        assert abs(got[0] - expected).max() < 2e-5 * abs(expected).max()


@pytest.mark.parametrize("width", WIDTHS)
def test_rounding(width):
    """As the module says: 3e-6 of the root mean square, with a layer's channels."""
    rng = np.random.default_rng(5)
    [x] = utterances(rng, (404,), 512)
    x = np.maximum(x, 0)
    kernel = (rng.normal(size=(width, 512, 64)) / 50).astype(np.float32)
    layer = FastConvolution(kernel, np.zeros(64, np.float32), [], Scratch())
    got, expected = layer(stack([x])).values, convolved(x[0], kernel, 0)
    assert np.sqrt(np.mean((got - expected) ** 2) / np.mean(expected**2)) < 3e-6


def test_a_loud_neighbour_changes_nothing():
    """No tile reaches into another utterance, so not even its rounding does."""
    rng = np.random.default_rng(6)
    quiet, loud = utterances(rng, (30, 30), 16)
    kernel = rng.normal(size=(5, 16, 8)).astype(np.float32)
    layer = FastConvolution(kernel, np.zeros(8, np.float32), [], Scratch())
    alone = layer(stack([quiet])).values
    together = layer(stack([1e8 * loud, quiet, 1e8 * loud])).utterances()[1][0]
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
