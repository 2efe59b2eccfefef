#!/usr/bin/env python3
"""Makes a small speech corpus for speaker verification, out of nothing but a seed.

Each speaker is an espeak-ng voice of its own (see voices.py), each utterance has its
text, pitch, rate, microphone, noise and level. espeak-ng (GPLv3) works as a separate
program library, installed by `pip install espeakng-loader`; the sounds are ours.

Written, with paths relative to <dir>:

    <dir>/audio/{train,eval}/<speaker>/<utterance>.wav    16 kHz, 16 bit, mono
    <dir>/data/{train,eval}/{wav.scp,utt2spk,spk2utt}
    <dir>/data/eval/trials                 <utterance> <utterance> target|nontarget
    <dir>/make_speech.json                 the settings; written last

Chance belongs to the speaker and the utterance, not to the process: the files are the
same bytes whatever --nj, and a speaker the same however many others there are.

e.g.: local/make_speech.py --nj 4 data/speech
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import itertools
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import wave
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import channel
import numpy as np
import sentences
import tqdm
import voices

from dataset.errors import InputError

NONTARGETS_PER_TARGET = 10
PITCH = 5  # deviation of an utterance's pitch, in espeak-ng's percent
LETTERS = (35, 55)  # fewest and most of an utterance
SETTINGS = "make_speech.json"


@dataclasses.dataclass(frozen=True)
class Speaker:
    """One unit of work: a speaker and where the utterances go."""

    name: str
    seed: int
    num_utterances: int
    folder: Path

    def utterances(self) -> list[str]:
        return [f"{self.name}-{i:03d}" for i in range(1, self.num_utterances + 1)]


def generator(seed: int, name: str) -> np.random.Generator:
    """The source of chance for one speaker, utterance or list."""
    return np.random.default_rng(
        np.random.SeedSequence(seed, spawn_key=tuple(name.encode()))
    )


# In the worker processes


def speak(speaker: Speaker, data_folder: Path) -> str:
    """Writes all utterances of a speaker; returns a fingerprint of the bare voice."""
    rng = generator(speaker.seed, speaker.name)
    voice = voices.sample_voice(rng, speaker.name)
    (data_folder / "voices" / speaker.name).write_text(voice)
    rate = rng.uniform(150, 210)
    probe = voices.speak(data_folder, speaker.name, voices.PROBE)
    speaker.folder.mkdir(parents=True)
    for utterance in speaker.utterances():
        rng = generator(speaker.seed, utterance)
        samples = channel.record(rng, _utter(rng, data_folder, speaker.name, rate))
        _write_wave(speaker.folder / f"{utterance}.wav", samples)
    return hashlib.sha256(probe.tobytes()).hexdigest()


def _utter(
    rng: np.random.Generator, data_folder: Path, voice: str, rate: float
) -> np.ndarray:
    """An utterance of 3 to 5 seconds in the voice, its rate and pitch of the day."""
    text = sentences.sample_text(rng, letters=int(rng.uniform(*LETTERS)))
    speech = voices.speak(
        data_folder,
        voice,
        text,
        words_per_minute=round(rate * rng.uniform(0.9, 1.1)),
        pitch=round(rng.normal(50, PITCH)),
        seed=int(rng.integers(2**31)),
    )
    speech = channel.resample(speech, voices.NATIVE_RATE)
    loud = np.flatnonzero(np.abs(speech) > 1e-3)
    margins = rng.integers(channel.RATE // 10, channel.RATE // 4, 2)
    return np.pad(speech[loud[0] : loud[-1] + 1], margins)


def _write_wave(path: Path, samples: np.ndarray) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(channel.RATE)
        out.writeframes(np.round(samples * 32767).astype("<i2").tobytes())


# In the main process


def make_speech(folder: Path, settings: argparse.Namespace) -> None:
    """Makes the whole corpus in a folder beside, and renames that when it is done.

    A finished corpus of the same settings is left as it is.

    Raises:
        InputError: too few speakers or utterances for trials, a folder with something
            else in it, or voices that do not differ.
    """
    _check_sizes(settings)
    if folder.exists():
        if _settings_of(folder) == _describe(settings):
            print(f"{folder} is there, with these settings", file=sys.stderr)
            return
        raise InputError(
            f"{folder} is there, made otherwise: remove it, or name another"
        )
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        _make_parts(unfinished, settings)
        (unfinished / SETTINGS).write_text(_describe(settings))
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _check_sizes(settings: argparse.Namespace) -> None:
    for name, least in (
        ("train_speakers", 2),
        ("eval_speakers", 2),
        ("train_utts", 2),
        ("eval_utts", 2),
        ("nj", 1),
    ):
        value = getattr(settings, name)
        if value < least:
            option = "--" + name.replace("_", "-")
            raise InputError(f"{option} must be at least {least}, got {value}")


def _describe(settings: argparse.Namespace) -> str:
    relevant = {k: v for k, v in vars(settings).items() if k not in ("nj", "dir")}
    return json.dumps(relevant, indent=2) + "\n"


def _settings_of(folder: Path) -> str | None:
    path = folder / SETTINGS
    return path.read_text() if path.exists() else None


def _make_parts(folder: Path, settings: argparse.Namespace) -> None:
    train, evaluation = (
        _speakers(folder, part, number, utts, settings.seed)
        for part, number, utts in (
            ("train", settings.train_speakers, settings.train_utts),
            ("eval", settings.eval_speakers, settings.eval_utts),
        )
    )
    _speak_all([*train, *evaluation], settings.nj)
    for part, speakers in (("train", train), ("eval", evaluation)):
        _write_lists(folder, part, speakers)
    rng = generator(settings.seed, "trials")
    _write_lines(folder / "data/eval/trials", sample_trials(rng, evaluation))


def _speakers(
    folder: Path, part: str, number: int, num_utterances: int, seed: int
) -> list[Speaker]:
    names = (f"{part}{i:04d}" for i in range(1, number + 1))
    return [
        Speaker(name, seed, num_utterances, folder / "audio" / part / name)
        for name in names
    ]


def _speak_all(speakers: list[Speaker], num_jobs: int) -> None:
    with tempfile.TemporaryDirectory(prefix="espeak-") as scratch:
        data_folder = Path(scratch) / "data"
        voices.make_data_folder(data_folder)
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(num_jobs, context) as pool:
            fingerprints = tqdm.tqdm(
                pool.map(speak, speakers, itertools.repeat(data_folder)),
                total=len(speakers),
                desc="Making speech",
                unit="speaker",
                disable=None,
            )
            check_distinct(zip(speakers, fingerprints, strict=True))


def check_distinct(fingerprints: Iterable[tuple[Speaker, str]]) -> None:
    """Stops at two speakers who say the same sentence with the same samples.

    So it shows when espeak-ng has not taken a voice file, but its default voice.

    Raises:
        InputError: naming the two.
    """
    seen: dict[str, str] = {}
    for speaker, fingerprint in fingerprints:
        other = seen.setdefault(fingerprint, speaker.name)
        if other != speaker.name:
            raise InputError(
                f"the voices of {other} and {speaker.name} are the same: espeak-ng "
                "does not use its voice files"
            )


def _write_lists(folder: Path, part: str, speakers: list[Speaker]) -> None:
    data = folder / "data" / part
    data.mkdir(parents=True)
    pairs = [(utt, spk.name) for spk in speakers for utt in spk.utterances()]
    _write_lines(
        data / "wav.scp",
        (f"{utt} audio/{part}/{spk}/{utt}.wav" for utt, spk in pairs),
    )
    _write_lines(data / "utt2spk", (f"{utt} {spk}" for utt, spk in pairs))
    _write_lines(
        data / "spk2utt",
        (" ".join([spk.name, *spk.utterances()]) for spk in speakers),
    )


def sample_trials(rng: np.random.Generator, speakers: list[Speaker]) -> list[str]:
    """All target trials, and NONTARGETS_PER_TARGET times as many others if possible."""
    own = [itertools.combinations(spk.utterances(), 2) for spk in speakers]
    trials = [f"{a} {b} target" for pairs in own for a, b in pairs]
    others = [
        f"{a} {b} nontarget"
        for one, two in itertools.combinations(speakers, 2)
        for a, b in itertools.product(one.utterances(), two.utterances())
    ]
    wanted = min(len(others), NONTARGETS_PER_TARGET * len(trials))
    chosen = rng.choice(len(others), wanted, replace=False)
    return sorted(trials + [others[i] for i in chosen])


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


def main() -> int:
    """Makes the corpus; 1 and one line on stderr if that cannot be."""
    parser = argparse.ArgumentParser(description="Makes a small speech corpus.")
    parser.add_argument("--seed", type=int, default=1, help="of everything")
    parser.add_argument("--train-speakers", type=int, default=120)
    parser.add_argument("--eval-speakers", type=int, default=30)
    parser.add_argument("--train-utts", type=int, default=10, help="of each speaker")
    parser.add_argument("--eval-utts", type=int, default=8, help="of each speaker")
    parser.add_argument("--nj", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("dir", type=Path, help="the corpus; must not be there yet")
    settings = parser.parse_args()
    try:
        make_speech(settings.dir, settings)
    except (InputError, OSError, BrokenProcessPool) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
