"""What nnet/extract.py does, once the number of threads is settled."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import itertools
import logging
import time
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Any

from dataset.errors import InputError, Unusable
from dataset.front_end import UNFIT, FrontEnd
from dataset.kaldi_table import SequentialReader, TableWriter
from dataset.recordings import read_waves
from misc.archive_in_progress import ArchiveInProgress, archive_files, is_complete
from misc.embedder import WRONG_DIMENSION, Array, Embedder
from misc.light.place import fingerprint
from misc.model_front_end import model_front_end
from misc.run_dir import RunDir
from nnet.networks import open_network

Entries = Iterator[tuple[str, Array | Unusable]]

_logger = logging.getLogger("extract")

_EVERY = 1000
"""Utterances from one line in the log to the next."""


def extract(args: argparse.Namespace) -> int:
    """Extracts by the arguments of nnet/extract.py; 1 if nothing was done.

    Raises:
        InputError: a table or the model cannot be used; the first utterance has
            features of another dimension than the model's, or another sampling rate.
    """
    if args.resume and is_complete(args.wspecifier):
        _logger.info("%s is complete: nothing to do", args.wspecifier)
        return 0
    front_end = model_front_end(RunDir(args.model_dir)) if args.wav else None
    network = open_network(args.model_dir, args.node, args.checkpoint, args.gpu)
    embedder = Embedder(network, args.chunk_size, args.normalize, args.min_chunk_size)
    count, kept = _Count(), set[str]()
    with contextlib.ExitStack() as stack:
        entries = _features(args, front_end, kept, stack)
        first = list(itertools.islice(entries, 1))
        _refuse_other_features(first, embedder)  # before anything is written
        writer = stack.enter_context(_writer(args, embedder, front_end))
        kept.update(getattr(writer, "keys", ()))
        entries = itertools.chain((e for e in first if e[0] not in kept), entries)
        for key, result in embedder.stream(count.read(entries)):
            if isinstance(result, Unusable):
                count.skip(key, result)
            else:
                writer.write(key, result)
                count.done += 1
            count.log_progress()
    count.log_end(len(kept))
    return 0 if count.done or kept else 1


def _features(
    args: argparse.Namespace,
    front_end: FrontEnd | None,
    kept: Container[str],
    stack: contextlib.ExitStack,
) -> Entries:
    """The features of each utterance that is not kept from an earlier try."""
    if front_end is None:
        reader = stack.enter_context(SequentialReader(args.input[0], "matrix"))
        return (entry for entry in reader if entry[0] not in kept)
    waves = read_waves(args.input)
    return front_end.stream(entry for entry in waves if entry[0] not in kept)


def _refuse_other_features(
    entries: Iterable[tuple[str, Array | Unusable]], embedder: Embedder
) -> None:
    """What is wrong with a whole corpus, such as its sampling rate, is so at once."""
    for key, features in entries:
        try:
            if isinstance(features, Unusable):
                raise features
            embedder.check(features)
        except Unusable as error:
            if error.kind in (WRONG_DIMENSION, UNFIT):
                raise InputError(f"{key}: {error}") from None


def _writer(
    args: argparse.Namespace, embedder: Embedder, front_end: FrontEnd | None
) -> Any:
    """A TableWriter, or for an archive in a file an ArchiveInProgress."""
    if archive_files(args.wspecifier) is None:
        if args.resume:
            raise InputError(f"--resume needs an archive, not '{args.wspecifier}'")
        return TableWriter(args.wspecifier, embedder.kind)
    run = RunDir(args.model_dir)
    step = run.choose_checkpoint(args.checkpoint)
    made = (
        f"model-{step} ({fingerprint(run, step)}), node {embedder.network.node}, "
        f"min-chunk-size {args.min_chunk_size}, chunk-size {args.chunk_size}, "
        f"normalize {args.normalize}"
    )
    if front_end is not None:
        made += f", wav ({hashlib.sha256(repr(front_end).encode()).hexdigest()[:16]})"
    return ArchiveInProgress(args.wspecifier, embedder.kind, made, args.resume)


class _Count:
    """What was done so far."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.done = self.frames = 0
        self.skipped: Counter[str] = Counter()

    def read(self, entries: Entries) -> Entries:
        """The entries, whose frames are counted."""
        for key, features in entries:
            if not isinstance(features, Unusable):
                self.frames += len(features)
            yield key, features

    def skip(self, key: str, reason: Unusable) -> None:
        """Tells of an utterance without an embedding."""
        _logger.warning("%s: %s: skipped", key, reason)
        self.skipped[reason.kind] += 1

    def log_progress(self) -> None:
        """A line for each thousand utterances."""
        utterances = self.done + self.skipped.total()
        if utterances % _EVERY == 0:
            _logger.info("%d utterances, %s", utterances, self._speed())

    def log_end(self, kept: int) -> None:
        """How many, why not all, and how fast."""
        reasons = ", ".join(f"{n} {kind}" for kind, n in self.skipped.items())
        _logger.info(
            "Extracted embeddings of %d utterances, %d skipped%s%s; %s",
            self.done,
            self.skipped.total(),
            f" ({reasons})" if reasons else "",
            f", {kept} there before" if kept else "",
            self._speed(),
        )

    def _speed(self) -> str:
        seconds = time.monotonic() - self.begin
        return f"{self.frames} frames in {seconds:.1f} s"
