#!/usr/bin/env python3
"""Looks for a learning rate to fine-tune with: as train_lr_learning.py, but from the
weights of another model, as finetune.py takes them.
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.params import Params
from nnet import program


def parse_args() -> argparse.Namespace:
    """The original's arguments, and --set."""
    parser = argparse.ArgumentParser(description=__doc__)
    program.add_rate_test_arguments(parser)
    program.add_pretrained_arguments(parser)
    parser.add_argument(
        "finetune_model", help="the folder that the result is written to"
    )
    return parser.parse_args()


def main() -> None:
    """Checks the configuration before anything slow is imported; then trains."""
    args = parse_args()
    params = Params.from_json(args.config, args.set)
    program.import_keras_quietly()
    from model.rate_test import RateTest

    program.repeatable()
    RateTest(params, args.finetune_model).test_rates(
        args.train_dir,
        args.train_spklist,
        args.valid_dir,
        args.valid_spklist,
        args.tune_period,
        args.pretrain_model,
        args.checkpoint,
    )


if __name__ == "__main__":
    sys.exit(program.main("finetune_lr_learning.py", main))
