"""The queues: right segments, and one stream for any number of workers."""

from __future__ import annotations

import functools
import gc
import logging
import sys
import time

import numpy as np
import pytest
from queue_data import RANDOM, SEQUENTIAL, same, take, write_data

from dataset import block_sampler, data_loader, worker_pool
from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from dataset.features import select_voiced, sliding_cmvn
from dataset.kaldi_io import read_mat
from dataset.masks import Masks
from dataset.sampler import RandomSampler
from dataset.speaker_info import load_speaker_info
from dataset.voiced_segment import CMVN


def test_random_batches_are_the_planned_segments(data):
    info = load_speaker_info(**data)
    sampler = RandomSampler(info.num_frames, info.label, 8, **RANDOM)
    with KaldiDataRandomQueue(**data, num_parallel=1, **RANDOM) as queue:
        assert (queue.dim, queue.num_total_speakers) == (4, 8)
        for step, (features, labels) in enumerate(take(queue, 5)):
            plan = sampler.plan(step)
            assert features.shape == (8, plan.length, 4)
            assert (features.dtype, labels.dtype) == (np.float32, np.int32)
            assert np.array_equal(labels, plan.labels)
            for row, utterance, start in zip(
                features, plan.utterances, plan.starts, strict=True
            ):
                whole = read_mat(info.rxfilename[utterance])
                if not info.vad:
                    assert np.array_equal(row, whole[start : start + plan.length])
                    continue
                decisions = np.zeros(len(whole))
                decisions[info.vad[utterance].voiced_rows()] = 1
                whole = select_voiced(sliding_cmvn(whole, CMVN), decisions)
                expected = whole[start : start + plan.length]
                np.testing.assert_allclose(row, expected, rtol=0, atol=1e-5)
        assert queue.wait_seconds > 0
        assert queue.step == 5


@pytest.fixture(scope="module")
def streams(data):
    """What the calling process reads: the reference for all numbers of workers."""
    random = KaldiDataRandomQueue(**data, num_parallel=0, **RANDOM)
    sequential = KaldiDataSeqQueue(**data, num_parallel=0, shuffle=True, **SEQUENTIAL)
    return take(random, 40), list(sequential)


@pytest.mark.parametrize(("num_parallel", "max_qsize"), [(1, 1), (2, 3), (8, 1)])
def test_stream_is_the_same_for_any_number_of_workers(
    data, streams, num_parallel, max_qsize
):
    size = {"num_parallel": num_parallel, "max_qsize": max_qsize}
    with KaldiDataRandomQueue(**data, **size, **RANDOM) as queue:
        assert same(take(queue, 40), streams[0])
    with KaldiDataSeqQueue(**data, shuffle=True, **size, **SEQUENTIAL) as queue:
        assert same(list(queue), streams[1])


