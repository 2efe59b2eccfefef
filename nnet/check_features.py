#!/usr/bin/env python3
"""Checks that a data directory's raw features are those that a model was trained on.

Their dimension; and, where data/conf and the model's nnet/front_end both say how they
are made, the options. nnet/run_extract_embeddings.sh asks first.

e.g.: nnet/check_features.py exp/net data/eval
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.model_front_end import check_data
from misc.run_dir import RunDir
from nnet import program


def parse_args() -> argparse.Namespace:
    """The model and the data."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model_dir", help="the run's folder")
    parser.add_argument("data_dir", help="the data directory")
    return parser.parse_args()


def main() -> None:
    """Says what does not fit, with status 1."""
    args = parse_args()
    check_data(RunDir(args.model_dir), args.data_dir)


if __name__ == "__main__":
    sys.exit(program.main("check_features.py", main))
