"""Scripts that measure a data directory, or change its speed: utils/data/*.sh."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dataset import data_dir
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import Table, read_table, show, sort_table, write_table
from misc.kaldi.command import command, log, warn

_BIN = Path(__file__).resolve().parent / "bin"
_NOT_COPIED = ("feats.scp", "vad.scp", "cmvn.scp", "utt2num_frames")


@command(
    "perturb_data_dir_speed.sh",
    """
Copies a data directory at another speed, under the prefix sp<factor>- for utterances,
speakers and recordings: pitch changes too, so they are new speakers. Features and voice
activity have to be computed for the copy.

Usage: utils/data/perturb_data_dir_speed.sh <factor> <source-dir> <destination-dir>
 e.g.: utils/data/perturb_data_dir_speed.sh 0.9 data/train data/train_sp0.9
""",
    num_args=(3, 3),
)
def perturb_data_dir_speed(
    options: object, factor: str, source: str, destination: str
) -> int:
    speed = _speed(factor)
    prefix = (f"sp{factor}-".encode(), b"")

    def wave(key: bytes, value: bytes, renaming: data_dir.Renaming) -> bytes:
        return faster_pipe(value, factor)

    def seconds(key: bytes, value: bytes, renaming: data_dir.Renaming) -> bytes:
        return b"%.6f" % (float(value) / speed)

    def segment(key: bytes, value: bytes, renaming: data_dir.Renaming) -> bytes:
        recording, start, end, *channel = value.split()
        times = [
            b"%.6f" % (float(t) / speed if float(t) > 0 else float(t))
            for t in (start, end)
        ]  # an end of -1 is that of the recording
        return b" ".join([recording, *times, *channel])

    changes: dict[str, data_dir.Change | None] = dict.fromkeys(_NOT_COPIED)
    changes |= {"wav.scp": wave, "segments": segment}
    changes |= {"utt2dur": seconds, "reco2dur": seconds}
    require(source, "wav.scp")
    data_dir.copy(
        source, destination, [data_dir.Renaming(prefix, prefix, prefix)], changes
    )
    utterances = len(data_dir.read_utt2spk(destination))
    log(f"{destination}: {utterances} utterances of {source} at {factor} of the speed")
    return 0


def faster_pipe(value: bytes, factor: str) -> bytes:
    """The pipeline that plays an entry of wav.scp at another speed, as Kaldi has it."""
    text = os.fsdecode(value)
    if text.endswith("|"):
        source = f"{text} sox -t wav -"
    elif re.search(r":\d+$", text):
        source = f"wav-copy {shlex.quote(text)} - | sox -t wav -"
    elif text.lower().endswith(".wav"):
        source = f"sox -t wav {shlex.quote(text)}"
    else:
        source = f"sox {shlex.quote(text)}"
    return os.fsencode(f"{source} -t wav - speed {factor} |")


def _speed(factor: str) -> float:
    try:
        speed = float(factor)
    except ValueError:
        speed = 0.0
    if not 0.1 <= speed <= 10 or speed == 1:
        raise InputError(f"expected a factor such as 0.9 or 1.1, got '{factor}'")
    return speed


@dataclass(frozen=True)
class DurationOptions:
    nj: int = option(4, "Accepted as Kaldi has it; the headers are read in one go")
    cmd: str = option("", "Accepted as Kaldi has it, and not used")
    read_entire_file: bool = option(
        False, "Do not believe the headers: read everything"
    )
    frame_shift: float = option(0.01, "Seconds, for durations from utt2num_frames")


@command(
    "get_utt2dur.sh",
    """
Writes utt2dur, the seconds of each utterance: from segments, else the sound files, else
utt2num_frames. Does nothing if it is there for all utterances.

Usage: utils/data/get_utt2dur.sh [options] <data-dir>
 e.g.: utils/data/get_utt2dur.sh data/train
