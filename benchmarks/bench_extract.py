"""Extraction on one thread: extract.py against what the original does, in Keras.

    python benchmarks/bench_extract.py [--rounds 3] [--features <rspecifier>]
        [--steady 20000] [--wav <data-dir> --conf <dir>] [--torch <python>]
        [--soak 100000]

The peer loads the model with Keras and gives it one utterance after the other, as the
original's extract.py did; another peer does so in PyTorch, if a Python that has it is
named (torch_xvector.py). The network is the standard x-vector with weights of noise;
the features are made up, of lengths as in read speech, unless others are given. Figures
are of processor time, which other programs on the machine disturb less than the clock,
and the least of some rounds. --steady: utterances without start, reading and writing.
--wav: from sound to embeddings, with mfcc.conf and vad.conf of --conf, whose features
must have 30 dimensions. --soak: the memory of one job over so many utterances, and
that of one of two hours; nothing else is done.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from nnet import program  # noqa: E402

program.limit_threads(1)
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import numpy as np  # noqa: E402

from dataset.errors import Unusable  # noqa: E402
from dataset.kaldi_table import SequentialReader, TableWriter  # noqa: E402
from dataset.recordings import read_waves  # noqa: E402
from misc.embedder import Embedder  # noqa: E402
from misc.light.place import find_light  # noqa: E402
from misc.model_front_end import add_conf  # noqa: E402
from misc.params import Params  # noqa: E402
from misc.run_dir import RunDir  # noqa: E402
from nnet.networks import open_network  # noqa: E402

NODE, DIM, UTTERANCES, SHORTEST = "tdnn6_dense", 30, 600, 25
FRAME_SHIFT = 0.01
OURS = [str(ROOT / "nnet/extract.py"), "--node", NODE]
CONFIG = ROOT / "nnet_conf/mini/tdnn_corpus_softmax.json"


def make_model(folder: str) -> None:
    """A run's folder with a model of noise, also where a new one has zeros or ones."""
    program.import_keras_quietly()
    from model.trainer import compiled_model

    params = Params.from_json(str(CONFIG), read_rates=False)
    model = compiled_model(params, DIM, 100)
    rng = np.random.default_rng(0)
    for weight in model.network.weights:
        if "kernel" not in weight.path:
            noise = rng.normal(size=weight.shape) * 0.3
            weight.assign(abs(noise) + 0.5 if "variance" in weight.path else noise)
    run = RunDir(folder)
    run.create(params, DIM, 100)
    model.save(run.model_file(1))
    pathlib.Path(run.file("checkpoint")).write_text(
        'all_model_checkpoint_paths: "model-1"\n'
    )


def make_features(path: str, lengths: np.ndarray) -> str:
    """Noise, with the mean and scale of what sliding CMVN leaves."""
    rng = np.random.default_rng(1)
    with TableWriter(f"ark:{path}", "matrix") as writer:
        for i, frames in enumerate(lengths):
            x = rng.normal(size=(frames, DIM)) * np.linspace(8, 1, DIM)
            writer.write(f"u{i:06d}", x.astype(np.float32))
    return f"ark:{path}"


def speech_lengths(number: int) -> np.ndarray:
    """Voiced frames of read utterances of some seconds: 295 on average."""
    rng = np.random.default_rng(2)
    return np.clip(rng.lognormal(5.6, 0.45, number), SHORTEST, 3000).astype(int)


def peer(model_dir: str, rspecifier: str, out: str) -> None:
    """What the original's extract.py does: utterance by utterance."""
    program.import_keras_quietly()
    program.use_threads(1)
    from model.trainer import load_model

    node = load_model(RunDir(model_dir)).node(NODE)
    with (
        SequentialReader(rspecifier, "matrix") as reader,
        TableWriter(f"ark:{out}", "vector") as writer,
    ):
        for key, x in reader:
            if len(x) >= SHORTEST:
                writer.write(key, np.asarray(node.predict_on_batch(x[None]))[0])


