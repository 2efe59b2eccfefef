"""Batches from the parts of archives that were read last: for disks that are slow to
find a place, but fast to read on from there (dataset.sampler draws from everywhere).

Archives are cut into blocks of whole matrices. Blocks come in a random order, another
in each pass over the data, and stay for a while; segments are drawn from those that are
there, the pool. The pool moves on such that each utterance is drawn about once while it
is in it. It is kept by the system, as any file that was read: a block is asked for
ahead of the batches that may draw from it, and should it be forgotten before its time,
it is only read again.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_range import split_range
from dataset.kaldi_stream import is_pipe, split_offset
from dataset.sampler import RandomSampler, Segments
from dataset.speaker_info import TextColumn

BLOCK_BYTES = 1 << 22

_AHEAD = 4
"""Blocks that are asked for before any batch may draw from them."""

_PASS = 2**63
"""Random numbers of passes are drawn with steps from here on as those of batches."""


class Block(NamedTuple):
    """A part of an archive."""

    path: str
    start: int
    size: int


class BlockSampler:
    """Draws each batch from a pool of blocks, by the rules of another sampler.

    The plan is a pure function of the seed and the step. Where the pool has too few
    speakers for a batch, the blocks that come next belong to it, too.

    Args:
        num_frames, labels: int [utterances].
        block_of: int [utterances], the number of the block that each is in.
        blocks: the blocks.
        pool_size: blocks to draw from at a time.
        make: makes a sampler for some utterances, from their num_frames and labels.
        seed: decides the order of the blocks.

    Attributes:
        num_speakers_at_first: speakers in the first pool.

    Raises:
        InputError: what `make` raises for all utterances.
    """

    num_batches = None

    def __init__(
        self,
        num_frames: np.ndarray,
        labels: np.ndarray,
        block_of: np.ndarray,
        blocks: list[Block],
        pool_size: int,
        make: Callable[[np.ndarray, np.ndarray], RandomSampler],
        seed: int,
    ) -> None:
        self._whole = make(num_frames, labels)
        self.max_batch_size = self._whole.max_batch_size
        self.max_len = self._whole.max_len
        self._num_frames, self._labels, self._make = num_frames, labels, make
        self._blocks, self._seed = blocks, seed
        self._pool_size = min(pool_size, len(blocks))
        self._by_block = np.argsort(block_of, kind="stable")
        self._ends = np.cumsum(np.bincount(block_of, minlength=len(blocks)))
        self._next = 0
        self._order = functools.lru_cache(2)(self._order_of_pass)
        self._pool = functools.lru_cache(2)(self._make_pool)
        rows, _ = self._pool(0)
        self.num_speakers_at_first = len(np.unique(labels[rows]))

    def plan(self, step: int) -> Segments:
        """The segments of batch `step`."""
        rows, sampler = self._pool(self._first(step))
        plan = sampler.plan(step)
        return plan._replace(utterances=rows[plan.utterances])

    def take_blocks(self, step: int) -> list[Block]:
        """What is to be read for batches up to `step`, unless it was given before."""
        first = self._first(step)
        begin, self._next = max(first, self._next), first + self._pool_size + _AHEAD
        return [self._blocks[self._block_at(n)] for n in range(begin, self._next)]

    def _first(self, step: int) -> int:
        """Where in the endless row of blocks the pool of a batch begins."""
        return step * self.max_batch_size * len(self._blocks) // len(self._labels)

    def _block_at(self, number: int) -> int:
        passed, place = divmod(number, len(self._blocks))
        return int(self._order(passed)[place])

    def _order_of_pass(self, passed: int) -> np.ndarray:
        key = np.array([self._seed, _PASS + passed], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key))
        return rng.permutation(len(self._blocks))

    def _make_pool(self, first: int) -> tuple[np.ndarray, RandomSampler]:
        """The utterances of a pool, and their sampler."""
        size = self._pool_size
        while size < len(self._blocks):
            blocks = {self._block_at(n) for n in range(first, first + size)}
            rows = np.concatenate([self._rows(block) for block in sorted(blocks)])
            try:
                return rows, self._make(self._num_frames[rows], self._labels[rows])
            except InputError:  # too few speakers
                size = 2 * size
        return np.arange(len(self._labels)), self._whole

    def _rows(self, block: int) -> np.ndarray:
        begin = self._ends[block - 1] if block else 0
        return self._by_block[begin : self._ends[block]]


def find_blocks(
    rxfilenames: TextColumn, block_bytes: int = BLOCK_BYTES
) -> tuple[np.ndarray, list[Block]]:
    """Cuts archives between matrices, about every `block_bytes`.

    Returns:
        The block that each is in, int [utterances]; the blocks.

    Raises:
        InputError: something is no archive, or cannot be looked at.
    """
    numbers: dict[str, int] = {}
    files = np.empty(len(rxfilenames), np.int64)
    offsets = np.empty(len(rxfilenames), np.int64)
    for row in range(len(rxfilenames)):
        name, _ = split_range(rxfilenames[row])
        path, offsets[row] = split_offset(name)
        if is_pipe(path):
            raise InputError(f"block_pool_mb reads archives, and {name} is a pipe")
        files[row] = numbers.setdefault(path, len(numbers))
    paths = list(numbers)
    order = np.lexsort((offsets, files))
    files, offsets = files[order], offsets[order]
    cuts = np.diff(files, prepend=-1).astype(bool)
    cuts |= np.diff(offsets // block_bytes, prepend=-1).astype(bool)
    block_of = np.empty(len(order), np.int64)
    block_of[order] = np.cumsum(cuts) - 1
    blocks = []
    begins = np.flatnonzero(cuts)
    for begin, following in zip(begins, [*begins[1:], None], strict=True):
        path, start = paths[files[begin]], int(offsets[begin])
        if following is not None and files[following] == files[begin]:
            end = int(offsets[following])
        else:
            end = _file_size(path)
        blocks.append(Block(path, start, end - start))
    return block_of, blocks


def _file_size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError as error:
        raise InputError(f"cannot open {path}: {error.strerror}") from None
