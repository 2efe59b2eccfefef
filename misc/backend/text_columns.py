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
from numpy.lib.stride_tricks import sliding_window_view

from dataset.errors import InputError
from dataset.kaldi_stream import Stream, describe, open_or_fd

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int32]
Positions = npt.NDArray[np.int64]
In = TypeVar("In")
Out = TypeVar("Out")

_BLOCK = 1 << 22
_LONGEST_WORD = 1000
_THREADS = min(4, os.cpu_count() or 1)


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
    index: list[dict[bytes, int]] = [{} for _ in names]
    parts: list[list[Any]] = [[] for _ in names]
    where = describe(rxfilename)
    num_lines = 0
    with open_or_fd(rxfilename) as stream:
        for block, columns in in_threads(
            lambda block: _parse_block(block, names), _read_blocks(stream)
        ):
            if columns is None:
                raise _first_error(block, names, where, num_lines)
            for known, part, (words, values) in zip(index, parts, columns, strict=True):
                if words is not None:
                    codes = [known.setdefault(word, len(known)) for word in words]
                    values = np.array(codes, np.int32).take(values)
                part.append(values)
            num_lines += len(parts[0][-1])
    result: list[WordColumn | npt.NDArray[np.float64]] = []
    for name, known, part in zip(names, index, parts, strict=True):
        if name == "score":
            result.append(np.concatenate([np.empty(0), *part]))
        else:
            decoded = [_decode(word, where) for word in known]
            joined = np.concatenate([np.empty(0, np.int32), *part])
            result.append(WordColumn(decoded, joined))
        part.clear()
    return result


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
    """Whole lines."""
    while block := stream.read(_BLOCK):
        block += stream.readline()
        yield block if block.endswith(b"\n") else block + b"\n"


def _parse_block(
    block: bytes, names: list[str]
) -> list[tuple[list[bytes] | None, npt.NDArray]] | None:
    """Each column's (distinct words, codes) or (None, numbers); None: a bad line."""
    # A margin, so that a window of the longest word may start at any word.
    text = np.frombuffer(block + bytes(_LONGEST_WORD + 8), np.uint8)
    try:
        starts, ends = _find_words(text, len(block), len(names))
        return [
            _numbers(text, starts[:, i], ends[:, i])
            if name == "score"
            else _words(text, starts[:, i], ends[:, i])
            for i, name in enumerate(names)
        ]
    except _BadLines:
        return None


def _find_words(
    text: Bytes, size: int, num_columns: int
) -> tuple[Positions, Positions]:
    """Where the words of each line start and end, each [lines, columns]."""
    content = text[:size]
    # The white space of C: the blank, and codes 9 (tab) to 13; others wrap around.
    blank = (content - np.uint8(9) < 5) | (content == 32)
    edges = np.flatnonzero(blank[1:] != blank[:-1]) + 1
    if not blank[0]:
        edges = np.concatenate([[0], edges])
    newlines = np.flatnonzero(content == 10)
    if len(edges) != 2 * num_columns * len(newlines) or not content.all():
        raise _BadLines
    starts = edges[0::2].reshape(-1, num_columns)
    ends = edges[1::2].reshape(-1, num_columns)
    if (newlines < ends[:, -1]).any() or (newlines[:-1] > starts[1:, 0]).any():
        raise _BadLines
    return starts, ends


