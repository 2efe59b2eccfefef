#!/usr/bin/env python3
"""The recipes' data preparation on trees of the size of VoxCeleb1 and 2.

    benchmarks/bench_preparation.py [--where folder] [voxceleb] [sre] [fisher]

A million files or so are made in a temporary folder (in `folder`, which needs as many
inodes): empty ones for voxceleb and sre, whose lists are as long as the published ones
and longer; for fisher, which looks at every header, names of short sounds. Compared
with `find <folder> -name '*.wav' -o ... | sort`, all of it from the page cache.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import wave
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


def beside_find(name: str, root: Path, command: list[str]) -> None:
    """A preparation, after `find | sort` of the tree: twice."""
    find = f"find {root} -name '*.wav' -o -name '*.m4a' -o -name '*.sph' | sort"
    for _ in range(2):
        peer, of_peer = timed(["bash", "-c", find], root / "list")
        seconds, computed = timed(command, root / "log")
        print(
            f"{name}: {seconds:.1f} s, {computed:.1f} of them computing; "
            f"'find | sort' {peer:.1f} s and {of_peer:.1f}",
            flush=True,
        )
    print((root / "log").read_text(), end="")


def voxceleb(root: Path) -> None:
    """VoxCeleb1 and 2 by both protocols, with all lists of trials."""
    make_corpus(root, random.Random(0))  # noqa: S311
    prepare = str(ROOT / "egs/voxceleb/v1/local/prepare_voxceleb.py")
    corpora = ["--voxceleb2", f"{root}/V2", f"{root}/V1", f"{root}/data"]
    for protocol in ("original", "official"):
        command = [sys.executable, prepare, "--protocol", protocol, *corpora]
        beside_find(f"voxceleb, {protocol}", root, command)


def sre(root: Path) -> None:
    """An evaluation of 563,000 calls, both sides of each in the speaker list."""
    data, lines = root / "LDC/LDC2006S44/data", []
    for call in range(563_000):
        if call % 1000 == 0:
            os.makedirs(data / f"{call // 1000:03d}")
        path = data / f"{call // 1000:03d}/t{call:06d}.sph"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
        for side in "AB":
            speaker = 10000 + 7919 * len(lines) % 6000
            lines.append(f"{speaker} m sre2004 t{call:06d} {side}\n")
    (root / "speaker_list").write_text("".join(lines))
    prepare = str(ROOT / "egs/sre/v1/local/prepare_corpus.py")
    options = ["--speaker-list", f"{root}/speaker_list", f"{root}/LDC", "sre04"]
    beside_find("sre", root, [sys.executable, prepare, *options, f"{root}/data"])


def fisher(root: Path) -> None:
    """1.1 million names of a tenth of a second of sound, of 6000 speakers."""
    with wave.open(f"{root}/sound", "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(bytes(3200))
    for number in range(1_100_000):
        folder, name = divmod(number, 30)
        if name == 0:
            os.makedirs(root / f"speech/{folder % 6000:04d}/{folder:05d}")
        if number % 30000 == 0:  # a file has so many names at most
            source = root / f"source{number}"
            shutil.copy(root / "sound", source)
        os.link(
            source, root / f"speech/{folder % 6000:04d}/{folder:05d}/{name:02d}.wav"
        )
    prepare = str(ROOT / "egs/fisher/v1/local/make_data_from_folder.py")
    corpus = [f"{root}/speech", f"{root}/data"]
    beside_find("fisher", root, [sys.executable, prepare, *corpus])


def main() -> None:
    parser = argparse.ArgumentParser(description="data preparation at size")
    parser.add_argument("--where", help="folder for the temporary trees")
    recipes = {"voxceleb": voxceleb, "sre": sre, "fisher": fisher}
    parser.add_argument("recipes", nargs="*", default=list(recipes))
    args = parser.parse_args()
    for name in args.recipes:
        with tempfile.TemporaryDirectory(dir=args.where) as folder:
            recipes[name](Path(folder))


if __name__ == "__main__":
    main()
