"""Segments that cannot be used: what replaces them, and when it is enough."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from dataset import bad_segments
from dataset.bad_segments import BadSegments
from dataset.errors import InputError
from dataset.segments import Fault


def batch(labels):
    """Features that tell their row."""
    rows = np.arange(len(labels), dtype=np.float32)
    return np.tile(rows[:, None, None], (1, 3, 2)), np.array(labels, np.int32)


def faults(*rows):
    return [Fault(row, f"u{row}", f"utterance u{row}: gone") for row in rows]


@pytest.mark.parametrize(
    ("labels", "bad", "expected"),
    [
        ([0, 0, 0, 1, 1, 1], [0], [1, 1, 2, 3, 4, 5]),  # the next of the speaker
        ([0, 0, 0, 1, 1, 1], [0, 1, 5], [2, 2, 2, 3, 4, 3]),  # and round
        ([0, 1, 2, 3], [1, 2], [0, 3, 3, 3]),  # the next of any
        ([0, 1, 2, 3], [3], [0, 1, 2, 0]),
        ([7, 7, 8, 8], [2, 3], [0, 1, 0, 0]),
        ([7, 8, 7, 8], [1, 0], [2, 3, 2, 3]),  # speakers need not be together
    ],
)
def test_the_next_usable_row_takes_the_place(labels, bad, expected):
    features, own = batch(labels)
    BadSegments(0.5).replace(features, own, faults(*bad))
    assert features[:, 0, 0].tolist() == expected
    assert (features == features[:, :1, :1]).all()
    assert own.tolist() == [labels[row] for row in expected]


def test_without_tolerance_the_first_one_ends_it():
    counter = BadSegments(0)
    counter.replace(*batch([0, 1]), [])
    with pytest.raises(InputError, match="^utterance u1: gone$"):
        counter.replace(*batch([0, 1, 2]), faults(1, 2))


def test_each_utterance_is_told_of_once_and_all_are_counted(caplog):
    counter = BadSegments(0.01)
    for bad in ([], [1], [1, 2], [0], []):
        counter.replace(*batch([0] * 8), faults(*bad))
    told = [record.message for record in caplog.records]
    assert told == [f"segment replaced: utterance u{row}: gone" for row in (1, 2, 0)]
    assert (counter.num_read, counter.num_bad) == (40, 4)
    caplog.clear()
    counter.report()
    counter.report()
    assert [(r.levelno, r.message) for r in caplog.records] == [
        (
            logging.WARNING,
            "4 of 40 segments, of 3 utterances, cannot be used, and were replaced",
        )
    ]
    BadSegments(0.01).report()
    assert len(caplog.records) == 1


def test_more_than_the_share_ends_it(monkeypatch):
    monkeypatch.setattr(bad_segments, "FEWEST", 50)
    counter = BadSegments(0.1)
    for _ in range(5):  # 5 of the first 50, though 5 of the first 20 were more
        counter.replace(*batch([0] * 4), faults(1))
    with pytest.raises(InputError) as caught:
        counter.replace(*batch([0] * 4), faults(2))
    assert str(caught.value) == (
        "6 of 24 segments, of 2 utterances, cannot be used, more than "
        "max_bad_segments = 0.1 allows; the last: utterance u2: gone"
    )
    counter = BadSegments(0.1)
    for _ in range(30):
        counter.replace(*batch([0] * 10), faults(1))
    with pytest.raises(InputError, match="31 of 309 segments"):
        counter.replace(*batch([0] * 9), faults(1))


def test_one_is_allowed_however_small_the_share():
    counter = BadSegments(1e-9)
    counter.replace(*batch([0] * 4), faults(1))
    with pytest.raises(InputError, match="2 of 8 segments, of 1 utterances"):
        counter.replace(*batch([0] * 4), faults(1))


def test_a_batch_without_a_usable_segment_ends_it():
    with pytest.raises(InputError, match="2 of 2 .*, none of a batch; the last:.* u1"):
        BadSegments(0.5).replace(*batch([0, 1]), faults(0, 1))
