"""Kaldi's commands that cut and join features, and copy matrices."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import Any

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_io import open_or_fd, read_mat, write_mat
from dataset.kaldi_objects import to_single
from dataset.kaldi_table import (
    RandomAccessReader,
    SequentialReader,
    TableWriter,
    are_tables,
    is_rspecifier,
)
from dataset.kaldi_tokens import decode_word
from dataset.options import option
from misc.kaldi.command import command, log, warn
from misc.kaldi.table_loop import transform_table

_LOG_FLOOR = 1e-20


@dataclasses.dataclass(frozen=True)
class CopyMatrixOptions:
    """Options of copy-matrix."""

    binary: bool = option(True, "Binary output (only for a single matrix)")
    scale: float = option(1.0, "Multiply by this")
    apply_log: bool = option(
        False, "Take the logarithm of each element, after a floor of 1e-20"
    )
    apply_exp: bool = option(False, "Take the exponential of each element")
    apply_power: float = option(1.0, "Raise each element to this power")
    apply_softmax_per_row: bool = option(False, "Make each row sum to 1 by a softmax")


@command(
    "copy-matrix",
    """
Copies matrices, perhaps changing their elements.

Usage: copy-matrix [options] <matrix-rspecifier> <matrix-wspecifier>
  or:  copy-matrix [options] <matrix-rxfilename> <matrix-wxfilename>
e.g.: copy-matrix --binary=false 1.mat -
""",
    CopyMatrixOptions,
    (2, 2),
)
def copy_matrix(options: CopyMatrixOptions, source: str, target: str) -> int:
    """The command copy-matrix."""
    chosen = (options.apply_log, options.apply_exp, options.apply_softmax_per_row)
    if sum(chosen) > 1:
        raise InputError("only one of --apply-log, -exp and -softmax-per-row")
    if not are_tables(source, target):
        changed = _changed(options, to_single(read_mat(source)))
        write_mat(target, changed, binary=options.binary)
        log(f"Copied a matrix to {target}")
        return 0
    with (
        SequentialReader(source, "matrix") as reader,
        TableWriter(target, "matrix") as writer,
    ):
        num_done, num_failed = transform_table(
            reader, writer.write, lambda key, matrix: _changed(options, matrix)
        )
    log(f"Copied {num_done} matrices; {num_failed} failed")
    return 0 if num_done else 1


def _changed(options: CopyMatrixOptions, matrix: np.ndarray) -> np.ndarray:
    # The scale in single precision: compression shows a last bit more or less.
    scaled = matrix if options.scale == 1 else matrix * np.float32(options.scale)
    values = scaled.astype(np.float64)
    if options.apply_log:
        values = np.log(np.maximum(values, _LOG_FLOOR))
    if options.apply_exp:
        values = np.exp(values)
    if options.apply_softmax_per_row:
        values = np.exp(values - values.max(axis=1, keepdims=True, initial=-np.inf))
        values = values / values.sum(axis=1, keepdims=True)
    if options.apply_power != 1:
        with np.errstate(all="ignore"):
            values = values**options.apply_power
        num_lost = np.count_nonzero(np.isfinite(scaled) & ~np.isfinite(values))
        if num_lost:
            warn(
                f"--apply-power={options.apply_power:g}: {num_lost} are NaN or infinite"
            )
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


@command(
    "select-feats",
    """
Keeps some dimensions of features, in the order given.

Usage: select-feats <selection> <in-rspecifier> <out-wspecifier>
  or:  select-feats <selection> <in-rxfilename> <out-wxfilename>
e.g.: select-feats 0-12,24 scp:feats.scp ark:-
""",
    num_args=(3, 3),
)
def select_feats(options: Any, selection: str, source: str, target: str) -> int:
    """The command select-feats."""
    columns = parse_selection(selection)
    num_read = 0

    def change(key: str, features: np.ndarray) -> np.ndarray:
        nonlocal num_read
        num_read += 1
        if max(columns) >= features.shape[1]:
            raise InputError(
                f"{features.shape[1]} dimensions, but {max(columns)} is selected"
            )
        return np.ascontiguousarray(features[:, columns])

    if not is_rspecifier(source):
        write_mat(target, change("", read_mat(source)))
        return 0
    with (
        SequentialReader(source, "matrix") as reader,
        TableWriter(target, "matrix") as writer,
    ):
        num_done, num_failed = transform_table(reader, writer.write, change)
    log(f"Selected dimensions of {num_done} utterances; {num_failed} failed")
    return 0 if num_done or not num_read else 1


def parse_selection(text: str) -> list[int]:
    """The columns of a selection such as `0-12,24`.

    Raises:
        InputError: it is not of that form.
    """
    columns: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if not first.isdigit() or (dash and not last.isdigit()):
            raise InputError(f"selection {text}: expected a list such as 0-12,24")
        begin, end = int(first), int(last or first)
        step = 1 if begin <= end else -1
        columns.extend(range(begin, end + step, step))
    return columns


@dataclasses.dataclass(frozen=True)
class PasteFeatsOptions:
    """Options of paste-feats."""

    binary: bool = option(True, "Binary output (only for a single matrix)")
    length_tolerance: int = option(
        0, "Frames by which lengths may differ; the longer ones are cut"
    )


@command(
    "paste-feats",
    """
