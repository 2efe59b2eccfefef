"""Text of words in columns, many millions of lines: reading, and writing of scores.

A column of words becomes its distinct words and an index for each line, so that no
Python object is made per line. NumPy works on blocks of lines, in threads: 10 million
trials take about a second and 80 MB.
"""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_stream import Stream, describe, open_or_fd
from misc.backend.decimals import (
    LOW_BYTES,
    Bytes,
    Chunks,
    format_numbers,
    plain_decimals,
)

Codes = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
In = TypeVar("In")
Out = TypeVar("Out")

_BLOCK = 1 << 22
_LONGEST_WORD = 1000
_THREADS = min(4, os.cpu_count() or 1)
_MARGIN = bytes(_LONGEST_WORD + 8)
"""Behind a block, so that a window of the longest word may start at any word."""


class WordColumn(NamedTuple):
    """A column of words.

    Attributes:
        words: the distinct ones, in the order in which they first appear.
        codes: [lines] int32, the index into `words` of each line.
    """

    words: list[str]
    codes: Codes


class _BadLines(Exception):
    """Some line of a block is not of the form expected."""


def read_columns(
    rxfilename: str, form: str
) -> list[WordColumn | npt.NDArray[np.float64]]:
    """The columns of a text.

    Args:
        rxfilename: lines of words between white space.
        form: names of the columns, such as `key1 key2 score`, for messages; a column
            `score` is of numbers, float64 [lines], the others are of words.

    Raises:
        InputError: a line with more or fewer words, a score that is no number, a word
            that is not UTF-8 or longer than 1000 bytes; names file and line.
    """
    names = form.split()
    known = [_Vocabulary() for _ in names]
    parts: list[list[Any]] = [[] for _ in names]
    where = describe(rxfilename)
    num_lines = 0
    with open_or_fd(rxfilename) as stream:
        for block, columns in in_threads(
            lambda block: _parse_block(block, names), _read_blocks(stream)
        ):
            if columns is None:
                raise _first_error(block, names, where, num_lines)
            for words, part, column in zip(known, parts, columns, strict=True):
                part.append(
                    words.codes_of(column).take(column.codes)
                    if isinstance(column, _BlockWords)
                    else column
                )
            num_lines += len(parts[0][-1])
    result: list[WordColumn | npt.NDArray[np.float64]] = []
    for name, words, part in zip(names, known, parts, strict=True):
        if name == "score":
            result.append(np.concatenate([np.empty(0), *part]))
        else:
            decoded = [_decode(word, where) for word in words.words]
            joined = np.concatenate([np.empty(0, np.int32), *part])
            result.append(WordColumn(decoded, joined))
        part.clear()
    return result


class _BlockWords(NamedTuple):
    """A column of a block: its distinct words as they appear, their hashes, codes."""

    words: npt.NDArray[np.bytes_]
    hashes: npt.NDArray[np.uint64]
    codes: npt.NDArray[np.int64]


class _Vocabulary:
    """The distinct words of a column, found by their hashes.

    Attributes:
        words: in the order in which they first appear.
    """

    def __init__(self) -> None:
        self.words: list[bytes] = []
        self._hashes = np.empty(0, np.uint64)  # ascending
        self._codes = np.empty(0, np.int32)

    def codes_of(self, block: _BlockWords) -> Codes:
        """The indices of a block's words, which are added if they are new."""
        places = np.searchsorted(self._hashes, block.hashes)
        last = len(self._hashes) - 1
        new = np.ones(len(places), bool)
        if last >= 0:
            new = self._hashes[np.minimum(places, last)] != block.hashes
        if new.any():
            self._add(block.hashes[new], block.words[new].tolist())
            places = np.searchsorted(self._hashes, block.hashes)
        return self._codes[places]

    def _add(self, hashes: npt.NDArray[np.uint64], words: list[bytes]) -> None:
        codes = np.arange(len(words), dtype=np.int32) + np.int32(len(self.words))
        everything = np.concatenate([self._hashes, hashes])
        order = np.argsort(everything, kind="stable")
        self._hashes = everything[order]
        self._codes = np.concatenate([self._codes, codes])[order]
        self.words += words


