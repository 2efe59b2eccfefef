"""utils/data/subsegment_data_dir.sh: a data directory of parts of utterances."""

from __future__ import annotations

import dataclasses
import os

from dataset.data_subsegments import read_parts, subsegment
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import read_table
from misc.kaldi.command import command, log
from misc.kaldi.length_commands import LengthOptions, num_frames


@dataclasses.dataclass(frozen=True)
class SubsegmentOptions:
    """Options of subsegment_data_dir.sh."""

    segment_end_padding: float = option(
        0.0, "Seconds added to the ends in segments, not to the features"
    )
    nj: int = option(1, "Number of jobs that count frames, if that is to be done")
    cmd: str = option("run.pl", "How to run them")


@command(
    "subsegment_data_dir.sh",
    """
Makes a data directory whose utterances are parts of another's. <subsegments-file> has
lines `<new-utt> <old-utt> <begin> <end>`, in seconds from the beginning of the old one;
<text-file> says what is spoken in each. Features and VAD are taken over as ranges of
rows; for that utt2num_frames is made if there is none.

Usage: subsegment_data_dir.sh [options] <srcdir> <subsegments-file> [<text-file>]
           <destdir>
e.g.: utils/data/subsegment_data_dir.sh data/train parts data/train_parts
""",
    SubsegmentOptions,
    (3, 4),
)
def subsegment_data_dir(
    options: SubsegmentOptions, source: str, subsegments: str, *rest: str
) -> None:
    """The script subsegment_data_dir.sh."""
    *text_file, destination = rest
    parts = read_parts(subsegments)
    if not parts:
        raise InputError(f"{subsegments} is empty")
    text = read_table(text_file[0]) if text_file else None
    if text is not None and text.keys() != parts.keys():
        odd = sorted(text.keys() ^ parts.keys())[0]
        raise InputError(
            f"{os.fsdecode(odd)} is in only one of {subsegments} and {text_file[0]}"
        )
    if os.path.isfile(os.path.join(source, "feats.scp")):
        num_frames(source, LengthOptions(nj=options.nj, cmd=options.cmd))
    number = subsegment(source, destination, parts, options.segment_end_padding, text)
    log(f"{destination}: {number} parts of utterances of {source}")