def run_job(*command: str, python: str = sys.executable) -> tuple[float, float, int]:
    """Processor seconds, wall seconds and the largest memory in MB of a process."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [python, *command], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {' '.join(command)}")
    wall = time.perf_counter() - begin
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss >> 10


def whole_processes(
    folder: str, feats: str, seconds: float, rounds: int, torch: str
) -> None:
    """From the start of Python to the last embedding."""
    commands = {
        "ours": [sys.executable, *OURS, folder, feats, f"ark:{folder}/ours.ark"],
        "peer": [
            sys.executable,
            __file__,
            "--peer",
            folder,
            feats,
            f"{folder}/peer.ark",
        ],
    }
    if torch:
        commands["torch"] = [torch, *torch_job(folder, feats)]
    best: dict[str, tuple[float, float, int]] = {}
    for _ in range(rounds):
        for name, (python, *command) in commands.items():
            found = run_job(*command, python=python)
            best[name] = min(best.get(name, found), found)
    for name, figures in best.items():
        print_job(name, figures, seconds)
    for peer in list(best)[1:]:
        print(
            f"  ratio to {peer} {best['ours'][0] / best[peer][0]:.2f}, largest "
            f"difference {largest_difference(folder, peer):.1e} of an embedding's "
            "largest value"
        )


def print_job(name: str, figures: tuple[float, float, int], seconds: float) -> None:
    processor, wall, memory = figures
    print(
        f"{name}: {processor:.2f} s of processor, {wall:.2f} s by the clock, "
        f"{memory} MB; real-time factor {processor / seconds:.5f}"
    )


def torch_job(folder: str, feats: str) -> list[str]:
    light = find_light(RunDir(folder), 1)
    job = [str(ROOT / "benchmarks/torch_xvector.py"), str(light), feats]
    return [*job, f"ark:{folder}/torch.ark", str(SHORTEST)]


def largest_difference(folder: str, peer: str) -> float:
    with (
        SequentialReader(f"ark:{folder}/ours.ark", "vector") as ours,
        SequentialReader(f"ark:{folder}/{peer}.ark", "vector") as theirs,
    ):
        errors = [
            abs(a - b).max() / abs(b).max()
            for (_, a), (_, b) in zip(ours, theirs, strict=True)
        ]
    return max(errors)


def from_sound(folder: str, data_dir: str, conf: str, rounds: int) -> None:
    """The same from recordings, once more."""
    add_conf(RunDir(folder), {n: f"{conf}/{n}" for n in ("mfcc.conf", "vad.conf")})
    command = [*OURS, "--wav", folder, data_dir, f"ark:{folder}/wav.ark"]
    best = min(run_job(*command) for _ in range(rounds))
    waves = (wave for _, wave in read_waves([data_dir]))
    seconds = sum(wave.duration for wave in waves if not isinstance(wave, Unusable))
    print_job("from sound", best, seconds)


def steady_state(folder: str, feats: str, rounds: int, number: int, torch: str) -> None:
    """Without start, reading and writing; ours and the peer in turn."""
    from model.trainer import load_model

    program.use_threads(1)
    node = load_model(RunDir(folder)).node(NODE)
    embedder = Embedder(open_network(folder, NODE))
    with SequentialReader(feats, "matrix") as reader:
        known = [(key, x) for key, x in reader if len(x) >= SHORTEST]
    groups = [
        [known[(i + n) % len(known)] for n in range(10)] for i in range(0, number, 10)
    ]
    best = np.full((2, len(groups)), np.inf)
    for _ in range(rounds):
        for i, group in enumerate(groups):
            begin = time.process_time()
            list(embedder.stream(group))
            middle = time.process_time()
            for _, x in group:
                node.predict_on_batch(x[None])
            times = middle - begin, time.process_time() - middle
            best[:, i] = np.minimum(best[:, i], times)
    ours, theirs = best.sum(axis=1) / (10 * len(groups)) * 1e3
    print(
        f"steady state, {10 * len(groups)} utterances: {ours:.2f} ms an utterance, "
        f"peer {theirs:.2f}: ratio {ours / theirs:.2f}"
    )
    if torch:
        command = [torch, *torch_job(folder, feats)]
        found = (subprocess.check_output(command, text=True) for _ in range(rounds))
        print(f"torch {min(map(float, found)):.2f} ms")


def side_by_side(folder: str, feats: str, rounds: int) -> None:
    """Two jobs at once against one alone, by the clock: for two cores that are free."""
    command = [sys.executable, *OURS, folder]
    best = [float("inf")] * 2
    for _ in range(rounds):
        for jobs in (1, 2):
            begin = time.perf_counter()
            running = [
                subprocess.Popen(
                    [*command, feats, f"ark:{folder}/{i}.ark"],
                    stderr=subprocess.DEVNULL,
                )
                for i in range(jobs)
            ]
            if any(process.wait() for process in running):
                raise SystemExit("a job failed")
            best[jobs - 1] = min(best[jobs - 1], time.perf_counter() - begin)
    print(
        f"one job {best[0]:.2f} s, two at once {best[1]:.2f} s: "
        f"{2 * best[0] / best[1]:.2f} times the utterances a second"
    )


def memory() -> int:
    """Of this process now, in MB."""
    with open("/proc/self/statm") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize() >> 20


def soak(folder: str, utterances: int) -> None:
    """The memory of one process at each tenth, and with an utterance of two hours."""
    embedder = Embedder(open_network(folder, NODE))
    rng = np.random.default_rng(3)
    noise = rng.normal(size=(3000, DIM)).astype(np.float32)
    lengths = speech_lengths(utterances)
    entries = ((str(i), noise[:n].copy()) for i, n in enumerate(lengths))
    found = []
    for i, _ in enumerate(embedder.stream(entries), 1):
        if i % (utterances // 10) == 0:
            found.append(memory())
    print(f"memory at each tenth of {utterances} utterances: {found} MB")
    begin = time.process_time()
    embedder(rng.normal(size=(720_000, DIM)).astype(np.float32))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"two hours in one: {time.process_time() - begin:.1f} s, at most {peak} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=0)
    parser.add_argument("--features", default="")
    parser.add_argument("--steady", type=int, default=200)
    parser.add_argument("--wav", default="")
    parser.add_argument("--conf", default=str(ROOT / "egs/mini/v1/conf"))
    parser.add_argument("--torch", default="")
    parser.add_argument("--peer", nargs=3)
    args = parser.parse_args()
    if args.peer:
        peer(*args.peer)
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", _MAKE, folder], check=True)
        feats = args.features or make_features(
            f"{folder}/feats.ark", speech_lengths(UTTERANCES)
        )
        run_job(str(ROOT / "nnet/make_light.py"), folder)
        if args.soak:
            soak(folder, args.soak)
            return
        with SequentialReader(feats, "matrix") as reader:
            frames = sum(len(x) for _, x in reader)
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {frames} frames")
        seconds = frames * FRAME_SHIFT
        whole_processes(folder, feats, seconds, args.rounds, args.torch)
        side_by_side(folder, feats, args.rounds)
        if args.wav:
            from_sound(folder, args.wav, args.conf, args.rounds)
        steady_state(folder, feats, args.rounds, args.steady, args.torch)


_MAKE = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "benchmarks")!r}]
from bench_extract import make_model
make_model(sys.argv[1])
"""

if __name__ == "__main__":
    main()
