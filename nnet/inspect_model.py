#!/usr/bin/env python3
"""Shows what a model folder holds, ours or the original's.

Its configuration, checkpoints, the endpoints that --node takes, and the weights by the
names that noload_var_list and noupdate_var_list match.
"""

from __future__ import annotations

import argparse
import math
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.run_dir import RunDir
from nnet import program


def parse_args() -> argparse.Namespace:
    """A folder and which checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", default="last", help="last, -1 (best validation loss) or a step"
    )
    parser.add_argument("model_dir", help="the run's folder")
    return parser.parse_args()


def main() -> None:
    """Loads the model, which checks it, and prints."""
    args = parse_args()
    run = RunDir(args.model_dir)
    step = run.choose_checkpoint(args.checkpoint)
    program.import_keras_quietly()
    from model.trainer import load_model
    from model.variable_names import original_names

    model = load_model(run, str(step))
    params, losses = model.params, run.valid_losses()
    kind = "the original's" if run.is_original(step) else "ours"
    print(f"network    {params.network_type}, {params.pooling_type}")
    print(f"loss       {', '.join((params.loss_func, *params.aux_loss_func))}")
    print(f"speakers   {model.num_speakers}")
    print(f"features   {model.feature_dim} a frame, at least {model.context} frames")
    print(f"embedding  {params.embedding_node}")
    print(f"checkpoint {step} ({kind}) of {', '.join(map(str, run.checkpoints()))}")
    best = run.best_step(run.checkpoints()[-1])
    if best is not None:
        loss, eer = min(losses)
        print(f"best       {best}: validation loss {loss:g}, EER {100 * eer:.2f} %")
    print("\nEndpoints, B utterances of T frames after the convolutions:")
    for name, tensor in model.network.output.items():
        print(f"  {name:28s} {_shape(tensor.shape)}")
    weights = original_names(model)
    print("\nWeights:")
    for name, weight in weights.items():
        frozen = "  not updated" if name in _frozen(weights, params) else ""
        print(f"  {name:52s} {tuple(weight.shape)}{frozen}")
    total = sum(math.prod(weight.shape) for weight in weights.values())
    print(f"  {len(weights)} weights, {total:,} values")


def _shape(shape: tuple[int | None, ...]) -> str:
    names = ["B", "T", "T"]
    sizes = [names[i] if n is None else str(n) for i, n in enumerate(shape)]
    return f"[{', '.join(sizes)}]"


def _frozen(names, params) -> set[str]:
    return {n for n in names if any(part in n for part in params.noupdate_var_list)}


if __name__ == "__main__":
    sys.exit(program.main("inspect_model.py", main))
