"""Every loss: the original's numbers, a contract that all keep, float64 definitions."""

import keras
import numpy as np
import pytest
from gradients import value_and_gradients
from keras import ops
from loss_cases import (
    GOLDEN,
    ONE_OF_EACH,
    golden_case,
    make_head,
    make_params,
    margin_keys,
)

from dataset.errors import InputError
from model.common import unit_length
from model.loss import AUXILIARY_LOSSES, additive_angle, multiple_angle
from model.speaker_net import LOSSES

GOLDEN_KEYS = sorted(k[: -len("/loss")] for k in GOLDEN.files if k.endswith("/loss"))


class Case:
    """A head with the golden weights, and its loss as a function of the embeddings."""

    def __init__(self, tmp_path, key):
        self.key, self.case = key, golden_case(key)
        self.params = make_params(tmp_path, **self.case["keys"])
        self.head = make_head(self.params, 10, 64)
        self.names = {}
        if hasattr(self.head, "output_layer"):
            output = self.head.output_layer
            output.kernel.assign(GOLDEN["w"])
            self.names["softmax.output.kernel"] = output.kernel
            if output.use_bias:
                output.bias.assign(GOLDEN["b"])
                self.names["softmax.output.bias"] = output.bias
        self.auxiliaries = []
        if "asoftmax_m1" not in key:  # the original forgets them there
            kinds = [AUXILIARY_LOSSES[n] for n in self.params.aux_loss_func]
            self.auxiliaries = [kind(self.params) for kind in kinds]
        for auxiliary in self.auxiliaries:
            if hasattr(auxiliary, "r"):
                self.names["softmax_ringloss.r"] = auxiliary.r
        name, _, scale = self.case["set"].partition("_fn")
        self.scale = float(scale or 0)
        self.embeddings = keras.Variable(GOLDEN[f"emb/{name}"])

    def loss(self):
        x = ops.convert_to_tensor(self.embeddings)
        if self.scale:
            x = unit_length(x) * self.scale
        labels, step = self.case["labels"], self.case["step"]
        loss, _ = self.head.loss(x, labels, step, self.case["training"])
        for auxiliary in self.auxiliaries:
            loss = loss + auxiliary.loss(x, labels, self.head)
        return loss

    def gradients(self):
        """(name, golden, ours) of those that the golden file has."""
        names = {"embeddings": self.embeddings, **self.names}
        names = {n: v for n, v in names.items() if f"{self.key}/grad/{n}" in GOLDEN}
        _, ours = value_and_gradients(self.loss, list(names.values()))
        golden = [GOLDEN[f"{self.key}/grad/{n}"] for n in names]
        return zip(names, golden, ours, strict=True)


@pytest.mark.parametrize("key", GOLDEN_KEYS)
def test_losses_of_the_original(tmp_path, key):
    """1e-5 relative; gradients 1e-4, but for the edge's two knife-edge rows."""
    case = Case(tmp_path, key)
    np.testing.assert_allclose(float(case.loss()), GOLDEN[f"{key}/loss"], rtol=1e-5)
    # Averaged centres have moved now, and move again: so they had for the golden one.
    for name, golden, ours in case.gradients():
        assert np.isfinite(ours).all()
        if case.case["set"] == "edge" and name == "embeddings":
            golden, ours = golden[2:], ours[2:]
        scale = abs(golden).max()
        np.testing.assert_allclose(ours / scale, golden / scale, atol=1e-4)


def test_moved_centers_of_the_original(tmp_path):
    key = "gtriplet/average/top0/tm1/train"
    case = Case(tmp_path, key)
    case.loss()
    expected = GOLDEN[f"{key}/centers_after_one_step"]
    np.testing.assert_allclose(case.head.kernel, expected, atol=1e-6)


# The contract: what every loss keeps, whatever it computes.

BATCHES = {
    "ordinary": np.random.default_rng(0).normal(size=(8, 6)),
    "zero": np.zeros((8, 6)),
    "duplicates": np.ones((8, 1)) * np.random.default_rng(1).normal(size=(1, 6)),
    "opposite": np.outer([1, -1] * 4, np.random.default_rng(2).normal(size=6)),
    "tiny": 1e-20 * np.random.default_rng(3).normal(size=(8, 6)),
    "huge": 1e4 * np.random.default_rng(4).normal(size=(8, 6)),
    "one zero row": np.random.default_rng(5).normal(size=(8, 6)) * ([[0]] + [[1]] * 7),
}
LABELS = {"four speakers": [0, 0, 1, 1, 2, 2, 3, 3], "one speaker": [2] * 8}


