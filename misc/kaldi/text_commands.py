"""Filters of text tables: what Kaldi's utils/*.pl do on standard input and output."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dataset.data_selection import even_parts, speaker_parts
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import (
    Table,
    read_ids,
    read_table,
    show,
    spk2utt_from,
    utt2spk_from,
    write_lines,
)
from misc.kaldi.command import command, log, warn


@dataclass(frozen=True)
class FilterOptions:
    exclude: bool = option(False, "Print the lines whose key is not in the list")
    f: int = option(1, "Which word of the lines is the key, counted from 1")


@command(
    "filter_scp.pl",
    """
Prints the lines whose key is in a list, in their order.

Usage: utils/filter_scp.pl [options] <id-list> [<in.scp>] > <out.scp>
 e.g.: utils/filter_scp.pl data/train_small/utt2spk data/train/feats.scp
""",
    FilterOptions,
    (1, 2),
)
def filter_scp(options: FilterOptions, id_list: str, table: str = "-") -> int:
    ids = read_ids(id_list)
    if options.f < 1:
        raise InputError(f"-f counts words from 1, got {options.f}")
    out = sys.stdout.buffer
    for number, line in enumerate(_lines(table), 1):
        words = line.split(None, options.f)
        if len(words) < options.f:
            raise InputError(
                f"{_name(table)}:{number}: expected {options.f} words or more, "
                f"got '{show(line).rstrip()}'"
            )
        if (words[options.f - 1] in ids) != options.exclude:
            out.write(line if line.endswith(b"\n") else line + b"\n")
    return 0


@command(
    "utt2spk_to_spk2utt.pl",
    """
Turns a table utterance -> speaker into speaker -> utterances.

Usage: utils/utt2spk_to_spk2utt.pl [<utt2spk>] > <spk2utt>
 e.g.: utils/utt2spk_to_spk2utt.pl data/train/utt2spk > data/train/spk2utt
""",
    num_args=(0, 1),
)
def utt2spk_to_spk2utt(options: object, utt2spk: str = "-") -> int:
    table = _table(utt2spk)
    for utterance, speaker in table.items():
        if len(speaker.split()) != 1:
            raise InputError(
                f"{_name(utt2spk)}: {show(utterance)}: expected one speaker, "
                f"got '{show(speaker)}'"
            )
    return _print_table(spk2utt_from(table))


@command(
    "spk2utt_to_utt2spk.pl",
    """
Turns a table speaker -> utterances into utterance -> speaker.

Usage: utils/spk2utt_to_utt2spk.pl [<spk2utt>] > <utt2spk>
 e.g.: utils/spk2utt_to_utt2spk.pl data/train/spk2utt | sort > data/train/utt2spk
""",
    num_args=(0, 1),
)
def spk2utt_to_utt2spk(options: object, spk2utt: str = "-") -> int:
    return _print_table(utt2spk_from(_table(spk2utt)))


@dataclass(frozen=True)
class MapOptions:
    f: str = option(
        "", "Words to map, such as 2, 2-3 or 2-; counted from 1. All if empty"
    )
    permissive: bool = option(False, "Keep words that are not in the map, and warn")


@command(
    "apply_map.pl",
    """
Replaces words by what a map has for them.

Usage: utils/apply_map.pl [options] <map> < <in> > <out>
 e.g.: utils/apply_map.pl -f 2 data/train/utt2spk < data/train/segments
""",
    MapOptions,
)
def apply_map(options: MapOptions, map_file: str) -> int:
    mapping = read_table(map_file)
    first, last = _word_range(options.f)
    unknown: dict[bytes, None] = {}
    for number, line in enumerate(_lines("-"), 1):
        words = line.split()
        for i in range(first, len(words) if last is None else min(last, len(words))):
            if words[i] in mapping:
                words[i] = mapping[words[i]]
            elif options.permissive:
                unknown[words[i]] = None
            else:
                raise InputError(
                    f"standard input:{number}: '{show(words[i])}' is not in "
                    f"{map_file}; --permissive keeps such words"
                )
        sys.stdout.buffer.write(b" ".join(words) + b"\n")
    if unknown:
        warn(
            f"{len(unknown)} words are not in {map_file} and stay as they are "
            f"(first: {show(next(iter(unknown)))})"
        )
    return 0


@dataclass(frozen=True)
class SplitOptions:
    utt2spk: str = option(
        "", "Keep the utterances of a speaker, by this table, together"
    )
    one_based: bool = option(False, "Number the jobs of -j from 1")
    j: str = option("", "As 'jobs,job': print only that part, to <out.scp> or stdout")


@command(
    "split_scp.pl",
    """
Splits a table into consecutive parts of about equal size, one for each output named.

Usage: utils/split_scp.pl [options] <in.scp> <out1.scp> <out2.scp> ...
 e.g.: utils/split_scp.pl data/train/wav.scp exp/log/wav.1.scp exp/log/wav.2.scp
