"""Cases that tests of losses share: configurations, heads, golden numbers."""

from pathlib import Path

import numpy as np
import toy

from misc.params import Params
from model.speaker_net import LOSSES

GOLDEN = np.load(Path(__file__).parent / "data/original/losses.npz")
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


def make_params(tmp_path, **changes):
    base = {"weight_l2_regularizer": 0.0, "num_segments_per_speaker": 4}
    path = toy.write_config(tmp_path / "c.json", **base | changes)
    return Params.from_json(str(path))


def make_head(params, num_speakers, dim):
    head = LOSSES[params.loss_func](num_speakers, params, name="softmax")
    head.build((None, dim))
    return head


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