def in_threads(
    function: Callable[[In], Out], items: Iterable[In]
) -> Iterator[tuple[In, Out]]:
    """Each item and `function` of it, in order; few are under way at a time."""
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        waiting: collections.deque[tuple[In, concurrent.futures.Future[Out]]]
        waiting = collections.deque()
        for item in items:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) > _THREADS:
                first, future = waiting.popleft()
                yield first, future.result()
        for item, future in waiting:
            yield item, future.result()


def _read_blocks(stream: Stream) -> Iterator[bytes]:
    """Whole lines, and a margin."""
    while block := stream.read(_BLOCK):
        rest = stream.readline()
        whole = (rest or block).endswith(b"\n")
        yield b"".join((block, rest, b"" if whole else b"\n", _MARGIN))


def _parse_block(
    block: bytes, names: list[str]
) -> list[_BlockWords | npt.NDArray[np.float64]] | None:
    """Each column, words or numbers; None: there is a bad line."""
    text = np.frombuffer(block, np.uint8)
    try:
        starts, ends = _find_words(text, len(names))
        return [
            _numbers(*_rows(text, starts[:, i], ends[:, i]))
            if name == "score"
            else _words(_rows(text, starts[:, i], ends[:, i])[0])
            for i, name in enumerate(names)
        ]
    except _BadLines:
        return None


def _find_words(text: Bytes, num_columns: int) -> tuple[Positions, Positions]:
    """Where the words of each line start and end, each [lines, columns]."""
    content = text[: -len(_MARGIN)]
    # Most often each word has one blank or newline behind it: half the time.
    ends = np.flatnonzero(content <= 32)
    if len(ends) % num_columns == 0:
        starts = np.concatenate([[0], ends[:-1] + 1])
        behind = content[ends].reshape(-1, num_columns)
        newline = behind == 10
        if (
            (ends > starts).all()
            and newline[:, -1].all()
            and not newline[:, :-1].any()
            and _is_blank(behind).all()
        ):
            by_line = (len(behind), num_columns)
            return starts.reshape(by_line), ends.reshape(by_line)
    blank = _is_blank(content)
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    if not blank[0]:
        edges = np.concatenate([[0], edges])
    newlines = np.flatnonzero(content == 10)
    if len(edges) != 2 * num_columns * len(newlines) or not content.all():
        raise _BadLines
    words = edges.reshape(-1, num_columns, 2)
    if (newlines < words[:, -1, 1]).any() or (newlines[:-1] > words[1:, 0, 0]).any():
        raise _BadLines
    return words[:, :, 0], words[:, :, 1]


def _is_blank(characters: Bytes) -> npt.NDArray[np.bool_]:
    """The white space of C: the blank, and codes 9 (tab) to 13; others wrap around."""
    return (characters - np.uint8(9) < 5) | (characters == 32)


