#!/usr/bin/env python3
"""Makes a model folder of a file that nnet/pack.py wrote, whoever gave it to you.

Nothing in it is run, nothing but the new folder is written, and that only whole.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.packed_model import unpack
from nnet import program


def parse_args() -> argparse.Namespace:
    """The file and the folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packed", help="the file")
    parser.add_argument("model_dir", help="the folder to make")
    return parser.parse_args()


def main() -> None:
    """Unpacks, and says what it is."""
    args = parse_args()
    said = unpack(args.packed, args.model_dir)
    for key in ("training_data", "licence"):
        logging.info("%s: %s", key, ascii(said.get(key) or "not stated"))
    logging.info("%s is made; its manifest.json says more", args.model_dir)


if __name__ == "__main__":
    sys.exit(program.main("unpack.py", main))
