"""The scripts of utils/ and steps/ as commands: they write `--option value`.

Kaldi's programs take `--option=value`, its scripts two words. Here the second becomes
the first, so that a script is declared, documented and run as every other command.
"""

from __future__ import annotations

import collections
import dataclasses
import importlib
import os
import sys
import typing
from collections.abc import Sequence
from typing import Any

if __name__ == "__main__":  # run as a file: the project's root is two folders up
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))

from dataset.errors import InputError
from misc.kaldi import main as programs
from misc.kaldi.command import COMMANDS, log_error

_BOOLEANS = ("true", "false")


@dataclasses.dataclass(frozen=True)
class RawArguments:
    """Options of a script that reads its arguments itself."""


def repeated(help: str) -> Any:
    """A field for an option that may be given again; one value a line."""
    return dataclasses.field(default="", metadata={"help": help, "repeated": True})


def main(argv: Sequence[str]) -> int:
    """Runs the script `argv[0]`, whose command line is not echoed."""
    name, *rest = argv
    owner = next((m for m, names in programs.MODULES.items() if name in names), None)
    if owner is not None:
        importlib.import_module(owner)
        try:
            rest = program_arguments(COMMANDS[name].options, rest)
        except InputError as error:
            log_error(str(error))
            return 1
    return programs.main([name, "--print-args=false", *rest])


def program_arguments(options_type: type, argv: Sequence[str]) -> list[str]:
    """Rewrites `--option value` as `--option=value`, and puts options first.

    `-f value` is `--f=value`. A boolean option takes the next word only if that is
    true or false. What is not known stays as it is, for the parser to refuse.
    """
    if options_type is RawArguments:
        return list(argv) if list(argv) == ["--help"] else ["--", *argv]
    types = typing.get_type_hints(options_type)
    fields = {field.name: field for field in dataclasses.fields(options_type)}
    options: dict[str, str] = {}
    unknown: list[str] = []
    positional: list[str] = []
    words = collections.deque(argv)
    while words:
        word = words.popleft()
        if word == "--":
            positional.extend(words)
            break
        if word == "-" or not word.startswith("-"):
            positional.append(word)
            continue
        name, equals, value = word.lstrip("-").partition("=")
        key = name.replace("-", "_")
        if key not in fields:
            unknown.append(f"--{word.lstrip('-')}")
            continue
        if not equals:
            value = _following(words, types[key] is bool, word)
        if fields[key].metadata.get("repeated") and key in options:
            value = f"{options[key]}\n{value}"
        options[key] = value
    pairs = [f"--{key.replace('_', '-')}={value}" for key, value in options.items()]
    return [*pairs, *unknown, "--", *positional]


def _following(words: collections.deque[str], boolean: bool, option: str) -> str:
    """The value of an option that is written as two words."""
    if boolean and (not words or words[0] not in _BOOLEANS):
        return "true"
    if not words:
        raise InputError(f"option {option} needs a value")
    return words.popleft()


if __name__ == "__main__":
    # The module under its own name, which is the one that others import.
    sys.exit(importlib.import_module("misc.kaldi.scripts").main(sys.argv[1:]))
