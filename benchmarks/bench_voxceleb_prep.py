#!/usr/bin/env python3
"""egs/voxceleb's data preparation on a tree of the size of VoxCeleb1 and 2.

    benchmarks/bench_voxceleb_prep.py [folder]

1.28 million empty files are made in a temporary folder (in `folder`, which needs as
many inodes), with lists of trials as long as the published ones. Compared with
`find <folder> -name '*.wav' -o -name '*.m4a' | sort`, all of it from the page cache.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
CORPORA = [  # folder, first id, speakers, videos, recordings, suffix
    ("V1/vox1_dev_wav/wav", 10001, 1211, 21819, 148642, "wav"),
    ("V1/vox1_test_wav/wav", 11212, 40, 677, 4874, "wav"),
    ("V2/dev/aac", 12, 5994, 145569, 1092009, "m4a"),
    ("V2/test/aac", 6006, 118, 4911, 36237, "m4a"),
]
TRIALS = {"veri_test.txt": 37720, "veri_test2.txt": 37611}
TRIALS |= {"list_test_all2.txt": 579818, "list_test_hard2.txt": 550894}
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"


def make_corpus(root: Path, rng: random.Random) -> None:
    """Empty files, and lists of trials of the speakers of VoxCeleb1."""
    for folder, first, speakers, videos, recordings, suffix in CORPORA:
        names, left = [], recordings
        for video in range(videos):
            speaker = f"id{first + video % speakers:05d}"
            path = f"{speaker}/{''.join(rng.choices(ALPHABET, k=11))}"
            os.makedirs(root / folder / path)
            count = left // (videos - video)
            left -= count
            for number in range(1, count + 1):
                name = f"{path}/{number:05d}.{suffix}"
                os.close(os.open(root / folder / name, os.O_CREAT | os.O_WRONLY))
                names.append(name)
        if folder.startswith("V1"):
            of_test = "test" in folder
            for file, length in TRIALS.items():
                if file.startswith("veri") == of_test:
                    (root / "V1" / file).write_text(trials(names, length, rng))


def trials(names: list[str], length: int, rng: random.Random) -> str:
    """A list of so many trials at random."""
    rows = []
    for _ in range(length):
        first, second = rng.choice(names), rng.choice(names)
        rows.append(f"{int(first[:7] == second[:7])} {first} {second}\n")
    return "".join(rows)


def timed(command: list[str], output: Path) -> tuple[float, float]:
    """Seconds that a command takes, and those of them that it computes."""
    started, before = time.perf_counter(), os.times()
    with open(output, "w") as stream:
        subprocess.run(
            command,
            check=True,
            stdout=stream,
            stderr=stream,
            env=dict(os.environ, PYTHONPATH=str(ROOT), LC_ALL="C"),
        )
    after = os.times()
    computed = sum(after[2:4]) - sum(before[2:4])
    return time.perf_counter() - started, computed


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        root = Path(folder)
        started = time.perf_counter()
        make_corpus(root, random.Random(0))  # noqa: S311
        print(f"made in {time.perf_counter() - started:.0f} s")
        prepare = str(ROOT / "egs/voxceleb/v1/local/prepare_voxceleb.py")
        corpora = ["--voxceleb2", f"{root}/V2", f"{root}/V1", f"{root}/data"]
        find = f"find {root}/V1 {root}/V2 -name '*.wav' -o -name '*.m4a' | sort"
        for _ in range(2):
            peer, of_peer = timed(["bash", "-c", find], root / "list")
            for protocol in ("original", "official"):
                command = [sys.executable, prepare, "--protocol", protocol, *corpora]
                seconds, computed = timed(command, root / "log")
                print(
                    f"{protocol}: {seconds:.1f} s, {computed:.1f} of them computing; "
                    f"'find | sort' {peer:.1f} s and {of_peer:.1f}"
                )
        print((root / "log").read_text(), end="")


if __name__ == "__main__":
    main()
