"""The queues: right segments, one stream for any number of workers, clean ends."""

from __future__ import annotations

import contextlib
import functools
import gc
import itertools
import logging
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from dataset import archive_check, block_sampler, data_loader, worker_pool
from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from dataset.features import select_voiced, sliding_cmvn
from dataset.kaldi_io import read_mat, read_vec_flt_scp, write_mat, write_vec_flt
from dataset.masks import Masks
from dataset.sampler import DurationSampler, RandomSampler
from dataset.speaker_info import load_speaker_info
from dataset.voiced_segment import CMVN

ROOT = pathlib.Path(__file__).parents[2]
RANDOM = {"num_speakers": 4, "num_segments": 2, "min_len": 20, "max_len": 40, "seed": 3}
SEQUENTIAL = {"batch_size": 6, "min_len": 20, "max_len": 40, "seed": 3}
NUM_UTTERANCES = 40


def write_data(
    folder, num_speakers=8, per_speaker=5, dim=4, ark="feats.ark", raw=False, **bad
):
    """A data directory of compressed features; `bad` replaces matrices by utterance.

    Raw features have a third of their frames unvoiced, and as many voiced as they
    would else have in all.
    """
    rng = np.random.default_rng(0)
    files = ("feats.scp", "vad.scp", "utt2num_frames", "spk2utt", "spklist")
    tables = dict.fromkeys(files, "")
    with open(folder / ark, "wb") as stream, open(folder / "vad.ark", "wb") as vad:
        for speaker in range(num_speakers):
            names = [f"s{speaker}_{i}" for i in range(per_speaker)]
            tables["spk2utt"] += f"s{speaker} {' '.join(names)}\n"
            tables["spklist"] += f"s{speaker} {speaker}\n"
            for name in names:
                num_frames = int(rng.integers(40, 90))
                voiced = np.ones(num_frames, np.float32)
                if raw:
                    gaps = np.sort(rng.integers(0, num_frames + 1, num_frames // 2))
                    voiced = np.insert(voiced, gaps, 0)
                matrix = rng.normal(size=(len(voiced), dim)).astype(np.float32)
                matrix = bad.get(name, matrix)
                method = None if name in bad else 2
                place = f"{folder / ark}:{stream.tell() + len(name) + 1}"
                write_mat(stream, matrix, key=name, compression_method=method)
                tables["feats.scp"] += f"{name} {place}\n"
                place = f"{folder}/vad.ark:{vad.tell() + len(name) + 1}"
                write_vec_flt(vad, voiced, key=name)
                tables["vad.scp"] += f"{name} {place}\n"
                tables["utt2num_frames"] += f"{name} {len(voiced)}\n"
    for name in files:
        (folder / name).write_text(tables[name])
    spklist = str(folder / "spklist")
    return {"data_dir": str(folder), "spklist": spklist, "raw_features": raw}


@pytest.fixture(scope="module", params=["stored", "raw"])
def data(request, tmp_path_factory):
    """Both kinds of features: queues have one contract for them."""
    folder = tmp_path_factory.mktemp("data")
    return write_data(folder, raw=request.param == "raw")


def workers(queue):
    return [worker.process for worker in queue._source._workers]


def is_running(pid):
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] not in "ZX"


def has_no_named_memory(*pids):
    """Of /dev/shm, where something could stay behind; others use it meanwhile."""
    return not any(
        "/dev/shm/" in pathlib.Path(f"/proc/{pid}/maps").read_text() for pid in pids
    )


def wait_until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def take(queue, number):
    return list(itertools.islice(queue, number))


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(x, u) and np.array_equal(y, v)
        for (x, y), (u, v) in zip(one, other, strict=True)
    )


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


NAN = np.zeros((90, 4), np.float32)
NAN[:, 2] = np.nan


@pytest.fixture
def unseen(monkeypatch):
    """Only the first utterance is looked at at the start, as if there were millions."""
    monkeypatch.setattr(archive_check, "_FEW_SEGMENTS", 0)


