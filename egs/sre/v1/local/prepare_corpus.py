#!/usr/bin/env python3
"""Makes the data directory of a training corpus, as the LDC ships it.

usage: local/prepare_corpus.py [--speaker-list file] <ldc-dir> <corpus> <data-dir>
e.g.:  local/prepare_corpus.py --speaker-list speaker_list /corpora/LDC sre04 data/sre04

<ldc-dir> has a folder for each corpus, named by its catalogue number (LDC2006S44, ...).
Recordings that are listed but not there are left out, with a warning.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterator

from telephone import Side, find_recordings, run, write_data_dir
from training_corpora import (
    mixer6_calls,
    sre08,
    sre_by_speaker_list,
    swbd2_phase1,
    swbd2_phase2,
    swbd2_phase3,
    swbd_cellular,
)

from dataset.errors import InputError

_logger = logging.getLogger("prepare")

CATALOGUE = {
    "sre04": ("LDC2006S44",),
    "sre05_train": ("LDC2011S01",),
    "sre05_test": ("LDC2011S04",),
    "sre06_train": ("LDC2011S09",),
    "sre06_test1": ("LDC2011S10",),
    "sre06_test2": ("LDC2012S01",),
    "sre08": ("LDC2011S05", "LDC2011S08"),
    "swbd2_phase1": ("LDC98S75",),
    "swbd2_phase2": ("LDC99S79",),
    "swbd2_phase3": ("LDC2002S06",),
    "swbd_cellular1": ("LDC2001S13",),
    "swbd_cellular2": ("LDC2004S07",),
    "mixer6": ("LDC2013S03",),
}
_SWITCHBOARD = {
    "swbd2_phase1": swbd2_phase1,
    "swbd2_phase2": swbd2_phase2,
    "swbd2_phase3": swbd2_phase3,
    "swbd_cellular1": swbd_cellular,
    "swbd_cellular2": swbd_cellular,
}


def sides_of(
    corpus: str, folders: list[str], recordings: dict[str, str], speaker_list: str
) -> Iterator[Side]:
    """What the lists of a corpus name."""
    if corpus in _SWITCHBOARD:
        return _SWITCHBOARD[corpus](folders[0])
    if corpus == "sre08":
        return sre08(folders[1])
    if corpus == "mixer6":
        return mixer6_calls(folders[0], recordings)
    if not speaker_list:
        raise InputError(
            f"{corpus} needs --speaker-list: the file of https://www.openslr.org/15"
        )
    sides = list(sre_by_speaker_list(speaker_list, f"20{corpus[3:5]}"))
    here = [side for side in sides if side.recording in recordings]
    # The list is of the whole evaluation, which is several corpora.
    _logger.info(
        "%s: %d of %d sides in %s", corpus, len(here), len(sides), speaker_list
    )
    return iter(here)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--speaker-list", default="", help="of SRE 2004 to 2006")
    parser.add_argument("ldc")
    parser.add_argument("corpus", choices=CATALOGUE)
    parser.add_argument("data")
    args = parser.parse_args()

    def prepare() -> None:
        folders = [os.path.join(args.ldc, name) for name in CATALOGUE[args.corpus]]
        recordings = find_recordings(*folders)
        sides = sides_of(args.corpus, folders, recordings, args.speaker_list)
        write_data_dir(args.data, sides, recordings)

    return run(prepare)


if __name__ == "__main__":
    sys.exit(main())
