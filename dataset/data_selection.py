"""Which utterances go into a part or a subset of a data directory: pure functions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from dataset.errors import InputError
from dataset.text_table import spk2utt_from

Item = TypeVar("Item")


def even_parts(items: Sequence[Item], number: int) -> list[Sequence[Item]]:
    """Consecutive parts whose sizes differ by one at most.

    Raises:
        InputError: fewer items than parts.
    """
    _check_number("lines", len(items), number)
    size, longer = divmod(len(items), number)
    sizes = [size + (n < longer) for n in range(number)]
    ends = itertools.accumulate(sizes)
    return [items[end - n : end] for end, n in zip(ends, sizes, strict=True)]


def speaker_parts(utt2spk: Mapping[bytes, bytes], number: int) -> list[list[bytes]]:
    """Utterances in parts of about equal size, no speaker being in two parts.

    The parts are those of Kaldi's split_scp.pl: to begin with, each has about the same
    number of speakers; then a speaker at the edge of a part is handed to the one beside
    it as long as that brings the two nearer to the same number of utterances.

    Returns:
        The utterances of each part: speakers and their own in order of appearance.

    Raises:
        InputError: fewer speakers than parts.
    """
    utterances = [own.split() for own in spk2utt_from(utt2spk).values()]
    _check_number("speakers", len(utterances), number)
    totals = [0, *itertools.accumulate(len(own) for own in utterances)]
    cuts = [-(-part * len(utterances) // number) for part in range(number + 1)]
    while _move_cuts(cuts, totals):
        pass
    return [
        list(itertools.chain.from_iterable(utterances[start:end]))
        for start, end in itertools.pairwise(cuts)
    ]


def _move_cuts(cuts: list[int], totals: Sequence[int]) -> bool:
    """One pass over the parts; whether a speaker was handed on.

    Args:
        cuts: part n has the speakers from cuts[n] up to cuts[n + 1]; changed in place.
        totals: how many utterances the speakers before each have.
    """
    moved = False
    for part in range(len(cuts) - 1):
        # the last speaker to the next part, then the first one to the part before
        for cut, step in ((part + 1, -1), (part, 1)):
            if not 0 < cut < len(cuts) - 1:
                continue
            before = _imbalance(cuts[cut], cut, cuts, totals)
            if _imbalance(cuts[cut] + step, cut, cuts, totals) < before:
                cuts[cut] += step
                moved = True
    return moved


def _imbalance(at: int, cut: int, cuts: Sequence[int], totals: Sequence[int]) -> int:
    """By how much the parts on both sides of a cut differ if it is moved."""
    return abs(totals[cuts[cut - 1]] + totals[cuts[cut + 1]] - 2 * totals[at])


def spread(items: Sequence[Item], number: int) -> list[Item]:
    """A given number of items, spread evenly over the list.

    Halves the list, and the number wanted, again and again, as Kaldi's subset_scp.pl
    does: the same items are chosen.

    Raises:
        InputError: more are wanted than there are.
    """
    if number > len(items):
        raise InputError(f"{number} utterances wanted, but there are {len(items)}")
    chosen: list[Item] = []
    ranges = [(0, len(items), number)]
    while ranges:
        start, end, wanted = ranges.pop()
        if wanted == end - start:
            chosen.extend(items[start:end])
        elif wanted:
            middle = start + (end - start) // 2
            ranges.append((middle, end, wanted - wanted // 2))
            ranges.append((start, middle, wanted // 2))
    return chosen


def per_speaker(utt2spk: Mapping[bytes, bytes], number: int) -> list[bytes]:
    """Up to `number` utterances of each speaker, spread over those he has."""
    chosen: list[bytes] = []
    for own in spk2utt_from(utt2spk).values():
        utterances = own.split()
        step = max(1, len(utterances) // number)
        chosen.extend(utterances[::step][:number])
    return chosen


def whole_speakers(
    utt2spk: Mapping[bytes, bytes], number: int, seed: int = 0
) -> list[bytes]:
    """All utterances of randomly drawn speakers, until there are at least `number`."""
    speakers = list(spk2utt_from(utt2spk).values())
    random.Random(seed).shuffle(speakers)
    chosen: list[bytes] = []
    for own in speakers:
        if len(chosen) >= number:
            break
        chosen.extend(own.split())
    return chosen


def _check_number(what: str, available: int, number: int) -> None:
    if not 0 < number <= available:
        raise InputError(
            f"cannot split {available} {what} into {number} parts; "
            "give a number of parts (--nj) from 1 to that"
        )