""",
    DurationOptions,
)
def get_utt2dur(options: DurationOptions, directory: str) -> int:
    def make() -> Table:
        if os.path.isfile(os.path.join(directory, "segments")):
            return _segment_durations(directory, options.read_entire_file)
        if os.path.isfile(os.path.join(directory, "wav.scp")):
            return measure_recordings(directory, options.read_entire_file)
        require(directory, "utt2num_frames")
        frames = read_table(os.path.join(directory, "utt2num_frames"))
        shift = options.frame_shift
        return {utt: b"%.4f" % (int(n) * shift) for utt, n in frames.items()}

    return _write_once(directory, "utt2dur", data_dir.read_utt2spk(directory), make)


@command(
    "get_reco2dur.sh",
    """
Writes reco2dur, the seconds of each recording. Does nothing if that is there.

Usage: utils/data/get_reco2dur.sh [options] <data-dir>
 e.g.: utils/data/get_reco2dur.sh data/train
""",
    DurationOptions,
)
def get_reco2dur(options: DurationOptions, directory: str) -> int:
    require(directory, "wav.scp")
    recordings = read_table(os.path.join(directory, "wav.scp"))
    return _write_once(
        directory,
        "reco2dur",
        recordings,
        lambda: measure_recordings(directory, options.read_entire_file),
    )


@dataclass(frozen=True)
class FrameOptions:
    nj: int = option(4, "Accepted as Kaldi has it; the headers are read in one go")
    cmd: str = option("", "Accepted as Kaldi has it, and not used")


@command(
    "get_utt2num_frames.sh",
    """
Writes utt2num_frames, the frames of each utterance in feats.scp. Does nothing if it is
there for all utterances.

Usage: utils/data/get_utt2num_frames.sh [options] <data-dir>
 e.g.: utils/data/get_utt2num_frames.sh data/train
""",
    FrameOptions,
)
def get_utt2num_frames(options: FrameOptions, directory: str) -> int:
    require(directory, "feats.scp")
    scp = os.path.join(directory, "feats.scp")
    return _write_once(
        directory,
        "utt2num_frames",
        data_dir.read_utt2spk(directory),
        lambda: _output_table(["feat-to-len", f"scp:{scp}", "ark,t:-"]),
    )


def measure_recordings(directory: str, read_entire_file: bool = False) -> Table:
    """Recording -> seconds, by wav-to-duration."""
    require(directory, "wav.scp")
    option_text = f"--read-entire-file={str(read_entire_file).lower()}"
    scp = os.path.join(directory, "wav.scp")
    return _output_table(["wav-to-duration", option_text, f"scp:{scp}", "ark,t:-"])


def require(directory: str, name: str) -> None:
    """Raises InputError if a data directory lacks a table."""
    if not os.path.isfile(os.path.join(directory, name)):
        raise InputError(f"no such file: {directory}/{name}")


def _segment_durations(directory: str, read_entire_file: bool) -> Table:
    segments = read_table(os.path.join(directory, "segments"))
    durations: Table = {}
    recordings: Table = {}
    for utterance, value in segments.items():
        recording, start, end = value.split()[:3]
        if float(end) == -1:
            recordings = recordings or measure_recordings(directory, read_entire_file)
            end = recordings[recording]
        durations[utterance] = b"%.6g" % (float(end) - float(start))
    return durations


def _write_once(
    directory: str, name: str, wanted: Table, make: Callable[[], Table]
) -> int:
    path = os.path.join(directory, name)
    if os.path.isfile(path) and wanted.keys() <= read_table(path).keys():
        log(f"{path} is there already")
        return 0
    table = make()
    missing = [key for key in wanted if key not in table]
    if len(missing) == len(wanted):
        raise InputError(f"{path}: nothing could be measured")
    if missing:
        warn(f"{path} lacks {len(missing)} entries (first: {show(missing[0])})")
    write_table(path, sort_table(table))
    log(f"{path}: {len(wanted) - len(missing)} of {len(wanted)} entries")
    return 0


def _output_table(arguments: list[str]) -> Table:
    """What a program writes in text form; the user's Kaldi, if it is on the PATH."""
    environment = dict(os.environ, PATH=f"{os.environ.get('PATH', '')}:{_BIN}")
    done = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE)
    if done.returncode:
        raise InputError(f"'{shlex.join(arguments)}' failed; it says why above")
    lines = (line.split(None, 1) for line in done.stdout.splitlines())
    return {key: value.strip() for key, value in lines}
