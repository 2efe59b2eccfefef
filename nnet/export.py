#!/usr/bin/env python3
"""Writes a model for other runtimes: TensorFlow's SavedModel, ONNX or TFLite.

e.g.: nnet/export.py --format onnx --licence "CC BY 4.0" --check scp:voiced.scp \\
          exp/xvector xvector.onnx
      nnet/export.py --format tflite --input wav --check scp:data/eval/wav.scp \\
          exp/xvector xvector.tflite

Makes a folder with the model and `manifest.json`. With --input features it takes them
after CMVN and VAD; with --input wav the samples of one recording, and the folder's
front end is part of the model, without dither and without the compression of features.

The export is run by its own runtime, beside the model, before it gets its name: on the
utterances of --check or, without it, on noise. It is not kept if they differ.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from misc.manifest import refuse_existing
from nnet import program

FORMATS = ("savedmodel", "onnx", "tflite")


def parse_args() -> argparse.Namespace:
    """The model folder, what is to be written, and where."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--format", choices=FORMATS, default="savedmodel")
    parser.add_argument(
        "--input", choices=("features", "wav"), default="features", help="what it takes"
    )
    parser.add_argument(
        "--node", default="", help="the endpoint; default: the configuration's"
    )
    parser.add_argument(
        "--checkpoint", default="last", help="last, -1 (best validation loss) or a step"
    )
    parser.add_argument(
        "--check",
        default="",
        metavar="RSPECIFIER",
        help="utterances to compare with: features after CMVN and VAD, or sound files",
    )
    parser.add_argument("--licence", default="", help="of the model, for the manifest")
    parser.add_argument(
        "--training-data", default="", help="its name, for the manifest"
    )
    parser.add_argument("model_dir", help="the run's folder")
    parser.add_argument("out", help="the folder to make")
    return parser.parse_args()


def main() -> None:
    """Writes under a temporary name, compares, and then gives the folder its name."""
    args = parse_args()
    refuse_existing(args.out)
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    program.import_keras_quietly()
    from nnet.exporting import export

    made = f"{args.out.rstrip('/')}.tmp{os.getpid()}"
    os.mkdir(made)
    try:
        manifest = export(args, made)
        with open(os.path.join(made, "manifest.json"), "w", encoding="utf-8") as stream:
            json.dump(manifest, stream, indent=2)
            stream.write("\n")
        os.rename(made, args.out)
    finally:
        shutil.rmtree(made, ignore_errors=True)
    logging.info("%s is made", args.out)


if __name__ == "__main__":
    sys.exit(program.main("export.py", main))