def test_pool_of_blocks_is_the_same_for_any_number_of_workers(
    data, caplog, monkeypatch
):
    find = functools.partial(block_sampler.find_blocks, block_bytes=2000)
    monkeypatch.setattr(data_loader, "find_blocks", find)
    monkeypatch.setattr(data_loader, "BLOCK_BYTES", 10**6 // 4)
    drawn = RANDOM | {"num_speakers": 3}
    options = {**data, **drawn, "block_pool_mb": 1}
    with caplog.at_level(logging.INFO):
        expected = take(KaldiDataRandomQueue(**options, num_parallel=0), 40)
    assert "are drawn from 4 of" in caplog.text
    with KaldiDataRandomQueue(**options, num_parallel=2) as queue:
        assert same(take(queue, 40), expected)
    with KaldiDataRandomQueue(**options, num_parallel=2, start_step=17) as queue:
        assert same(take(queue, 3), expected[17:20])
    info = load_speaker_info(**data)
    everywhere = RandomSampler(info.num_frames, info.label, 8, **drawn)
    assert any(
        not np.array_equal(labels, everywhere.plan(step).labels)
        for step, (_, labels) in enumerate(expected)
    )


def test_random_queue_resumes_at_any_step(data, streams):
    with KaldiDataRandomQueue(**data, num_parallel=2, start_step=17, **RANDOM) as queue:
        assert same(take(queue, 3), streams[0][17:20])
        queue.stop()
        with pytest.raises(StopIteration):
            queue.fetch()
        queue.start()
        assert same(take(queue, 5), streams[0][20:25])


@pytest.mark.parametrize("num_parallel", [0, 2])
def test_hosts_that_share_a_batch_have_its_rows(data, num_parallel):
    """What is masked depends on the row in the whole batch."""
    options = RANDOM | {"num_parallel": num_parallel, "masks": Masks(time=(9,))}

    def third_batch(part=slice(None)):
        with KaldiDataRandomQueue(**data, **options, part=part) as queue:
            queue.go_to(2)
            return queue.fetch()

    parts = [third_batch(slice(0, 4)), third_batch(slice(4, 8))]
    whole = tuple(np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    assert same([third_batch()], [whole])
    assert (whole[0] == 0).all(axis=2).any()


@pytest.mark.parametrize("num_parallel", [0, 2])
def test_sequential_queue_passes_over_every_utterance_once(data, num_parallel):
    with KaldiDataSeqQueue(**data, num_parallel=num_parallel, **SEQUENTIAL) as queue:
        first = list(queue)
        assert len(first) == len(queue) == 7
        assert [len(labels) for _, labels in first] == [6] * 6 + [4]
        expected = np.repeat(np.arange(8), 5)
        assert np.array_equal(np.concatenate([y for _, y in first]), expected)
        with pytest.raises(StopIteration):
            queue.fetch()
        take(queue, 2)  # a pass given up
        assert same(list(queue), first)
        assert same(list(queue), first)
    assert same(list(queue), first)  # it starts by itself
    queue.stop()


def test_batches_belong_to_the_caller(data, streams):
    with KaldiDataRandomQueue(**data, num_parallel=1, max_qsize=1, **RANDOM) as queue:
        batches = []
        for features, labels in take(queue, 12):
            batches.append((features.copy(), labels.copy()))
            features[:] = 0
            labels[:] = -1
        assert same(batches, streams[0][:12])


def test_few_kept_batches_are_no_copies_and_their_slots_come_back(data, streams):
    with KaldiDataRandomQueue(**data, num_parallel=2, max_qsize=1, **RANDOM) as queue:
        pool = queue._source
        ring = pool._ring.batch(0, (1, 1, 1)).base
        kept = take(queue, 8)
        shared = [np.shares_memory(features, ring) for features, _ in kept]
        assert shared == [True] * worker_pool.NUM_LENT + [False] * 4
        del kept[:3]
        kept += take(queue, 8)
        shared = [np.shares_memory(features, ring) for features, _ in kept[5:]]
        assert shared == [True] * 3 + [False] * 5
        del kept[1]  # one that was lent stays
    del pool
    gc.collect()
    assert same(kept, [streams[0][3], *streams[0][5:16]])


def test_many_small_batches_under_way_do_not_block(data):
    options = {"num_speakers": 1, "min_len": 1, "max_len": 2}
    with KaldiDataRandomQueue(**data, max_qsize=3000, **options) as queue:
        time.sleep(0.3)
        assert len(take(queue, 20)) == 20


def test_relative_paths_are_relative_to_the_current_directory(tmp_path, monkeypatch):
    write_data(tmp_path)
    scp = tmp_path / "feats.scp"
    scp.write_text(scp.read_text().replace(f"{tmp_path}/", ""))
    if sys.version_info >= (3, 11):  # where PYTHONSAFEPATH is known
        (tmp_path / "numpy.py").write_text("raise ImportError('not this one')")
    monkeypatch.chdir(tmp_path)
    with KaldiDataRandomQueue(".", "spklist", **RANDOM) as queue:
        assert len(take(queue, 2)) == 2


def test_what_is_left_out_is_counted_and_said(data, caplog):
    queue = KaldiDataRandomQueue(**data, num_speakers=2, min_len=80, max_len=80)
    frames = load_speaker_info(**data).num_frames
    short = frames < 80
    absent = int(short.reshape(8, 5).all(axis=1).sum())
    assert queue.num_utterances_left_out == short.sum() > 0
    assert queue.num_speakers_left_out == absent > 0
    assert f"{short.sum()} of 40 utterances are shorter than" in caplog.text
    assert KaldiDataSeqQueue(**data, min_len=80).shortest == frames.min()
    caplog.clear()
    KaldiDataRandomQueue(**data, **RANDOM)
    assert not caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_speakers": 9}, "num_speakers_per_batch is 9"),
        ({"max_len": 500}, "max_segment_len = 500"),
        ({"num_parallel": -1}, "num_parallel_datasets is -1"),
        ({"max_qsize": 0}, "max_queue_size"),
        ({"start_step": -1}, "first step"),
    ],
)
def test_options_are_checked_at_construction(data, options, words):
    with pytest.raises(InputError, match=words):
        KaldiDataRandomQueue(**data, **(RANDOM | options))


def test_fetch_before_start_says_so(data):
    with pytest.raises(RuntimeError, match="start()"):
        KaldiDataRandomQueue(**data, **RANDOM).fetch()
