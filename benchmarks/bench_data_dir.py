"""How fast data directories are handled, against sorting their tables.

    python benchmarks/bench_data_dir.py [--utterances 1200000]

A made-up directory of VoxCeleb2's size: six tables, 7,300 speakers. Each script runs as
a program, as a recipe calls it; the peer is `LC_ALL=C sort` of the same six tables.
Memory is the most that the script took.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import subprocess
import tempfile
import time

UTILS = pathlib.Path(__file__).parents[1] / "misc/kaldi/utils"
SPEAKERS = 7300


def make_data(folder: pathlib.Path, utterances: int, prefix: str) -> None:
    """Tables as prepared from VoxCeleb2, with features and VAD."""
    folder.mkdir()
    rng = random.Random(0)
    names = ("utt2spk", "wav.scp", "feats.scp", "vad.scp", "utt2num_frames", "utt2dur")
    tables = {name: open(folder / name, "w") for name in names}
    for number in range(utterances):
        speaker = f"{prefix}id{number * SPEAKERS // utterances:05d}"
        key = f"{speaker}-{rng.randrange(16**8):08x}-{number:07d}"
        frames, archive = rng.randrange(400, 2000), number % 40
        tables["utt2spk"].write(f"{key} {speaker}\n")
        tables["wav.scp"].write(
            f"{key} ffmpeg -v 8 -i /corpora/vox2/dev/aac/{speaker}/{number:07d}.m4a "
            "-f wav -acodec pcm_s16le - |\n"
        )
        tables["feats.scp"].write(
            f"{key} /exp/make_mfcc/raw_mfcc_train.{archive}.ark:{number * 9371}\n"
        )
        tables["vad.scp"].write(
            f"{key} /exp/make_vad/vad_train.{archive}.ark:{number * 1371}\n"
        )
        tables["utt2num_frames"].write(f"{key} {frames}\n")
        tables["utt2dur"].write(f"{key} {frames / 100}\n")
    for table in tables.values():
        table.close()


def timed(command: list[str], cwd: pathlib.Path) -> tuple[float, float]:
    """Seconds, and GiB of memory at most, of a program."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=cwd, env=dict(os.environ, LC_ALL="C"), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return time.perf_counter() - start, usage.ru_maxrss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--utterances", type=int, default=1_200_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_data(folder / "data", args.utterances, "")
        for half, prefix in (("half1", ""), ("half2", "sp-")):
            make_data(folder / half, args.utterances // 2, prefix)
        sort = 'for table in data/*; do sort -o sorted "$table"; done'
        peer, _ = timed(["bash", "-c", sort], folder)
        print(f"{args.utterances:,} utterances; sort of their tables: {peer:.1f} s")
        subset = str(args.utterances // 2)
        for title, line in {
            "fix": ["fix_data_dir.sh", "data"],
            "split 40 ways": ["split_data.sh", "data", "40"],
            "combine two halves": ["combine_data.sh", "both", "half1", "half2"],
            "subset, a half": ["subset_data_dir.sh", "data", subset, "subset"],
            "validate": ["validate_data_dir.sh", "--no-text", "data"],
        }.items():
            seconds, memory = timed([str(UTILS / line[0]), *line[1:]], folder)
            print(
                f"{title:20s}{seconds:6.1f} s  {seconds / peer:5.2f} of sort  "
                f"{memory:.2f} GiB"
            )


if __name__ == "__main__":
    main()