def _rows(text: Bytes, starts: Positions, ends: Positions) -> tuple[Chunks, Positions]:
    """Words [N, chunks], eight characters in each, zeros behind; and their lengths."""
    lengths = ends - starts
    longest = int(lengths.max())
    if longest > _LONGEST_WORD:
        raise _BadLines
    width = -(-longest // 8) * 8
    windows = np.ndarray((text.size - width + 1,), f"V{width}", text, strides=(1,))
    rows = windows[starts].view(np.uint64).reshape(len(starts), -1)
    for number, chunk in enumerate(rows.T):
        chunk &= LOW_BYTES.take(lengths - 8 * number, mode="clip")
    return rows, lengths


def _words(rows: Chunks) -> _BlockWords:
    hashes = _hash(rows)
    # Trial lists have runs of a key: only their first lines are sorted.
    firsts = np.concatenate([[0], np.flatnonzero(hashes[1:] != hashes[:-1]) + 1])
    distinct, inverse = np.unique(hashes[firsts], return_inverse=True)
    seen = np.empty(len(distinct), np.int64)
    seen[inverse[::-1]] = firsts[::-1]  # the first line of each: the last to be put
    order = np.argsort(seen)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    codes = np.repeat(rank[inverse], np.diff(firsts, append=len(rows)))
    return _BlockWords(_strings(rows[seen[order]]), distinct[order], codes)


def _strings(rows: Chunks) -> npt.NDArray[np.bytes_]:
    return rows.view(f"S{8 * rows.shape[1]}").ravel()


def _hash(rows: Chunks) -> npt.NDArray[np.uint64]:
    """64 bits for each word. Two of a million words are equal in 1 of 10^7 files.

    Zeros behind a word do not matter: blocks have rows of different widths.
    """
    hashes = np.zeros(len(rows), np.uint64)
    for chunk in rows.T:
        mixed = (hashes ^ chunk) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        np.copyto(hashes, mixed, where=chunk != 0)
    return hashes


def _numbers(rows: Chunks, lengths: Positions) -> npt.NDArray[np.float64]:
    numbers, known = plain_decimals(rows, lengths)
    if not known.all():
        others = _strings(rows[~known])
        if (others.view(np.uint8) == ord("_")).any():  # Python: allowed within digits
            raise _BadLines
        try:
            numbers[~known] = others.astype(np.float64)
        except ValueError:
            raise _BadLines from None
        if np.isnan(numbers).any():
            raise _BadLines
    return numbers


def _first_error(
    block: bytes, names: list[str], where: str, num_before: int
) -> InputError:
    """What is wrong with the first bad line of a block."""
    lines = block[: -len(_MARGIN)].split(b"\n")[:-1]
    for number, line in enumerate(lines, num_before + 1):
        words, place = line.split(), f"{where}:{number}"
        shown = line.decode(errors="replace").strip()[:200]
        if len(words) != len(names) or b"\0" in line:
            return InputError(f"{place}: expected '{' '.join(names)}', got '{shown}'")
        for name, word in zip(names, words, strict=True):
            if len(word) > _LONGEST_WORD:
                return InputError(
                    f"{place}: a word of {len(word)} bytes, more than {_LONGEST_WORD}"
                )
            if name == "score" and not _is_number(word):
                return InputError(
                    f"{place}, {shown}: expected a number as score, got "
                    f"'{word.decode(errors='replace')}'"
                )
    return InputError(f"{where}: cannot be read as lines of '{' '.join(names)}'")


def _is_number(word: bytes) -> bool:
    try:
        return b"_" not in word and not np.isnan(float(word))
    except ValueError:
        return False


def _decode(word: bytes, where: str) -> str:
    try:
        return word.decode()
    except UnicodeDecodeError:
        raise InputError(
            f"{where}: expected words in UTF-8, got {word[:40]!r}"
        ) from None


# Writing.


def write_columns(
    stream: Stream,
    first: WordColumn,
    second: WordColumn,
    scores: npt.NDArray[np.float64],
) -> None:
    """Lines `key1 key2 score` with seven significant digits, as C's %.7g."""
    tables = [_padded(column.words) for column in (first, second)]
    at_once = 1 << 16

    def block(start: int) -> Bytes:
        part = slice(start, start + at_once)
        keys = [
            table.take(column.codes[part])
            for table, column in zip(tables, (first, second), strict=True)
        ]
        pieces = [key.view(np.uint8).reshape(len(key), -1) for key in keys]
        lines = np.hstack([*pieces, format_numbers(scores[part])]).ravel()
        kept: Bytes = lines[lines != 0]
        return kept

    for _, text in in_threads(block, range(0, len(scores), at_once)):
        stream.write(text.data)


def _padded(words: list[str]) -> npt.NDArray[np.void]:
    """Words, each with a blank behind it, filled up with zeros to one length."""
    table = np.array([f"{word} ".encode() for word in words] or [b" "])
    return table.view(f"V{table.itemsize}")
