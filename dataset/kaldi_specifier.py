"""The grammar of rspecifiers and wspecifiers: `ark,s,cs:-`, `scp:feats.scp`."""

from __future__ import annotations

from typing import NamedTuple

from dataset.errors import InputError

_READ_OPTIONS = {"o", "no", "s", "ns", "cs", "ncs", "p", "np", "b", "t", "bg"}
_WRITE_OPTIONS = {"b", "t", "f", "nf", "p", "np"}


class Specifier(NamedTuple):
    """A parsed rspecifier or wspecifier: ("ark",), ("scp",) or both; options; file."""

    forms: tuple[str, ...]
    options: frozenset[str]
    filename: str


def _parse(
    text: str, forms: tuple[tuple[str, ...], ...], options: set[str]
) -> Specifier | None:
    before, colon, filename = text.partition(":")
    words = before.split(",")
    named = tuple(word for word in words if word in ("ark", "scp"))
    if not colon or text[-1].isspace() or named not in forms:
        return None
    chosen: set[str] = set()
    for word in words:
        if word in named:
            continue
        if word not in options:
            return None
        if word[0] == "n":  # takes back an option
            chosen.discard(word[1:])
        elif word in "bt":  # the last one counts
            chosen -= {"b", "t"}
        chosen.add(word)
    return Specifier(named, frozenset(chosen), filename)


def parse_rspecifier(text: str) -> Specifier | None:
    """None if this is no table to read."""
    return _parse(text, (("ark",), ("scp",)), _READ_OPTIONS)


def parse_wspecifier(text: str) -> Specifier | None:
    """None if this is no table to write."""
    forms = (("ark",), ("scp",), ("ark", "scp"))
    return _parse(text, forms, _WRITE_OPTIONS)


def is_rspecifier(text: str) -> bool:
    """Whether a command-line argument is a table to read; else it is a file name."""
    return parse_rspecifier(text) is not None


def is_wspecifier(text: str) -> bool:
    """Whether a command-line argument is a table to write; else it is a file name."""
    return parse_wspecifier(text) is not None


def are_tables(source: str, target: str) -> bool:
    """Whether a command copies a table; else a single file.

    Raises:
        InputError: one of each.
    """
    if is_rspecifier(source) != is_wspecifier(target):
        raise InputError(
            f"expected two tables such as ark:file or two files, got {source} and "
            f"{target}"
        )
    return is_rspecifier(source)
