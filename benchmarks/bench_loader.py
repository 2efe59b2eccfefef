"""How many batches a second loaders turn into TensorFlow tensors, decoding included.

    python benchmarks/bench_loader.py [--batches 300] [--workers 2] [--rounds 3]

All read the same planned segments, 64 of 300 frames and 30 dimensions per batch, from
archives compressed as recipes store speech features (CM: 1 byte a value), in the page
cache, with the same reader. What differs is how a batch gets from the worker to the
consumer, which takes tensors from `model.trainer.Feed`, as a training does, and adds up
all values, so that they are truly read. PyTorch's DataLoader is there in two forms:
with a segment as item, which it puts together to batches, as one would write it, and
with a batch as item. The rows "raw" are this project's queue with the key
`raw_features`: segments of voiced frames (three quarters of the 800 of each utterance),
sliding CMVN applied, against ready features of the same archives.

The ways take turns, and the median of the rounds is shown. "core ms" is the time that
all processes together spend computing for a batch: on a machine that others use, too,
it tells more than the batches a second. "decoding alone" is one process that does
nothing else, without TensorFlow: its core ms are the bound for all ways.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from dataset.data_loader import KaldiDataRandomQueue  # noqa: E402
from dataset.kaldi_io import FeatureReader, write_mat, write_vec_flt  # noqa: E402
from dataset.sampler import RandomSampler  # noqa: E402
from dataset.segments import Segment, Task, read_segment, read_together  # noqa: E402
from dataset.speaker_info import load_speaker_info  # noqa: E402

try:
    import torch
except ImportError:  # its row is left out
    torch = None

SPEAKERS, LENGTH, DIM = 64, 300, 30
OPTIONS = {"num_speakers": SPEAKERS, "min_len": LENGTH, "max_len": LENGTH}
Batch = tuple[np.ndarray, np.ndarray]
Loader = Callable[[str, int], Iterator[Batch]]


def write_corpus(folder: pathlib.Path, num_speakers: int = 100) -> None:
    """A data directory with 20 utterances of 800 frames per speaker, 50 MB in all.

    Of every 40 frames 10 are a pause.
    """
    rng = np.random.default_rng(0)
    scp, vad_scp, lengths, spk2utt, spklist = [], [], [], [], []
    voiced = (np.arange(800) % 40 < 30).astype(np.float32)
    with (
        open(folder / "feats.ark", "wb") as ark,
        open(folder / "vad.ark", "wb") as vad,
    ):
        for speaker in range(num_speakers):
            names = [f"s{speaker}_{i}" for i in range(20)]
            spklist.append(f"s{speaker} {speaker}\n")
            spk2utt.append(f"s{speaker} {' '.join(names)}\n")
            for name in names:
                scp.append(f"{name} {ark.name}:{ark.tell() + len(name) + 1}\n")
                lengths.append(f"{name} 800\n")
                matrix = rng.normal(0, 5, (800, DIM)).astype(np.float32)
                write_mat(ark, matrix, key=name, compression_method=2)
                vad_scp.append(f"{name} {vad.name}:{vad.tell() + len(name) + 1}\n")
                write_vec_flt(vad, voiced, key=name)
    (folder / "feats.scp").write_text("".join(scp))
    (folder / "vad.scp").write_text("".join(vad_scp))
    (folder / "utt2num_frames").write_text("".join(lengths))
    (folder / "spk2utt").write_text("".join(spk2utt))
    (folder / "spklist").write_text("".join(spklist))


def ours(folder: str, num_workers: int, raw_features: bool = False) -> Iterator[Batch]:
    """This project's queue."""
    spklist = os.path.join(folder, "spklist")
    with KaldiDataRandomQueue(
        folder, spklist, num_workers, raw_features=raw_features, **OPTIONS
    ) as queue:
        yield from queue


class PlannedSegments:
    """What the other ways read: the segments of each batch, and the reader."""

    def __init__(self, folder: str) -> None:
        info = load_speaker_info(folder, os.path.join(folder, "spklist"))
        self.names = [info.utterance[i] for i in range(len(info.label))]
        self.rxfilenames = [info.rxfilename[i] for i in range(len(info.label))]
        self.labels = info.label
        self.sampler = RandomSampler(
            info.num_frames, info.label, info.num_speakers, **OPTIONS
        )
        self.reader = FeatureReader()

    def __len__(self) -> int:
        return 1 << 30

    def plan(self, step: int) -> list[tuple[int, int]]:
        """Rows and first frames of a batch."""
        plan = self.sampler.plan(step)
        return list(zip(plan.utterances.tolist(), plan.starts.tolist(), strict=True))

    def __getitem__(self, item: tuple[int, int]) -> tuple[np.ndarray, np.int32]:
        row, start = item
        segment = Segment(self.names[row], self.rxfilenames[row], start)
        return read_segment(self.reader, segment, LENGTH, DIM), self.labels[row]


