#!/usr/bin/env python3
"""Tells a model folder how the features were made that it was trained on.

Training does so itself where the data directory says it (data/train/conf, by our
steps/make_mfcc.sh and sid/compute_vad_decision.sh). Models of the original, or trained
on features of Kaldi's own scripts, need it for sound files: nnet/extract.py --wav,
nnet/verify.py. What the folder knows already is not changed.

e.g.: nnet/add_front_end.py --mfcc-config conf/mfcc.conf --vad-config conf/vad.conf \\
          exp/net
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset import front_end_conf as conf
from misc.model_front_end import add_conf
from misc.run_dir import RunDir
from nnet import program

_FILES = {
    "--mfcc-config": (conf.MFCC, "options of compute-mfcc-feats"),
    "--fbank-config": (conf.FBANK, "options of compute-fbank-feats"),
    "--vad-config": (conf.VAD, "options of compute-vad"),
    "--cmvn-config": (
        conf.CMVN,
        "options of apply-cmvn-sliding; default: those of the recipes' scripts",
    ),
    "--copy-feats-config": (
        conf.COPY,
        "a line --compress=false, if steps/make_mfcc.sh had it; default: compressed",
    ),
}


def parse_args() -> argparse.Namespace:
    """The recipe's files of options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option, (name, help_text) in _FILES.items():
        parser.add_argument(option, dest=name, metavar="FILE", help=help_text)
    parser.add_argument("model_dir", help="the run's folder")
    return parser.parse_args()


def main() -> None:
    """Checks the files, then copies them."""
    args = vars(parse_args())
    names = [name for name, _ in _FILES.values()]
    paths = {name: args[name] for name in names if args[name]}
    add_conf(RunDir(args["model_dir"]), paths)


if __name__ == "__main__":
    sys.exit(program.main("add_front_end.py", main))
