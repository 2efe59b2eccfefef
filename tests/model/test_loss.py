"""Heads against float64 definitions; margins never give a NaN."""

import keras
import numpy as np
import pytest
import toy
from keras import ops

from misc.params import Params
from model.loss import LOSSES

MARGIN = {
    "loss_func": "additive_margin_softmax",
    "amsoftmax_m": 0.2,
    "amsoftmax_lambda_min": 0.5,
    "amsoftmax_lambda_base": 10,
    "amsoftmax_lambda_gamma": 0.1,
    "amsoftmax_lambda_power": 2,
}
RNG = np.random.default_rng(1)
X = RNG.normal(size=(8, 6)) * 3
Y = RNG.integers(0, 4, 8)


def make_head(tmp_path, **changes):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json", **changes)))
    head = LOSSES[params.loss_func](4, params, name="softmax")
    head.build((None, 6))
    return head


def cross_entropy(logits, labels):
    top = logits.max(1, keepdims=True)
    log_sum = np.log(np.exp(logits - top).sum(1)) + top[:, 0]
    return (log_sum - logits[np.arange(len(labels)), labels]).mean()


def test_softmax(tmp_path):
    head = make_head(tmp_path)
    kernel, bias = (np.asarray(w, np.float64) for w in head.weights)
    loss, logits = head.loss(X, Y, 0, training=True)
    np.testing.assert_allclose(logits, X @ kernel + bias, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(loss, cross_entropy(X @ kernel + bias, Y), rtol=1e-5)


@pytest.mark.parametrize("step", [0, 3, 1000])
def test_additive_margin(tmp_path, step):
    head = make_head(tmp_path, **MARGIN)
    kernel = np.asarray(head.kernel, np.float64)
    logits = X @ (kernel / np.linalg.norm(kernel, axis=0))
    strength = 1 / (1 + max(0.5, 10 * (1 + 0.1 * step) ** -2))
    with_margin = logits.copy()
    with_margin[np.arange(8), Y] -= strength * 0.2 * np.linalg.norm(X, axis=1)
    loss, plain = head.loss(X, Y, step, training=True)
    np.testing.assert_allclose(loss, cross_entropy(with_margin, Y), rtol=1e-5)
    np.testing.assert_allclose(plain, logits, rtol=1e-5, atol=1e-5)
    loss, _ = head.loss(X, Y, step, training=False)
    np.testing.assert_allclose(loss, cross_entropy(logits, Y), rtol=1e-5)


@pytest.mark.parametrize("changes", [{}, MARGIN], ids=["softmax", "am"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_no_nan_at_the_edges(tmp_path, changes, dtype):
    head = make_head(tmp_path, **changes)
    kernel = np.asarray(head.weights[0])
    rows = [np.zeros(6), kernel[:, 0], -kernel[:, 1], 1e-6 * X[0], 1e4 * X[1]]
    x = keras.Variable(np.stack(rows + [X[0], X[0], X[0]]))
    model = EdgeModel(head, x)
    model.compile(optimizer=keras.optimizers.SGD(1.0))
    labels = np.array([0, 0, 1, 2, 3, 0, 0, 0])
    model.fit(np.zeros((1, 1)), labels[None], verbose=0, epochs=2)
    for weight in model.weights:
        assert np.isfinite(np.asarray(weight)).all()
    loss, _ = head.loss(ops.cast(x, dtype), labels, 5, training=True)
    assert np.isfinite(float(loss))


class EdgeModel(keras.Model):
    """Trains the embeddings themselves, so that `fit` takes their gradient."""

    def __init__(self, head, embeddings):
        super().__init__()
        self.head = head
        self.embeddings = embeddings

    def call(self, x, training=False):
        return self.embeddings + 0.0 * ops.sum(x)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        return self.head.loss(y_pred, y[0], 5, training=True)[0]