def _rows(text: Bytes, starts: Positions, ends: Positions) -> Bytes:
    """Words as rows of bytes, filled up with zeros to a multiple of 8."""
    lengths = ends - starts
    longest = int(lengths.max())
    if longest > _LONGEST_WORD:
        raise _BadLines
    width = -(-longest // 8) * 8
    rows = sliding_window_view(text, width)[starts]
    if lengths.min() < width:
        rows[np.arange(width) >= lengths[:, None]] = 0
    return rows


def _words(
    text: Bytes, starts: Positions, ends: Positions
) -> tuple[list[bytes], npt.NDArray]:
    rows = _rows(text, starts, ends)
    hashes = _hash(rows)
    # Trial lists have runs of a key: only their first lines are sorted.
    firsts = np.concatenate([[0], np.flatnonzero(hashes[1:] != hashes[:-1]) + 1])
    distinct, inverse = np.unique(hashes[firsts], return_inverse=True)
    seen = np.empty(len(distinct), np.int64)
    seen[inverse[::-1]] = firsts[::-1]  # the first line of each: the last to be put
    order = np.argsort(seen)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    words = rows[seen[order]].view(f"S{rows.shape[1]}").ravel().tolist()
    return words, np.repeat(rank[inverse], np.diff(firsts, append=len(rows)))


def _hash(rows: Bytes) -> npt.NDArray[np.uint64]:
    """64 bits for each word. Two of a million words are equal in 1 of 10^7 files."""
    hashes = np.zeros(len(rows), np.uint64)
    for chunk in rows.view(np.uint64).T:
        hashes ^= chunk
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes ^= hashes >> np.uint64(29)
    return hashes


def _numbers(
    text: Bytes, starts: Positions, ends: Positions
) -> tuple[None, npt.NDArray[np.float64]]:
    rows = _rows(text, starts, ends)
    if (rows == ord("_")).any():  # which Python allows between digits
        raise _BadLines
    try:
        numbers = rows.view(f"S{rows.shape[1]}").ravel().astype(np.float64)
    except ValueError:
        raise _BadLines from None
    if np.isnan(numbers).any():
        raise _BadLines
    return None, numbers


def _first_error(
    block: bytes, names: list[str], where: str, num_before: int
) -> InputError:
    """What is wrong with the first bad line of a block."""
    for number, line in enumerate(block.split(b"\n")[:-1], num_before + 1):
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


def _table_of_digits(form: Callable[[int], str]) -> npt.NDArray[np.uint32]:
    return np.array([form(i).encode() for i in range(10_000)], "S4").view(np.uint32)


_DIGITS = _table_of_digits(lambda i: f"{i:04d}")
_INTEGER = _table_of_digits(str)
_FRACTION = _table_of_digits(lambda i: f"{i:04d}".rstrip("0"))
_MINUS, _POINT, _NEWLINE = (np.uint32(ord(letter)) for letter in "-.\n")


def format_numbers(numbers: npt.NDArray[np.float64]) -> Bytes:
    """Each number as C's `%.7g` and a newline: [N, 32] ASCII, to be read without zeros.

    A number from 1e-4 to 1e7 is its seven digits as an integer, and of this the part
    before and the part after the point; Python formats the others, and those whose
    rounding is in doubt.
    """
    size = np.abs(numbers)
    plain = (size >= 1e-4) & (size < 9999999.0)
    size = np.where(plain, size, 1.0)
    decimals = 6 - np.floor(np.log10(size)).astype(np.int64)
    scaled = size * 10.0**decimals
    digits = np.rint(scaled)
    plain &= np.abs(np.abs(scaled - digits) - 0.5) > 1e-6
    plain &= (digits >= 1e6) & (digits < 1e7)
    integer, rest = np.divmod(digits.astype(np.int64), 10**decimals)
    rest *= 10 ** (12 - decimals)
    high, low = np.divmod(integer, 10_000)
    first, rest = np.divmod(rest, 10**8)
    second, third = np.divmod(rest, 10_000)
    text = np.zeros((len(numbers), 8), np.uint32)
    text[:, 0] = (numbers < 0) * _MINUS
    text[:, 1] = _INTEGER[high] * (high > 0)
    text[:, 2] = np.where(high > 0, _DIGITS[low], _INTEGER[low])
    text[:, 3] = ((first > 0) | (rest > 0)) * _POINT
    text[:, 4] = np.where(rest > 0, _DIGITS[first], _FRACTION[first])
    text[:, 5] = np.where(third > 0, _DIGITS[second], _FRACTION[second])
    text[:, 6] = _FRACTION[third]
    lines = text.view(np.uint8)
    for row in np.flatnonzero(~plain):
        lines[row] = 0
        word = f"{numbers[row]:.7g}".encode()
        lines[row, : len(word)] = np.frombuffer(word, np.uint8)
    lines[:, -1] = _NEWLINE
    return lines
