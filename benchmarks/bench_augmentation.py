"""Segments a second that one core makes of waveforms, by kind of augmentation.

    python benchmarks/bench_augmentation.py [--segments 100] [--rounds 5]

Segments of 300 voiced frames of 8 s flac files at 16 kHz, a quarter of them pauses,
with the MFCC of egs/mini (30, dither) and sliding CMVN, for which 690 are computed.
Noises are 30 s wav files, rooms last 1 s, babble is 3 to 7 of the utterances. Peers are
kaldi-native-fbank, which computes the MFCC of the same samples and nothing else, and
the recipe's way to one such segment: a `wav-reverberate` pipe run in the process, MFCC,
CMVN and choice of voiced frames of the whole utterance. The ways take turns; times are
those of the processor, so that others who use it count less, and the median of rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in data workers
ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import kaldi_native_fbank  # noqa: E402
import numpy as np  # noqa: E402
import soundfile  # noqa: E402

from dataset.augmentation import Additions, Augmentation, Rooms  # noqa: E402
from dataset.features import compute_mfcc, select_voiced, sliding_cmvn  # noqa: E402
from dataset.front_end import ComputeMfccOptions  # noqa: E402
from dataset.options import read_config  # noqa: E402
from dataset.segments import Segment  # noqa: E402
from dataset.sound_reader import Sound  # noqa: E402
from dataset.vad_table import Vad  # noqa: E402
from dataset.voiced_segment import CMVN  # noqa: E402
from dataset.wav import read_wave  # noqa: E402
from dataset.waveform_reader import WaveformOptions, WaveformReader  # noqa: E402

RATE, SECONDS, LENGTH, NUM_FILES = 16000, 8, 300, 40
OPTIONS = read_config(ComputeMfccOptions, str(ROOT / "egs/mini/v1/conf/mfcc.conf"))
DECISIONS = np.arange(100 * SECONDS) % 40 < 30
VAD = Vad(len(DECISIONS), np.packbits(DECISIONS).tobytes())
Work = Callable[[np.random.Generator], None]


def write_sounds(folder: pathlib.Path) -> list[list[Sound]]:
    """Utterances, the same as wav files, noises and rooms."""
    rng = np.random.default_rng(0)

    def write(name: str, samples: np.ndarray) -> Sound:
        path = str(folder / name)
        soundfile.write(path, np.clip(samples, -3e4, 3e4).astype(np.int16), RATE)
        return Sound(name, path)

    loudness = np.repeat(np.where(DECISIONS, 2000, 20), RATE // 100)
    speech, voices, noises, rooms = [], [], [], []
    for i in range(NUM_FILES):
        colour = rng.normal(size=20)
        samples = np.convolve(rng.normal(size=RATE * SECONDS), colour, "same") / 5
        speech.append(write(f"speech{i}.flac", samples * loudness))
        voices.append(write(f"speech{i}.wav", samples * loudness))
        samples = rng.normal(size=30 * RATE) * 500
        noises.append(write(f"noise{i}.wav", samples))
        tail = rng.normal(size=RATE) * np.exp(-np.arange(RATE) / 3000)
        rooms.append(write(f"room{i}.wav", np.append(30000, 3000 * tail)))
    return [speech, voices, noises, rooms]


def ours(speech: list[Sound], *kinds: Rooms | Additions, **more: Fraction) -> Work:
    """The loader's way."""
    clean = 1.0 if len(kinds) != 1 else 0.0
    augmentation = Augmentation(clean, kinds) if kinds else None
    reader = WaveformReader(WaveformOptions(OPTIONS, augmentation))

    def work(rng: np.random.Generator) -> None:
        sound = speech[int(rng.integers(NUM_FILES))]
        start = int(
            rng.integers(VAD.at_speed(Fraction(11, 10)).voiced_rows().size - 300)
        )
        segment = Segment(sound.name, sound.rxfilename, start, VAD, **more)
        reader.read(segment, LENGTH, rng)

    return work


def native_fbank(speech: list[Sound]) -> Work:
    """The MFCC of 690 frames alone."""
    options = kaldi_native_fbank.MfccOptions()
    options.frame_opts.samp_freq = RATE
    options.frame_opts.dither = 1.0
    options.frame_opts.snip_edges = False
    options.mel_opts.num_bins, options.num_ceps = 30, 30
    samples = read_wave(speech[0].rxfilename).samples[0][: int(6.9 * RATE)]

    def work(rng: np.random.Generator) -> None:
        mfcc = kaldi_native_fbank.OnlineMfcc(options)
        mfcc.accept_waveform(RATE, samples)
        mfcc.input_finished()
        np.stack([mfcc.get_frame(i) for i in range(mfcc.num_frames_ready)])

    return work


def recipe(speech: list[Sound], noises: list[Sound], rooms: list[Sound]) -> Work:
    """A pipe with a room or a noise, and stages 3 and 4, of a whole utterance."""

    def work(rng: np.random.Generator) -> None:
        sound = speech[int(rng.integers(NUM_FILES))].rxfilename
        number = int(rng.integers(NUM_FILES))
        change = f"--impulse-response={rooms[number].rxfilename}"
        if rng.random() < 0.5:
            noise = noises[number].rxfilename
            change = f"--additive-signals={noise} --snrs=10 --start-times=0"
        wave = read_wave(f"flac -dcs {sound} | wav-reverberate {change} - - |")
        mfcc = compute_mfcc(wave.samples[0], RATE, OPTIONS, rng)
        select_voiced(sliding_cmvn(mfcc, CMVN), DECISIONS)

    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--segments", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        speech, voices, noises, rooms = write_sounds(pathlib.Path(folder))
        kinds = {
            "room": Rooms(1.0, [rooms]),
            "noises": Additions(1.0, [noises], (15.0, 10.0, 5.0, 0.0), interval=1.0),
            "music": Additions(1.0, [noises], (15.0, 10.0, 8.0, 5.0)),
            "babble": Additions(1.0, [speech], (20.0, 13.0), (3, 4, 5, 6, 7)),
        }
        ways = {
            "clean": ours(speech),
            "speed 1.1": ours(speech, speed=Fraction(11, 10)),
            **{name: ours(speech, kind) for name, kind in kinds.items()},
            "babble of wav files": ours(
                speech, dataclasses.replace(kinds["babble"], sounds=[voices])
            ),
            "clean and room to babble alike": ours(speech, *kinds.values()),
            "peer: MFCC by kaldi-native-fbank": native_fbank(speech),
            "peer: as the recipe, room or noise": recipe(speech, noises, rooms),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(args.rounds):
            for name, work in ways.items():
                rng = np.random.default_rng(number)
                work(rng)
                begun = time.process_time()
                for _ in range(args.segments):
                    work(rng)
                passed = time.process_time() - begun
                seconds[name].append(passed / args.segments)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    peer = medians["peer: as the recipe, room or noise"]
    print(f"segments of {LENGTH} voiced frames, a second and core")
    for name, median in medians.items():
        low, high = min(seconds[name]), max(seconds[name])
        print(
            f"{name:36} {1 / median:6.0f} ({1 / high:.0f}-{1 / low:.0f})"
            f"   {peer / median:5.2f} x the recipe's way"
        )


if __name__ == "__main__":
    main()
