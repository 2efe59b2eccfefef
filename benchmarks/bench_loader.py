"""How many batches a second loaders hand out, decoding compressed features.

    python benchmarks/bench_loader.py [--batches 300] [--workers 2] [--rounds 3]

All read the same planned segments, 64 of 300 frames and 30 dimensions per batch, from
archives compressed as recipes store speech features (CM: 1 byte a value), in the page
cache, with the same reader. What differs is how a batch gets from the worker to the
consumer, which adds up all values, so that they are truly read. The rows "raw" are this
project's queue with the key `raw_features`: segments of voiced frames (three quarters
of the 800 of each utterance), sliding CMVN applied, against ready features of the same
archives. The ways take turns, and the median of the rounds is shown.
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

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from dataset.data_loader import KaldiDataRandomQueue  # noqa: E402
from dataset.kaldi_io import FeatureReader, write_mat, write_vec_flt  # noqa: E402
from dataset.sampler import RandomSampler  # noqa: E402
from dataset.segments import Segment, read_segment  # noqa: E402
from dataset.speaker_info import load_speaker_info  # noqa: E402

try:
    import torch
except ImportError:  # its row is left out
    torch = None

SPEAKERS, LENGTH, DIM = 64, 300, 30
OPTIONS = {"num_speakers": SPEAKERS, "min_len": LENGTH, "max_len": LENGTH}
Loader = Callable[[str, int], Iterator[np.ndarray]]


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


def ours(
    folder: str, num_workers: int, raw_features: bool = False
) -> Iterator[np.ndarray]:
    """This project's queue."""
    spklist = os.path.join(folder, "spklist")
    with KaldiDataRandomQueue(
        folder, spklist, num_workers, raw_features=raw_features, **OPTIONS
    ) as queue:
        for features, _ in queue:
            yield features


class PlannedBatches:
    """Batch number -> features, decoded where it is asked: the others' work."""

    def __init__(self, folder: str) -> None:
        info = load_speaker_info(folder, os.path.join(folder, "spklist"))
        self.names = [info.utterance[i] for i in range(len(info.label))]
        self.rxfilenames = [info.rxfilename[i] for i in range(len(info.label))]
        self.sampler = RandomSampler(
            info.num_frames, info.label, info.num_speakers, **OPTIONS
        )
        self.reader = FeatureReader()

    def __len__(self) -> int:
        return 1 << 30

    def __getitem__(self, step: int) -> np.ndarray:
        plan = self.sampler.plan(step)
        batch = np.empty((SPEAKERS, LENGTH, DIM), np.float32)
        for i, (row, start) in enumerate(
            zip(plan.utterances, plan.starts, strict=True)
        ):
            segment = Segment(self.names[row], self.rxfilenames[row], int(start))
            batch[i] = read_segment(self.reader, segment, LENGTH, DIM)
        return batch


def _fill(queue: multiprocessing.Queue, folder: str, first: int, stride: int) -> None:
    batches = PlannedBatches(folder)
    for step in itertools.count(first, stride):
        queue.put(batches[step])


def queue_of_batches(folder: str, num_workers: int) -> Iterator[np.ndarray]:
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


def torch_data_loader(folder: str, num_workers: int) -> Iterator[np.ndarray]:
    """torch.utils.data.DataLoader with a batch as item."""
    loader = torch.utils.data.DataLoader(
        PlannedBatches(folder),
        batch_size=None,
        sampler=range(1 << 30),
        num_workers=num_workers,
        prefetch_factor=5,
        multiprocessing_context="spawn",
    )
    for batch in loader:
        yield batch.numpy()


def rate(loader: Loader, folder: str, num_workers: int, num_batches: int) -> float:
    """Batches a second, after as many as fill the queues."""
    batches = loader(folder, num_workers)
    for _ in range(20):
        next(batches)
    begun = time.perf_counter()
    for _ in range(num_batches):
        next(batches).sum()
    seconds = time.perf_counter() - begun
    batches.close()
    return num_batches / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    ways: dict[str, Loader] = {
        "shared ring (ours)": ours,
        "shared ring, raw (ours)": lambda folder, n: ours(folder, n, raw_features=True),
        "multiprocessing.Queue": queue_of_batches,
    }
    if torch is not None:
        ways["torch DataLoader"] = torch_data_loader
    ways["no workers (ours)"] = lambda folder, _: ours(folder, 0)
    ways["no workers, raw (ours)"] = lambda folder, _: ours(folder, 0, True)
    rates: dict[str, list[float]] = {name: [] for name in ways}
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(pathlib.Path(folder))
        for _ in range(args.rounds):
            for name, loader in ways.items():
                measured = rate(loader, folder, args.workers, args.batches)
                rates[name].append(measured)
    reference = statistics.median(rates["multiprocessing.Queue"])
    print(f"{args.workers} workers, batches [{SPEAKERS}, {LENGTH}, {DIM}]")
    for name, measured in rates.items():
        median = statistics.median(measured)
        spread = f"{min(measured):.0f}-{max(measured):.0f}"
        print(
            f"{name:24} {median:7.0f} batches/s ({spread})"
            f"   {median / reference:5.2f} x multiprocessing.Queue"
        )


if __name__ == "__main__":
    main()
