"""What becomes of segments that cannot be used: replaced and counted, up to a share."""

from __future__ import annotations

import logging

import numpy as np

from dataset.errors import InputError
from dataset.segments import Fault

_logger = logging.getLogger("kaldi")

FEWEST = 10_000
"""Segments that the share is taken of at least: no early one is to end a training."""


class BadSegments:
    """Keeps batches whole where some segments cannot be used.

    A bad segment becomes a copy of another of its batch: of the next usable one, from
    its row on and round, of the same speaker, else of any (whose label it then has).
    So batches depend on no worker, and no file is read for it.

    Training ends with a batch that has no usable segment, and as soon as more segments
    were bad than `max_share` of those read, or of FEWEST while these are fewer. One is
    allowed in any case. With a `max_share` of 0 the first one ends it.

    Attributes:
        num_read, num_bad: segments so far.
    """

    def __init__(self, max_share: float) -> None:
        self._max_share = max_share
        self._utterances: set[str] = set()  # that had a bad segment
        self._num_told = 0
        self.num_read = self.num_bad = 0

    def replace(
        self, features: np.ndarray, labels: np.ndarray, faults: list[Fault]
    ) -> None:
        """Replaces and counts the bad segments of a batch, in place.

        Args:
            features: [segments, frames, dim].
            labels: [segments].
            faults: of this batch; others' rows are usable.

        Raises:
            InputError: training must end, see above.
        """
        self.num_read += len(labels)
        if not faults:
            return
        if self._max_share:
            self.num_bad += len(faults)
            self._warn(faults)
            self._check(len(faults) == len(labels), faults[-1])
        self.mend(features, labels, faults)

    def mend(
        self, features: np.ndarray, labels: np.ndarray, faults: list[Fault]
    ) -> None:
        """As `replace`, of a batch that has been counted before.

        Raises:
            InputError: none may be bad, or all are.
        """
        usable = np.setdiff1d(np.arange(len(labels)), [fault.row for fault in faults])
        if faults and not (self._max_share and len(usable)):
            raise InputError(faults[0].error)
        for row, _, _ in faults:
            alike = usable[labels[usable] == labels[row]]
            among = alike if len(alike) else usable
            other = among[np.searchsorted(among, row) % len(among)]
            features[row], labels[row] = features[other], labels[other]

    def report(self) -> None:
        """Logs the counts, if there is something new to tell."""
        if self.num_bad > self._num_told:
            self._num_told = self.num_bad
            _logger.warning("%s, and were replaced", self._counts())

    def _counts(self) -> str:
        return (
            f"{self.num_bad} of {self.num_read} segments, of {len(self._utterances)} "
            "utterances, cannot be used"
        )

    def _warn(self, faults: list[Fault]) -> None:
        for _, utterance, error in faults:
            if utterance not in self._utterances:
                self._utterances.add(utterance)
                _logger.warning("segment replaced: %s", error)

    def _check(self, all_bad: bool, last: Fault) -> None:
        allowed = max(1.0, self._max_share * max(self.num_read, FEWEST))
        if all_bad or self.num_bad > allowed:
            why = (
                "none of a batch"
                if all_bad
                else f"more than max_bad_segments = {self._max_share:g} allows"
            )
            raise InputError(f"{self._counts()}, {why}; the last: {last.error}")