@pytest.mark.parametrize("num_parallel", [0, 2])
@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (NAN, ["frame 0", "NaN or infinite"]),
        (np.zeros((90, 3), np.float32), ["dimension 4", "got 3"]),
        (np.zeros((10, 4), np.float32), ["cannot read frames 0 to", "utt2num_frames"]),
    ],
)
def test_bad_segment_names_the_utterance_at_its_batch(
    tmp_path, unseen, num_parallel, matrix, words
):
    data = write_data(tmp_path, s3_2=matrix)
    queue = KaldiDataSeqQueue(**data, num_parallel=num_parallel, **SEQUENTIAL)
    batches = []
    with pytest.raises(InputError) as caught, queue:
        for batch in queue:
            batches.append(batch)
    assert len(batches) == 2  # s3_2 is utterance 17, in the third batch of six
    for word in ["utterance s3_2", str(tmp_path / "feats.ark"), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (NAN[:4], ["4 frames of features, but", "VAD decisions"]),
        (np.zeros((0, 0), np.float32), ["0 frames of features", "utt2num_frames"]),
    ],
)
def test_raw_features_that_are_not_as_long_as_their_vad(
    tmp_path, unseen, matrix, words
):
    data = write_data(tmp_path, raw=True, s3_2=matrix)
    with pytest.raises(InputError, match="utterance s3_2") as caught:
        list(KaldiDataSeqQueue(**data, num_parallel=0, **SEQUENTIAL))
    for word in [str(tmp_path / "feats.ark"), *words]:
        assert word in str(caught.value)


def test_bad_frame_of_raw_features_is_named(tmp_path, unseen):
    num_frames = load_speaker_info(**write_data(tmp_path, raw=True)).vad[17].num_frames
    matrix = np.zeros((num_frames, 4), np.float32)
    matrix[5, 3] = np.inf
    data = write_data(tmp_path, raw=True, s3_2=matrix)
    with pytest.raises(InputError, match=r"utterance s3_2: frame 5 of .*feats.ark"):
        list(KaldiDataSeqQueue(**data, num_parallel=0, **SEQUENTIAL))


def test_utterances_without_a_voiced_frame_are_left_out(tmp_path, caplog):
    data = write_data(tmp_path, raw=True)
    vectors = dict(read_vec_flt_scp(tmp_path / "vad.scp"))
    with open(tmp_path / "vad.ark", "wb") as stream:  # the same size: the same places
        for name, vector in vectors.items():
            unvoiced = name in ("s0_0", "s3_2")
            write_vec_flt(stream, vector * (not unvoiced), key=name)
    queue = KaldiDataSeqQueue(**data, num_parallel=0, **SEQUENTIAL)
    assert queue.num_utterances_left_out == 2 and queue.shortest > 0
    assert "2 of 40 utterances have no voiced frame" in caplog.text
    labels = np.concatenate([y for _, y in queue])
    assert np.bincount(labels).tolist() == [4, 5, 5, 4, 5, 5, 5, 5]
    assert KaldiDataRandomQueue(**data, **RANDOM).num_utterances_left_out == 2
    assert "2 of 40 utterances are shorter than" in caplog.text


def test_failure_is_told_again_and_leaves_no_worker(tmp_path, unseen):
    data = write_data(tmp_path, s0_1=NAN)
    queue = KaldiDataSeqQueue(**data, num_parallel=2, **SEQUENTIAL)
    queue.start()
    processes = workers(queue)
    for _ in range(2):
        with pytest.raises(InputError, match="s0_1"):
            queue.fetch()
    assert all(process.returncode is not None for process in processes)
    queue.stop()


BAD = {"s3_2": NAN, "s5_0": np.zeros((90, 3), np.float32), "s6_1": NAN[:10]}


@pytest.mark.parametrize("raw", [False, True])
def test_bad_segments_are_replaced_the_same_for_any_number_of_workers(
    tmp_path, unseen, raw, caplog
):
    data = write_data(tmp_path, raw=raw, **BAD)
    options = RANDOM | {"max_bad_segments": 0.1}
    streams, counts = [], []
    for num_parallel in (0, 1, 2, 8):
        caplog.clear()
        with KaldiDataRandomQueue(**data, num_parallel=num_parallel, **options) as q:
            streams.append(take(q, 40))
            bad = q.bad
        counts.append((bad.num_read, bad.num_bad))
        *warnings, last = [record.message for record in caplog.records]
        assert len(warnings) == 3
        for name in BAD:
            (warning,) = (line for line in warnings if f"utterance {name}: " in line)
            assert warning.startswith("segment replaced: ")
        assert f"{bad.num_bad} of 320 segments, of 3 utterances" in last
    assert all(same(stream, streams[0]) for stream in streams[1:])
    assert set(counts) == {(320, counts[0][1])}
    assert counts[0][1] > 3
    assert all(np.isfinite(features).all() for features, _ in streams[0])
    with KaldiDataRandomQueue(**data, start_step=25, **options) as queue:
        assert same(take(queue, 15), streams[0][25:])


