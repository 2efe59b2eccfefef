"""A step on two devices against a step on one: run by tests/model/test_distributed.py.

Trains each case for 100 steps on one device and on two, which are two parts of the CPU,
and prints a line of JSON: how far losses and variables come to lie apart; then does so
for a run. TensorFlow parts the CPU only before anything else.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import toy  # noqa: E402
from killed_training import LISTS, variables  # noqa: E402

from misc.params import Params  # noqa: E402
from misc.run_dir import RunDir  # noqa: E402
from model import common  # noqa: E402
from model.distributed import Sharing  # noqa: E402
from model.feed import Feed  # noqa: E402
from model.trainer import Trainer, compiled_model  # noqa: E402

MARGIN = {
    "loss_func": "additive_margin_softmax",
    "amsoftmax_m": 0.2,
    "amsoftmax_lambda_min": 0,
    "amsoftmax_lambda_base": 100,
    "amsoftmax_lambda_gamma": 0.1,
    "amsoftmax_lambda_power": 4,
}
MOMENTUM = {"optimizer": "momentum", "momentum": 0.9, "learning_rate": 1e-3}
CASES = {
    "softmax": {"optimizer": "sgd", "learning_rate": 1e-2},
    "margin, energy, ring, clipped": MARGIN
    | MOMENTUM
    | {
        "clip_gradient": True,
        "clip_gradient_norm": 0.3,
        "aux_loss_func": ["mhe_loss", "ring_loss"],
        "mhe_lambda": 0.1,
        "ring_loss_init": 3.0,
        "ring_loss_lambda": 0.01,
    },
    "pairs": MOMENTUM
    | {
        "learning_rate": 3e-5,
        "loss_func": "ge2e_loss",
        "ge2e_loss_type": "softmax",
        "init_end2end_w": 2.0,
        "batch_type": "end2end",
        "num_valid_speakers_per_batch": 2,
        "num_valid_segments_per_speaker": 2,
    },
    "moved centres": MOMENTUM
    | {
        "learning_rate": 1e-4,
        "loss_func": "generalized_angular_triplet_loss",
        "margin": 0.2,
        "triplet_center": "average",
        "triplet_center_momentum": 0.9,
        "target_margin": 0.1,
        "triplet_topn": 2,
        "triplet_loss_weight": 1.0,
        "center_loss_weight": 0.5,
        "between_loss_weight": 0.1,
    },
}
SMOOTH = "softplus"
"""In place of ReLUs: one that a last bit opens changes the gradient by 1e-3."""
DIM, SPEAKERS, STEPS = 5, 6, 100


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    """Four speakers, two segments of each, of a length that varies."""
    rng = np.random.default_rng(0)
    colours = rng.normal(size=(SPEAKERS, DIM))
    found = []
    for _ in range(STEPS):
        labels = np.repeat(rng.permutation(SPEAKERS)[:4], 2).astype(np.int32)
        noise = rng.normal(size=(8, rng.integers(20, 31), DIM))
        features = noise + colours[labels][:, None]
        found.append((features.astype(np.float32), labels))
    return found


class Losses(keras.callbacks.Callback):
    """The loss of each step, and the loss without regularisers."""

    def __init__(self) -> None:
        super().__init__()
        self.values: list[tuple[float, float]] = []

    def on_train_batch_end(self, batch, logs=None):
        self.values.append((float(logs["loss"]), float(logs["raw_loss"])))
        self.model.reset_metrics()


def train(params: Params, devices: tuple[str, ...]) -> tuple[list, dict]:
    """The losses of the steps, and what all variables have come to, by their names."""
    keras.utils.set_random_seed(1)
    with Sharing(devices).scope():
        model = compiled_model(params, DIM, SPEAKERS)
    model.optimizer.learning_rate = params.learning_rate
    losses = Losses()
    feed = Feed(batches(), DIM)
    feed.fit(model, steps_per_epoch=STEPS, callbacks=[losses])
    found = [*model.weights, *model.optimizer.variables]
    return losses.values, {
        f"{i} {v.path}": keras.ops.convert_to_numpy(v) for i, v in enumerate(found)
    }


def largest_difference(case: str) -> dict[str, float]:
    """Between one device and two, of all losses and of the variables at the end."""
    with tempfile.TemporaryDirectory() as folder:
        config = toy.write_config(Path(folder) / "c.json", **CASES[case])
        params = Params.from_json(str(config))
    (losses, one), (other_losses, other) = (
        train(params, devices) for devices in ((), ("CPU:0", "CPU:1"))
    )
    named = (
        {f"losses of step {i}": np.array(pair) for i, pair in enumerate(values)}
        for values in (losses, other_losses)
    )
    return differences(*named) | differences(one, other)


def differences(one: dict, other: dict) -> dict[str, float]:
    """Between arrays; those of numbers above 1, as a share of the largest."""
    return {
        name: float(np.abs(a - b).max() / max(1.0, np.abs(a).max()))
        for (name, a), b in zip(one.items(), other.values(), strict=True)
    }


def run_that_changes_devices(folder: Path) -> dict[str, float]:
    """Two devices, killed within an epoch, then one; against one all along."""
    for part, seed in (("train", 0), ("valid", 9)):
        toy.write_data_dir(folder / part, seed=seed)
    lists = [str(folder / part) for part in LISTS]

    def run(name: str, devices: tuple[str, ...], num_epochs: int, cont: bool) -> RunDir:
        changes = MOMENTUM | {"num_epochs": num_epochs, "save_checkpoints_steps": 3}
        config = toy.write_config(folder / "c.json", **changes)
        trainer = Trainer(
            Params.from_json(str(config)), str(folder / name), Sharing(devices)
        )
        trainer.train(*lists, continue_training=cont)
        return trainer.run

    two = ("CPU:0", "CPU:1")
    whole = run("one", (), num_epochs=3, cont=False)
    both = run("both", two, num_epochs=1, cont=False)
    Path(both.file("checkpoint")).write_text('all_model_checkpoint_paths: "model-3"\n')
    run("both", two, num_epochs=2, cont=True)
    run("both", (), num_epochs=3, cont=True)
    return differences(*(variables(Path(r.model_file(15))) for r in (whole, both)))


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, parts)
    common.nonlinearity = lambda kind, params, rank, name: keras.layers.Activation(
        SMOOTH, name=name
    )
    for case in CASES:
        print(json.dumps(largest_difference(case)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(run_that_changes_devices(Path(folder))))
