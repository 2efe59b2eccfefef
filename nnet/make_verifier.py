#!/usr/bin/env python3
"""Puts into a model folder what nnet/verify.py needs: the back end.

It must be that which the recipe computed its scores with. The front end is the model's
own (nnet/front_end). The folder `verifier` is made anew, so a calibration of another
back end does not stay behind; calibration-train writes a new one into it.

e.g.: nnet/make_verifier.py --mean exp/net/train/mean.vec \\
          --transform exp/net/train/transform.mat --plda exp/net/train/plda exp/net
      calibration-train data/dev/trials exp/net/scores/dev_plda \\
          exp/net/verifier/calibration.json
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.backend import verifier
from misc.backend.verifier import EmbeddingOptions, load_back_end
from misc.model_front_end import model_front_end
from misc.run_dir import RunDir
from misc.whole_files import write_text
from nnet import program

_logger = logging.getLogger("make_verifier")


def parse_args() -> argparse.Namespace:
    """The files of the recipe, and what nnet/extract.py was told."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--checkpoint", default="last", help="last, -1 (best validation loss) or a step"
    )
    parser.add_argument(
        "--node", default="", help="the endpoint; default: the configuration's"
    )
    parser.add_argument("--chunk-size", type=int, default=10000, help="frames")
    parser.add_argument(
        "-n", "--normalize", action="store_true", help="embeddings of length 1"
    )
    parser.add_argument("--mean", default="", help="what is subtracted from embeddings")
    parser.add_argument("--transform", default="", help="the LDA matrix")
    parser.add_argument(
        "--plda", default="", help="the PLDA model; without: cosine scores"
    )
    parser.add_argument("model_dir", help="the run's folder")
    return parser.parse_args()


def main() -> None:
    """Checks all parts, copies them, and only then puts the folder in its place."""
    args = parse_args()
    run = RunDir(args.model_dir)
    model_front_end(run)
    load_back_end(args.mean, args.transform, args.plda)
    # The number, not 'last': a calibration belongs to one checkpoint.
    step = run.choose_checkpoint(args.checkpoint)
    options = EmbeddingOptions(
        checkpoint=str(step),
        node=args.node,
        chunk_size=args.chunk_size,
        normalize=args.normalize,
    )
    folder = os.path.join(args.model_dir, verifier.FOLDER)
    made = f"{folder}.tmp{os.getpid()}"
    os.mkdir(made)
    try:
        _fill(made, args, options)
        if os.path.exists(os.path.join(folder, verifier.CALIBRATION)):
            _logger.warning("The calibration that was there is removed: train it again")
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    _logger.info(
        "%s is made; the threshold: calibration-train <trials> <scores> %s",
        folder,
        os.path.join(folder, verifier.CALIBRATION),
    )


def _fill(folder: str, args: argparse.Namespace, options: EmbeddingOptions) -> None:
    files = {
        verifier.MEAN: args.mean,
        verifier.TRANSFORM: args.transform,
        verifier.PLDA: args.plda,
    }
    for name, source in files.items():
        if source:
            shutil.copyfile(source, os.path.join(folder, name))
    lines = [
        f"--{name.replace('_', '-')}={str(value).lower()}\n"
        if isinstance(value, bool)
        else f"--{name.replace('_', '-')}={value}\n"
        for name, value in dataclasses.asdict(options).items()
    ]
    write_text(os.path.join(folder, verifier.EMBEDDING_CONF), "".join(lines))


if __name__ == "__main__":
    sys.exit(program.main("make_verifier.py", main))
