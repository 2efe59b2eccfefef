#!/usr/bin/env python3
"""Makes trials of a data directory's utterances: lines `enrol test target|nontarget`.

e.g.: local/make_trials.py --seed 1 data/eval data/eval/trials

Targets are pairs of utterances of one speaker, of two recordings (utterances cut out of
one recording share its channel, which makes them easy). Each speaker has at most his
share of --max-targets. The left side of a target also gets --nontargets-per-target
utterances of other speakers; of the same gender, if spk2gender has all of them. Chance
belongs to the seed and the speaker.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
from collections.abc import Mapping, Sequence

from dataset.data_dir import recording_of
from dataset.errors import InputError
from dataset.text_table import read_table, read_utt2spk, spk2utt_from, write_lines

Pair = tuple[bytes, bytes]

_MOST_UTTERANCES = 500  # of a speaker that pairs are made of


def make_targets(
    spk2utt: Mapping[bytes, Sequence[bytes]],
    recording: Mapping[bytes, bytes],
    max_targets: int,
    seed: int,
) -> dict[bytes, list[Pair]]:
    """Of each speaker that has some, pairs of utterances of two recordings."""
    share = max(1, max_targets // max(1, len(spk2utt)))
    targets = {}
    for speaker, utterances in spk2utt.items():
        rng = _generator(seed, speaker, "targets")
        chosen = rng.sample(utterances, min(len(utterances), _MOST_UTTERANCES))
        pairs = [
            (left, right)
            for left, right in itertools.combinations(sorted(chosen), 2)
            if recording[left] != recording[right]
        ]
        if pairs:
            targets[speaker] = sorted(rng.sample(pairs, min(len(pairs), share)))
    return targets


def make_nontargets(
    targets: Mapping[bytes, Sequence[Pair]],
    spk2utt: Mapping[bytes, Sequence[bytes]],
    gender: Mapping[bytes, bytes],
    per_target: int,
    seed: int,
) -> list[Pair]:
    """Pairs of an utterance of a target, and one of another speaker, each pair once."""
    made: set[Pair] = set()
    for speaker, pairs in targets.items():
        rng = _generator(seed, speaker, "nontargets")
        others = [
            utterance
            for other, utterances in spk2utt.items()
            if other != speaker and gender.get(other) == gender.get(speaker)
            for utterance in utterances
        ]
        for left, _ in pairs:
            for right in rng.sample(others, min(per_target, len(others))):
                if (right, left) not in made:
                    made.add((left, right))
    return sorted(made)


def _generator(seed: int, speaker: bytes, what: str) -> random.Random:
    return random.Random(f"{seed} {what} {speaker.decode()}")  # noqa: S311


def make_trials(args: argparse.Namespace) -> None:
    """Reads the data directory, writes the trials.

    Raises:
        InputError: there are no targets, or no nontargets.
    """
    data = args.data_dir
    utt2spk = read_utt2spk(os.path.join(data, "utt2spk"))
    spk2utt = {s: utts.split() for s, utts in spk2utt_from(utt2spk).items()}
    path = os.path.join(data, "spk2gender")
    gender = read_table(path) if os.path.exists(path) else {}
    if any(speaker not in gender for speaker in spk2utt):
        gender = {}
    recording = recording_of(data, utt2spk)
    targets = make_targets(spk2utt, recording, args.max_targets, args.seed)
    if not targets:
        raise InputError(
            f"{data}: no targets: none of its {len(spk2utt)} speakers has utterances "
            "of two recordings"
        )
    nontargets = make_nontargets(
        targets, spk2utt, gender, args.nontargets_per_target, args.seed
    )
    if not nontargets:
        raise InputError(f"{data}: no nontargets: expected two speakers, of one gender")
    pairs = [pair for pairs in targets.values() for pair in pairs]
    lines = [b"%b %b target\n" % pair for pair in pairs]
    write_lines(args.trials, lines + [b"%b %b nontarget\n" % p for p in nontargets])
    kind = ", of the same gender" if gender else ""
    print(
        f"{args.trials}: {len(pairs)} targets of {len(targets)} speakers, "
        f"{len(nontargets)} nontargets{kind}"
    )


def main() -> int:
    """The trials, or 1 and one line on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-targets", type=int, default=10000)
    parser.add_argument("--nontargets-per-target", type=int, default=10)
    parser.add_argument("data_dir")
    parser.add_argument("trials")
    args = parser.parse_args()
    try:
        if args.max_targets < 1 or args.nontargets_per_target < 1:
            raise InputError("expected --max-targets and --nontargets-... of 1 or more")
        make_trials(args)
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