class PlannedBatches(PlannedSegments):
    """The same, by the number of a batch; segments are read in one go, as ours are."""

    def __getitem__(self, step: int) -> Batch:
        items = self.plan(step)
        segments = [Segment(self.names[i], self.rxfilenames[i], at) for i, at in items]
        batch = np.empty((SPEAKERS, LENGTH, DIM), np.float32)
        task = Task(step, segments, LENGTH, DIM)
        if not read_together(self.reader, task, batch, lambda row: None):
            raise SystemExit("the corpus cannot be read")
        return batch, self.labels[[row for row, _ in items]]


def _fill(queue: multiprocessing.Queue, folder: str, first: int, stride: int) -> None:
    batches = PlannedBatches(folder)
    for step in itertools.count(first, stride):
        queue.put(batches[step])


def queue_of_batches(folder: str, num_workers: int) -> Iterator[Batch]:
    """multiprocessing.Queue of whole batches, as the original; in no fixed order."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue(10)
    processes = [
        context.Process(target=_fill, args=(queue, folder, i, num_workers), daemon=True)
        for i in range(num_workers)
    ]
    for process in processes:
        process.start()
    try:
        while True:
            yield queue.get()
    finally:
        for process in processes:
            process.kill()
            process.join()


def torch_of_segments(folder: str, num_workers: int) -> Iterator[Batch]:
    """torch.utils.data.DataLoader with its defaults: segments, collated."""
    segments = PlannedSegments(folder)
    plans = map(segments.plan, itertools.count())
    loader = torch.utils.data.DataLoader(
        segments, batch_sampler=plans, num_workers=num_workers
    )
    for features, labels in loader:
        yield features.numpy(), labels.numpy()


def torch_of_batches(folder: str, num_workers: int) -> Iterator[Batch]:
    """The same with a batch as item, and as many under way as ours."""
    loader = torch.utils.data.DataLoader(
        PlannedBatches(folder),
        batch_size=None,
        sampler=range(1 << 30),
        num_workers=num_workers,
        prefetch_factor=5,
    )
    for features, labels in loader:
        yield features.numpy(), labels.numpy()


class Speed(NamedTuple):
    """Batches a second, and seconds of computing for a batch, in all processes."""

    rate: float
    computing: float


def measure(loader: Loader, folder: str, num_workers: int, num_batches: int) -> Speed:
    """Takes tensors, after as many as fill the queues."""
    import tensorflow as tf

    from model.feed import Feed

    source = loader(folder, num_workers)
    tensors = iter(Feed(source, DIM).keras_data)
    for _ in range(20):
        next(tensors)
    begun, busy = time.perf_counter(), cpu_seconds()
    for _ in range(num_batches):
        float(tf.reduce_sum(next(tensors)[0]))
    seconds, busy = time.perf_counter() - begun, cpu_seconds() - busy
    del tensors
    source.close()
    return Speed(num_batches / seconds, busy / num_batches)


def decoding_alone(folder: str, num_batches: int) -> Speed:
    """One process that only decodes."""
    batches = PlannedBatches(folder)
    for step in range(20):
        batches[step]
    begun, busy = time.perf_counter(), time.process_time()
    for step in range(num_batches):
        batches[step]
    seconds = time.perf_counter() - begun
    busy = time.process_time() - busy
    return Speed(num_batches / seconds, busy / num_batches)


def cpu_seconds() -> float:
    """Computed so far by this process and its running children."""
    tasks = pathlib.Path("/proc/self/task").glob("*/children")
    children = " ".join(task.read_text() for task in tasks).split()
    ticks = 0
    for pid in children:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        ticks += sum(map(int, fields.split()[11:13]))
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ways: dict[str, Loader] = {"shared ring (ours)": ours}
    if torch is not None:
        ways["torch DataLoader, segments"] = torch_of_segments
        ways["torch DataLoader, batches"] = torch_of_batches
    ways["multiprocessing.Queue"] = queue_of_batches
    ways["raw (ours)"] = lambda folder, n: ours(folder, n, raw_features=True)
    ways["no workers (ours)"] = lambda folder, _: ours(folder, 0)
    ways["no workers, raw (ours)"] = lambda folder, _: ours(folder, 0, True)
    speeds: dict[str, list[Speed]] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(pathlib.Path(folder))
        for _ in range(args.rounds):
            for name, loader in ways.items():
                speed = measure(loader, folder, args.workers, args.batches)
                speeds.setdefault(name, []).append(speed)
            alone = decoding_alone(folder, args.batches)
            speeds.setdefault("decoding alone", []).append(alone)
    first = statistics.median(speed.rate for speed in speeds["shared ring (ours)"])
    print(
        f"{args.workers} workers, batches [{SPEAKERS}, {LENGTH}, {DIM}], "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    for name, measured in speeds.items():
        rates = [speed.rate for speed in measured]
        rate = statistics.median(rates)
        computing = statistics.median(speed.computing for speed in measured)
        spread = f"{min(rates):.0f}-{max(rates):.0f}"
        print(
            f"{name:27} {rate:5.0f} batches/s ({spread:>9}) {1e3 * computing:5.2f} "
            f"core ms; ours {first / rate:5.2f} x"
        )


if __name__ == "__main__":
    main()
