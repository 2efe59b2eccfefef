"""A miniature of VoxCeleb1, VoxCeleb2, MUSAN and RIRS_NOISES, laid out as published.

The voices are egs/mini's synthetic ones. VoxCeleb2 is m4a where PyAV can write it, else
flac, as in converted trees.
"""

import importlib.util
import itertools
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile
from m4a import write_m4a

ROOT = Path(__file__).parents[1]
MAKE_SPEECH = ROOT / "egs/mini/v1/local/make_speech.py"
HAS_M4A = importlib.util.find_spec("av") is not None
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
PER_SPEAKER = 6
PARTS = {  # folder, first id, speakers
    "VoxCeleb1/vox1_dev_wav/wav": ("train", 10001, 4),
    "VoxCeleb2/dev/aac": ("train", 12, 10),
    "VoxCeleb2/test/aac": ("train", 6006, 2),
    "VoxCeleb1/vox1_test_wav/wav": ("eval", 10270, 4),
}


def make_corpora(folder):
    """Writes VoxCeleb1, VoxCeleb2, musan and RIRS_NOISES into a folder."""
    rng = random.Random(1)
    speech = folder / "speech"
    command = [sys.executable, MAKE_SPEECH, "--train-speakers", "16"]
    subprocess.run(
        [*command, "--eval-speakers", "4", speech],
        check=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )
    voices = {
        kind: iter(sorted((speech / "audio" / kind).iterdir()))
        for kind in ("train", "eval")
    }
    rows = {"VoxCeleb1": [], "VoxCeleb2": []}
    recordings = {}
    for part, (kind, first, count) in PARTS.items():
        corpus = part.split("/")[0]
        for number in range(first, first + count):
            speaker = f"id{number:05d}"
            rows[corpus].append((speaker, "test" if "test" in part else "dev"))
            wavs = sorted(next(voices[kind]).glob("*.wav"))[:PER_SPEAKER]
            recordings[speaker] = _speaker(folder / part, speaker, wavs, rng)
    _tables(folder, rows)
    _trials(folder / "VoxCeleb1", recordings)
    _musan(folder / "musan", sorted((speech / "audio/train").rglob("*.wav")))
    _rirs(folder / "RIRS_NOISES/simulated_rirs")
    shutil.rmtree(speech)


def _speaker(folder, speaker, wavs, rng):
    """Three recordings from each of two videos."""
    names = []
    for start in range(0, len(wavs), 3):
        video = f"{speaker}/{''.join(rng.choices(ALPHABET, k=11))}"
        (folder / video).mkdir(parents=True)
        for number, wav in enumerate(wavs[start : start + 3], 1):
            name = f"{video}/{number:05d}"
            if "VoxCeleb2" not in folder.parts:
                shutil.move(wav, folder / f"{name}.wav")
            else:
                samples, rate = soundfile.read(wav, dtype="int16")
                if HAS_M4A:
                    write_m4a(folder / f"{name}.m4a", samples)
                else:
                    soundfile.write(folder / f"{name}.flac", samples, rate)
            names.append(f"{name}.wav")
    return names


def _tables(folder, rows):
    text = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    for speaker, part in rows["VoxCeleb1"]:
        text += f"{speaker}\tSpeaker_{speaker}\tm\tUK\t{part}\n"
    (folder / "VoxCeleb1/vox1_meta.csv").write_text(text)
    text = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set\n"
    for speaker, part in rows["VoxCeleb2"]:
        text += f"{speaker} ,n{speaker[2:]} ,f ,{part}\n"
    (folder / "VoxCeleb2/vox2_meta.csv").write_text(text)


def _trials(folder, recordings):
    """O of the test speakers, the cleaned one shorter by two, E and H of all."""
    tested = [
        name for s, names in recordings.items() if s >= "id10270" for name in names
    ]
    spoken = [
        name for s, names in recordings.items() if s >= "id10001" for name in names
    ]
    lists = {"veri_test.txt": tested, "list_test_all2.txt": spoken}
    for file, names in lists.items():
        trials = [
            f"{int(a.split('/')[0] == b.split('/')[0])} {a} {b}\n"
            for a, b in itertools.combinations(names, 2)
        ]
        (folder / file).write_text("".join(trials))
        if file == "veri_test.txt":
            (folder / "veri_test2.txt").write_text("".join(trials[2:]))
        else:
            (folder / "list_test_hard2.txt").write_text("".join(trials[::2]))


def _write(path, samples):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, (3000 * samples).astype(np.int16), 16000)


def _musan(folder, voices):
    rng = np.random.default_rng(2)
    for number in range(4):
        noise = np.convolve(rng.standard_normal(48000), rng.standard_normal(9), "same")
        _write(
            folder / f"noise/free-sound/noise-free-sound-{number:04d}.wav", noise / 3
        )
        tones = np.sin(np.arange(64000) * rng.uniform(0.05, 0.3, (3, 1))).sum(axis=0)
        _write(folder / f"music/fma/music-fma-{number:04d}.wav", tones / 3)
        voice = folder / f"speech/librivox/speech-librivox-{number:04d}.wav"
        voice.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(voices[number], voice)
    annotations = "".join(f"music-fma-{n:04d} classical N someone\n" for n in range(4))
    (folder / "music/fma/ANNOTATIONS").write_text(annotations)
    (folder / "noise/free-sound/ANNOTATIONS").write_text("noise-free-sound-0000 fan\n")


def _rirs(folder):
    rng = np.random.default_rng(3)
    for room in ("smallroom", "mediumroom"):
        rows = []
        for number in (1, 2, 3):
            echo = rng.standard_normal(3000) * np.exp(-np.arange(3000) / 400) / 10
            echo[40] = 1
            place = f"{room}/Room001/Room001-{number:05d}.wav"
            _write(folder / place, 10 * echo)
            rows.append(
                f"--rir-id {room}-Room001-{number:05d} --room-id {room}-Room001 "
                f"RIRS_NOISES/simulated_rirs/{place}\n"
            )
        (folder / room / "rir_list").write_text("".join(rows))
