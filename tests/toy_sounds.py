"""Made-up speech for tests: noise in syllables, with pauses."""

import numpy as np
import soundfile

from dataset.features import VadOptions, compute_mfcc, energy_vad
from dataset.front_end import ComputeMfccOptions
from dataset.kaldi_io import write_vec_flt

RATE = 8000
MFCC = ComputeMfccOptions(sample_frequency=RATE, num_ceps=10, snip_edges=False)
MFCC_CONF = "--sample-frequency=8000\n--num-ceps=10\n--snip-edges=false\n"


def make_speech(seconds, seed, pause=0.3):
    """Float32 [n] of whole numbers in 16-bit scale."""
    rng = np.random.default_rng(seed)
    length = int(seconds * RATE)
    syllables = np.repeat(rng.random(length // 800 + 1), 800)[:length]
    loudness = np.where(syllables < pause, 20, 3000 * syllables)
    colour = rng.normal(size=9)
    samples = np.convolve(rng.normal(size=length), colour, "same") * loudness
    return np.clip(samples, -30000, 30000).astype(np.int16).astype(np.float32)


def write_sound(path, samples):
    soundfile.write(path, samples.astype(np.int16), RATE)
    return str(path)


def write_recordings(folder, num_speakers=4, per_speaker=3, segments=False):
    """A data directory of recordings, of wav and flac files; returns its arguments."""
    names = ("wav.scp", "vad.scp", "utt2num_frames", "spk2utt", "spklist", "segments")
    folder.mkdir(exist_ok=True)
    tables = dict.fromkeys(names, "")
    rng = np.random.default_rng(1)
    with open(folder / "vad.ark", "wb") as vad:
        for speaker in range(num_speakers):
            utterances = [f"s{speaker}_{i}" for i in range(per_speaker)]
            tables["spk2utt"] += f"s{speaker} {' '.join(utterances)}\n"
            tables["spklist"] += f"s{speaker} {speaker}\n"
            for i, name in enumerate(utterances):
                samples = make_speech(rng.uniform(1, 2), 10 * speaker + i)
                path = folder / f"{name}.{('wav', 'flac')[i % 2]}"
                write_sound(path, samples)
                pipe = f"flac -dcs {path} |" if i % 2 else path
                tables["wav.scp"] += f"{name}{'_rec' * segments} {pipe}\n"
                if segments:
                    tables["segments"] += f"{name} {name}_rec 0.1 0.9\n"
                    samples = samples[int(0.1 * RATE) : int(0.9 * RATE)]
                features = compute_mfcc(samples, RATE, MFCC)
                decisions = energy_vad(features, VadOptions(2.0, 0.5, 2, 0.3))
                place = f"{folder}/vad.ark:{vad.tell() + len(name) + 1}"
                write_vec_flt(vad, decisions, key=name)
                tables["vad.scp"] += f"{name} {place}\n"
                tables["utt2num_frames"] += f"{name} {len(features)}\n"
    for name, text in tables.items():
        if text:
            (folder / name).write_text(text)
    return str(folder), str(folder / "spklist")


def augmented_config(folder):
    """Keys of a configuration that augments recordings in every way.

    Its files are written to the folder, and named relative to it.
    """
    (folder / "mfcc.conf").write_text(MFCC_CONF)
    (folder / "noise").mkdir()
    paths = [write_sound(folder / f"{i}.wav", make_speech(1, i, 0)) for i in range(3)]
    scp = "".join(f"n{i} {path}\n" for i, path in enumerate(paths))
    (folder / "noise/wav.scp").write_text(scp)
    rooms = "".join(f"--rir-id r{i} --room-id r{i} {p}\n" for i, p in enumerate(paths))
    (folder / "rir_list").write_text(rooms)
    return {
        "waveform_features": "mfcc",
        "waveform_config": "mfcc.conf",
        "augment_reverb": 2,
        "augment_reverb_lists": ["rir_list"],
        "augment_noise": 1,
        "augment_noise_lists": ["noise", "noise/wav.scp"],
        "augment_music": 0.5,
        "augment_music_lists": ["noise/wav.scp"],
        "augment_babble": 1,
        "augment_speeds": [0.9, 1.1],
        "time_masks": [4],
        "frequency_masks": [2, 2],
    }
