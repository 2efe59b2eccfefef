"""Data directories for the tests of the queues, and a look at what runs."""

import itertools
import pathlib
import time

import numpy as np

from dataset.kaldi_io import write_mat, write_vec_flt

ROOT = pathlib.Path(__file__).parents[1]
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
