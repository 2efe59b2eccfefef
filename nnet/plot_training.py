#!/usr/bin/env python3
"""Draws the curves of trainings, finished or not: losses, EER, rate, accuracy, speed.

Of several runs the curves lie over one another, to compare them. A table of their best
validations goes to stdout. Folders of the original have losses, EER and rates.
e.g.: nnet/plot_training.py --output compared.png exp/softmax exp/amsoftmax
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from misc.evaluation import format_table
from misc.training_history import comparison, read_history
from misc.training_plot import plot_training
from nnet import program


def parse_args() -> argparse.Namespace:
    """Model folders, and where the figure goes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "-o",
        "--output",
        help="the figure, .png or .svg; default: training.png in the first folder",
    )
    parser.add_argument("models", nargs="+", metavar="model", help="a run's folder")
    return parser.parse_args()


def short_names(models: list[str]) -> list[str]:
    """What tells the folders apart: their paths without what all begin with."""
    paths = [os.path.abspath(model) for model in models]
    if len(set(paths)) < len(paths):
        raise InputError("the same model folder is given twice")
    shared = os.path.commonpath(paths) if len(paths) > 1 else os.path.dirname(paths[0])
    return [os.path.relpath(path, shared) for path in paths]


def main() -> None:
    """Reads, prints, draws."""
    args = parse_args()
    names = short_names(args.models)
    histories = dict(zip(names, map(read_history, args.models), strict=True))
    path = args.output or os.path.join(args.models[0], "training.png")
    plot_training(histories, path)
    print(format_table(comparison(histories)), end="")


if __name__ == "__main__":
    sys.exit(program.main("plot_training.py", main))
