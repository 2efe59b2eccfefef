"""Data directories as scripts see them: utils/*.sh and utils/data/*.sh.

What they do is in dataset/data_dir.py, data_dir_check.py and data_selection.py.
"""

from __future__ import annotations

import os
from collections.abc import Container, Sequence
from dataclasses import dataclass

from dataset import data_dir, data_dir_check
from dataset.data_selection import (
    even_parts,
    per_speaker,
    speaker_parts,
    spread,
    whole_speakers,
)
from dataset.errors import InputError
from dataset.options import option, parse_options
from dataset.text_table import Table, read_ids, show
from misc.kaldi.command import command, log, warn
from misc.kaldi.length_commands import LengthOptions, num_frames, utterance_seconds
from misc.kaldi.script import spell_out


@dataclass(frozen=True)
class FixOptions:
    utt_extra_files: str = option("", "Further tables by utterance, names in quotes")
    spk_extra_files: str = option("", "Further tables by speaker, names in quotes")


@command(
    "fix_data_dir.sh",
    """
Sorts the tables of a data directory, and keeps what all of them know.
The tables as they were are left in <data-dir>/.backup.

Usage: utils/fix_data_dir.sh [options] <data-dir>
 e.g.: utils/fix_data_dir.sh data/train
""",
    FixOptions,
)
def fix_data_dir(options: FixOptions, directory: str) -> int:
    notes = data_dir_check.fix(
        directory, options.utt_extra_files.split(), options.spk_extra_files.split()
    )
    *changes, summary = notes
    for change in changes:
        warn(f"{directory}/{change}")
    log(f"{directory}: {summary}")
    return 0


@dataclass(frozen=True)
class ValidateOptions:
    no_feats: bool = option(False, "feats.scp may be missing")
    no_text: bool = option(False, "text may be missing")
    no_wav: bool = option(False, "wav.scp may be missing")
    no_spk_sort: bool = option(False, "utt2spk need not be sorted by speaker")
    non_print: bool = option(False, "text may hold unprintable characters")


@command(
    "validate_data_dir.sh",
    """
Checks that a data directory is complete, sorted and consistent.

Usage: utils/validate_data_dir.sh [options] <data-dir>
 e.g.: utils/validate_data_dir.sh --no-text data/train
""",
    ValidateOptions,
)
def validate_data_dir(options: ValidateOptions, directory: str) -> int:
    _validate(directory, options)
    return 0


def _validate(
    directory: str, options: ValidateOptions, lacking: Sequence[str] = ()
) -> None:
    optional = {
        "wav.scp": options.no_wav,
        "feats.scp": options.no_feats,
        "text": options.no_text,
    }
    warnings = data_dir_check.validate(
        directory,
        [name for name, no in optional.items() if not no and name not in lacking],
        speaker_order=not options.no_spk_sort,
        printable=not options.non_print,
    )
    for text in warnings:
        warn(f"{directory}: {text}")
    log(f"successfully validated {directory}")


@dataclass(frozen=True)
class CopyOptions:
    utt_prefix: str = option("", "Put before the utterances' ids")
    utt_suffix: str = option("", "Put after the utterances' ids")
    spk_prefix: str = option("", "Put before the speakers' ids")
    spk_suffix: str = option("", "Put after the speakers' ids")
    validate_opts: str = option(
        "", "Options of validate_data_dir.sh, which checks the copy, in quotes"
    )


@command(
    "copy_data_dir.sh",
    """
Copies a data directory, if wanted under new ids, and validates the copy.

Usage: utils/copy_data_dir.sh [options] <source-dir> <destination-dir>
 e.g.: utils/copy_data_dir.sh --utt-suffix -reverb data/train_rvb data/train_reverb
""",
    CopyOptions,
    (2, 2),
)
def copy_data_dir(options: CopyOptions, source: str, destination: str) -> int:
    utterance = (os.fsencode(options.utt_prefix), os.fsencode(options.utt_suffix))
    speaker = (os.fsencode(options.spk_prefix), os.fsencode(options.spk_suffix))
    words = spell_out(ValidateOptions, options.validate_opts.split())
    validation, _, rest = parse_options(ValidateOptions, words)
    if rest:
        raise InputError(f"--validate-opts: expected options only, got '{rest[0]}'")
    data_dir.copy(source, destination, [data_dir.Renaming(utterance, speaker)])
    _log_size(destination)
    _validate(destination, validation, _lacking(source))
    return 0


