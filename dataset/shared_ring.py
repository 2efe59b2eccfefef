"""Memory that the training process and its data workers share."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from typing import NamedTuple

import numpy as np


class RingShape(NamedTuple):
    """How the memory is divided."""

    num_workers: int
    num_slots: int
    slot_size: int  # float32 values

    @property
    def header_bytes(self) -> int:
        """One int64 per worker, rounded up to a cache line."""
        return -(-8 * self.num_workers // 64) * 64

    @property
    def num_bytes(self) -> int:
        return self.header_bytes + 4 * self.num_slots * self.slot_size


def create_shared_file(num_bytes: int) -> int:
    """A file descriptor of nameless memory, for a child process to inherit.

    As it has no name, nothing can be left behind, whoever is killed; nor does the size
    of /dev/shm (64 MB in many containers) bound it.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("segments")
    else:  # not Linux: a file that is deleted as soon as it is opened
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, num_bytes)
    return descriptor


class SharedRing:
    """Slots for batches, and for each worker the number of the segment it is reading.

    Args:
        descriptor: of create_shared_file(shape.num_bytes); may be closed afterwards.
    """

    def __init__(self, descriptor: int, shape: RingShape) -> None:
        memory = mmap.mmap(descriptor, shape.num_bytes)
        # per worker: 0 between batches, else 1 + the segment's place in its batch
        self.progress = np.frombuffer(memory, np.int64, shape.num_workers)
        values = np.frombuffer(memory, np.float32, offset=shape.header_bytes)
        self._slots = values.reshape(shape.num_slots, shape.slot_size)

    def batch(self, step: int, shape: tuple[int, int, int]) -> np.ndarray:
        """The slot of batch `step` as an array [segments, frames, dim]; not a copy."""
        slot = self._slots[step % len(self._slots)]
        return slot[: math.prod(shape)].reshape(shape)
