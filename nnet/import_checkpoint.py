#!/usr/bin/env python3
"""Converts a checkpoint of the original for good, into a model folder of ours.

Weights, optimizer and step are kept, so that the new folder can be extracted from,
fine-tuned and trained on without the original's files. Those are left as they are.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from dataset.front_end_conf import read_conf
from misc.run_dir import RunDir
from nnet import program

_logger = logging.getLogger("import")


def parse_args() -> argparse.Namespace:
    """Two folders, and which checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", default="last", help="last, -1 (best validation loss) or a step"
    )
    parser.add_argument("original", help="the original's model folder")
    parser.add_argument("model", help="the folder to make")
    return parser.parse_args()


def main() -> None:
    """Reads, checks and writes."""
    args = parse_args()
    source, run = RunDir(args.original), RunDir(args.model)
    if os.path.exists(run.path):
        raise InputError(f"{run.path} is there already: name a new folder")
    step = source.choose_checkpoint(args.checkpoint)
    if not source.is_original(step):
        raise InputError(f"{source.model_file(step)} is no checkpoint of the original")
    program.import_keras_quietly()
    from model.callbacks import save_checkpoint
    from model.tf1_checkpoint import load_original

    model = load_original(source, step)
    epochs = step // model.params.num_steps_per_epoch
    losses, rates = source.valid_losses()[:epochs], source.learning_rates()

    def fill(draft: RunDir) -> None:
        draft.write_progress(losses, rates[: epochs + 1])
        save_checkpoint(model, draft, keep=1)

    front_end = read_conf(source.front_end)
    run.create(model.params, model.feature_dim, model.num_speakers, fill, front_end)
    _logger.info(
        "%s: %d weights after %d steps",
        run.model_file(step),
        model.count_params(),
        step,
    )


if __name__ == "__main__":
    sys.exit(program.main("import_checkpoint.py", main))
