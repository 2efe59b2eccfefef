"""Expected waiting, and the advice that follows from speeds."""

import dataclasses
import re

import pytest
import toy

from misc.loader_check import Loader, Speed, loader_advice, ring_bytes, waiting_share
from misc.params import Params

QUICK = Speed(seconds=0.01, busy=1.0, start=0.1)
GOOD = Loader(
    alone=QUICK,
    together=Speed(0.005, 0.1, 0.1),
    step=0.1,
    batch_bytes=1000,
    archive_bytes=10**6,
    memory_bytes=10**9,
    cores=8,
)


@pytest.fixture
def params(tmp_path):
    path = toy.write_config(tmp_path / "c.json", num_parallel_datasets=2)
    return Params.from_json(str(path))


@pytest.mark.parametrize(
    ("step", "reading", "workers", "waited", "share"),
    [
        (1.0, 1.0, 0, 0.0, 0.5),
        (3.0, 1.0, 0, 0.0, 0.25),
        (3.0, 1.0, 0, 0.3, 0.3),
        (1.0, 4.0, 2, 0.0, 0.75),
        (1.0, 0.5, 2, 0.0, 0.0),
        (1.0, 0.5, 2, 0.1, 0.1),
    ],
)
def test_waiting_share(params, step, reading, workers, waited, share):
    speed = Speed(reading, 1.0, 0.1)
    loader = GOOD._replace(
        alone=speed, together=speed if workers else None, step=step, waited=waited
    )
    assert waiting_share(params, loader) == pytest.approx(share)


def test_the_ring(params):
    assert ring_bytes(params, 1000) == 16_000
    assert ring_bytes(dataclasses.replace(params, num_parallel_datasets=0), 1000) == 0


def test_no_advice_where_all_is_well(params):
    assert loader_advice(params, GOOD) == []


@pytest.mark.parametrize(
    ("params_changes", "changes", "words"),
    [
        ({}, {"step": 0.002}, "60 % of the training.*num_parallel_datasets to 6"),
        ({}, {"step": 0.0001}, "120 reading processes.*8 cores.*compressed"),
        ({}, {"step": 0.0045, "alone": Speed(0.005, 1.0, 1.0)}, "in each other's way"),
        ({}, {"waited": 0.1}, "10 % of the training.*handed over"),
        ({"num_parallel_datasets": 6}, {}, "num_parallel_datasets = 1 would be enough"),
        ({}, {"cores": 1}, "num_parallel_datasets = 2 on 1 cores"),
        (
            {},
            {"alone": Speed(0.01, 0.1, 1, page_ins=9)},
            "reading waits for the disk.*SSD",
        ),
        ({"max_queue_size": 1}, {}, "at 4 each has something to do"),
        ({"max_queue_size": 1000}, {"batch_bytes": 10**6}, "lower it to 125"),
        ({}, {"archive_bytes": 10**10}, "do not fit into memory.*memory$"),
    ],
)
def test_advice(params, params_changes, changes, words):
    params = dataclasses.replace(params, **params_changes)
    advice = loader_advice(params, GOOD._replace(**changes))
    assert len(advice) == 1
    assert re.search(words, advice[0]), advice[0]
