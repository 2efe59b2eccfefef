"""Batches from archives that are not in memory: what a disk is asked for, and how.

    python benchmarks/bench_disk.py [--folder DIR] [--gigabytes 2] [--batches 30]

One process reads batches of 64 segments of 300 frames and 30 dimensions at random from
CM archives. Before each measurement the system is told to forget them (posix_fadvise).

- system: as the system reads for a memory map, around each place that is touched;
- page by page: nothing but what is touched (MADV_RANDOM);
- in order of the batch: all that a batch needs is asked for (WILLNEED), then touched;
- by place: the same, sorted by archive and place on the disk, as the loader does;
- in memory: the loader's way without forgetting, and "asking": as if it did not notice.

Then two worker processes of the loader do the same, without and with `block_pool_mb`.
The ways take turns. A --folder on a network disk tells what that one gives; --mount is
where benchmarks/slow_disk.py shows the folder as one.
"""

from __future__ import annotations

import argparse
import contextlib
import mmap
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import numpy as np  # noqa: E402

from dataset import feature_reader  # noqa: E402
from dataset.batch_reader import STORED_FEATURES, BatchReader  # noqa: E402
from dataset.compressed_matrix import compress  # noqa: E402
from dataset.data_loader import KaldiDataRandomQueue  # noqa: E402
from dataset.feature_reader import FeatureReader  # noqa: E402
from dataset.segments import Segment, Task  # noqa: E402

SEGMENTS, LENGTH, DIM, ARCHIVES, SPEAKERS = 64, 300, 30, 8, 1000
LOADER_SECONDS = 10.0
WAYS = (
    "system",
    "page by page",
    "in order of the batch",
    "by place",
    "in memory",
    "in memory, asking",
)


def write_archives(
    folder: pathlib.Path, seen: pathlib.Path, num_bytes: int, frames: int
) -> list[str]:
    """A data directory of a few matrices again and again; the rxfilename of each.

    `seen` is where the folder will be read from.
    """
    rng = np.random.default_rng(0)
    bodies = [
        b"\0B" + compress(rng.normal(0, 5, (frames, DIM)), method=2) for _ in range(4)
    ]
    places: list[str] = []
    for number in range(ARCHIVES):
        with open(folder / f"feats.{number}.ark", "wb") as stream:
            while stream.tell() < num_bytes // ARCHIVES:
                key = f"utterance-{len(places)} ".encode()
                places.append(f"{seen}/feats.{number}.ark:{stream.tell() + len(key)}")
                stream.write(key + bodies[len(places) % len(bodies)])
            stream.flush()
            os.fsync(stream.fileno())
    tables: dict[str, list[str]] = {
        "feats.scp": [f"{i} {place}" for i, place in enumerate(places)],
        "utt2num_frames": [f"{i} {frames}" for i in range(len(places))],
        "spklist": [f"s{i} {i}" for i in range(SPEAKERS)],
        "spk2utt": [
            f"s{i} {' '.join(map(str, range(i, len(places), SPEAKERS)))}"
            for i in range(SPEAKERS)
        ],
    }
    for table, lines in tables.items():
        (folder / table).write_text("".join(f"{line}\n" for line in lines))
    return places


def forget(folder: pathlib.Path) -> None:
    """What of the archives is in memory."""
    for path in folder.glob("*.ark"):
        with open(path, "rb") as stream:
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def reading(way: str) -> Iterator[BatchReader]:
    """A reader that goes this way."""
    with contextlib.ExitStack() as patches:

        def patch(target: object, name: str, value: object) -> None:
            patches.enter_context(mock.patch.object(target, name, value))

        if way == "system":
            patch(mmap, "MADV_RANDOM", mmap.MADV_NORMAL)
        if way in ("system", "page by page"):
            patch(FeatureReader, "expect", lambda self, wanted, at: None)
        if way == "in order of the batch":
            patch(feature_reader, "_by_place", lambda place: 0)
        if way == "in memory, asking":
            patch(feature_reader, "_QUIET", 1 << 60)
        yield BatchReader(STORED_FEATURES)


