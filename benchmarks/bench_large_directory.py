"""Time to the first batch, and memory, with a data directory of VoxCeleb's size.

    python benchmarks/bench_large_directory.py [--utterances 2200000] [--speakers 7300]
        [--workers 2] [--rounds 3] [--soak 200000] [--read-every 50]

The directory is made up: its entries point, in Kaldi's order, into one archive of
narrow matrices of 8 s, of which there are more than a worker remembers the places of;
so do the VAD decisions of `raw`, which trains with `raw_features`. The peer reads the
same tables, without VAD, into plain dicts of `str`, as scripts do, and then one batch.
Each runs in a process of its own, from `import` to the batch. `--soak` plans so many
batches, reads some of them through the workers, and shows the memory on the way.
"""

from __future__ import annotations

import argparse
import contextlib
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

NUM_STORED, LENGTH, DIM, BATCH = 100_000, 800, 4, 64


def write_directory(folder: pathlib.Path, num_utterances: int, speakers: int) -> None:
    """Tables with names as long as VoxCeleb's; one frame in ten is unvoiced."""
    import numpy as np

    from dataset.kaldi_io import write_mat, write_vec_flt

    matrix = np.random.default_rng(0).normal(0, 5, (LENGTH, DIM)).astype(np.float32)
    voiced = (np.arange(LENGTH) % 10 > 0).astype(np.float32)
    places = []
    with open(folder / "feats.ark", "wb") as ark, open(folder / "vad.ark", "wb") as vad:
        for number in range(NUM_STORED):
            skip = len(f"u{number} ")
            places.append((ark.tell() + skip, vad.tell() + skip))
            write_mat(ark, matrix, key=f"u{number}", compression_method=2)
            write_vec_flt(vad, voiced, key=f"u{number}")
    names = ("feats.scp", "vad.scp", "utt2num_frames", "spk2utt", "spklist")
    with contextlib.ExitStack() as stack:
        feats_scp, vad_scp, frames, spk2utt, spklist = (
            stack.enter_context(open(folder / name, "w")) for name in names
        )
        row = 0
        for speaker in range(speakers):
            count = num_utterances // speakers + (speaker < num_utterances % speakers)
            own = [f"id{speaker:05}-1zcIwhmdeo4-{i:05}-noise" for i in range(count)]
            for name in own:
                feats, vad_place = places[row % NUM_STORED]
                feats_scp.write(f"{name} {folder}/feats.ark:{feats}\n")
                vad_scp.write(f"{name} {folder}/vad.ark:{vad_place}\n")
                frames.write(f"{name} {LENGTH}\n")
                row += 1
            spk2utt.write(f"id{speaker:05} {' '.join(own)}\n")
            spklist.write(f"id{speaker:05} {speaker}\n")


def memory(process: int | str = "self", entry: str = "VmHWM:") -> float:
    """In MB: the peak, or what a process shares with no other (RssAnon)."""
    lines = pathlib.Path(f"/proc/{process}/status").read_text().splitlines()
    return next(int(x.split()[1]) / 1024 for x in lines if x.startswith(entry))


def ours(folder: str, num_workers: int, raw: bool = False) -> None:
    """Prints seconds, CPU seconds of this process, its MB, MB of a worker's own."""
    begun = time.perf_counter()
    from dataset.data_loader import KaldiDataRandomQueue

    spklist = f"{folder}/spklist"
    with KaldiDataRandomQueue(folder, spklist, num_workers, raw_features=raw) as queue:
        queue.fetch()
        seconds, busy = time.perf_counter() - begun, time.process_time()
        for _ in range(100):
            queue.fetch()
        own = max(memory(worker, "RssAnon:") for worker in queue.worker_ids)
    print(seconds, busy, memory(), own)


def raw(folder: str, num_workers: int) -> None:
    """The same with raw features and their VAD decisions."""
    ours(folder, num_workers, raw=True)


def dicts(folder: str, num_workers: int) -> None:
    """The same of plain dicts; without workers."""
    begun = time.perf_counter()
    from dataset.kaldi_io import FeatureReader

    with open(f"{folder}/feats.scp") as stream:
        scp = dict(line.rstrip().split(None, 1) for line in stream)
    with open(f"{folder}/utt2num_frames") as stream:
        frames = {utt: int(n) for utt, n in (line.split() for line in stream)}
    with open(f"{folder}/spk2utt") as stream:
        utts = {words[0]: words[1:] for words in map(str.split, stream)}
    reader = FeatureReader()
    for speaker in random.sample(list(utts), BATCH):
        utterance = random.choice(utts[speaker])
        start = random.randrange(frames[utterance] - 300 + 1)
        reader.read(scp[utterance], start, 300)
    print(time.perf_counter() - begun, time.process_time(), memory(), 0.0)


def soak(folder: str, num_workers: int, num_batches: int, every: int) -> None:
    """Memory at the tenths of many batches: all planned, some of them read."""
    from dataset.data_loader import KaldiDataRandomQueue
    from dataset.sampler import RandomSampler
    from dataset.speaker_info import load_speaker_info

    info = load_speaker_info(folder, f"{folder}/spklist")
    sampler = RandomSampler(info.num_frames, info.label, info.num_speakers)
    print("planned   read   this process, MB   largest worker, MB (own memory)")
    with KaldiDataRandomQueue(
        folder, f"{folder}/spklist", num_workers, info=info
    ) as queue:
        for step in range(num_batches + 1):
            sampler.plan(step)
            if step % every == 0:
                queue.fetch()
            if step % (num_batches // 10) == 0:
                own = max(memory(worker, "RssAnon:") for worker in queue.worker_ids)
                mine = memory(entry="RssAnon:")
                print(f"{step:7} {queue.step:6} {mine:12.1f} {own:20.1f}", flush=True)


WAYS = {"ours": ours, "raw": raw, "dicts": dicts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--utterances", type=int, default=2_200_000)
    parser.add_argument("--speakers", type=int, default=7300)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--read-every", type=int, default=50)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        WAYS[args.way](args.folder, args.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_directory(pathlib.Path(folder), args.utterances, args.speakers)
        measured: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for _ in range(args.rounds):
            for way, results in measured.items():
                command = [sys.executable, __file__, "--way", way, "--folder", folder]
                command += ["--workers", str(args.workers)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
                results.append([float(word) for word in done.stdout.split()])
        medians = {
            way: [statistics.median(column) for column in zip(*results, strict=True)]
            for way, results in measured.items()
        }
        print(f"{args.utterances} utterances, {args.speakers} speakers")
        print("       first batch       CPU                 this process        worker")
        peer = medians["dicts"]
        for way, figures in medians.items():
            units = ("s", "s", "MB")
            cells = [
                f"{figure:7.1f} {unit} ({figure / base:.2f} x)"
                for figure, base, unit in zip(figures, peer, units, strict=False)
            ]
            print(f"{way:6}", *cells, f"{figures[-1]:6.0f} MB")
        if args.soak:
            soak(folder, args.workers, args.soak, args.read_every)


if __name__ == "__main__":
    main()
