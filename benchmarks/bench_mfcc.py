"""How fast sound becomes features, and a wav.scp pipeline becomes sound.

    python benchmarks/bench_mfcc.py [--utterances 200] [--rounds 3]

Utterances of 2.5 s at 16 kHz. MFCC of 30 dimensions by this project, with and without
dither, and by kaldi-native-fbank (Kaldi's own code, frame by frame from Python), which
must agree; the program compute-mfcc-feats from files to an archive, with its start; and
`flac ... | wav-reverberate ... |` with a room of 1 s and a noise, in this process. The
ways take turns, and the median of the rounds is shown.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")  # as the command in each of many jobs

import kaldi_native_fbank  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from dataset.features import MfccOptions, compute_mfcc  # noqa: E402
from dataset.wav import read_wave, write_wave  # noqa: E402

SECONDS, RATE = 2.5, 16000
OPTIONS = ["--num-mel-bins=30", "--num-ceps=30", "--snip-edges=false"]
REVERBERATE = (
    "flac -dcs {} | wav-reverberate --impulse-response='flac -dcs rir.flac |' "
    "--additive-signals=noise.wav --snrs=10 --start-times=0 - - |"
)


def ours(dither: float) -> Callable[[np.ndarray], np.ndarray]:
    options = MfccOptions(dither=dither, num_mel_bins=30, num_ceps=30, snip_edges=False)
    return lambda samples: compute_mfcc(samples, RATE, options)


def native(samples: np.ndarray) -> np.ndarray:
    options = kaldi_native_fbank.MfccOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins = options.num_ceps = 30
    online = kaldi_native_fbank.OnlineMfcc(options)
    online.accept_waveform(RATE, samples)
    online.input_finished()
    return np.stack([online.get_frame(i) for i in range(online.num_frames_ready)])


def make_files(count: int) -> list[np.ndarray]:
    """Utterances as wav and FLAC, a wav.scp, a room and a noise, in this folder."""
    rng = np.random.default_rng(0)
    utterances = []
    with open("wav.scp", "w") as script:
        for i in range(count):
            samples = rng.normal(0, 1000, int(SECONDS * RATE)).astype(np.int16)
            write_wave(f"{i}.wav", samples, RATE)
            soundfile.write(f"{i}.flac", samples, RATE)
            script.write(f"utt{i:05} {i}.wav\n")
            utterances.append(samples.astype(np.float32))
    room = rng.normal(0, 1000, RATE) * np.exp(-np.arange(RATE) / 2000)
    soundfile.write("rir.flac", room.astype(np.int16), RATE)
    write_wave("noise.wav", rng.normal(0, 300, 2 * RATE), RATE)
    return utterances


def run_command() -> None:
    command = [str(ROOT / "misc/kaldi/bin/compute-mfcc-feats"), *OPTIONS]
    subprocess.run(
        [*command, "scp:wav.scp", "ark:mfcc.ark"], check=True, stderr=subprocess.DEVNULL
    )


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        measure(arguments.utterances, arguments.rounds)
        os.chdir("/")


def measure(count: int, rounds: int) -> None:
    utterances = make_files(count)
    difference = np.abs(ours(0.0)(utterances[0]) - native(utterances[0])).max()
    if difference > 2e-3:
        sys.exit(f"MFCC differ by {difference:g}")
    ways: dict[str, Callable[[], object]] = {
        "MFCC": lambda: [ours(0.0)(samples) for samples in utterances],
        "MFCC with dither": lambda: [ours(1.0)(samples) for samples in utterances],
        "MFCC, kaldi-native-fbank": lambda: [native(s) for s in utterances],
        "compute-mfcc-feats": run_command,
        "flac": lambda: [read_wave(f"flac -dcs {i}.flac |") for i in range(count)],
        "flac | wav-reverberate": lambda: [
            read_wave(REVERBERATE.format(f"{i}.flac")) for i in range(count)
        ],
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - start)
    print(f"{count} utterances, {count * SECONDS:g} s of sound")
    print(f"{'':26} {'seconds':>8} {'x real time':>12} {'ms/utterance':>13}")
    for name, times in seconds.items():
        middle = statistics.median(times)
        speed, each = count * SECONDS / middle, 1000 * middle / count
        print(f"{name:26} {middle:8.2f} {speed:12.0f} {each:13.2f}")


if __name__ == "__main__":
    main()
