#!/usr/bin/env python3
"""Divides the speakers of a data directory: for training, calibration and evaluation.

e.g.: local/split_speakers.py --seed 1 data/all data/split

Writes <out-dir>/{train,calibration,eval}, lists of speakers. Those of calibration and
evaluation have two utterances or more; by default each is a tenth of the speakers, two
at least and 300 at most. A number of 0 makes an empty list.
"""

from __future__ import annotations

import argparse
import os
import random
import sys

from dataset.errors import InputError
from dataset.text_table import read_utt2spk, spk2utt_from, write_lines

LEAST_FOR_TRAINING = 4


def split_speakers(
    spk2utt: dict[bytes, bytes],
    calibration: int | None,
    evaluation: int | None,
    seed: int,
) -> dict[str, list[bytes]]:
    """The lists; numbers that are None follow from the number of speakers.

    Raises:
        InputError: there are too few speakers.
    """
    tenth = min(max(len(spk2utt) // 10, 2), 300)
    sizes = {
        "eval": tenth if evaluation is None else evaluation,
        "calibration": tenth if calibration is None else calibration,
    }
    able = sorted(s for s, utterances in spk2utt.items() if b" " in utterances)
    held_out = sum(sizes.values())
    if held_out > len(able) or held_out + LEAST_FOR_TRAINING > len(spk2utt):
        raise InputError(
            f"expected {sizes['eval']} speakers for evaluation and "
            f"{sizes['calibration']} for calibration, with two utterances each, and "
            f"{LEAST_FOR_TRAINING} more for training; there are {len(spk2utt)} "
            f"speakers, {len(able)} with two utterances"
        )
    random.Random(seed).shuffle(able)  # noqa: S311
    lists = {}
    for name, size in sizes.items():
        lists[name], able = sorted(able[:size]), able[size:]
    chosen = {speaker for speakers in lists.values() for speaker in speakers}
    lists["train"] = sorted(speaker for speaker in spk2utt if speaker not in chosen)
    return lists


def main() -> int:
    """The lists, or 1 and one line on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--eval-speakers", type=int, help="default: a tenth")
    parser.add_argument("--calibration-speakers", type=int, help="default: a tenth")
    parser.add_argument("data_dir")
    parser.add_argument("out_dir")
    args = parser.parse_args()
    try:
        utt2spk = read_utt2spk(os.path.join(args.data_dir, "utt2spk"))
        lists = split_speakers(
            spk2utt_from(utt2spk),
            args.calibration_speakers,
            args.eval_speakers,
            args.seed,
        )
        os.makedirs(args.out_dir, exist_ok=True)
        for name, speakers in lists.items():
            path = os.path.join(args.out_dir, name)
            write_lines(path, (b"%b\n" % speaker for speaker in speakers))
    except (InputError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(
        f"{len(lists['train'])} speakers for training, {len(lists['calibration'])} for "
        f"calibration, {len(lists['eval'])} for evaluation"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
