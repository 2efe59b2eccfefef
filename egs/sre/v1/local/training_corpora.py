"""The lists of the training corpora: who speaks on which side of which recording.

Ids are those of Kaldi's sre16 recipe.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from telephone import Side, channel_of, gender_of, read_rows

from dataset.errors import InputError

_SRE08_KEYS = "data/keys/NIST_SRE08_KEYS.v0.1"


def sre_by_speaker_list(speaker_list: str, year: str) -> Iterator[Side]:
    """SRE 2004 to 2006: lines `speaker gender sre<year> recording side`.

    The keys of these evaluations name no speakers; the list is that of
    https://www.openslr.org/15.
    """
    of_the_year = False
    for row in read_rows(speaker_list, 5):
        speaker, gender, evaluation, recording, side = row[:5]
        if evaluation != f"sre{year}":
            continue
        of_the_year = True
        channel = channel_of(side, f"{speaker_list}: {recording}")
        key = f"{speaker}-sre{year[2:]}-{recording}-{side.lower()}"
        gender = gender_of(gender, f"{speaker_list}: {recording}")
        yield Side(key, speaker, recording, channel, gender)
    if not of_the_year:
        raise InputError(f"{speaker_list}: no recording of sre{year}")


def sre08(test_folder: str) -> Iterator[Side]:
    """SRE 2008, training and test: keys `model,gender,recording:side,speaker` and
    `model,recording,side,target|nontarget`, in the corpus of the test (LDC2011S08)."""
    models = os.path.join(
        test_folder, _SRE08_KEYS, "model-keys/NIST_SRE08_short2.model.key"
    )
    trials = os.path.join(
        test_folder, _SRE08_KEYS, "trial-keys/NIST_SRE08_short2-short3.trial.key"
    )
    speakers: dict[str, tuple[str, str]] = {}
    for number, row in enumerate(read_rows(models, 4, ",")):
        model, gender, source, speaker = row[:4]
        if number == 0 and gender.lower() not in ("f", "m"):  # the names of the columns
            continue
        recording, _, side = source.partition(":")
        gender = gender_of(gender, f"{models}: {model}")
        speakers[model] = speaker, gender
        yield _sre08_side(speaker, recording, side, gender, models)
    for model, recording, side, kind, *_ in read_rows(trials, 4, ","):
        if kind == "target" and model in speakers:
            speaker, gender = speakers[model]
            yield _sre08_side(speaker, recording, side, gender, trials)


def _sre08_side(
    speaker: str, recording: str, side: str, gender: str, where: str
) -> Side:
    channel = channel_of(side, f"{where}: {recording}")
    key = f"{speaker}_SRE08_{recording}_{side.upper()}"
    return Side(key, speaker, recording, channel, gender)


def swbd2_phase1(folder: str) -> Iterator[Side]:
    """docs/callstat.tbl: `recording.sph,?,speaker A,speaker B,?,gender A,gender B`."""
    path = os.path.join(folder, "docs/callstat.tbl")
    for row in read_rows(path, 7, ","):
        yield from _call(path, row[0].split(".")[0], row[2:4], row[5:7])


def swbd2_phase2(folder: str) -> Iterator[Side]:
    """DISC1/doc/callstat.tbl: `?,?,speaker A,speaker B,gender A,gender B`; the names of
    the recordings are in callinfo.tbl, which has two lines for each of these."""
    path = os.path.join(folder, "DISC1/doc/callstat.tbl")
    names = os.path.join(folder, "DISC1/doc/callinfo.tbl")
    calls = list(read_rows(path, 6, ","))
    recordings = [row[0] for row in read_rows(names, 1, ",")][1::2]
    if len(recordings) != len(calls):
        raise InputError(
            f"{names}: expected two lines for each of the {len(calls)} calls of "
            f"callstat.tbl, got {len(recordings)} pairs"
        )
    for recording, row in zip(recordings, calls, strict=True):
        yield from _call(path, recording, row[2:4], row[4:6])


def swbd2_phase3(folder: str) -> Iterator[Side]:
    """docs/callstat.tbl: `call,?,?,speaker A,speaker B,gender A,gender B`."""
    path = os.path.join(folder, "docs/callstat.tbl")
    for row in read_rows(path, 7, ","):
        yield from _call(path, f"sw_{row[0]}", row[3:5], row[5:7])


def swbd_cellular(folder: str) -> Iterator[Side]:
    """docs/swb_callstats.tbl: `call,speaker A,speaker B,gender A,gender B`."""
    path = os.path.join(folder, "docs/swb_callstats.tbl")
    for row in read_rows(path, 5, ","):
        yield from _call(path, f"sw_{row[0]}", row[1:3], row[3:5], "-swbdc_")


def _call(
    path: str,
    recording: str,
    speakers: list[str],
    genders: list[str],
    between: str = "_",
) -> Iterator[Side]:
    for channel, (name, gender) in enumerate(zip(speakers, genders, strict=True), 1):
        speaker = f"sw_{name}"
        key = f"{speaker}{between}{recording}_{channel}"
        gender = gender_of(gender, f"{path}: {recording}")
        yield Side(key, speaker, recording, channel, gender)


def mixer6_calls(folder: str, recordings: dict[str, str]) -> Iterator[Side]:
    """Telephone calls of Mixer 6: the fields of docs/mx6_calls.csv are `call`, five of
    side A, ... (the subjects are the fifth and the thirteenth); genders are in
    docs/mx6_subjs.csv. The call is the third part of a file's name."""
    docs = os.path.join(folder, "mx6_speech/docs")
    by_call = {name.split("_")[2]: name for name in recordings if name.count("_") >= 2}
    genders = {
        row[0]: row[1].lower() for row in read_rows(f"{docs}/mx6_subjs.csv", 2, ",")
    }
    for number, row in enumerate(read_rows(f"{docs}/mx6_calls.csv", 13, ",")):
        call = row[0]
        if number == 0 and not call.isdigit():  # the names of the columns
            continue
        for side, speaker in (("A", row[4]), ("B", row[12])):
            gender = genders.get(speaker, "")
            yield Side(
                f"{speaker}_MX6_{call}_{side}",
                speaker,
                by_call.get(call, f"*_*_{call}"),
                channel_of(side, call),
                gender if gender in ("f", "m") else "",
            )
