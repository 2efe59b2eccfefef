#!/usr/bin/env python3
"""Makes the data directories of NIST SRE 2016: evaluation, or unlabelled speech.

usage: local/prepare_sre16.py eval <sre16-eval-dir> <data-dir>
       local/prepare_sre16.py unlabelled <call-my-net-dir> <data-dir>
e.g.:  local/prepare_sre16.py eval /corpora/R149_0_1 data
       local/prepare_sre16.py unlabelled /corpora/LDC2016E46 data

eval: docs/, metadata/ and data/{enrollment,test}; writes <data-dir>/sre16_enrol and
sre16_test, in the latter trials, trials_tgl (Tagalog), trials_yue (Cantonese) and, of
each of trials a line, trial_parts (local/equalized_cost.py).
unlabelled: data/unlabeled/{major,minor}; writes sre16_major (Tagalog, Cantonese) and
sre16_minor (Cebuano, Mandarin), each recording as a speaker of its own.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from itertools import compress

from telephone import (
    Side,
    find_recordings,
    read_rows,
    run,
    write_data_dir,
    write_lines,
    write_trials,
)

from dataset.errors import InputError

_LANGUAGES = ("tgl", "yue")
_PART_COLUMNS = ("num_enroll_segs", "phone_num_match", "gender")
"""What parts of the trials differ in, beside the language: each weighs alike."""

_logger = logging.getLogger("prepare")


def prepare_enrolment(folder: str, data: str) -> set[str]:
    """docs/sre16_eval_enrollment.tsv: `model segment side`; returns the models."""
    path = os.path.join(folder, "docs/sre16_eval_enrollment.tsv")
    recordings = find_recordings(os.path.join(folder, "data/enrollment"))
    sides = [
        Side(f"{model}-{_stem(segment)}", model, _stem(segment), 1)
        for model, segment, *_ in read_rows(path, 2)
        if segment not in _TITLES
    ]
    write_data_dir(os.path.join(data, "sre16_enrol"), sides, recordings)
    return {side.speaker for side in sides if side.recording in recordings}


def prepare_test(folder: str, data: str, models: set[str]) -> None:
    """docs/sre16_eval_trial_key.tsv: `model segment side target|nontarget ...`, with
    names of the columns in the first line."""
    path = os.path.join(folder, "docs/sre16_eval_trial_key.tsv")
    target = os.path.join(data, "sre16_test")
    recordings = find_recordings(os.path.join(folder, "data/test"))
    rows = read_rows(path, 4)
    columns = part_columns(next(rows), path)
    trials, parts = [], []
    for row in rows:
        # Two million rows of a few thousand words.
        model, segment, _, kind = map(sys.intern, row[:4])
        trials.append((model, _stem(segment), kind))
        parts.append(sys.intern("-".join(row[column] for column in columns)))
    segments = dict.fromkeys(segment for _, segment, _ in trials)
    sides = (Side(segment, segment, segment, 1) for segment in segments)
    there = write_data_dir(target, sides, recordings)
    written = write_trials(os.path.join(target, "trials"), trials, models, there)
    languages = read_languages(folder)
    for segment in there:
        if languages.get(segment) not in _LANGUAGES:
            raise InputError(
                f"{folder}: segment {segment}: expected the language tgl or yue in "
                f"metadata/calls.tsv, got {languages.get(segment)}"
            )
    for language in _LANGUAGES:
        write_trials(
            os.path.join(target, f"trials_{language}"),
            (t for t in trials if languages.get(t[1]) == language),
            models,
            there,
        )
    if columns:
        lines = (
            f"{part}-{languages[segment]}\n"
            for part, (_, segment, _) in zip(parts, trials, strict=True)
        )
        write_lines(os.path.join(target, "trial_parts"), compress(lines, written))


def part_columns(titles: list[str], path: str) -> list[int]:
    """Where the key says what parts differ in; none, with a warning, if it does not."""
    missing = [name for name in _PART_COLUMNS if name not in titles]
    if missing:
        _logger.warning("%s has no %s: no equalised costs", path, ", ".join(missing))
        return []
    return [titles.index(name) for name in _PART_COLUMNS]


def read_languages(folder: str) -> dict[str, str]:
    """Language of each test segment, by its call: docs/sre16_eval_segment_key.tsv has
    `segment call ...`, metadata/calls.tsv `call language ...`."""
    calls = {
        _stem(segment): call
        for segment, call, *_ in read_rows(
            os.path.join(folder, "docs/sre16_eval_segment_key.tsv"), 2
        )
    }
    languages = {
        call: language
        for call, language, *_ in read_rows(
            os.path.join(folder, "metadata/calls.tsv"), 2
        )
    }
    return {segment: languages.get(call, "") for segment, call in calls.items()}


def prepare_unlabelled(folder: str, data: str) -> None:
    """Recordings of the languages of the evaluation (major) and of others (minor)."""
    for part in ("major", "minor"):
        recordings = find_recordings(os.path.join(folder, "data/unlabeled", part))
        sides = (Side(name, name, name, 1) for name in recordings)
        write_data_dir(os.path.join(data, f"sre16_{part}"), sides, recordings)


_TITLES = ("segment", "segmentid")
"""What the column of the segments is called in the first line."""


def _stem(segment: str) -> str:
    return segment.split(".")[0]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", choices=["eval", "unlabelled"])
    parser.add_argument("corpus")
    parser.add_argument("data")
    args = parser.parse_args()

    def prepare() -> None:
        if args.part == "unlabelled":
            prepare_unlabelled(args.corpus, args.data)
        else:
            models = prepare_enrolment(args.corpus, args.data)
            prepare_test(args.corpus, args.data, models)

    return run(prepare)


if __name__ == "__main__":
    sys.exit(main())
