"""utils/data/get_utt2dur.sh and its like: how long utterances and recordings are."""

from __future__ import annotations

import dataclasses
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence

from dataset.data_dir import FRAME_SHIFT, read_speakers
from dataset.data_selection import even_parts
from dataset.data_subsegments import frame_shift
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import (
    Table,
    read_numbers,
    read_table,
    show,
    write_lines,
    write_table,
)
from misc.kaldi.command import command, log, warn

_FRAMES_BEYOND = 1.5  # shifts of 10 ms by which the last frame of 25 ms is longer
_ENOUGH = 0.95  # of the entries must be there; else something is wrong


@dataclasses.dataclass(frozen=True)
class LengthOptions:
    """Options of the three scripts."""

    nj: int = option(4, "Number of jobs")
    cmd: str = option("run.pl", "How to run them (utils/run.pl, queue.pl <options>)")
    frame_shift: float = option(0.01, "Seconds from frame to frame")
    frame_overlap: float = option(
        0.015, "Seconds by which frames overlap, to count those of a duration"
    )
    read_entire_file: bool = option(False, "Do not trust the headers of wave files")

    def __post_init__(self) -> None:
        if not self.frame_shift > 0:
            raise InputError(
                f"--frame-shift: expected seconds above zero, got {self.frame_shift:g}"
            )


@command(
    "get_utt2dur.sh",
    """
Writes utt2dur, the seconds of each utterance, from segments, from frame_shift and
utt2num_frames, from wav.scp or from feats.scp (whichever is there first). What is there
already is kept if it is complete.

Usage: get_utt2dur.sh [options] <data-dir>
e.g.: utils/data/get_utt2dur.sh --nj 8 data/train""",
    LengthOptions,
)
def get_utt2dur(options: LengthOptions, directory: str) -> None:
    """Writes utt2dur."""
    utterance_seconds(directory, options)


@command(
    "get_reco2dur.sh",
    """Writes reco2dur, the seconds of each recording, from wav.scp; without segments it
is the same as utt2dur. What is there already is kept if it is complete.

Usage: get_reco2dur.sh [options] <data-dir>
e.g.: utils/data/get_reco2dur.sh --nj 8 data/train""",
    LengthOptions,
)
def get_reco2dur(options: LengthOptions, directory: str) -> None:
    """Writes reco2dur."""
    recording_seconds(directory, options)


@command(
    "get_utt2num_frames.sh",
    """Writes utt2num_frames from feats.scp or, without it, from the durations. What is
there already is kept if it is complete.

Usage: get_utt2num_frames.sh [options] <data-dir>
e.g.: utils/data/get_utt2num_frames.sh --nj 8 data/train""",
    LengthOptions,
)
def get_utt2num_frames(options: LengthOptions, directory: str) -> None:
    """Writes utt2num_frames."""
    num_frames(directory, options)


def utterance_seconds(directory: str, options: LengthOptions) -> Table:
    """Reads utt2dur, making it first if it is not complete."""
    utterances = read_speakers(directory)
    path = os.path.join(directory, "utt2dur")
    if table := _complete(path, utterances):
        return table
    frames = os.path.join(directory, "utt2num_frames")
    if _has(directory, "segments"):
        table = _segment_seconds(directory)
    elif _has(directory, FRAME_SHIFT) and _complete(frames, utterances):
        table = _seconds_of_frames(directory, options)
    elif _has(directory, "wav.scp"):
        table = _wave_seconds(directory, options)
    elif _has(directory, "feats.scp"):
        table = _seconds_of_frames(directory, options)
    else:
        raise InputError(f"{directory} has no segments, wav.scp or feats.scp")
    return _write(path, table, utterances)


def recording_seconds(directory: str, options: LengthOptions) -> Table:
    """Reads reco2dur, making it first if it is not complete."""
    recordings = read_table(os.path.join(directory, "wav.scp"))
    path = os.path.join(directory, "reco2dur")
    if table := _complete(path, recordings):
        return table
    table = {}
    if not _has(directory, "segments"):
        table = _complete(os.path.join(directory, "utt2dur"), recordings)
    return _write(path, table or _wave_seconds(directory, options), recordings)


