import numpy as np
import pytest

from dataset.float32_product import float32_dot, float32_product


def random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("rows", [1, 4, 7, 23, 30])
@pytest.mark.parametrize("n", [3, 4, 8, 12, 23, 30, 41])
def test_product_is_one(rows, n):
    matrix, columns = random(rows, n), random(n, 6)
    exact = matrix.astype(np.float64) @ columns
    product = float32_product(matrix, columns)
    assert product.dtype == np.float32
    np.testing.assert_allclose(product, exact, rtol=0, atol=4e-6)


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64, 100])
def test_dot_is_one(n):
    weights, columns = random(n), random(n, 6)
    exact = weights.astype(np.float64) @ columns
    dot = float32_dot(weights, columns)
    assert dot.dtype == np.float32
    np.testing.assert_allclose(dot, exact, rtol=0, atol=8e-6)
