"""Kaldi's commands for normalisation by the statistics of an utterance or a speaker."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from dataset.cmvn import apply_cmvn, cmvn_stats
from dataset.errors import BrokenArchive, InputError
from dataset.kaldi_io import read_mat, write_mat
from dataset.kaldi_objects import to_single
from dataset.kaldi_table import (
    RandomAccessReader,
    SequentialReader,
    TableWriter,
    is_rspecifier,
    is_wspecifier,
)
from dataset.options import option
from misc.kaldi.command import command, log, warn
from misc.kaldi.table_loop import mapped_reader, transform_table


@dataclasses.dataclass(frozen=True)
class ComputeCmvnStatsOptions:
    """Options of compute-cmvn-stats."""

    spk2utt: str = option("", "Rspecifier of utterances by speaker: stats by speaker")
    binary: bool = option(True, "Binary output (only for a single matrix)")
    weights: str = option("", "Rspecifier of vectors that weight the frames")


@command(
    "compute-cmvn-stats",
    """
Sums that mean and variance normalisation needs: by utterance, by speaker with
--spk2utt, or of all if the output is a file.

Usage: compute-cmvn-stats [options] <feats-rspecifier>
           (<stats-wspecifier>|<stats-wxfilename>)
e.g.: compute-cmvn-stats --spk2utt=ark:spk2utt scp:feats.scp ark,scp:cmvn.ark,cmvn.scp
""",
    ComputeCmvnStatsOptions,
    (2, 2),
)
def compute_cmvn_stats(
    options: ComputeCmvnStatsOptions, feats_rspecifier: str, target: str
) -> int:
    """The command compute-cmvn-stats."""
    with contextlib.ExitStack() as stack:
        weights = None
        if options.weights:
            weights = stack.enter_context(RandomAccessReader(options.weights, "vector"))

        def stats(key: str, features: np.ndarray) -> np.ndarray:
            if not len(features):
                raise InputError("empty feature matrix")
            if weights is not None and key not in weights:
                raise InputError(f"no weights in {options.weights}")
            return cmvn_stats(features, weights[key] if weights is not None else None)

        if options.spk2utt:
            return _stats_by_speaker(options, feats_rspecifier, target, stats)
        reader = stack.enter_context(SequentialReader(feats_rspecifier, "matrix"))
        if is_wspecifier(target):
            writer = stack.enter_context(TableWriter(target, "double_matrix"))
            num_done, num_failed = transform_table(reader, writer.write, stats)
        else:
            total = _Sum()
            num_done, num_failed = transform_table(reader, total.add, stats)
            if num_done:
                write_mat(target, to_single(total.value), binary=options.binary)
    log(f"Statistics of {num_done} utterances; {num_failed} failed")
    return 0 if num_done else 1


class _Sum:
    """The sum of statistics, all of the dimension of the first."""

    def __init__(self) -> None:
        self.value: Any = None

    def add(self, key: str, stats: np.ndarray) -> None:
        if self.value is None:
            self.value = np.zeros_like(stats)
        if stats.shape != self.value.shape:
            raise InputError(
                f"{key}: {stats.shape[1] - 1} dimensions, the others have "
                f"{self.value.shape[1] - 1}"
            )
        self.value += stats


def _stats_by_speaker(
    options: ComputeCmvnStatsOptions,
    feats_rspecifier: str,
    wspecifier: str,
    stats: Callable[[str, np.ndarray], np.ndarray],
) -> int:
    if not is_wspecifier(wspecifier):
        raise InputError(
            f"--spk2utt needs a wspecifier such as ark:-, got {wspecifier}"
        )
    num_done = num_failed = num_speakers = 0
    with (
        SequentialReader(options.spk2utt, "tokens") as speakers,
        RandomAccessReader(feats_rspecifier, "matrix") as reader,
        TableWriter(wspecifier, "double_matrix") as writer,
    ):
        for speaker, utterances in speakers:
            total = _Sum()
            for key in utterances:
                try:
                    if key not in reader:
                        raise InputError(f"not in {feats_rspecifier}")
                    total.add(key, stats(key, reader[key]))
                    num_done += 1
                except BrokenArchive:
                    raise
                except InputError as error:
                    warn(f"{key}: {error}; left out")
                    num_failed += 1
            if total.value is None:
                warn(f"{speaker}: no statistics; no output for it")
            else:
                writer.write(speaker, total.value)
                num_speakers += 1
    log(
        f"Statistics of {num_speakers} speakers from {num_done} utterances; "
        f"{num_failed} failed"
    )
    return 0 if num_done else 1


@dataclasses.dataclass(frozen=True)
class ApplyCmvnOptions:
    """Options of apply-cmvn."""

    utt2spk: str = option("", "Rspecifier of the speaker of each utterance")
    norm_vars: bool = option(False, "Normalise variances, too")
    norm_means: bool = option(True, "Normalise means; false: nothing is done")
    skip_dims: str = option("", "Dimensions that stay as they are, such as 13:14:15")
    reverse: bool = option(False, "The other way: from normalised to unnormalised")


@command(
    "apply-cmvn",
    """
Mean (and variance) normalisation by what compute-cmvn-stats computed: by utterance, by
speaker with --utt2spk, or the same for all if the statistics are in a file.

Usage: apply-cmvn [options] (<stats-rspecifier>|<stats-rxfilename>)
           <feats-rspecifier> <feats-wspecifier>
e.g.: apply-cmvn --utt2spk=ark:utt2spk scp:cmvn.scp scp:feats.scp ark:-
""",
    ApplyCmvnOptions,
    (3, 3),
)
def apply_cmvn_command(
    options: ApplyCmvnOptions, source: str, feats_rspecifier: str, wspecifier: str
) -> int:
    """The command apply-cmvn."""
    if options.norm_vars and not options.norm_means:
        raise InputError("--norm-vars=true needs --norm-means=true")
    skip_dims = _skip_dims(options.skip_dims)
    with contextlib.ExitStack() as stack:
        find = _stats_finder(options, source, stack)
        reader = stack.enter_context(SequentialReader(feats_rspecifier, "matrix"))
        writer = stack.enter_context(TableWriter(wspecifier, "matrix"))

        def change(key: str, features: np.ndarray) -> np.ndarray:
            if not options.norm_means:
                return features
            stats = find(key)
            return apply_cmvn(
                features, stats, options.norm_vars, options.reverse, skip_dims
            )

        num_done, num_failed = transform_table(reader, writer.write, change)
    log(f"Normalised {num_done} utterances; {num_failed} failed")
    return 0 if num_done else 1


def _stats_finder(
    options: ApplyCmvnOptions, source: str, stack: contextlib.ExitStack
) -> Callable[[str], np.ndarray]:
    """From an utterance to its statistics."""
    if not is_rspecifier(source):
        if options.utt2spk:
            raise InputError("--utt2spk needs statistics by speaker, not a single file")
        single = read_mat(source)
        return lambda key: single
    return mapped_reader(source, "double_matrix", options.utt2spk, stack)


def _skip_dims(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(":")] if text else []
    except ValueError:
        raise InputError(
            f"--skip-dims={text}: expected numbers such as 13:14:15"
        ) from None
