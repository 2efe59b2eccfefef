#!/usr/bin/env python3
"""Makes the light form of a checkpoint, which gives embeddings without Keras.

nnet/extract.py does this itself where it is needed; it takes some seconds and 25 MB in
`nnet/light` of the model folder or, if that cannot be written, in the user's cache."""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.light.place import find_light
from misc.run_dir import RunDir
from nnet import program


def parse_args() -> argparse.Namespace:
    """The model folder, and which checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--checkpoint", default="last", help="last, -1 (best validation loss) or a step"
    )
    parser.add_argument("model_dir", help="the run's folder")
    return parser.parse_args()


def main() -> None:
    """Prints where the light form is."""
    args = parse_args()
    run = RunDir(args.model_dir)
    step = run.choose_checkpoint(args.checkpoint)
    path = find_light(run, step)
    if path is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        program.import_keras_quietly()
        from model.light_export import make_light

        path = make_light(run, step)
    print(path)


if __name__ == "__main__":
    sys.exit(program.main("make_light.py", main))
