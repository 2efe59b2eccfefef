"""Miniatures of the corpora of egs/sre: folders, files, lists as they are shipped."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from toy_sphere import write_sphere

RATE = 8000
SRE_SPEAKERS = [str(1001 + i) for i in range(8)]
SWBD_SPEAKERS = [str(4001 + i) for i in range(8)]
SRE10_SPEAKERS = range(100, 106)
SRE16_SPEAKERS = range(200, 206)


def voice(speaker: int, session: int, seconds: float, rate: int = RATE) -> np.ndarray:
    """int16 [n]: syllables of noise in the speaker's four colours, and pauses."""
    own, rng = np.random.default_rng(speaker), np.random.default_rng([speaker, session])
    length, syllable = int(seconds * rate), rate // 10
    noise = rng.normal(size=length)
    colours = [own.normal(size=16) for _ in range(4)]
    channel = 0.1 * rng.normal(size=16)
    sounds = np.stack([np.convolve(noise, c + channel, "same") for c in colours])
    which = np.repeat(rng.integers(4, size=length // syllable + 1), syllable)[:length]
    loud = np.repeat(rng.random(length // syllable + 1) > 0.15, syllable)[:length]
    samples = sounds[which, np.arange(length)] * np.where(loud, 600, 5)
    return np.clip(samples, -30000, 30000).astype(np.int16)


def write_call(
    path: Path, speakers: Sequence[int], session: int, seconds: float = 4.0, **options
) -> None:
    """A recording with a channel for each of its speakers."""
    samples = [voice(speaker, session, seconds) for speaker in speakers]
    write_sphere(path, np.stack(samples), RATE, **options)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines))


def make_ldc(folder: Path) -> Path:
    """Everything of the training, and the speaker list of SRE 2004 to 2006."""
    write_lines(folder / "speaker_list", _make_sre04_to_06(folder))
    _make_sre08(folder)
    _make_switchboard(folder)
    _make_mixer6(folder / "LDC2013S03/mx6_speech")
    return folder


def _pairs(speakers: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(speakers[::2], speakers[1::2], strict=True))


def _make_sre04_to_06(folder: Path) -> list[str]:
    """Two-channel calls; of SRE 2006 Shorten-compressed ones of a single channel."""
    lines, names = [], (f"t{i:03d}" for i in itertools.count(1))
    parts = {
        "LDC2006S44/r93_5_1/train/data": "2004",
        "LDC2011S01/data/train": "2005",
        "LDC2011S04/data/test": "2005",
        "LDC2011S10/data/test": "2006",
        "LDC2012S01/data/test": "2006",
    }
    for session, (place, year) in enumerate(parts.items()):
        for pair in _pairs(SRE_SPEAKERS):
            name = next(names)
            path = folder / place / f"{name}.sph"
            write_call(path, [int(s) for s in pair], session)
            for speaker, side in zip(pair, "AB", strict=True):
                gender = "fm"[int(speaker) % 2]
                lines.append(f"{speaker} {gender} sre{year} {name} {side}")
    for speaker in SRE_SPEAKERS:
        name = next(names)
        path = folder / "LDC2011S09/data/train" / f"{name}.sph"
        write_call(path, [int(speaker)], 9, 2.5, coding="pcm", shorten=True)
        lines.append(f"{speaker} {'fm'[int(speaker) % 2]} sre2006 {name} A")
    lines.append("1001 m sre2005 t999 B")  # on a disc that this user does not have
    return lines


def _make_sre08(folder: Path) -> None:
    keys = folder / "LDC2011S08/data/keys/NIST_SRE08_KEYS.v0.1"
    models, trials = [], []
    for i, speaker in enumerate(SRE_SPEAKERS):
        other, side = (7000 + i, i % 2)
        for place, session in (("LDC2011S05/data/short2", 20), ("LDC2011S08/data", 21)):
            pair = [int(speaker), other] if side == 0 else [other, int(speaker)]
            name = f"f{session}{i:02d}"
            write_call(folder / place / f"{name}.sph", pair, session)
        letter, gender = "ab"[side], "fm"[int(speaker) % 2]
        models.append(f"{20000 + i},{gender},f20{i:02d}:{letter},{speaker}")
        for j in range(len(SRE_SPEAKERS)):
            kind = "target" if i == j else "nontarget"
            trials.append(f"{20000 + i},f21{j:02d},{'ab'[j % 2]},{kind}")
    write_lines(keys / "model-keys/NIST_SRE08_short2.model.key", models)
    write_lines(keys / "trial-keys/NIST_SRE08_short2-short3.trial.key", trials)


def _make_switchboard(folder: Path) -> None:
    """Each corpus with a call of each pair; the first phase Shorten-compressed."""
    tables: dict[str, list[str]] = {}
    for i, (a, b) in enumerate(_pairs(SWBD_SPEAKERS)):
        both, genders = [int(a), int(b)], f"{'FM'[i % 2]},M"
        calls = {
            f"LDC98S75/swb2_1/data/sw_{10001 + i}.sph": 30,
            f"LDC99S79/DISC{1 + i % 2}/data/sw_{14001 + i}.sph": 31,
            f"LDC2002S06/swb2_3/data/sw_{30001 + i}.sph": 32,
            f"LDC2001S13/data/sw_{40001 + i}.sph": 33,
            f"LDC2004S07/data/sw_{45001 + i}.sph": 34,
        }
        for name, session in calls.items():
            path, seconds = folder / name, 2.5 if session == 30 else 4.0
            write_call(path, both, session, seconds, shorten=session == 30)
        call = f"sw_{10001 + i}.sph"
        for name, line in {
            "LDC98S75/docs/callstat.tbl": f"{call},971001,{a},{b},300,{genders},x",
            "LDC99S79/DISC1/doc/callstat.tbl": f"980102,0930,{a},{b},{genders},300",
            "LDC2002S06/docs/callstat.tbl": f"{30001 + i},990102,,{a},{b},{genders}",
            "LDC2001S13/docs/swb_callstats.tbl": f"{40001 + i},{a},{b},{genders},GSM",
            "LDC2004S07/docs/swb_callstats.tbl": f"{45001 + i},{a},{b},{genders},CDMA",
        }.items():
            tables.setdefault(name, []).append(line)
        for side in "AB":
            line = f"sw_{14001 + i},{side},555"
            tables.setdefault("LDC99S79/DISC1/doc/callinfo.tbl", []).append(line)
    for name, lines in tables.items():
        write_lines(folder / name, lines)


def _make_mixer6(folder: Path) -> None:
    path = folder / "data/ulaw_sphere/20091208_090000_4001.sph"
    write_call(path, [9001, 9002], 0)
    row = ["4001", "20091208_090000", "x", "x", "120001", *"xxxxxxx", "120002", "x"]
    title = ["call_id", "call_date", *"abcdefghijkl"]
    write_lines(folder / "docs/mx6_calls.csv", map(",".join, (title, row)))
    subjects = ["subjid,sex,yob", "120001,F,1980", "120002,M,1970"]
    write_lines(folder / "docs/mx6_subjs.csv", subjects)


def make_sre10(folder: Path) -> Path:
    """A model of each speaker, two tests of each, in both conditions."""
    for training, test in (("coreext", "coreext-coreext"), ("10sec", "10sec-10sec")):
        seconds, prefix = (4.0, "c") if training == "coreext" else (2.0, "s")
        models, segments, key = [], [], ["modelid,segment,channel,target,scored"]
        if training == "coreext":
            key[0] += "".join(f",c{i}" for i in range(1, 10))
        sides = {}
        for i, speaker in enumerate(SRE10_SPEAKERS):
            name, gender = f"{prefix}m{i:02d}", "fm"[i % 2]
            path = folder / f"data/{training}/{name}.sph"
            write_call(path, [speaker, 900 + i], 0, seconds)
            models.append(f"{i + 10000} {gender} {training}/{name}.sph:A")
            for session in (1, 2):
                name = f"{prefix}t{i:02d}{session}"
                path = folder / f"data/{training}/test/{name}.sph"
                write_call(path, [900 + i, speaker], session, seconds)
                sides[name] = i
        for i, _ in enumerate(models):
            gender = "fm"[i % 2]
            for name, j in sides.items():
                segments.append(f"{i + 10000} {gender} {training}/test/{name}.sph:B")
                kind = "target" if i == j else "nontarget"
                conditions = ",N,N,N,N,Y,N,N,N,N" if training == "coreext" else ""
                key.append(f"{i + 10000},{name},b,{kind},Y{conditions}")
        if training == "coreext":  # of another condition, and not scored
            key.append("10000,ct011,b,nontarget,Y,N,N,Y,N,N,N,N,N,N")
            key.append("10001,ct001,b,nontarget,N,N,N,N,N,Y,N,N,N,N")
        write_lines(folder / f"train/{training}.trn", models)
        write_lines(folder / f"trials/{test}.ndx", segments)
        write_lines(folder / f"keys/{test}.trialkey.csv", key)
    return folder


def make_sre16(folder: Path) -> Path:
    """Models of one and of three segments; half of the speakers in each language."""
    enrolment = ["modelid\tsegment\tside"]
    titles = "modelid segment side targettype num_enroll_segs phone_num_match gender"
    trials = [titles]
    segments, calls = ["segment\tcall_id"], ["call_id\tlanguage_id"]
    for i, speaker in enumerate(SRE16_SPEAKERS):
        for k in range(1 if i % 2 else 3):
            name = f"e{i:02d}{k}"
            write_call(folder / f"data/enrollment/{name}.sph", [speaker], k)
            enrolment.append(f"{1001 + i}_sre16\t{name}\ta")
        for session in (10, 11):
            name = f"v{i:02d}{session}"
            write_call(folder / f"data/test/{name}.sph", [speaker], session)
            segments.append(f"{name}\t{5000 + 10 * i + session}")
            calls.append(f"{5000 + 10 * i + session}\t{'tgl' if i < 3 else 'yue'}")
    for i, j in itertools.product(range(len(SRE16_SPEAKERS)), repeat=2):
        if (i < 3) == (j < 3):
            for session in (10, 11):
                kind = "target" if i == j else "nontarget"
                count = 1 if i % 2 else 3
                gender = "male" if i % 2 else "female"
                trials.append(
                    f"{1001 + i}_sre16 v{j:02d}{session} a {kind} {count} N {gender}"
                )
    trials = [row.replace(" ", "\t") for row in trials]
    write_lines(folder / "docs/sre16_eval_enrollment.tsv", enrolment)
    write_lines(folder / "docs/sre16_eval_trial_key.tsv", trials)
    write_lines(folder / "docs/sre16_eval_segment_key.tsv", segments)
    write_lines(folder / "metadata/calls.tsv", calls)
    return folder


def make_unlabelled(folder: Path) -> Path:
    """Sixteen recordings of the languages of the evaluation, four of others."""
    for part, speakers in (("major", range(300, 316)), ("minor", range(400, 404))):
        for speaker in speakers:
            path = folder / f"data/unlabeled/{part}/u{speaker}.sph"
            write_call(path, [speaker], 0)
    return folder


def make_musan(folder: Path) -> Path:
    """16 kHz, as the corpus is, with the lists that its preparation reads."""
    for kind, source in (
        ("noise", "free-sound"),
        ("music", "fma"),
        ("speech", "librivox"),
    ):
        place = folder / kind / source
        place.mkdir(parents=True)
        for i in range(3):
            name = f"{kind}-{source}-{i:04d}"
            samples = voice(500 + 10 * len(kind) + i, 0, 3.0, 16000)
            soundfile.write(place / f"{name}.wav", samples, 16000)
        names = [f"{kind}-{source}-{i:04d}" for i in range(3)]
        lines = [f"{name} classical N someone" for name in names]
        write_lines(place / "ANNOTATIONS", lines if kind == "music" else names)
    return folder


def make_rirs(folder: Path) -> Path:
    """RIRS_NOISES: paths in its lists begin with the name of the folder."""
    for room in ("smallroom", "mediumroom"):
        place = folder / "simulated_rirs" / room / "Room001"
        place.mkdir(parents=True)
        lines = []
        for i in range(2):
            path = place / f"Room001-{i:05d}.wav"
            decay = np.exp(-np.arange(1600) / 150)
            noise = np.random.default_rng(i).normal(0, 3000, 1600) * decay
            noise[20] = 20000
            soundfile.write(path, noise.astype(np.int16), 16000)
            source = f"RIRS_NOISES/simulated_rirs/{room}/Room001/{path.name}"
            lines.append(f"--rir-id {room}-{i:05d} --room-id {room}-Room001 {source}")
        write_lines(folder / "simulated_rirs" / room / "rir_list", lines)
    return folder
