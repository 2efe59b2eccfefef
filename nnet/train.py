#!/usr/bin/env python3
"""Trains a network.

Reads features and lists of two data directories, writes `model/nnet/` (see
misc/run_dir.py). With --cont the run in `model` goes on with its own configuration.
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from misc.params import Params
from misc.run_dir import RunDir
from nnet import program


def parse_args() -> argparse.Namespace:
    """The original's arguments, and --set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "-c", "--cont", action="store_true", help="continue the run in `model`"
    )
    parser.add_argument("--config", default="", help="the JSON configuration")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the configuration; may be repeated",
    )
    parser.add_argument("train_dir", help="data directory for training")
    parser.add_argument("train_spklist", help="lines `speaker index` of its speakers")
    parser.add_argument("valid_dir", help="data directory for validation")
    parser.add_argument("valid_spklist", help="lines `speaker index`, the same indices")
    parser.add_argument("model", help="the run's folder")
    return parser.parse_args()


def main() -> None:
    """Checks the configuration before anything slow is imported; then trains."""
    args = parse_args()
    if args.cont:
        params = RunDir(args.model).params()
    elif args.config:
        params = Params.from_json(args.config, args.set)
    else:
        raise InputError("--config is needed, unless --cont continues a run")
    program.import_keras_quietly()
    from model.trainer import Trainer

    program.repeatable()
    Trainer(params, args.model).train(
        args.train_dir,
        args.train_spklist,
        args.valid_dir,
        args.valid_spklist,
        continue_training=args.cont,
    )


if __name__ == "__main__":
    sys.exit(program.main("train.py", main))
