#!/usr/bin/env python3
"""Draws a validation set from a spk2utt, leaving each speaker something to train on.

usage: sample_validset_spk2utt.py [--seed n] <num-speakers> <num-utts> <spk2utt>
Prints lines `speaker utt utt ...` on stdout: speakers with at least num-utts + 2
utterances, then, if these are too few, those with fewer; one is always left.
"""

from __future__ import annotations

import argparse
import random
import sys


def sample(
    spk2utt: dict[str, list[str]], num_speakers: int, num_utts: int, seed: int
) -> dict[str, list[str]]:
    """num_speakers speakers and at most num_utts utterances of each, at random."""
    rng = random.Random(seed)  # noqa: S311
    speakers = sorted(spk2utt)
    rng.shuffle(speakers)
    speakers.sort(key=lambda speaker: len(spk2utt[speaker]) < num_utts + 2)
    able = [speaker for speaker in speakers if len(spk2utt[speaker]) > 1]
    chosen = {}
    for speaker in sorted(able[:num_speakers]):
        utts = spk2utt[speaker]
        chosen[speaker] = sorted(rng.sample(utts, min(num_utts, len(utts) - 1)))
    return chosen


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("num_speakers", type=int)
    parser.add_argument("num_utts", type=int)
    parser.add_argument("spk2utt")
    args = parser.parse_args()
    try:
        with open(args.spk2utt, encoding="utf-8") as stream:
            rows = [line.split() for line in stream if line.strip()]
    except OSError as error:
        print(f"{parser.prog}: {args.spk2utt}: {error.strerror}", file=sys.stderr)
        return 1
    chosen = sample(
        {row[0]: row[1:] for row in rows}, args.num_speakers, args.num_utts, args.seed
    )
    if len(chosen) < args.num_speakers:
        print(
            f"{parser.prog}: only {len(chosen)} of {args.num_speakers} speakers have "
            "two utterances or more",
            file=sys.stderr,
        )
    for speaker, utts in chosen.items():
        print(speaker, *utts)
    return 0 if chosen else 1


if __name__ == "__main__":
    sys.exit(main())
