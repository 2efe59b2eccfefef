#!/usr/bin/env python3
"""Looks for a learning rate: trains with ever larger ones until the loss grows.

The rates are 1e-5 times 1.15 each time. Writes `model/learning_rate_tuning`, lines
`step rate loss`, draws them into `learning_rate_tuning.png`, and suggests the rate at
which the loss falls fastest. A run in the folder is left alone.
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
    parser.add_argument("model", help="the folder that the result is written to")
    return parser.parse_args()


def main() -> None:
    """Checks the configuration before anything slow is imported; then trains."""
    args = parse_args()
    params = Params.from_json(args.config, args.set)
    program.import_keras_quietly()
    from model.rate_test import RateTest

    program.repeatable()
    RateTest(params, args.model).test_rates(
        args.train_dir,
        args.train_spklist,
        args.valid_dir,
        args.valid_spklist,
        args.tune_period,
    )


if __name__ == "__main__":
    sys.exit(program.main("train_lr_learning.py", main))
