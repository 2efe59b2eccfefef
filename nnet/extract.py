#!/usr/bin/env python3
"""Writes the embedding of each utterance of a feature table, or of sound files.

usage: extract.py [options] <model-dir> <feature-rspecifier> <wspecifier>
       extract.py --wav [options] <model-dir> <wav.scp | data-dir> <wspecifier>
       extract.py --wav [options] <model-dir> <a.wav> [<b.flac> ...] <wspecifier>

With --wav, features are made, and frames chosen, as for the model's training (what is
in its nnet/front_end); an utterance of a sound file is called as the file without
folder and extension. At an endpoint before the pooling a matrix is written for each
utterance. Archives have `.part` at the end of their names until they are complete;
--resume goes on with one.
"""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from nnet import program


def parse_args() -> argparse.Namespace:
    """The original's arguments, --wav, --checkpoint, --num-threads and --resume."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-g", "--gpu", type=int, default=-1, help="GPU; -1: none")
    parser.add_argument(
        "-m", "--min-chunk-size", type=int, default=25, help="frames; shorter: skipped"
    )
    parser.add_argument(
        "-s", "--chunk-size", type=int, default=10000, help="frames; longer: in chunks"
    )
    parser.add_argument(
        "-n", "--normalize", action="store_true", help="embeddings of length 1"
    )
    parser.add_argument(
        "--node", default="", help="the endpoint; default: the configuration's"
    )
    parser.add_argument(
        "--checkpoint", default="last", help="last, -1 (best validation loss) or a step"
    )
    parser.add_argument("--num-threads", type=int, default=1, help="of this job")
    parser.add_argument(
        "--resume", action="store_true", help="keep what an interrupted job has written"
    )
    parser.add_argument("--wav", action="store_true", help="the input is sound")
    parser.add_argument("model_dir", help="the run's folder")
    parser.add_argument(
        "input",
        nargs="+",
        help="rspecifier of features after CMVN and VAD; with --wav: wav.scp, a table, "
        "a data directory or sound files",
    )
    parser.add_argument("wspecifier", help="where the embeddings go")
    args = parser.parse_args()
    if len(args.input) > 1 and not args.wav:
        parser.error("several inputs: they are sound files only with --wav")
    return args


def main() -> int:
    """Extracts; 1 if nothing was done."""
    args = parse_args()
    program.limit_threads(args.num_threads)
    from nnet.extraction import extract  # and NumPy, which reads the limit once

    return extract(args)


if __name__ == "__main__":
    sys.exit(program.main("extract.py", main))