def _lacking(directory: str) -> list[str]:
    """What a copy need not have, as its source does not."""
    names = ("feats.scp", "text")
    return [n for n in names if not os.path.isfile(os.path.join(directory, n))]


@dataclass(frozen=True)
class CombineOptions:
    extra_files: str = option("", "Further tables to combine, names in quotes")
    skip_fix: bool = option(False, "Do not run fix_data_dir.sh on the result")


@command(
    "combine_data.sh",
    """
Puts data directories together. Tables that not all of them have are left out.

Usage: utils/combine_data.sh [options] <destination-dir> <source-dir> ...
 e.g.: utils/combine_data.sh data/train data/voxceleb1 data/voxceleb2
""",
    CombineOptions,
    (2, None),
)
def combine_data(options: CombineOptions, destination: str, *sources: str) -> int:
    extra = options.extra_files.split()
    _make_durations(sources)
    for note in data_dir.combine(destination, sources, extra):
        warn(note)
    if not options.skip_fix:
        for note in data_dir_check.fix(destination)[:-1]:
            warn(f"{destination}/{note}")
    _log_size(destination)
    return 0


def _make_durations(sources: Sequence[str]) -> None:
    """utt2dur for those without segments, if others have some: for theirs."""
    without = [s for s in sources if not os.path.isfile(os.path.join(s, "segments"))]
    if len(without) < len(sources):
        for source in without:
            utterance_seconds(source, LengthOptions())


@dataclass(frozen=True)
class SubsetOptions:
    utt_list: str = option("", "Take the utterances in this list")
    spk_list: str = option("", "Take the speakers in this list")
    utt_list_exclude: str = option("", "Take the utterances not in this list")
    spk_list_exclude: str = option("", "Take the speakers not in this list")
    per_spk: bool = option(False, "The number is one of utterances of each speaker")
    speakers: bool = option(False, "Take whole speakers, up to the number at least")
    first: bool = option(False, "Take the first utterances")
    last: bool = option(False, "Take the last utterances")
    shortest: bool = option(False, "Take the utterances with the fewest frames")


@command(
    "subset_data_dir.sh",
    """
Copies a part of a data directory: by a list, or so many utterances, which are spread
evenly over it unless an option says which.

Usage: utils/subset_data_dir.sh [options] <source-dir> <number> <destination-dir>
   or: utils/subset_data_dir.sh --utt-list|--spk-list <list> <source-dir> <dest-dir>
 e.g.: utils/subset_data_dir.sh --utt-list data/long_utts data/train data/train_long
""",
    SubsetOptions,
    (2, 3),
)
def subset_data_dir(options: SubsetOptions, source: str, *rest: str) -> int:
    utt2spk = data_dir.read_speakers(source)
    *number, destination = rest
    lists = [options.utt_list, options.spk_list]
    lists += [options.utt_list_exclude, options.spk_list_exclude]
    if sum(map(bool, [*lists, number])) != 1:
        raise InputError("expected either one list or a number of utterances")
    if number:
        chosen: Container[bytes] = set(_so_many(options, source, utt2spk, number[0]))
    else:
        chosen = _by_list(options, utt2spk)
    kept = data_dir.subset(source, destination, chosen)
    log(f"{destination}: {kept} of {len(utt2spk)} utterances of {source}")
    return 0


def _by_list(options: SubsetOptions, utt2spk: Table) -> Container[bytes]:
    if options.utt_list:
        return _known(options.utt_list, utt2spk)
    if options.utt_list_exclude:
        excluded = _known(options.utt_list_exclude, utt2spk)
        return {utt for utt in utt2spk if utt not in excluded}
    names = set(utt2spk.values())
    if options.spk_list:
        speakers = _known(options.spk_list, names)
        return {utt for utt, spk in utt2spk.items() if spk in speakers}
    speakers = _known(options.spk_list_exclude, names)
    return {utt for utt, spk in utt2spk.items() if spk not in speakers}


