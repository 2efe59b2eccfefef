"""Memory that the training process and its data workers share."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_LINE = 64
"""Bytes of a cache line: where an array begins that TensorFlow takes without a copy."""


class RingShape(NamedTuple):
    """How the memory is divided."""

    num_workers: int
    num_slots: int
    slot_size: int  # float32 values

    @property
    def header_bytes(self) -> int:
        """One int64 per worker."""
        return _whole_lines(8 * self.num_workers)

    @property
    def slot_bytes(self) -> int:
        return _whole_lines(4 * self.slot_size)

    @property
    def num_bytes(self) -> int:
        return self.header_bytes + self.num_slots * self.slot_bytes


def _whole_lines(num_bytes: int) -> int:
    return -(-num_bytes // _LINE) * _LINE


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
        self._slots = values.reshape(shape.num_slots, -1)

    def batch(self, slot: int, shape: tuple[int, int, int]) -> np.ndarray:
        """A slot as an array [segments, frames, dim]; not a copy."""
        return self._slots[slot, : math.prod(shape)].reshape(shape)

    def lend(
        self, slot: int, shape: tuple[int, int, int], give_back: Callable[[], None]
    ) -> np.ndarray:
        """The same, calling `give_back` when nothing refers to the array any more."""
        return np.asarray(_Loan(self.batch(slot, shape), give_back))


class _Loan:
    """What an array made of it, and all views of that, keep alive."""

    def __init__(self, values: np.ndarray, give_back: Callable[[], None]) -> None:
        self._values, self._give_back = values, give_back
        self.__array_interface__ = values.__array_interface__

    def __del__(self) -> None:
        self._give_back()