def test_only_bad_rows_are_changed(tmp_path, unseen):
    sound = write_data(tmp_path)
    plain = take(KaldiDataRandomQueue(**sound, num_parallel=0, **RANDOM), 20)
    data = write_data(tmp_path, **{"s3_2": NAN})
    info = load_speaker_info(**data)
    sampler = RandomSampler(info.num_frames, info.label, 8, **RANDOM)
    queue = KaldiDataRandomQueue(**data, num_parallel=0, max_bad_segments=0.1, **RANDOM)
    changed = 0
    batches = take(queue, 20)
    for step, (features, labels) in enumerate(batches):
        for row, utterance in enumerate(sampler.plan(step).utterances):
            bad = info.utterance[utterance] == "s3_2"
            changed += bad
            twin = row ^ 1 if bad else row  # the speaker's other segment
            assert np.array_equal(features[row], plain[step][0][twin])
        assert np.array_equal(labels, plain[step][1])
    assert queue.bad.num_bad == changed > 0
    assert same([queue.read(step) for step in range(20)], batches)
    assert queue.bad.num_bad == changed


def test_too_many_bad_segments_end_it_with_the_share(tmp_path, unseen):
    bad = {f"s{speaker}_0": NAN for speaker in range(1, 8)}
    data = write_data(tmp_path, **bad)
    options = RANDOM | {"max_bad_segments": 0.001}  # of 10000 segments: ten
    for num_parallel in (0, 2):
        queue = KaldiDataRandomQueue(**data, num_parallel=num_parallel, **options)
        with pytest.raises(InputError, match=r"1\d of \d+ segments, of \d .*s\d_0"):
            with queue:
                take(queue, 1000)
        steps = queue.step
        assert queue.worker_ids == [] and 5 < steps < 50
        with pytest.raises(InputError, match="max_bad_segments = 0.001"):
            queue.fetch()


def test_utterances_come_by_duration(data):
    info = load_speaker_info(**data)
    sampler = DurationSampler(info.num_frames, info.label, 8, **RANDOM)
    with KaldiDataRandomQueue(**data, sample_by="duration", **RANDOM) as queue:
        for step, (features, labels) in enumerate(take(queue, 5)):
            plan = sampler.plan(step)
            assert features.shape[1] == plan.length
            assert np.array_equal(labels, plan.labels)


def test_missing_archive_names_the_utterance(tmp_path):
    data = write_data(tmp_path)
    queue = KaldiDataRandomQueue(**data, **RANDOM)
    (tmp_path / "feats.ark").unlink()
    with pytest.raises(InputError, match=r"utterance s\d_\d.*feats.ark"), queue:
        queue.fetch()


def test_killed_worker_is_reported_at_the_next_fetch(data):
    with KaldiDataRandomQueue(**data, num_parallel=2, **RANDOM) as queue:
        queue.fetch()
        processes = workers(queue)
        processes[1].kill()
        processes[1].wait()
        begun = time.monotonic()
        with pytest.raises(RuntimeError, match=r"killed by signal 9 .*memory"):
            queue.fetch()
        assert time.monotonic() - begun < 1
        assert processes[0].returncode is not None


def test_archive_cut_short_while_this_process_reads_it(tmp_path):
    data = write_data(tmp_path, dim=100)
    with KaldiDataRandomQueue(**data, num_parallel=0, **RANDOM) as queue:
        queue.fetch()
        os.truncate(tmp_path / "feats.ark", 1)
        with pytest.raises(InputError, match=r"feats\.ark: it was cut short"):
            queue.fetch()


def test_archive_cut_short_while_it_is_read_names_the_utterance(tmp_path):
    data = write_data(tmp_path, dim=100)
    with KaldiDataRandomQueue(**data, max_qsize=1, **RANDOM) as queue:
        queue.fetch()
        os.truncate(tmp_path / "feats.ark", 1)
        with pytest.raises((RuntimeError, InputError)) as caught:
            take(queue, 5)
    assert "utterance s" in str(caught.value)
    assert str(tmp_path / "feats.ark") in str(caught.value)


def test_unexpected_error_in_a_worker_has_its_traceback(data):
    with KaldiDataRandomQueue(**data, **RANDOM) as queue:
        queue._source.submit(worker_pool.Task(11, [("no", "segment", "")], 20, 4))
        with pytest.raises(RuntimeError, match="in a data worker:\nTraceback"):
            queue._source.take(11)


def test_stop_ends_a_waiting_fetch_and_stopped_workers(data):
    queue = KaldiDataRandomQueue(**data, num_parallel=2, max_qsize=1, **RANDOM)
    queue.start()
    processes = workers(queue)
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    ends = []
    thread = threading.Thread(target=lambda: ends.append(list(queue)))
    thread.start()
    time.sleep(0.2)
    begun = time.monotonic()
    queue.stop()
    thread.join(5)
    assert time.monotonic() - begun < 1
    assert len(ends) == 1
    assert all(process.returncode is not None for process in processes)
    queue.stop()