def test_every_loss_keeps_the_contract():
    assert {keys["loss_func"] for keys in ONE_OF_EACH.values()} == set(LOSSES)


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("batch", [*BATCHES, "the weights"])
@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_no_nan_in_value_or_gradient(tmp_path, name, batch, labels):
    params = make_params(tmp_path, **ONE_OF_EACH[name])
    head = make_head(params, 4, 6)
    auxiliaries = [AUXILIARY_LOSSES[n](params) for n in params.aux_loss_func]
    if batch == "the weights":  # cosines of 1 and -1 to the columns
        kernel = getattr(head, "kernel", np.eye(6)[:, :4])
        x = np.concatenate([np.asarray(kernel).T, -np.asarray(kernel).T])
    else:
        x = BATCHES[batch]
    labels = np.array(LABELS[labels])
    for dtype in ("float32", "bfloat16", "float16"):
        if dtype == "float16":
            x = np.clip(x, -6e4, 6e4)
        embeddings = keras.Variable(x, dtype=dtype)

        def loss(embeddings=embeddings):
            value = ops.convert_to_tensor(embeddings)
            total = head.loss(value, labels, 1000, training=True)[0]
            for auxiliary in auxiliaries:
                total = total + auxiliary.loss(value, labels, head)
            return total

        variables = [embeddings, *head.trainable_weights]
        value, gradients = value_and_gradients(loss, variables)
        assert np.isfinite(value)
        for gradient in gradients:
            assert np.isfinite(gradient).all()
        assert np.isfinite(float(head.loss(x, labels, 0, training=False)[0]))


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_the_order_of_the_batch_does_not_matter(tmp_path, name):
    head = make_head(make_params(tmp_path, **ONE_OF_EACH[name]), 4, 6)
    weights = [np.asarray(w) for w in head.weights]
    order = np.random.default_rng(6).permutation(8)
    x, y = BATCHES["ordinary"].astype(np.float32), np.array(LABELS["four speakers"])
    for training in (True, False):
        one = float(head.loss(x, y, 5, training)[0])
        for weight, value in zip(head.weights, weights, strict=True):
            weight.assign(value)  # centres move
        other = float(head.loss(x[order], y[order], 5, training)[0])
        for weight, value in zip(head.weights, weights, strict=True):
            weight.assign(value)
        assert one == pytest.approx(other, rel=1e-5)


# Definitions in float64.


def test_phi_is_the_cosine_of_the_wider_angle_and_falls_steadily():
    theta = np.linspace(0, np.pi, 2001)
    for m in (1, 2, 4):
        k = np.minimum(np.floor(theta * m / np.pi), m - 1)
        expected = (-1) ** k * np.cos(m * theta) - 2 * k
        phi = np.asarray(multiple_angle(ops.convert_to_tensor(np.cos(theta)), m))
        np.testing.assert_allclose(phi, expected, atol=1e-5)
    for m in (0.0, 0.2, 0.5):
        cosine = ops.convert_to_tensor(np.cos(theta))
        phi = np.asarray(additive_angle(cosine, m), np.float64)
        below = theta < np.pi - m - 0.01
        np.testing.assert_allclose(phi[below], np.cos(theta + m)[below], atol=1e-5)
        assert (np.diff(phi) < 1e-6).all()


def test_a_margin_of_nothing_is_plain_and_validation_has_none(tmp_path):
    x, y = BATCHES["ordinary"], np.array(LABELS["four speakers"])
    for prefix, nothing, some in (
        ("asoftmax", 1, 4),
        ("amsoftmax", 0.0, 0.3),
        ("arcsoftmax", 0.0, 0.3),
    ):
        plain = make_head(make_params(tmp_path, **margin_keys(prefix, nothing)), 4, 6)
        head = make_head(make_params(tmp_path, **margin_keys(prefix, some)), 4, 6)
        plain.kernel.assign(head.kernel)
        expected = float(plain.loss(x, y, 10**6, training=True)[0])
        assert float(head.loss(x, y, 7, training=False)[0]) == pytest.approx(expected)
        assert float(head.loss(x, y, 10**6, training=True)[0]) > expected


@pytest.mark.parametrize("prefix", ["amsoftmax", "arcsoftmax"])
def test_a_growing_margin(tmp_path, prefix):
    """At each step that of a head whose margin is always as large."""
    x, y = BATCHES["ordinary"], np.array(LABELS["four speakers"])
    growing = {"margin_start_step": 10, "margin_full_step": 20}
    head = make_head(make_params(tmp_path, **margin_keys(prefix, 0.4), **growing), 4, 6)
    for step, m in ((0, 0), (10, 0), (11, 0.04), (15, 0.2), (20, 0.4), (99, 0.4)):
        assert float(head.margin(step)) == pytest.approx(m)
        fixed = make_head(make_params(tmp_path, **margin_keys(prefix, m)), 4, 6)
        fixed.kernel.assign(head.kernel)
        variable = keras.Variable(step, dtype="int32")
        losses = [float(h.loss(x, y, variable, True)[0]) for h in (head, fixed)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_ge2e_by_the_paper(tmp_path):
    """Wan et al. 2018, eqs. 1, 5-7, 8-9, in loops."""
    x, y = BATCHES["ordinary"], np.array(LABELS["four speakers"])
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    similarity = np.empty((8, 4))
    for i in range(8):
        for k in range(4):
            others = [j for j in range(8) if y[j] == k and j != i]
            center = unit[others].mean(0)
            similarity[i, k] = 10 * unit[i] @ center / np.linalg.norm(center) - 5
    own = similarity[np.arange(8), y]
    softmax = np.log(np.exp(similarity).sum(1)) - own
    sigmoid = 1 / (1 + np.exp(-similarity))
    rival = np.where(np.eye(4)[y], 0, sigmoid).max(1)
    contrast = 1 - sigmoid[np.arange(8), y] + rival
    for kind, expected in (("softmax", softmax.mean()), ("contrast", contrast.mean())):
        head = make_head(make_params(tmp_path, **ONE_OF_EACH[f"ge2e {kind}"]), 4, 6)
        assert float(head.loss(x, y, 0, True)[0]) == pytest.approx(expected, rel=1e-5)


def test_more_other_centers_than_speakers_are_refused(tmp_path):
    keys = golden_case("gtriplet/learnable/top3/tm0/train")["keys"]
    with pytest.raises(InputError, match="'triplet_topn' = 3: .* speakers, 3"):
        make_head(make_params(tmp_path, **keys), 3, 6)
