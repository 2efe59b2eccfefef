#!/usr/bin/env python3
"""Makes the data directories of NIST SRE 2010: models, test segments, trials.

usage: local/prepare_sre10.py <sre10-dir> <condition> <data-dir>
e.g.:  local/prepare_sre10.py /corpora/SRE10/eval coreext_c5 data

<sre10-dir> has data/, train/, trials/ and keys/. In <data-dir>, writes
sre10_<condition>_enrol and sre10_<condition>_test, with the trials. Conditions:
  coreext_c5   extended core, condition 5: telephone calls with normal vocal effort
  10s          10 seconds for the model, 10 seconds for the test
Only trials that NIST scores count, and only models and segments of these are prepared.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator

from telephone import (
    SIDES,
    Side,
    channel_of,
    find_recordings,
    gender_of,
    read_rows,
    run,
    write_data_dir,
    write_trials,
)

from dataset.errors import InputError

_COMMON_CONDITION = 5
_LISTS = {
    "coreext_c5": ("coreext", "coreext-coreext", _COMMON_CONDITION),
    "10s": ("10sec", "10sec-10sec", None),
}
"""Training list, trial list, and common condition, of which a trial must be."""


def read_models(path: str) -> Iterator[Side]:
    """A training list: lines `model gender path/recording.sph:side[,...]`."""
    for model, gender, sources, *_ in read_rows(path, 3):
        gender = gender_of(gender, f"{path}: {model}")
        for source in sources.split(","):
            recording, side = _split(source, path)
            channel = channel_of(side, f"{path}: {model}")
            key = f"{model}-{recording}_{side}"
            yield Side(key, model, recording, channel, gender)


def read_segments(path: str) -> Iterator[Side]:
    """A trial list: lines `model gender path/recording.sph:side`; the gender is the
    model's."""
    for model, _, source, *_ in read_rows(path, 3):
        recording, side = _split(source, path)
        key = f"{recording}_{side}"
        yield Side(key, key, recording, channel_of(side, f"{path}: {model}"))


def _split(source: str, path: str) -> tuple[str, str]:
    file, colon, side = source.rpartition(":")
    if not colon:
        raise InputError(f"{path}: expected 'recording.sph:side', got '{source}'")
    return os.path.basename(file).split(".")[0], side.upper()


def read_trials(path: str, condition: int | None) -> Iterator[tuple[str, str, str]]:
    """A key: `model,recording,side,target|nontarget,scored,condition 1,...`, Y or N.

    Yields:
        (model, segment, target or nontarget) of the trials that are scored.
    """
    needed = 4 if condition is None else 5 + condition
    for number, row in enumerate(read_rows(path, needed, ",")):
        model, recording, side, kind = row[:4]
        if number == 0 and side not in SIDES:  # the names of the columns
            continue
        channel_of(side, f"{path}: {model}")
        scored = len(row) < 5 or row[4] == "Y"
        if scored and (condition is None or row[4 + condition] == "Y"):
            yield model, f"{recording}_{side.upper()}", kind


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sre10")
    parser.add_argument("condition", choices=_LISTS)
    parser.add_argument("data")
    args = parser.parse_args()

    def prepare() -> None:
        training, test, condition = _LISTS[args.condition]
        models = os.path.join(args.sre10, "train", f"{training}.trn")
        segments = os.path.join(args.sre10, "trials", f"{test}.ndx")
        key = os.path.join(args.sre10, "keys", f"{test}.trialkey.csv")
        recordings = find_recordings(os.path.join(args.sre10, "data"))
        trials = list(read_trials(key, condition))
        if not trials:
            raise InputError(f"{key}: no scored trial of {args.condition}")
        tried, wanted = {t[0] for t in trials}, {t[1] for t in trials}
        enrol, test_dir = (
            os.path.join(args.data, f"sre10_{args.condition}_{part}")
            for part in ("enrol", "test")
        )
        write_data_dir(
            enrol, read_models(models), recordings, lambda side: side.speaker in tried
        )
        there = write_data_dir(
            test_dir,
            read_segments(segments),
            recordings,
            lambda side: side.key in wanted,
        )
        with_models = {
            side.speaker for side in read_models(models) if side.recording in recordings
        }
        write_trials(os.path.join(test_dir, "trials"), trials, with_models, there)

    return run(prepare)


if __name__ == "__main__":
    sys.exit(main())