def _known(path: str, known: Container[bytes]) -> dict[bytes, None]:
    """The ids in a list; says how many of them there are not."""
    ids = read_ids(path)
    unknown = [name for name in ids if name not in known]
    if unknown:
        warn(
            f"{path}: {len(unknown)} of {len(ids)} ids are not in the data directory "
            f"(first: {show(unknown[0])})"
        )
    return ids


def _so_many(
    options: SubsetOptions, source: str, utt2spk: Table, number: str
) -> Sequence[bytes]:
    if not number.isdecimal() or int(number) == 0:
        raise InputError(f"expected a number of utterances, got '{number}'")
    wanted = int(number)
    if options.per_spk:
        return per_speaker(utt2spk, wanted)
    if wanted > len(utt2spk):
        raise InputError(
            f"{wanted} utterances wanted, but {source} has only {len(utt2spk)}"
        )
    utterances = list(utt2spk)
    if options.speakers:
        return whole_speakers(utt2spk, wanted)
    if options.first:
        return utterances[:wanted]
    if options.last:
        return utterances[-wanted:]
    if options.shortest:
        frames = _frames(source, utt2spk)
        return sorted(utterances, key=lambda utt: frames[utt])[:wanted]
    return spread(utterances, wanted)


def _frames(source: str, utt2spk: Table) -> dict[bytes, float]:
    table = num_frames(source, LengthOptions())
    missing = [utt for utt in utt2spk if utt not in table]
    if missing:
        raise InputError(f"{source}/utt2num_frames lacks {show(missing[0])}")
    return {utt: float(frames) for utt, frames in table.items()}


@dataclass(frozen=True)
class SplitDataOptions:
    per_utt: bool = option(False, "Split by utterance, speakers may be cut in two")


@command(
    "split_data.sh",
    """
Splits a data directory into parts <data-dir>/split<n>/1, 2, ... for parallel jobs (with
--per-utt: split<n>utt). Does nothing if that was done since the last change.

Usage: utils/split_data.sh [--per-utt] <data-dir> <number-of-parts>
 e.g.: utils/split_data.sh data/train 8
""",
    SplitDataOptions,
    (2, 2),
)
def split_data(options: SplitDataOptions, directory: str, number: str) -> int:
    if not number.isdecimal() or int(number) == 0:
        raise InputError(f"expected a number of parts, got '{number}'")
    suffix = "utt" if options.per_utt else ""
    destination = os.path.join(directory, f"split{number}{suffix}")
    if _is_up_to_date(directory, destination, int(number)):
        return 0
    utt2spk = data_dir.read_speakers(directory)
    parts: Sequence[Sequence[bytes]]
    if options.per_utt:
        parts = even_parts(list(utt2spk), int(number))
    else:
        parts = speaker_parts(utt2spk, int(number))
    data_dir.split(directory, parts, destination)
    log(f"{len(utt2spk)} utterances in {number} parts in {destination}")
    return 0


def _is_up_to_date(directory: str, destination: str, number: int) -> bool:
    """Whether the parts hold the tables that there are, and none is newer."""
    names = {"utt2spk", *data_dir.present_tables(directory)}
    for n in range(1, number + 1):
        folder = os.path.join(destination, str(n))
        if {"utt2spk", *data_dir.present_tables(folder)} != names:
            return False
        for name in names:
            part = os.path.join(folder, name)
            if not os.path.isfile(part):
                return False
            if _changed(part) <= _changed(os.path.join(directory, name)):
                return False
    return True


def _changed(path: str) -> int:
    return os.stat(path).st_mtime_ns


def _log_size(directory: str) -> None:
    utt2spk = data_dir.read_speakers(directory)
    speakers = len(set(utt2spk.values()))
    log(f"{directory}: {len(utt2spk)} utterances of {speakers} speakers")
