"""Bands of features set to zero: SpecAugment without its time warping.

D. S. Park et al., "SpecAugment", Interspeech 2019. Zero is what normalised features
are on average.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dataset.errors import InputError


@dataclass(frozen=True)
class Masks:
    """How wide masks are at most: one entry for each.

    Attributes:
        time: in frames.
        frequency: in features of a frame.
    """

    time: Sequence[int] = ()
    frequency: Sequence[int] = ()

    def check(self, dim: int) -> None:
        """Raises InputError if a mask can hide all features of a frame."""
        widest = max(self.frequency, default=0)
        if widest >= dim:
            raise InputError(
                f"'frequency_masks': a mask of {widest} can hide all {dim} features of "
                "a frame: expected less"
            )

    def apply(self, frames: np.ndarray, rng: np.random.Generator) -> None:
        """Masks frames [frames, dim] in place.

        Each width is uniform from 0 to its largest, each place uniform among those
        where the mask fits.
        """
        for axis, widest in ((frames, self.time), (frames.T, self.frequency)):
            for largest in widest:
                width = int(rng.integers(min(largest, len(axis)), endpoint=True))
                begin = int(rng.integers(len(axis) - width, endpoint=True))
                axis[begin : begin + width] = 0
