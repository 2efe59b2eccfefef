#!/usr/bin/env python3
"""Fits a configuration to the amount of data: prints `key=value` for --overrides.

e.g.: local/fit_training.py --speeds 2 nnet_conf/own_classic.json \\
          data/train_able/num_voiced data/softmax_train

- `num_steps_per_epoch`: so many that an epoch hears as many frames as there are, 20 at
  least; schedules given in steps are stretched by as much.
- `num_speakers_per_batch`: as many as there are, if these are fewer.
- `min_segment_len`, `max_segment_len`: no longer than what nine tenths of the speakers,
  and a batch of them, can fill.
"""

from __future__ import annotations

import argparse
import math
import os
import sys

import numpy as np

from dataset.errors import InputError
from dataset.text_table import read_numbers, read_utt2spk
from misc.config_file import read

LEAST_FRAMES = 50
_LEAST_STEPS = 20
_SCHEDULES = ("margin_start_step", "margin_full_step", "warmup_steps", "cycle_steps")


def fit(
    config: dict[str, float], longest: np.ndarray, num_frames: int, copies: int
) -> dict[str, int]:
    """The keys that are to be others than in the configuration.

    Args:
        longest: int [speakers], voiced frames of each one's longest utterance.
        num_frames: of all utterances.
        copies: of each utterance, at other speeds too.

    Raises:
        InputError: the utterances are too short.
    """
    speakers = min(int(config["num_speakers_per_batch"]), len(longest))
    able = max(speakers, math.ceil(0.9 * len(longest)))
    fill = int(np.sort(longest)[-able])
    if fill < LEAST_FRAMES:
        raise InputError(
            f"expected utterances of {LEAST_FRAMES} voiced frames or more of most "
            f"speakers; the longest of {able} of {len(longest)} have {fill}"
        )
    high = min(int(config["max_segment_len"]), fill)
    low = min(int(config["min_segment_len"]), high)
    batch = speakers * int(config.get("num_segments_per_speaker", 1)) * (low + high) / 2
    steps = max(math.ceil(num_frames * copies / batch), _LEAST_STEPS)
    together = int(config.get("accumulate_batches", 1))
    steps = math.ceil(steps / together) * together
    stretch = steps / config["num_steps_per_epoch"]
    fitted = {
        "num_speakers_per_batch": speakers,
        "num_steps_per_epoch": steps,
        "save_checkpoints_steps": steps,
        "min_segment_len": low,
        "max_segment_len": high,
    }
    shown = int(config.get("show_training_progress", 100))
    if shown > steps:
        fitted["show_training_progress"] = steps
    for name in _SCHEDULES:
        if config.get(name):
            fitted[name] = max(1, round(config[name] * stretch))
    return fitted


def read_lengths(num_voiced: str, data_dir: str) -> tuple[np.ndarray, int]:
    """Each speaker's longest utterance, and the sum of all, in voiced frames."""
    numbers = read_numbers(num_voiced)
    longest: dict[bytes, int] = {}
    total = 0
    for utterance, speaker in read_utt2spk(os.path.join(data_dir, "utt2spk")).items():
        if utterance not in numbers:
            raise InputError(f"{num_voiced}: no line for {utterance.decode()}")
        frames = int(numbers[utterance])
        total += frames
        longest[speaker] = max(longest.get(speaker, 0), frames)
    return np.array(list(longest.values())), total


def main() -> int:
    """The overrides, or 1 and one line on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--speeds", type=int, default=0, help="how many copies at other speeds"
    )
    parser.add_argument("config")
    parser.add_argument("num_voiced", help="lines `utterance frames`")
    parser.add_argument("data_dir")
    args = parser.parse_args()
    try:
        config = read(args.config, [])
        longest, total = read_lengths(args.num_voiced, args.data_dir)
        if args.speeds:  # up to 1.1 times as fast
            longest = longest * 9 // 10
        fitted = fit(config, longest, total, 1 + args.speeds)
    except (InputError, OSError, ValueError) as error:
        print(f"{parser.prog}: {args.config}: {error}", file=sys.stderr)
        return 1
    except KeyError as error:
        print(f"{parser.prog}: {args.config}: no key {error}", file=sys.stderr)
        return 1
    print(" ".join(f"{name}={value}" for name, value in fitted.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
