#!/usr/bin/env python3
"""Writes the embedding of each utterance of a feature table.

At an endpoint before the pooling it writes a matrix for each utterance."""

from __future__ import annotations

import argparse
import logging
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from dataset.kaldi_table import SequentialReader, TableWriter
from nnet import program

_logger = logging.getLogger("extract")


def parse_args() -> argparse.Namespace:
    """The original's arguments, and --checkpoint and --num-threads."""
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
    parser.add_argument("model_dir", help="the run's folder")
    parser.add_argument("rspecifier", help="features after CMVN and VAD")
    parser.add_argument("wspecifier", help="where the embeddings go")
    return parser.parse_args()


def main() -> int:
    """Extracts; 1 if nothing was done."""
    args = parse_args()
    os.environ["CUDA_VISIBLE_DEVICES"] = str(args.gpu)
    program.import_keras_quietly()
    program.use_threads(args.num_threads)
    from model.embedder import UtteranceEmbedder

    embed = UtteranceEmbedder(
        args.model_dir, args.node, args.checkpoint, args.chunk_size, args.normalize
    )
    done = failed = 0
    with (
        SequentialReader(args.rspecifier, "matrix") as reader,
        TableWriter(args.wspecifier, embed.kind) as writer,
    ):
        for utterance, features in reader:
            try:
                if len(features) < args.min_chunk_size:
                    raise InputError(
                        f"{len(features)} frames, fewer than {args.min_chunk_size}"
                    )
                writer.write(utterance, embed(features))
                done += 1
            except InputError as error:
                _logger.warning("%s: %s: skipped", utterance, error)
                failed += 1
            if (done + failed) % 1000 == 0:
                _logger.info("%d utterances", done + failed)
    _logger.info("Extracted embeddings of %d utterances, %d skipped", done, failed)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(program.main("extract.py", main))