Joins features of the same utterances, frame by frame.

Usage: paste-feats [options] <in-rspecifier1> <in-rspecifier2> [<in-rspecifier3> ...]
           <out-wspecifier>
  or:  paste-feats [options] <in-rxfilename1> <in-rxfilename2> ... <out-wxfilename>
e.g.: paste-feats --length-tolerance=2 scp:mfcc.scp scp:pitch.scp ark:-
""",
    PasteFeatsOptions,
    (3, None),
)
def paste_feats(options: PasteFeatsOptions, *arguments: str) -> int:
    """The command paste-feats."""
    first, *others, target = arguments
    if not is_rspecifier(first):
        matrices = [to_single(read_mat(name)) for name in (first, *others)]
        try:
            pasted = _pasted(options, matrices)
        except InputError as error:
            warn(str(error))
            return 1
        write_mat(target, pasted, binary=options.binary)
        return 0
    with contextlib.ExitStack() as stack:
        reader = stack.enter_context(SequentialReader(first, "matrix"))
        readers = [
            stack.enter_context(RandomAccessReader(name, "matrix")) for name in others
        ]
        writer = stack.enter_context(TableWriter(target, "matrix"))

        def change(key: str, features: np.ndarray) -> np.ndarray:
            for name, other in zip(others, readers, strict=True):
                if key not in other:
                    raise InputError(f"not in {name}")
            return _pasted(options, [features, *(other[key] for other in readers)])

        num_done, num_failed = transform_table(reader, writer.write, change)
    log(f"Pasted features of {num_done} utterances; {num_failed} failed")
    return 0 if num_done else 255


def _pasted(options: PasteFeatsOptions, matrices: list[np.ndarray]) -> np.ndarray:
    lengths = [len(matrix) for matrix in matrices]
    if max(lengths) - min(lengths) > options.length_tolerance:
        raise InputError(
            f"lengths {', '.join(map(str, lengths))} differ by more than "
            f"--length-tolerance={options.length_tolerance}"
        )
    if not min(lengths):
        raise InputError("empty feature matrix")
    return np.hstack([matrix[: min(lengths)] for matrix in matrices])


_FIRST = 10
"""How many utterances subset-feats takes unless told otherwise."""


@dataclasses.dataclass(frozen=True)
class SubsetFeatsOptions:
    """Options of subset-feats."""

    n: int = option(_FIRST, "The first so many utterances")
    include: str = option("", "File of the keys to keep, in place of --n")
    exclude: str = option("", "File of the keys to leave out, in place of --n")


@command(
    "subset-feats",
    """
Copies some of the features: the first n, or those whose key is or is not in a file.

Usage: subset-feats [options] <in-rspecifier> <out-wspecifier>
e.g.: subset-feats --n=10 scp:feats.scp ark:-
""",
    SubsetFeatsOptions,
    (2, 2),
)
def subset_feats(options: SubsetFeatsOptions, source: str, target: str) -> int:
    """The command subset-feats."""
    if options.include and options.exclude:
        raise InputError("only one of --include and --exclude")
    if options.n < 1 or options.n != _FIRST and (options.include or options.exclude):
        raise InputError("--n must be 1 or more, and not stand beside a file of keys")
    listed = _keys(options.include or options.exclude)
    num_done = 0
    with (
        SequentialReader(source, "matrix") as reader,
        TableWriter(target, "matrix") as writer,
    ):
        for key, features in reader:
            if listed is None and num_done >= options.n:
                break
            if listed is None or (key in listed) == bool(options.include):
                writer.write(key, features)
                num_done += 1
    log(f"Copied {num_done} utterances")
    return 0 if num_done or listed is None else 1


def _keys(path: str) -> set[str] | None:
    """The first words of the lines of an rxfilename; None without one."""
    if not path:
        return None
    with open_or_fd(path) as stream:
        words = [decode_word(line).split() for line in stream]
    if not all(words):
        raise InputError(f"{path}: expected a key in each line, got an empty one")
    return {line[0] for line in words}