def read_batches(
    way: str, places: list[str], seed: int, args: argparse.Namespace
) -> list[tuple[float, float]]:
    """Seconds of each batch, and of them those spent computing."""
    batch = np.empty((SEGMENTS, LENGTH, DIM), np.float32)
    progress = np.zeros(1, np.int64)
    seconds = []
    with reading(way) as reader:
        for _ in range(1 + way.startswith("in memory")):
            rng = np.random.default_rng(seed)
            for step in range(args.batches):
                rows = rng.integers(len(places), size=SEGMENTS).tolist()
                starts = rng.integers(args.frames - LENGTH, size=SEGMENTS).tolist()
                names = [places[row] for row in rows]
                segments = list(map(Segment, names, names, starts))
                task = Task(step, segments, LENGTH, DIM)
                begun, busy = time.perf_counter(), time.process_time()
                if reader.read(task, batch, progress):
                    raise SystemExit("the archives cannot be read")
                passed = time.perf_counter() - begun
                seconds.append((passed, time.process_time() - busy))
    return seconds[-args.batches :]


def loader_rates(
    folder: pathlib.Path, block_pool_mb: int, args: argparse.Namespace
) -> tuple[float, float]:
    """Seconds to the first batch, and batches a second afterwards.

    What lies ready by the time of the first batch is not counted.
    """
    begun = time.perf_counter()
    with KaldiDataRandomQueue(
        str(folder),
        str(folder / "spklist"),
        num_parallel=2,
        num_speakers=SEGMENTS,
        min_len=LENGTH,
        max_len=LENGTH,
        block_pool_mb=block_pool_mb,
    ) as queue:
        queue.fetch()
        start = time.perf_counter() - begun
        for _ in range(2 * queue.num_ready):
            queue.fetch()
        begun, number = time.perf_counter(), 0
        while number < args.batches or time.perf_counter() < begun + LOADER_SECONDS:
            queue.fetch()
            number += 1
        return start, number / (time.perf_counter() - begun)


def bytes_read() -> int:
    """From disks, by this process (0 where the system does not say, as for FUSE)."""
    for line in pathlib.Path("/proc/self/io").read_text().splitlines():
        if line.startswith("read_bytes:"):
            return int(line.split()[1])
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", help="where the archives are written")
    parser.add_argument("--mount", help="where they are read, as DIR/*/*.ark")
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--frames", type=int, default=800, help="of an utterance")
    parser.add_argument("--pool", type=int, default=256, help="block_pool_mb")
    parser.add_argument("--batches", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    seconds: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    fetched = dict.fromkeys(WAYS, 0)
    pools: dict[int, list[tuple[float, float]]] = {0: [], args.pool: []}
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        written = pathlib.Path(name)
        folder = pathlib.Path(args.mount, written.name) if args.mount else written
        num_bytes = int(args.gigabytes * 1e9)
        places = write_archives(written, folder, num_bytes, args.frames)
        for seed in range(args.rounds):
            for way in WAYS:
                if not way.startswith("in memory"):
                    forget(folder)
                begun = bytes_read()
                seconds[way] += read_batches(way, places, seed, args)
                fetched[way] += bytes_read() - begun
            for pool in pools:
                forget(folder)
                pools[pool].append(loader_rates(folder, pool, args))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for way in WAYS:
        passed, busy = zip(*seconds[way], strict=True)
        megabytes = fetched[way] / len(passed) / 1e6
        print(
            f"{way:22} {1e3 * statistics.median(passed):7.2f} ms a batch "
            f"(mean {1e3 * statistics.mean(passed):7.2f}, "
            f"computing {1e3 * statistics.median(busy):5.2f}), "
            f"{megabytes:6.2f} MB from the disk"
        )
    for pool, rates in pools.items():
        start, rate = (statistics.median(column) for column in zip(*rates, strict=True))
        print(
            f"loader, 2 workers, block_pool_mb {pool:4}: {rate:6.1f} batches/s, the "
            f"first after {start:5.2f} s"
        )


if __name__ == "__main__":
    main()
