"""utils/data/check_complete.sh: what the scripts of steps/ and sid/ end with."""

from __future__ import annotations

import os

from dataset.data_dir import read_speakers
from dataset.errors import InputError
from dataset.text_table import read_ids, show
from misc.kaldi.command import NoOptions, command, log, warn

_SHARE = 0.95
_FEW = 2
_NAMED = 10


@command(
    "check_complete.sh",
    """Compares a table just made with utt2spk, and names the utterances it lacks. Fails
if there is nothing, or if more than 5 % and more than two are missing.

Usage: check_complete.sh <data-dir> <table>
e.g.: utils/data/check_complete.sh data/train feats.scp""",
    num_args=(2, 2),
)
def check_complete(options: NoOptions, directory: str, name: str) -> None:
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
    too_few = done < _SHARE * len(wanted) and len(missing) > _FEW
    if done == 0 or too_few:
        raise InputError(f"{text}; the logs say why")
    warn(f"{text}; utils/fix_data_dir.sh {directory} drops them")