def num_frames(directory: str, options: LengthOptions) -> Table:
    """Reads utt2num_frames, making it first if it is not complete."""
    utterances = read_speakers(directory)
    path = os.path.join(directory, "utt2num_frames")
    if table := _complete(path, utterances):
        return table
    if _has(directory, "feats.scp"):
        table = _over_scp(directory, "feats.scp", ["feat-to-len"], options)
    else:
        seconds = utterance_seconds(directory, options)
        table = {
            utt: b"%d"
            % max(0, (float(value) - options.frame_overlap) / options.frame_shift)
            for utt, value in seconds.items()
        }
    return _write(path, table, utterances)


def _seconds_of_frames(directory: str, options: LengthOptions) -> Table:
    shift = options.frame_shift
    if _has(directory, FRAME_SHIFT):
        shift = frame_shift(directory)
    return {
        utt: b"%.6g" % ((float(count) + _FRAMES_BEYOND) * shift)
        for utt, count in num_frames(directory, options).items()
    }


def _has(directory: str, name: str) -> bool:
    return os.path.isfile(os.path.join(directory, name))


def _complete(path: str, keys: Table) -> Table:
    """The table if it is there and has all keys, else nothing."""
    if not os.path.isfile(path):
        return {}
    table = read_numbers(path)
    if any(key not in table for key in keys):
        return {}
    log(f"{path} is there and complete")
    return table


def _write(path: str, table: Table, keys: Table) -> Table:
    missing = [key for key in keys if key not in table]
    if missing:
        message = f"{path}: {len(missing)} of {len(keys)} lack a length, the first is "
        message += f"{show(missing[0])}; see utils/fix_data_dir.sh"
        if len(missing) > (1 - _ENOUGH) * len(keys):
            raise InputError(message)
        warn(message)
    table = {key: table[key] for key in keys if key in table}
    write_table(path, table)
    log(f"wrote {path}")
    return table


def _segment_seconds(directory: str) -> Table:
    table: Table = {}
    for utterance, value in read_table(os.path.join(directory, "segments")).items():
        try:
            recording, start, end = value.split()[:3]
            seconds = float(end) - float(start)
        except ValueError:
            seconds = 0.0
        if seconds <= 0:
            raise InputError(
                f"{directory}/segments: {show(utterance)}: expected "
                f"'recording start end', got '{show(value)}'"
            )
        table[utterance] = b"%.6g" % seconds
    return table


def _wave_seconds(directory: str, options: LengthOptions) -> Table:
    pipes = read_table(os.path.join(directory, "wav.scp")).values()
    # sox writes the header before it knows how long its output is.
    whole = options.read_entire_file or any(
        b"sox" in pipe and b"speed" in pipe for pipe in pipes
    )
    program = ["wav-to-duration", f"--read-entire-file={str(whole).lower()}"]
    return _over_scp(directory, "wav.scp", program, options)


def _over_scp(
    directory: str, name: str, program: Sequence[str], options: LengthOptions
) -> Table:
    """Runs a program that writes a text table, in jobs over the parts of a list."""
    lines = [b"%b %b\n" % entry for entry in read_table(f"{directory}/{name}").items()]
    if not lines:
        raise InputError(f"{directory}/{name} is empty")
    parts = even_parts(lines, max(1, min(options.nj, len(lines))))
    stem = program[0]
    with tempfile.TemporaryDirectory(dir=directory, prefix=f".{stem}.") as folder:
        for number, part in enumerate(parts, 1):
            write_lines(f"{folder}/{number}.scp", part)
        jobs = [f"JOB=1:{len(parts)}", f"{directory}/log/{stem}.JOB.log", *program]
        tables = [f"scp:{folder}/JOB.scp", f"ark,t:{folder}/JOB.txt"]
        status = subprocess.call([*_runner(options.cmd), *jobs, *tables])
        if status:
            raise InputError(f"{stem} failed on {directory}/{name}; see above")
        table: Table = {}
        for number in range(1, len(parts) + 1):
            table |= read_table(f"{folder}/{number}.txt")
    return table


def _runner(cmd: str) -> list[str]:
    """The words of --cmd; run.pl is found even where utils/ is not on the PATH."""
    words = shlex.split(cmd)
    if words[:1] == ["run.pl"] and not shutil.which("run.pl"):
        words[0] = os.path.join(os.path.dirname(__file__), "utils", "run.pl")
    return words
