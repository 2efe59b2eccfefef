"""Kaldi's commands that copy and count features and vectors."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import numpy as np

from dataset.errors import InputError
from dataset.htk import read_htk_frames
from dataset.kaldi_io import (
    open_or_fd,
    read_object,
    read_vec_flt,
    write_mat,
    write_vec_flt,
)
from dataset.kaldi_objects import read_matrix, to_single
from dataset.kaldi_table import (
    SequentialReader,
    TableWriter,
    are_tables,
    is_wspecifier,
)
from dataset.options import option
from misc.kaldi.command import command, log
from misc.kaldi.table_loop import optional_writer, transform_table


@dataclasses.dataclass(frozen=True)
class CopyFeatsOptions:
    """Options of copy-feats."""

    binary: bool = option(True, "Binary output (only for a single matrix)")
    compress: bool = option(False, "Write compressed matrices")
    compression_method: int = option(
        1,
        "With --compress: 1 automatic, 2 speech features, 3 two bytes, 4 integers of "
        "two bytes, 5 one byte, 6 integers 0..255, 7 from 0 to 1 in one byte",
    )
    write_num_frames: str = option("", "Wspecifier for the numbers of frames")
    htk_in: bool = option(False, "Read features in HTK's format")


@command(
    "copy-feats",
    """
Copies features, perhaps into another form.

Usage: copy-feats [options] <feature-rspecifier> <feature-wspecifier>
  or:  copy-feats [options] <feature-rxfilename> <feature-wxfilename>
e.g.: copy-feats --compress=true ark:- ark,scp:foo.ark,foo.scp
""",
    CopyFeatsOptions,
    (2, 2),
)
def copy_feats(options: CopyFeatsOptions, source: str, target: str) -> int:
    """The command copy-feats."""
    method = options.compression_method if options.compress else None
    if not are_tables(source, target):
        if options.compress or options.write_num_frames:
            raise InputError("--compress and --write-num-frames need archives")
        read = read_htk_frames if options.htk_in else read_matrix
        features = to_single(read_object(source, read))
        write_mat(target, features, binary=options.binary)
        log(f"Copied features to {target}")
        return 0
    with (
        SequentialReader(source, "htk" if options.htk_in else "matrix") as reader,
        TableWriter(target, "matrix", method) as writer,
        optional_writer(options.write_num_frames, "int") as count_writer,
    ):

        def write(key: str, features: np.ndarray) -> None:
            writer.write(key, features)
            if count_writer:
                count_writer.write(key, len(features))

        num_done, num_failed = transform_table(reader, write, lambda key, value: value)
    log(f"Copied {num_done} feature matrices; {num_failed} failed")
    return 0 if num_done else 1


@dataclasses.dataclass(frozen=True)
class CopyVectorOptions:
    """Options of copy-vector."""

    binary: bool = option(True, "Binary output (only for a single vector)")
    change_dim: int = option(
        -1, "If not negative, cut vectors or fill them with zeros to this dimension"
    )
    scale: float = option(1.0, "Multiply by this")


@command(
    "copy-vector",
    """
Copies vectors, such as embeddings, perhaps into another form.

Usage: copy-vector [options] <vector-rspecifier> <vector-wspecifier>
  or:  copy-vector [options] <vector-rxfilename> <vector-wxfilename>
e.g.: copy-vector ark:- ark,scp:xvector.ark,xvector.scp
""",
    CopyVectorOptions,
    (2, 2),
)
def copy_vector(options: CopyVectorOptions, source: str, target: str) -> int:
    """The command copy-vector."""
    if not are_tables(source, target):
        vector = _changed(options, to_single(read_vec_flt(source)))
        write_vec_flt(target, vector, binary=options.binary)
        log(f"Copied a vector to {target}")
        return 0
    with (
        SequentialReader(source, "vector") as reader,
        TableWriter(target, "vector") as writer,
    ):
        num_done, num_failed = transform_table(
            reader, writer.write, lambda key, vector: _changed(options, vector)
        )
    log(f"Copied {num_done} vectors; {num_failed} failed")
    return 0 if num_done else 1


def _changed(options: CopyVectorOptions, vector: np.ndarray) -> np.ndarray:
    if options.change_dim >= 0:
        kept = vector[: options.change_dim]
        vector = np.pad(kept, (0, options.change_dim - len(kept)))
    return vector if options.scale == 1 else vector * np.float32(options.scale)


@command(
    "feat-to-len",
    """
Numbers of frames: for each utterance, or the sum on standard output.

Usage: feat-to-len <feats-rspecifier> [<length-wspecifier>]
e.g.: feat-to-len scp:feats.scp ark,t:utt2num_frames
""",
    num_args=(1, 2),
)
def feat_to_len(options: Any, feats_rspecifier: str, wspecifier: str = "") -> int:
    """The command feat-to-len."""
    if wspecifier:
        return _write_sizes(feats_rspecifier, wspecifier, axis=0)
    with SequentialReader(feats_rspecifier, "matrix") as reader:
        sys.stdout.write(f"{sum(len(features) for _, features in reader)}\n")
    return 0


@command(
    "feat-to-dim",
    """
Dimensions of features: for each utterance, or that of the first one.

Usage: feat-to-dim <feats-rspecifier> (<dim-wspecifier>|<dim-wxfilename>)
e.g.: feat-to-dim scp:feats.scp -
""",
    num_args=(2, 2),
)
def feat_to_dim(options: Any, feats_rspecifier: str, target: str) -> int:
    """The command feat-to-dim."""
    if is_wspecifier(target):
        return _write_sizes(feats_rspecifier, target, axis=1)
    with SequentialReader(feats_rspecifier, "matrix") as reader:
        features = next((features for _, features in reader), None)
    if features is None:
        raise InputError(f"{feats_rspecifier}: there are no features")
    with open_or_fd(target, "wb") as stream:
        stream.write(b"%d\n" % features.shape[1])
    return 0


def _write_sizes(feats_rspecifier: str, wspecifier: str, axis: int) -> int:
    with (
        SequentialReader(feats_rspecifier, "matrix") as reader,
        TableWriter(wspecifier, "int") as writer,
    ):
        num_done, num_failed = transform_table(
            reader, writer.write, lambda key, features: features.shape[axis]
        )
    log(f"Wrote the sizes of {num_done} feature matrices; {num_failed} failed")
    return 0