""",
    SplitOptions,
    (1, None),
)
def split_scp(options: SplitOptions, table: str, *outputs: str) -> int:
    lines = list(_lines(table))
    if options.j:
        jobs, job = _job(options)
        part = b"".join(_parts(options, table, lines, jobs)[job])
        if outputs:
            write_lines(outputs[0], [part])
        else:
            sys.stdout.buffer.write(part)
        return 0
    if not outputs:
        raise InputError("expected the names of the parts, got none; see --help")
    parts = _parts(options, table, lines, len(outputs))
    for output, lines_of_part in zip(outputs, parts, strict=True):
        write_lines(output, lines_of_part)
    return 0


def _parts(
    options: SplitOptions, table: str, lines: list[bytes], number: int
) -> list[list[bytes]]:
    if not options.utt2spk:
        return [list(part) for part in even_parts(lines, number)]
    speakers = read_table(options.utt2spk)
    line_of = {}
    for line in lines:
        key = line.split(None, 1)[0]
        if key not in speakers:
            raise InputError(f"{options.utt2spk} lacks {show(key)} of {_name(table)}")
        line_of[key] = line
    own = {key: speakers[key] for key in line_of}
    return [[line_of[key] for key in part] for part in speaker_parts(own, number)]


def _job(options: SplitOptions) -> tuple[int, int]:
    try:
        jobs, job = (int(word) for word in options.j.split(","))
    except ValueError:
        raise InputError(f"-j: expected 'jobs,job', got '{options.j}'") from None
    index = job - options.one_based
    if not 0 <= index < jobs:
        raise InputError(f"-j {options.j}: there is no such job")
    return jobs, index


@dataclass(frozen=True)
class ShuffleOptions:
    srand: int = option(0, "Random seed")


@command(
    "shuffle_list.pl",
    """
Prints the lines in a random order, always the same for a seed.

Usage: utils/shuffle_list.pl [--srand <seed>] [<file>] > <out>
 e.g.: utils/shuffle_list.pl --srand 1 data/train/utt2spk | head -n 100
""",
    ShuffleOptions,
    (0, 1),
)
def shuffle_list(options: ShuffleOptions, path: str = "-") -> int:
    lines = [line.rstrip(b"\n") + b"\n" for line in _lines(path)]
    random.Random(options.srand).shuffle(lines)
    sys.stdout.buffer.writelines(lines)
    return 0


@dataclass(frozen=True)
class CompleteOptions:
    share: float = option(0.95, "Fewer than this share of the utterances is an error")
    few: int = option(2, "So many may be missing whatever share they are")


@command(
    "check_complete.sh",
    """
Compares a table just made with utt2spk, and names the utterances that are missing.
Fails if there is nothing, or if less than the share is there and more than a few are
missing.

Usage: utils/data/check_complete.sh [options] <data-dir> <table>
 e.g.: utils/data/check_complete.sh data/train feats.scp
""",
    CompleteOptions,
    (2, 2),
)
def check_complete(options: CompleteOptions, directory: str, name: str) -> int:
    wanted = read_ids(os.path.join(directory, "utt2spk"))
    path = os.path.join(directory, name)
    found = read_ids(path)
    missing = [utterance for utterance in wanted if utterance not in found]
    done = len(wanted) - len(missing)
    log(f"{path}: {done} of {len(wanted)} utterances")
    if not missing:
        return 0
    names = " ".join(show(utterance) for utterance in missing[:10])
    more = " ..." if len(missing) > 10 else ""
    text = f"{path} lacks {len(missing)} of {len(wanted)} utterances: {names}{more}"
    if done == 0 or (done < options.share * len(wanted) and len(missing) > options.few):
        raise InputError(f"{text}; the logs say why")
    warn(f"{text}; utils/fix_data_dir.sh {directory} drops them")
    return 0


def _word_range(text: str) -> tuple[int, int | None]:
    """`2`, `2-3`, `2-` or nothing -> first word from 0, and the one after the last."""
    if not text:
        return 0, None
    start, dash, end = text.partition("-")
    try:
        first = int(start)
        last = (int(end) if end else None) if dash else first
    except ValueError:
        first, last = 0, None
    if first < 1 or (last is not None and last < first):
        raise InputError(f"-f: expected words such as 2, 2-3 or 2-, got '{text}'")
    return first - 1, last


def _name(path: str) -> str:
    return "standard input" if path == "-" else path


def _table(path: str) -> Table:
    return read_table("/dev/stdin" if path == "-" else path)


def _lines(path: str) -> Iterator[bytes]:
    if path == "-":
        yield from _without_empty(sys.stdin.buffer, path)
        return
    try:
        stream = open(path, "rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    with stream:
        yield from _without_empty(stream, path)


def _without_empty(stream: BinaryIO, path: str) -> Iterator[bytes]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            raise InputError(
                f"{_name(path)}:{number}: expected a line, got an empty one"
            )
        yield line


def _print_table(table: Table) -> int:
    sys.stdout.buffer.writelines(_as_lines(table))
    return 0


def _as_lines(table: Table) -> Iterable[bytes]:
    return (b"%b %b\n" % entry for entry in table.items())
