#!/usr/bin/env python3
"""Packs a model into one file, to be passed on; nnet/unpack.py makes a folder of it.

With it go one checkpoint, the configuration, how features and scores are made (where
the folder says so), README.md and LICENSE of the folder, and a manifest with checksums.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.manifest import model_facts, refuse_existing
from misc.packed_model import pack
from misc.run_dir import RunDir
from nnet import program


def parse_args() -> argparse.Namespace:
    """The folder, the file, and what the manifest says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", default="last", help="last, -1 (best validation loss) or a step"
    )
    parser.add_argument("--licence", default="", help="of the model, for the manifest")
    parser.add_argument(
        "--training-data", default="", help="its name, for the manifest"
    )
    parser.add_argument("model_dir", help="the run's folder")
    parser.add_argument("packed", help="the file to write, such as xvector.zip")
    return parser.parse_args()


def main() -> None:
    """Writes the file whole."""
    args = parse_args()
    refuse_existing(args.packed)
    run = RunDir(args.model_dir)
    step = run.choose_checkpoint(args.checkpoint)
    if not args.licence:
        logging.warning("no --licence: who gets the model will not know what it may do")
    facts = model_facts(run, step, args.training_data, args.licence)
    pack(run, step, facts, args.packed)
    size = os.path.getsize(args.packed)
    logging.info("%s: model-%d, %.1f MB", args.packed, step, size / 1e6)


if __name__ == "__main__":
    sys.exit(program.main("pack.py", main))
