#!/usr/bin/env python3
"""Makes noises and room responses for augmentation, out of a seed.

Written, in the forms that steps/data/augment_data_dir.py and reverberate_data_dir.py
read:

    <dir>/noise/{wav.scp,utt2spk,spk2utt,reco2dur}   18 noises of 10 seconds
    <dir>/rir_list                                   24 responses of 24 rooms
    <dir>/audio/*.wav                                16 bit, mono

e.g.: local/make_noise.py data/noise
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import wave
from pathlib import Path

import channel
import numpy as np

SECONDS = 10
NUM_NOISES = 6  # of each kind
NUM_ROOMS = 24


def coloured(rng: np.random.Generator) -> np.ndarray:
    """Steady noise of a random spectrum: fans, rain, traffic."""
    noise = rng.standard_normal(SECONDS * channel.RATE)
    return channel.apply_response(noise, channel.sample_response(rng, 12.0))


def humming(rng: np.random.Generator) -> np.ndarray:
    """Harmonics of a slowly wandering tone over coloured noise: engines, music."""
    size = SECONDS * channel.RATE
    wander = np.interp(
        np.arange(size), np.linspace(0, size, 20), rng.uniform(0.9, 1.1, 20)
    )
    phase = 2 * np.pi * np.cumsum(rng.uniform(60, 300) * wander) / channel.RATE
    tones = sum(
        np.sin(k * phase + rng.uniform(0, 6)) * rng.uniform(0.1, 1) / k
        for k in range(1, 12)
    )
    return channel.add_at_snr(tones, coloured(rng), rng.uniform(0, 15))


def clattering(rng: np.random.Generator) -> np.ndarray:
    """Decaying clicks at random times over coloured noise: dishes, typing, steps."""
    size = SECONDS * channel.RATE
    clicks = np.zeros(size)
    for start in rng.integers(0, size, rng.integers(20, 120)):
        length = min(int(rng.uniform(0.01, 0.15) * channel.RATE), size - start)
        decay = np.exp(-5 * np.arange(length) / max(length, 1))
        clicks[start : start + length] += rng.standard_normal(length) * decay
    clicks = channel.apply_response(clicks, channel.sample_response(rng, 8.0))
    return channel.add_at_snr(clicks, coloured(rng), rng.uniform(5, 20))


def room_response(rng: np.random.Generator) -> np.ndarray:
    """Direct sound, a few early reflections, and an exponentially decaying tail.

    The reverberation time is 0.2 to 0.8 s, the direct-to-reverberant ratio 0 to 10 dB.
    """
    rt60 = rng.uniform(0.2, 0.8)
    time = np.arange(int(rt60 * channel.RATE)) / channel.RATE
    tail = rng.standard_normal(len(time)) * 10 ** (-3 * time / rt60)
    tail[time < 0.003] = 0
    for _ in range(rng.integers(4, 10)):
        tail[int(rng.uniform(0.003, 0.05) * channel.RATE)] += rng.normal(0, 4)
    tail = channel.apply_response(tail, channel.sample_response(rng, 4.0))
    ratio = 10 ** (rng.uniform(0, 10) / 20)
    response = tail / np.sqrt(np.sum(tail**2))
    response[0] = ratio
    return response


def write_wave(path: Path, samples: np.ndarray, rate: int) -> None:
    """16 bits, the loudest sample at half of full scale."""
    samples = channel.resample(samples, channel.RATE, rate)
    scaled = samples * (0.5 * 32767 / np.abs(samples).max())
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(scaled).astype("<i2").tobytes())


def make_noise(folder: Path, seed: int, rate: int) -> None:
    """Makes everything in a folder beside, and renames that when it is done."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / "audio").mkdir(parents=True)
    (unfinished / "noise").mkdir()
    final = folder.absolute() / "audio"
    names = []
    for kind in (coloured, humming, clattering):
        for index in range(1, NUM_NOISES + 1):
            name = f"{kind.__name__}{index:02d}"
            rng = np.random.default_rng([seed, *name.encode()])
            write_wave(unfinished / "audio" / f"{name}.wav", kind(rng), rate)
            names.append(name)
    names.sort()
    for table, row in {
        "wav.scp": lambda name: f"{name} {final}/{name}.wav",
        "utt2spk": lambda name: f"{name} {name}",
        "spk2utt": lambda name: f"{name} {name}",
        "reco2dur": lambda name: f"{name} {SECONDS}.00",
    }.items():
        text = "".join(row(name) + "\n" for name in names)
        (unfinished / "noise" / table).write_text(text)
    lines = []
    for index in range(1, NUM_ROOMS + 1):
        name = f"room{index:02d}"
        rng = np.random.default_rng([seed, *name.encode()])
        write_wave(unfinished / "audio" / f"{name}.wav", room_response(rng), rate)
        lines.append(f"--rir-id {name} --room-id {name} {final}/{name}.wav\n")
    (unfinished / "rir_list").write_text("".join(lines))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(unfinished, folder)


def main() -> int:
    """Makes the noises; 1 and one line on stderr if that cannot be."""
    parser = argparse.ArgumentParser(description="Makes noises and room responses.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--rate", type=int, default=channel.RATE, help="Hz, at most that"
    )
    parser.add_argument("dir", type=Path)
    settings = parser.parse_args()
    try:
        make_noise(settings.dir, settings.seed, settings.rate)
    except OSError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
