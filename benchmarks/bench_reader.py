"""Segments of 300 x 30 at random from archives in the page cache, one process.

    python benchmarks/bench_reader.py

Compares FeatureReader, a segment at a time and 64 at a time as the loader asks (these
are put into a batch, which a segment by itself is not), with
kaldi_native_io and kaldiio (which read whole utterances), and with the bound: copying
the same rows out of a memory map at known places. The clock is that of the process, so
that others on the machine count less.
"""

from __future__ import annotations

import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import kaldi_native_io  # noqa: E402
import kaldiio  # noqa: E402
import numpy as np  # noqa: E402

from dataset.kaldi_io import FeatureReader  # noqa: E402
from dataset.kaldi_table import TableWriter  # noqa: E402

UTTERANCES, FRAMES, DIM, LENGTH = 1000, 800, 30, 300
FORMATS = {"float": None, "CM": 2, "CM2": 3, "CM3": 5}
SECONDS = 1.0
"""For each measurement; the best tenth counts."""

TOGETHER = 64

Plan = list[tuple[int, int]]
Read = Callable[[int, int], np.ndarray]
ReadMany = Callable[[Plan], object]


def write_archives(folder: str) -> None:
    """The same normal numbers in each format."""
    rng = np.random.default_rng(0)
    feats = rng.normal(0, 10, (FRAMES + UTTERANCES, DIM)).astype(np.float32)
    for name, method in FORMATS.items():
        with TableWriter(
            f"ark,scp:{folder}/{name}.ark,{folder}/{name}.scp",
            "matrix",
            compression_method=method,
        ) as writer:
            for i in range(UTTERANCES):
                writer.write(f"{i:04d}", feats[i : i + FRAMES])


def one_by_one(read: Read) -> ReadMany:
    """The same for some segments."""

    def read_many(plan: Plan) -> None:
        for i, start in plan:
            read(i, start)

    return read_many


def together(folder: str, name: str) -> ReadMany:
    """Ours, as the loader asks."""
    with open(f"{folder}/{name}.scp") as stream:
        places = [line.split()[1] for line in stream]
    reader = FeatureReader()
    out = np.empty((TOGETHER, LENGTH, DIM), np.float32)

    def read_many(plan: Plan) -> np.ndarray:
        names = [places[i] for i, _ in plan]
        starts = [start for _, start in plan]
        reader.expect(((name, 0, LENGTH) for name in names), ignore)
        reader.read_many(names, starts, out, ignore)
        return out

    return read_many


def ignore(number: int) -> None:
    """Nobody asks which segment is being read."""


def readers(folder: str, name: str) -> dict[str, Read]:
    """A function (utterance, start) -> float32 [LENGTH, DIM] for each library."""
    with open(f"{folder}/{name}.scp") as stream:
        places = [line.split()[1] for line in stream]
    ours = FeatureReader()
    native = kaldi_native_io.RandomAccessFloatMatrixReader(f"scp:{folder}/{name}.scp")

    def read_native(i: int, start: int) -> np.ndarray:
        return native[f"{i:04d}"][start : start + LENGTH].copy()

    def read_kaldiio(i: int, start: int) -> np.ndarray:
        return kaldiio.load_mat(places[i])[start : start + LENGTH].copy()

    return {
        "ours": lambda i, start: ours.read(places[i], start, LENGTH),
        "kaldi_native_io": read_native,
        "kaldiio": read_kaldiio,
        "slice copy of floats": slice_copy(folder),
    }


def slice_copy(folder: str) -> Read:
    """The bound: no names, no headers, only the rows."""
    archive = np.memmap(f"{folder}/float.ark", mode="r")
    with open(f"{folder}/float.scp") as stream:
        offsets = [int(line.rpartition(":")[2]) + 15 for line in stream]
    size = FRAMES * DIM * 4
    matrices = [
        np.asarray(archive[at : at + size]).view("<f4").reshape(FRAMES, DIM)
        for at in offsets
    ]
    return lambda i, start: matrices[i][start : start + LENGTH].copy()


def segments_per_second(ways: dict[str, ReadMany], plan: Plan) -> dict[str, float]:
    """In turns; the best of ten runs of each."""
    best = dict.fromkeys(ways, 0.0)
    for _ in range(10):
        for name, read_many in ways.items():
            count, begin = 0, time.process_time()
            while (passed := time.process_time() - begin) < SECONDS / 10:
                first = count % (len(plan) - TOGETHER)
                read_many(plan[first : first + TOGETHER])
                count += TOGETHER
            best[name] = max(best[name], count / passed)
    return best


def main() -> None:
    rng = np.random.default_rng(1)
    starts = rng.integers(0, FRAMES - LENGTH, 20000).tolist()
    plan = list(zip(rng.integers(0, UTTERANCES, 20000).tolist(), starts, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        write_archives(folder)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        for name in FORMATS:
            functions = readers(folder, name)
            expected = functions["kaldi_native_io"](7, 100)
            if not (functions["ours"](7, 100) == expected).all():
                raise SystemExit(f"{name}: not what Kaldi reads")
            ways = {f"ours, {TOGETHER} at a time": together(folder, name)}
            ways |= {k: one_by_one(function) for k, function in functions.items()}
            speeds = segments_per_second(ways, plan)
            first, *others = speeds
            print(f"{name}: {first} {speeds[first]:,.0f} segments/s")
            for other in others:
                print(f"  {speeds[first] / speeds[other]:6.2f} x {other}")


if __name__ == "__main__":
    main()
