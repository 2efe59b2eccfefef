"""How long a training step takes: ours as trained in earnest, and peers.

    python benchmarks/bench_train_step.py [--loss softmax] [--rounds 5] [--steps 3]
        [--peers ours,bare] [--torch PYTHON]

The standard x-vector (batch normalisation before the ReLU) on 64 segments of 300 frames
and 30 coefficients, momentum, 100 speakers. "ours" is a run of `Trainer` on data of
this size: loader with worker processes, callbacks, metrics, regularisers, deterministic
operations. Variants of it have keys or settings changed. "bare" is the same layers in
plain Keras 3, `fit` on one batch in memory; "torch" the same in PyTorch, run by the
interpreter that --torch names, as it is no part of this project. Each is a process of
its own; they take turns, and only one computes at a time. Shown is the median of all
steps, and its ratio to "bare".
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

BATCH, LENGTH, DIM, SPEAKERS = 64, 300, 30, 100
LAYERS = ((512, 5), (512, 5), (512, 7), (512, 1), (1500, 1))
MARGIN, RATE, MOMENTUM = 0.2, 1e-2, 0.9
WARM_UP = 3

VARIANTS: dict[str, dict] = {
    "ours": {},
    "ours, not deterministic": {"deterministic": False},
    "ours, bfloat16": {"keys": {"precision": "bfloat16"}},
    "ours, oneDNN in bfloat16": {"env": {"ONEDNN_DEFAULT_FPMATH_MODE": "BF16"}},
    "ours, XLA": {"keys": {"jit_compile": True}},
}


class Turns:
    """Lets the parent say when to compute: `next` begins a step and may wait for that.

    Writes a line with the seconds of each step of the turn.
    """

    def __init__(self) -> None:
        self.left, self.times = 0, []
        self.begun: float | None = None

    def next(self) -> None:
        now = time.perf_counter()
        if self.begun is not None:
            self.times.append(now - self.begun)
        if not self.left:
            print(*self.times, file=sys.__stdout__, flush=True)
            order = sys.stdin.readline()
            if not order:
                os._exit(0)  # the parent has seen enough
            self.left, self.times = int(order), []
        self.left -= 1
        self.begun = time.perf_counter()


def train_ours(loss: str, variant: str) -> None:
    """A run of the Trainer, in a folder that goes away."""
    import bench_loader
    import keras

    from misc.params import Params
    from model import trainer
    from nnet import program

    class TurnsCallback(keras.callbacks.Callback):
        turns = Turns()

        def on_train_batch_begin(self, batch, logs=None):
            self.turns.next()

    class TimedTrainer(trainer.Trainer):
        def _fit_epochs(self, model, queue, step, callbacks):
            super()._fit_epochs(model, queue, step, [TurnsCallback(), *callbacks])

    if VARIANTS[variant].get("deterministic", True):
        program.repeatable()
    name = {"softmax": "tdnn_softmax_1e-2", "am": "tdnn_amsoftmax_m0.20_linear_bn_1e-2"}
    keys = {
        "num_speakers_per_batch": BATCH,
        "num_segments_per_speaker": 1,
        "min_segment_len": LENGTH,
        "max_segment_len": LENGTH,
        "show_training_progress": 5,
        "save_summary_steps": 5,
    } | VARIANTS[variant].get("keys", {})
    with tempfile.TemporaryDirectory() as folder:
        bench_loader.write_corpus(pathlib.Path(folder))
        lists = [folder, os.path.join(folder, "spklist")] * 2
        config = ROOT / "nnet_conf/voxceleb" / f"{name[loss]}.json"
        overrides = [f"{key}={value}".lower() for key, value in keys.items()]
        params = Params.from_json(str(config), overrides)
        TimedTrainer(params, os.path.join(folder, "run")).train(*lists)


def train_bare(loss: str, variant: str) -> None:
    """The same layers in plain Keras."""
    import keras
    import numpy as np
    import tensorflow as tf
    from keras import layers, ops

    def pooled(x):
        mean, variance = ops.moments(x, axes=[1])
        return ops.concatenate([mean, ops.sqrt(variance + 1e-12)], axis=-1)

    x = features = keras.Input((None, DIM))
    for units, kernel in LAYERS:
        x = layers.Conv1D(units, kernel)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Lambda(pooled)(x)
    for _ in range(2):
        x = layers.ReLU()(layers.BatchNormalization()(layers.Dense(512)(x)))
    if loss == "am":
        dense = layers.Dense(
            SPEAKERS, use_bias=False, kernel_constraint=keras.constraints.UnitNorm()
        )
        length = layers.Lambda(lambda x: ops.norm(x, axis=-1, keepdims=True))(x)
        x = layers.Concatenate()([dense(x), length])
    else:
        x = layers.Dense(SPEAKERS)(x)

    def am(y, x):
        logits, length = x[:, :-1], x[:, -1:]
        hot = ops.one_hot(ops.reshape(y, (-1,)), SPEAKERS)
        return plain(y, logits - MARGIN * length * hot)

    class TurnsCallback(keras.callbacks.Callback):
        turns = Turns()

        def on_train_batch_begin(self, batch, logs=None):
            self.turns.next()

    plain = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Model(features, x)
    optimizer = keras.optimizers.SGD(RATE, momentum=MOMENTUM)
    model.compile(optimizer, loss=am if loss == "am" else plain, jit_compile=False)
    rng = np.random.default_rng(0)
    data = rng.normal(0, 5, (BATCH, LENGTH, DIM)).astype(np.float32)
    labels = np.arange(BATCH) % SPEAKERS
    batches = tf.data.Dataset.from_tensors((data, labels)).repeat()
    model.fit(batches, steps_per_epoch=10**6, verbose=0, callbacks=[TurnsCallback()])


def train_torch(loss: str, variant: str) -> None:
    """The same layers in PyTorch, in its order of axes."""
    import torch
    from torch import nn

    class Pooling(nn.Module):
        def forward(self, x):
            variance, mean = torch.var_mean(x, 2, correction=0)
            return torch.cat([mean, torch.sqrt(variance + 1e-12)], dim=1)

    torch.set_num_threads(os.cpu_count())
    parts, width = [], DIM
    for units, kernel in LAYERS:
        parts += [nn.Conv1d(width, units, kernel), nn.BatchNorm1d(units), nn.ReLU()]
        width = units
    parts.append(Pooling())
    for inputs in (2 * width, 512):
        parts += [nn.Linear(inputs, 512), nn.BatchNorm1d(512), nn.ReLU()]
    network, output = nn.Sequential(*parts), nn.Linear(512, SPEAKERS, loss == "softmax")
    weights = [*network.parameters(), *output.parameters()]
    optimizer = torch.optim.SGD(weights, RATE, momentum=MOMENTUM)
    data = 5 * torch.randn(BATCH, DIM, LENGTH)
    labels = torch.arange(BATCH) % SPEAKERS
    bfloat16 = variant == "torch, bfloat16"
    turns = Turns()
    while True:
        turns.next()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            x = network(data)
        x = x.float()
        if loss == "am":
            logits = x @ nn.functional.normalize(output.weight, dim=1).T
            hot = nn.functional.one_hot(labels, SPEAKERS)
            logits = logits - MARGIN * hot * x.norm(dim=1, keepdim=True)
        else:
            logits = output(x)
        nn.functional.cross_entropy(logits, labels).backward()
        optimizer.step()


class Peer:
    """A process that trains when it is told to."""

    def __init__(self, name: str, loss: str, torch: str | None) -> None:
        self.name, self.times = name, []
        python = torch if name.startswith("torch") else sys.executable
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
        environment |= VARIANTS.get(name, {}).get("env", {})
        self.process = subprocess.Popen(
            [python, __file__, "--loss", loss, "--be", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if "BENCH_DEBUG" in os.environ else subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.process.stdout.readline()  # it is ready
        self.steps(WARM_UP)

    def steps(self, number: int) -> list[float]:
        """The seconds of so many steps."""
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"'{self.name}' ended: run it with --be '{self.name}'")
        return [float(word) for word in line.split()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--loss", choices=("softmax", "am"), default="softmax")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of each turn")
    parser.add_argument("--peers", help="names, separated by ';'")
    parser.add_argument("--torch", metavar="PYTHON", help="an interpreter with torch")
    parser.add_argument("--be", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.be:
        train = {"bare": train_bare, "torch": train_torch, "ours": train_ours}
        return train[args.be.partition(",")[0]](args.loss, args.be)
    names = ["bare", *VARIANTS, *(["torch", "torch, bfloat16"] if args.torch else [])]
    if args.peers:
        names = [name.strip() for name in args.peers.split(";")]
    peers = [Peer(name, args.loss, args.torch) for name in names]
    with contextlib.ExitStack() as stack:
        for peer in peers:
            stack.callback(peer.process.kill)
        for _ in range(args.rounds):
            for peer in peers:
                peer.times += peer.steps(args.steps)
    medians = {peer.name: statistics.median(peer.times) for peer in peers}
    print(f"{args.loss}, {BATCH} x {LENGTH} x {DIM}, {os.cpu_count()} cores")
    for peer in peers:
        ratio = medians[peer.name] / medians[peers[0].name]
        print(
            f"{peer.name:26} {medians[peer.name]:6.3f} s a step "
            f"(best {min(peer.times):.3f})  {ratio:5.2f} x {peers[0].name}"
        )


if __name__ == "__main__":
    main()
