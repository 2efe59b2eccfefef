#!/usr/bin/env python3
"""Trains a network.

Reads features and lists of two data directories, writes `model/nnet/` (see
misc/run_dir.py). With --cont the run in `model` goes on with its own configuration; it
may be one that the original began.
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from nnet import program


def parse_args() -> argparse.Namespace:
    """The original's arguments, and --set."""
    parser = argparse.ArgumentParser(description=__doc__)
    program.add_training_arguments(parser)
    parser.add_argument("model", help="the run's folder")
    return parser.parse_args()


def main() -> None:
    """Checks the configuration before anything slow is imported; then trains."""
    args = parse_args()
    params = program.training_params(args, args.model)
    program.import_keras_quietly()
    from model.distributed import Sharing
    from model.hosts import own_folder
    from model.trainer import Trainer

    program.repeatable()
    sharing = Sharing.asked_for(args.num_gpus)
    with own_folder(args.model, sharing.rank) as folder:
        Trainer(params, folder, sharing).train(
            args.train_dir,
            args.train_spklist,
            args.valid_dir,
            args.valid_spklist,
            continue_training=args.cont,
        )


if __name__ == "__main__":
    sys.exit(program.main("train.py", main))