def test_long_wait_says_for_what(data, monkeypatch, caplog):
    monkeypatch.setattr(worker_pool, "_PATIENCE", 0.1)
    queue = KaldiDataRandomQueue(**data, num_parallel=1, max_qsize=1, **RANDOM)
    queue.start()
    process = workers(queue)[0]
    process.send_signal(signal.SIGSTOP)
    timer = threading.Timer(0.5, process.send_signal, [signal.SIGCONT])
    timer.start()
    with caplog.at_level(logging.WARNING):
        take(queue, 3)
    assert (
        f"no data for 0 s from the worker with process id {process.pid}" in caplog.text
    )
    timer.join()
    queue.stop()


def test_nothing_is_left_behind(data):
    def descriptors():
        return sorted(os.listdir("/proc/self/fd"))

    KaldiDataSeqQueue(**data, **SEQUENTIAL)
    gc.collect()  # the queues of other tests
    before = descriptors()
    with pytest.raises(ZeroDivisionError):
        with KaldiDataRandomQueue(**data, num_parallel=2, **RANDOM) as queue:
            processes = workers(queue)
            take(queue, 2)
            assert has_no_named_memory(os.getpid(), *queue.worker_ids)
            raise ZeroDivisionError
    assert all(process.returncode is not None for process in processes)
    assert descriptors() == before
    queue = KaldiDataRandomQueue(**data, num_parallel=2, **RANDOM)
    queue.start()
    processes = workers(queue)
    del queue
    assert all(process.returncode is not None for process in processes)
    assert descriptors() == before


# No `if __name__ == "__main__"`: the workers must not import this script.
SCRIPT = """
import os, sys, time
with open(sys.argv[4], "a") as stream: stream.write("imported\\n")
from dataset.data_loader import KaldiDataRandomQueue
queue = KaldiDataRandomQueue(*sys.argv[1:3], num_parallel=2, num_speakers=4,
                             min_len=20, max_len=40, max_qsize={max_qsize},
                             raw_features=sys.argv[3] == "True")
queue.start()
queue.fetch()
print(*(worker.process.pid for worker in queue._source._workers), flush=True)
while True:
    time.sleep(0.01)
    {loop}
"""


@contextlib.contextmanager
def running_script(data, tmp_path, loop, max_qsize=10):
    """The script in a process group of its own, and the ids of its workers."""
    script = tmp_path / "script.py"
    code = SCRIPT.replace("{loop}", loop).replace("{max_qsize}", str(max_qsize))
    script.write_text(code)
    with subprocess.Popen(
        [sys.executable, script, *map(str, data.values()), tmp_path / "imports"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process, [int(pid) for pid in process.stdout.readline().split()]
        finally:
            process.kill()


@pytest.mark.parametrize("loop", ["pass", "queue.fetch()"])
def test_workers_end_when_the_training_process_is_killed(data, tmp_path, loop):
    with running_script(data, tmp_path, loop) as (process, pids):
        assert len(pids) == 2 and all(map(is_running, pids))
        assert has_no_named_memory(process.pid, *pids)
        process.kill()
        assert wait_until(lambda: not any(map(is_running, pids)), 2)
        assert process.communicate()[1] == ""
    assert (tmp_path / "imports").read_text() == "imported\n"


def test_workers_end_though_a_forked_child_lives(data, tmp_path):
    loop = "os.fork() or (time.sleep(8), os._exit(0)); time.sleep(60)"
    with running_script(data, tmp_path, loop) as (process, pids):
        time.sleep(0.1)
        process.kill()
        # Half a second, more on a busy machine; without looking it would be eight.
        assert wait_until(lambda: not any(map(is_running, pids)), 4)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_ring_fills_leaves_nothing(data, tmp_path, sent):
    script = running_script(data, tmp_path, "time.sleep(60)", max_qsize=20_000)
    with script as (process, pids):
        assert all(map(is_running, pids))
        begun = time.monotonic()
        os.killpg(process.pid, sent)
        process.communicate(timeout=5)
        assert wait_until(lambda: not any(map(is_running, pids)), 1)
        assert time.monotonic() - begun < 1


@pytest.mark.parametrize("loop", ["queue.fetch()", "sys.exit(7)"])
def test_ctrl_c_and_exit_end_quietly(data, tmp_path, loop):
    with running_script(data, tmp_path, loop) as (process, pids):
        if "fetch" in loop:
            os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=5)
    assert not any(map(is_running, pids))
    if "fetch" in loop:
        assert errors.count("Traceback") == 1
        assert errors.rstrip().endswith("KeyboardInterrupt")
    else:
        assert (process.returncode, errors) == (7, "")
