"""utils/data/perturb_data_dir_speed.sh: a data directory at another speed."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex

from dataset import data_dir, data_dir_check
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import show
from misc.kaldi.command import command, log
from misc.kaldi.length_commands import (
    LengthOptions,
    recording_seconds,
    utterance_seconds,
)

_NOT_COPIED = ("feats.scp", "vad.scp", "cmvn.scp", "utt2num_frames")


@dataclasses.dataclass(frozen=True)
class SpeedOptions:
    """Options of perturb_data_dir_speed.sh."""

    include_spk_prefix: bool = option(True, "Speakers and recordings get the prefix")


@command(
    "perturb_data_dir_speed.sh",
    """Copies a data directory at another speed, under the prefix sp<factor>- for
utterances, speakers and recordings: pitch changes too, so they are new speakers.
Features and voice activity have to be computed for the copy.

Usage: perturb_data_dir_speed.sh [options] <factor> <srcdir> <destdir>
e.g.: utils/data/perturb_data_dir_speed.sh 0.9 data/train data/train_sp0.9""",
    SpeedOptions,
    (3, 3),
)
def perturb_data_dir_speed(
    options: SpeedOptions, factor: str, source: str, destination: str
) -> None:
    """Copies with sox in each pipeline, and all times divided by the factor."""
    speed = _speed(factor)
    prefix = (os.fsencode(f"sp{factor}-"), b"")

    def pipe(key: bytes, value: bytes, renaming: data_dir.Renaming) -> bytes:
        return faster_pipe(value, factor)

    if not os.path.isfile(os.path.join(source, "wav.scp")):
        raise InputError(f"no such file: {source}/wav.scp")
    utterance_seconds(source, LengthOptions())
    recording_seconds(source, LengthOptions())
    changes: dict[str, data_dir.Change | None] = dict.fromkeys(_NOT_COPIED)
    changes["wav.scp"] = pipe
    changes["segments"] = _faster_times(
        f"{source}/segments", slice(1, 3), speed, b"%.2f"
    )
    for name in ("utt2dur", "reco2dur"):
        changes[name] = _faster_times(f"{source}/{name}", slice(0, 1), speed)
    others = prefix if options.include_spk_prefix else (b"", b"")
    renaming = data_dir.Renaming(prefix, others, others)
    data_dir.copy(source, destination, [renaming], changes)
    count = len(data_dir.read_speakers(destination))
    log(f"{destination}: {count} utterances of {source} at {speed:g} times the speed")
    data_dir_check.validate(destination, ["wav.scp"])


def faster_pipe(value: bytes, factor: str) -> bytes:
    """The pipeline that plays an entry of wav.scp at another speed, as Kaldi has it."""
    text = os.fsdecode(value)
    if text.endswith("|"):
        source = f"{text} sox -t wav -"
    elif re.search(r":\d+$", text):  # in an archive
        source = f"wav-copy {shlex.quote(text)} - | sox -t wav -"
    elif text.lower().endswith(".wav"):
        source = f"sox -t wav {shlex.quote(text)}"
    else:
        source = f"sox {shlex.quote(text)}"
    return os.fsencode(f"{source} -t wav - speed {factor} |")


def _faster_times(
    path: str, fields: slice, speed: float, form: bytes = b"%.6g"
) -> data_dir.Change:
    """Divides the seconds in some fields; -1, the end of a recording, stays."""

    def change(key: bytes, value: bytes, renaming: data_dir.Renaming) -> bytes:
        words = value.split()
        try:
            times = [float(word) for word in words[fields]]
        except ValueError:
            times = []
        if len(times) < fields.stop - fields.start:
            raise InputError(
                f"{path}: {show(key)}: expected seconds, got '{show(value)}'"
            )
        words[fields] = [
            word if time < 0 else form % (time / speed)
            for word, time in zip(words[fields], times, strict=True)
        ]
        return b" ".join(words)

    return change


def _speed(factor: str) -> float:
    try:
        speed = float(factor)
    except ValueError:
        speed = 0.0
    if not 0.1 <= speed <= 10 or speed == 1:
        raise InputError(f"expected a factor such as 0.9 or 1.1, got '{factor}'")
    return speed
