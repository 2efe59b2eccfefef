"""What nnet/extract.py does, once the number of threads is settled."""

from __future__ import annotations

import argparse
import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from dataset.errors import InputError
from dataset.kaldi_table import SequentialReader, TableWriter
from misc.archive_in_progress import ArchiveInProgress, archive_files, is_complete
from misc.embedder import WRONG_DIMENSION, Embedder, Unusable
from misc.light.place import fingerprint
from misc.run_dir import RunDir
from nnet.networks import open_network

_logger = logging.getLogger("extract")

_EVERY = 1000
"""Utterances from one line in the log to the next."""


def extract(args: argparse.Namespace) -> int:
    """Extracts by the arguments of nnet/extract.py; 1 if nothing was done.

    Raises:
        InputError: a table or the model cannot be used; the first utterances have
            features of another dimension than the model's.
    """
    if args.resume and is_complete(args.wspecifier):
        _logger.info("%s is complete: nothing to do", args.wspecifier)
        return 0
    network = open_network(args.model_dir, args.node, args.checkpoint, args.gpu)
    embedder = Embedder(network, args.chunk_size, args.normalize, args.min_chunk_size)
    count = _Count()
    with (
        _writer(args, embedder) as writer,
        SequentialReader(args.rspecifier, "matrix") as reader,
    ):
        kept = frozenset(getattr(writer, "keys", ()))
        entries = ((key, x) for key, x in count.read(reader) if key not in kept)
        for key, result in embedder.stream(entries):
            try:
                if isinstance(result, Unusable):
                    raise result
                writer.write(key, result)
                count.done += 1
            except Unusable as error:
                if error.kind == WRONG_DIMENSION and not (count.done or kept):
                    raise InputError(f"{key}: {error}") from None
                _logger.warning("%s: %s: skipped", key, error)
                count.skipped[error.kind] += 1
            count.log_progress()
    count.log_end(len(kept))
    return 0 if count.done or kept else 1


def _writer(args: argparse.Namespace, embedder: Embedder) -> Any:
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
    return ArchiveInProgress(args.wspecifier, embedder.kind, made, args.resume)


class _Count:
    """What was done so far."""

    def __init__(self) -> None:
        self.begin = time.monotonic()
        self.done = self.frames = 0
        self.skipped: Counter[str] = Counter()

    def read(self, entries: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """The entries, whose frames are counted."""
        for key, features in entries:
            self.frames += len(features)
            yield key, features

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
