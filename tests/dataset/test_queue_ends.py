"""The queues: nothing waits for ever, and nothing is left behind."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from queue_data import (
    RANDOM,
    ROOT,
    SEQUENTIAL,
    has_no_named_memory,
    is_running,
    take,
    wait_until,
    workers,
    write_data,
)

from dataset import worker_pool
from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError


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
