#!/usr/bin/env python3
"""Writes the embedding of each utterance of a feature table.

At an endpoint before the pooling it writes a matrix for each utterance. Archives have
`.part` at the end of their names until they are complete; --resume goes on with one."""

from __future__ import annotations

import argparse
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from nnet import program


def parse_args() -> argparse.Namespace:
    """The original's arguments, and --checkpoint, --num-threads and --resume."""
    parser = argparse.ArgumentParser(description=__doc__)
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
    parser.add_argument("model_dir", help="the run's folder")
    parser.add_argument("rspecifier", help="features after CMVN and VAD")
    parser.add_argument("wspecifier", help="where the embeddings go")
    return parser.parse_args()


def main() -> int:
    """Extracts; 1 if nothing was done."""
    args = parse_args()
    program.limit_threads(args.num_threads)
    from nnet.extraction import extract  # and NumPy, which reads the limit once

    return extract(args)


if __name__ == "__main__":
    sys.exit(program.main("extract.py", main))
