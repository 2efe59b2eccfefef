"""How fast telephone calls are read: NIST SPHERE, mu-law, plain and Shorten-compressed.

    python benchmarks/bench_sphere.py [--seconds 30] [--rounds 7]

A call of two channels at 8 kHz, noise in syllables. The ways take turns; CPU time, the
median of the rounds; the peer is libsndfile, which reads the plain file only.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
import soundfile  # noqa: E402
from sre_corpora import write_call  # noqa: E402

from dataset.wav import read_wave  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = (pathlib.Path(folder) / f"{n}.sph" for n in ("plain", "packed"))
        write_call(plain, [1, 2], 0, args.seconds)
        write_call(packed, [1, 2], 0, args.seconds, shorten=True)
        ways = {
            "libsndfile, plain": lambda: soundfile.read(plain, dtype="float32"),
            "ours, plain": lambda: read_wave(plain),
            "ours, Shorten": lambda: read_wave(packed),
        }
        samples = {name: read() for name, read in ways.items()}
        np.testing.assert_array_equal(
            samples["ours, plain"].samples, samples["ours, Shorten"].samples
        )
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(args.rounds):
            for name, read in ways.items():
                start = time.process_time()
                read()
                times[name].append(time.process_time() - start)
        size = packed.stat().st_size / plain.stat().st_size
        print(f"{args.seconds:g} s, two channels; Shorten's file has {size:.2f} of it")
        peer = statistics.median(times["libsndfile, plain"])
        for name, values in times.items():
            spent = statistics.median(values)
            print(
                f"{name:18} {1000 * spent:8.2f} ms  {args.seconds / spent:7.0f} x real "
                f"time  {spent / peer:7.2f} of libsndfile"
            )


if __name__ == "__main__":
    main()
