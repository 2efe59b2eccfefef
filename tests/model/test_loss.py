"""Every loss: the original's numbers, a contract that all keep, float64 definitions."""

from pathlib import Path

import keras
import numpy as np
import pytest
import toy
from gradients import value_and_gradients
from keras import ops

from dataset.errors import InputError
from misc.params import Params
from model.common import unit_length
from model.loss import AUXILIARY_LOSSES, additive_angle, multiple_angle
from model.speaker_net import LOSSES

GOLDEN = np.load(Path(__file__).parents[1] / "data/original/losses.npz")
SCHEDULES = {
    "shipped_1e-5": (10, 1000, 1e-5, 5),
    "shipped_1e-4": (0, 1000, 1e-4, 5),
    "fast": (0, 1000, 1, 4),
}
LONG = {
    "softmax": "softmax",
    "asoftmax": "asoftmax",
    "amsoftmax": "additive_margin_softmax",
    "arcsoftmax": "additive_angular_margin_softmax",
}
TRIPLET_WEIGHTS = {
    "triplet_loss_weight": 1.0,
    "center_loss_weight": 0.5,
    "between_loss_weight": 0.1,
    "l2_loss_weight": 0.0,
}


def margin_keys(prefix, m, schedule="fast"):
    """The keys of a margin softmax; none for the plain one."""
    if prefix == "softmax":
        return {"loss_func": "softmax"}
    low, base, gamma, power = SCHEDULES[schedule]
    return {
        "loss_func": LONG[prefix],
        f"{prefix}_m": m,
        f"{prefix}_lambda_min": low,
        f"{prefix}_lambda_base": base,
        f"{prefix}_lambda_gamma": gamma,
        f"{prefix}_lambda_power": power,
    }


def margin(name):
    """The number in `m0.2`; A-softmax takes whole ones."""
    value = float(name[1:])
    return int(value) if value >= 1 else value


END_TO_END = {
    "batch_type": "end2end",
    "num_valid_speakers_per_batch": 4,
    "num_valid_segments_per_speaker": 4,
}


def golden_case(key):
    """What a key of the golden file stands for: configuration and arguments."""
    part = key.split("/")
    case = {"labels": GOLDEN["labels"], "step": 0, "training": True, "set": "x1"}
    if part[0] == "softmax":
        case |= {"keys": {"loss_func": "softmax"}, "set": part[1]}
    elif part[0] in LONG:
        m = margin(part[1])
        case |= {"keys": margin_keys(part[0], m, part[2])}
        case |= {"step": int(part[3][4:]), "set": part[4]}
    elif part[0] == "valid":
        case |= {"keys": margin_keys(part[1], 2 if part[1] == "asoftmax" else 0.2)}
        case |= {"step": int(part[2][4:]), "training": False}
    elif part[0] == "aux":
        kind, _, m = part[2].partition("_")
        m = margin(m) if m else 0.2
        names = [f"{name}_loss" for name in part[1].split("_")]
        keys = margin_keys(kind, m) | {"aux_loss_func": names}
        if "ring" in part[1]:
            keys |= {"ring_loss_init": 20, "ring_loss_lambda": 0.01}
        if "mhe" in part[1]:
            keys |= {"mhe_lambda": 0.01}
        case |= {"keys": keys, "step": 100000}
    elif part[0] == "semihard":
        squared = part[1] == "squared1"
        keys = {"loss_func": "semihard_triplet_loss", "margin": 0.2}
        case |= {"keys": keys | {"triplet_loss_squared": squared}}
        case |= {"labels": GOLDEN["spk_labels"]}
        case |= {"set": "x1_fn1"} if part[2] == "l2" else {}
    elif part[0] in ("angular_triplet", "e2e_valid"):
        kind, _, m = (part[2] if len(part) > 2 else "asoftmax_m1").rpartition("_")
        keys = {"loss_func": "angular_triplet_loss", "margin": margin(m)}
        keys |= {"loss_type": kind, **END_TO_END}
        keys |= {"triplet_type": part[1] if len(part) > 1 else "all"}
        case |= {"keys": keys, "labels": GOLDEN["spk_labels"]}
        case |= {"training": part[0] == "angular_triplet"}
    else:
        _, center, top, target, mode = part
        keys = {"loss_func": "generalized_angular_triplet_loss", "margin": 0.3}
        keys |= {"target_margin": float(target[2:]), "triplet_topn": int(top[3:])}
        keys |= {"triplet_center": center, "loss_compute": "raw", **TRIPLET_WEIGHTS}
        keys |= {"triplet_center_momentum": 0.9} if center == "average" else {}
        case |= {"keys": keys, "training": mode == "train"}
    return case


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


def make_params(tmp_path, **changes):
    base = {"weight_l2_regularizer": 0.0, "num_segments_per_speaker": 4}
    path = toy.write_config(tmp_path / "c.json", **base | changes)
    return Params.from_json(str(path))


def make_head(params, num_speakers, dim):
    head = LOSSES[params.loss_func](num_speakers, params, name="softmax")
    head.build((None, dim))
    return head


@pytest.mark.parametrize("key", GOLDEN_KEYS)
def test_losses_of_the_original(tmp_path, key):
    """1e-5 relative; gradients 1e-4, but for the edge's two knife-edge rows."""
    case = Case(tmp_path, key)
    np.testing.assert_allclose(float(case.loss()), GOLDEN[f"{key}/loss"], rtol=1e-5)
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

ONE_OF_EACH = {
    "softmax": {"loss_func": "softmax"},
    "asoftmax m=2": margin_keys("asoftmax", 2),
    "asoftmax m=4": margin_keys("asoftmax", 4),
    "am": margin_keys("amsoftmax", 0.2),
    "arc": margin_keys("arcsoftmax", 0.5),
    "arc with auxiliaries": margin_keys("arcsoftmax", 0.2)
    | {"aux_loss_func": ["ring_loss", "mhe_loss"]}
    | {"ring_loss_init": 20, "ring_loss_lambda": 0.01, "mhe_lambda": 0.01},
    "semihard": golden_case("semihard/squared0/raw")["keys"],
    "semihard squared": golden_case("semihard/squared1/raw")["keys"],
    "angular all arc": golden_case(
        "angular_triplet/all/additive_angular_margin_softmax_m0.3"
    )["keys"],
    "angular hard m=4": golden_case("angular_triplet/hard/asoftmax_m4")["keys"],
    "generalized learnable": golden_case("gtriplet/learnable/top1/tm0/train")["keys"],
    "generalized average": golden_case("gtriplet/average/top0/tm1/train")["keys"],
    "ge2e softmax": {
        "loss_func": "ge2e_loss",
        "ge2e_loss_type": "softmax",
        **END_TO_END,
    },
    "ge2e contrast": {
        "loss_func": "ge2e_loss",
        "ge2e_loss_type": "contrast",
        **END_TO_END,
    },
}
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
