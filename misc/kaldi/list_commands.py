"""Filters for lists and tables of text: utils/filter_scp.pl and its like."""

from __future__ import annotations

import dataclasses
import random
import re
import sys
from collections.abc import Iterator
from typing import ClassVar

from dataset.data_selection import even_parts, speaker_parts
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import (
    Table,
    read_ids,
    read_table,
    read_utt2spk,
    show,
    spk2utt_from,
    utt2spk_from,
    write_lines,
)
from misc.kaldi.command import NoOptions, command


def _lines(path: str, empty: bool = False) -> Iterator[tuple[int, bytes, list[bytes]]]:
    """Number, line and words of each line; '-' is the standard input.

    Args:
        empty: whether a line may be empty.
    """
    try:
        with open("/dev/stdin" if path == "-" else path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                words = line.split()
                if not words and not empty:
                    raise InputError(f"{path}:{number}: empty line")
                yield number, line.rstrip(b"\r\n") + b"\n", words
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


@dataclasses.dataclass(frozen=True)
class FilterOptions:
    """Options of filter_scp.pl."""

    exclude: bool = option(False, "Keep the lines that are not in the list")
    f: int = option(1, "The field that is looked up in the list, counted from 1")


@command(
    "filter_scp.pl",
    """Keeps the lines whose first field (or that of -f) is the first field of a line of
the list.

Usage: filter_scp.pl [--exclude] [-f <field>] <list> [<in>] > <out>
e.g.: utils/filter_scp.pl data/train/utt2spk feats.scp > data/train/feats.scp""",
    FilterOptions,
    (1, 2),
)
def filter_scp(options: FilterOptions, id_list: str, source: str = "-") -> None:
    """Passes on the lines that a list names."""
    if options.f < 1:
        raise InputError(f"-f {options.f}: expected a field, counted from 1")
    ids = read_ids(id_list)
    for number, line, words in _lines(source):
        if len(words) < options.f:
            raise InputError(f"{source}:{number}: there is no field {options.f}")
        if (words[options.f - 1] in ids) != options.exclude:
            sys.stdout.buffer.write(line)


@dataclasses.dataclass(frozen=True)
class MapOptions:
    """Options of apply_map.pl."""

    f: str = option("", "The fields to map, such as 1, 2-3 or 2-; none given: all")
    permissive: bool = option(False, "Leave what is not in the map as it is")


@command(
    "apply_map.pl",
    """Replaces fields of the standard input by what a map has for them.

Usage: apply_map.pl [-f <fields>] [--permissive] <map> < <in> > <out>
e.g.: utils/apply_map.pl -f 2 spk_map < data/train/utt2spk > utt2newspk""",
    MapOptions,
    (1, 1),
)
def apply_map(options: MapOptions, map_path: str) -> None:
    """Maps fields; a field not in the map ends it, unless it is permissive."""
    fields = _field_range(options.f)
    mapping = {words[0]: b" ".join(words[1:]) for _, _, words in _lines(map_path)}
    for number, _, words in _lines("-", empty=True):
        for n in range(len(words))[fields]:
            if words[n] in mapping:
                words[n] = mapping[words[n]]
            elif not options.permissive:
                raise InputError(
                    f"input line {number}: {show(words[n])} is not in {map_path}"
                )
        sys.stdout.buffer.write(b" ".join(words) + b"\n")


def _field_range(text: str) -> slice:
    """'2' -> the second field, '2-3', '2-', '-3'; '' -> all."""
    match = re.fullmatch(r"(\d*)([-:]?)(\d*)", text)
    first, dash, last = match.groups() if match else ("0", "", "")
    start = int(first or 1) - 1
    end = start + 1 if first and not dash else None
    if last:
        end = int(last)
    if start < 0 or (end is not None and end <= start):
        raise InputError(f"-f {text}: expected fields such as 1, 2-3 or 2-")
    return slice(start, end)


@command(
    "utt2spk_to_spk2utt.pl",
    """Turns lines `utterance speaker` into lines `speaker utterance ...`.

Usage: utt2spk_to_spk2utt.pl [<utt2spk>] > <spk2utt>
e.g.: utils/utt2spk_to_spk2utt.pl data/train/utt2spk > data/train/spk2utt""",
    num_args=(0, 1),
)
def utt2spk_to_spk2utt(options: NoOptions, source: str = "/dev/stdin") -> None:
    """Speakers in order of appearance."""
    _write_out(spk2utt_from(read_utt2spk(source)))


@command(
    "spk2utt_to_utt2spk.pl",
    """Turns lines `speaker utterance ...` into lines `utterance speaker`.

Usage: spk2utt_to_utt2spk.pl [<spk2utt>] > <utt2spk>
e.g.: utils/spk2utt_to_utt2spk.pl data/train/spk2utt > data/train/utt2spk""",
    num_args=(0, 1),
)
def spk2utt_to_utt2spk(options: NoOptions, source: str = "/dev/stdin") -> None:
    """Utterances in order of appearance."""
    _write_out(utt2spk_from(read_table(source)))


def _write_out(table: Table) -> None:
    sys.stdout.buffer.writelines(b"%b %b\n" % entry for entry in table.items())


@dataclasses.dataclass(frozen=True)
class SplitScpOptions:
    """Options of split_scp.pl."""

    followed_by_two: ClassVar = ("j",)

    utt2spk: str = option(
        "", "Utterance-to-speaker map: no speaker gets into two parts"
    )
    j: str = option("", "'-j <parts> <number>': write one part, counted from 0")
    one_based: bool = option(False, "With -j, count the parts from 1")


@command(
    "split_scp.pl",
    """Splits a list into consecutive parts of about the same number of lines.

Usage: split_scp.pl [--utt2spk=<utt2spk>] <in> <out1> <out2> ...
   or: split_scp.pl -j <parts> <number> [--one-based] [--utt2spk=<utt2spk>] <in> [<out>]
e.g.: utils/split_scp.pl data/train/wav.scp wav.1.scp wav.2.scp""",
    SplitScpOptions,
    (1, None),
)
def split_scp(options: SplitScpOptions, source: str, *destinations: str) -> None:
    """Splits a list, if asked for so that speakers stay whole."""
    destinations = _all_parts(options, destinations)
    lines = [(words[0], line) for _, line, words in _lines(source)]
    if not lines:
        raise InputError(f"{source} is empty")
    if options.utt2spk:
        by_key: Table = {}  # a key may stand in several lines
        for key, line in lines:
            by_key[key] = by_key.get(key, b"") + line
        speaker = read_utt2spk(options.utt2spk)
        missing = [key for key in by_key if key not in speaker]
        if missing:
            raise InputError(
                f"{source}: {show(missing[0])} is not in {options.utt2spk}"
            )
        own = {key: speaker[key] for key in by_key}
        keys = speaker_parts(own, len(destinations))
        parts = [[by_key[key] for key in part] for part in keys]
    else:
        whole = [line for _, line in lines]
        parts = [list(part) for part in even_parts(whole, len(destinations))]
    for destination, part in zip(destinations, parts, strict=True):
        if destination == "-":
            sys.stdout.buffer.writelines(part)
        else:
            write_lines(destination, part)


def _all_parts(options: SplitScpOptions, given: tuple[str, ...]) -> tuple[str, ...]:
    """The file of each part; with -j all but one go to /dev/null."""
    if not options.j:
        if not given:
            raise InputError("expected at least one output file")
        return given
    numbers = [int(word) for word in options.j.split() if word.isdigit()]
    first = int(options.one_based)
    if len(numbers) != 2 or not first <= numbers[1] < numbers[0] + first:
        raise InputError(
            f"-j {options.j}: expected the number of parts, and one of them from "
            f"{first} on"
        )
    if len(given) > 1:
        raise InputError(f"-j writes one part, but {len(given)} files are named")
    parts = ["/dev/null"] * numbers[0]
    parts[numbers[1] - first] = given[0] if given else "-"
    return tuple(parts)


@dataclasses.dataclass(frozen=True)
class ShuffleOptions:
    """Options of shuffle_list.pl."""

    srand: int = option(0, "Seed of the random order")


@command(
    "shuffle_list.pl",
    """Puts lines into a random order, which the seed decides.

(Another order than Kaldi's, which depends on how Perl sorts.)

Usage: shuffle_list.pl [--srand <seed>] [<in>] > <out>
e.g.: utils/shuffle_list.pl --srand 1 data/train/wav.scp > shuffled.scp""",
    ShuffleOptions,
    (0, 1),
)
def shuffle_list(options: ShuffleOptions, source: str = "-") -> None:
    """Shuffles all lines in memory."""
    lines = [line for _, line, _ in _lines(source)]
    random.Random(options.srand).shuffle(lines)
    sys.stdout.buffer.writelines(lines)
