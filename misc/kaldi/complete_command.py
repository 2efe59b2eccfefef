"""utils/data/check_complete.sh: what the scripts of steps/ and sid/ end with."""

from __future__ import annotations

import dataclasses
import os

from dataset.data_dir import read_speakers
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import read_ids, show
from misc.kaldi.command import command, log, warn

_NAMED = 10


@dataclasses.dataclass(frozen=True)
class CompleteOptions:
    """Options of check_complete.sh."""

    allow: int = option(5, "Percent of the utterances that may be missing")

    def __post_init__(self) -> None:
        if not 0 <= self.allow <= 100:
            raise InputError(f"--allow: expected 0 to 100 percent, got {self.allow}")


@command(
    "check_complete.sh",
    """Compares a table just made with utt2spk, and names the utterances it lacks. Fails
if there is nothing, or if more are missing than --allow says.

Usage: check_complete.sh [--allow <percent>] <data-dir> <table>
e.g.: utils/data/check_complete.sh data/train feats.scp""",
    CompleteOptions,
    (2, 2),
)
def check_complete(options: CompleteOptions, directory: str, name: str) -> None:
    """Counts, warns, or fails."""
    wanted = read_speakers(directory)
    path = os.path.join(directory, name)
    found = read_ids(path)
    missing = [utterance for utterance in wanted if utterance not in found]
    done = len(wanted) - len(missing)
    log(f"{path}: {done} of {len(wanted)} utterances")
    if not missing:
        return
    names = " ".join(show(utterance) for utterance in missing[:_NAMED])
    more = " ..." if len(missing) > _NAMED else ""
    text = f"{path} lacks {len(missing)} of {len(wanted)} utterances: {names}{more}"
    too_few = len(missing) > len(wanted) * options.allow // 100
    if done == 0 or too_few:
        raise InputError(f"{text}; the logs say why")
    warn(f"{text}; utils/fix_data_dir.sh {directory} drops them")
