"""What the tests of egs/fisher share: its programs, and voices of noise."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).parents[1]
RECIPE = ROOT / "egs/fisher/v1"
RATE = 8000
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"} | {
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}:{ROOT}/misc/kaldi/bin:{os.environ['PATH']}",
}


def run(program, *arguments):
    return subprocess.run(
        [str(x) for x in (program, *arguments)],
        cwd=RECIPE,
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
    )


def lines(path):
    return path.read_text().splitlines()


def table(path):
    return dict(line.split(None, 1) for line in lines(path))


def voice(speaker, seed, seconds=3.0):
    """Int16: noise in syllables, each of one of the speaker's three vowels.

    One spectrum alone would be a microphone's: the sliding mean takes it away.
    """
    rng = np.random.default_rng([speaker, seed])
    vowels = np.random.default_rng(speaker).normal(size=(3, 12))
    sounds = rng.permutation(np.resize(vowels, (int(seconds * RATE) // 800, 12)))
    syllables = [
        np.convolve(rng.normal(size=800), sound, "same") * rng.uniform(0.3, 1)
        for sound in sounds
    ]
    return (2000 * np.concatenate(syllables)).clip(-32000, 32000).astype(np.int16)


def make_speech(folder):
    """Twelve speakers, of six recordings each, in four formats.

    In the sixth somebody else speaks, too: trials that a threshold separates cannot be
    calibrated on. Speakers and days are named like copies are.
    """
    for speaker in range(12):
        for i in range(6):
            kind = ("wav", "flac", "mp3", "ogg")[i % 4]
            sound = voice(speaker, 10 * speaker + i)
            if i == 5:
                sound = sound // 2 + voice(99, 10 * speaker + i) // 2
            write(folder / f"sp{speaker}/{i}-noise.{kind}", sound)


def write(path, samples, rate=RATE):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path
