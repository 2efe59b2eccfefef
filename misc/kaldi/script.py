#!/usr/bin/env python3
"""Runs a script of utils/ or steps/ that is a Python function here.

Kaldi's scripts write options as `--name value`, its programs as `--name=value`: this
spells out the former and hands on to misc/kaldi/command.py. Links to this file, and to
script.sh beside it, are the scripts; their name says which function is meant.
"""

from __future__ import annotations

import importlib
import os
import sys
import typing
from collections.abc import Sequence

if __name__ == "__main__":  # run as a file, maybe by a link to it
    sys.path[0] = os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    )

from dataset.options import StandardOptions
from misc.kaldi.command import COMMANDS, run
from misc.kaldi.main import MODULES


def spell_out(options: type, argv: Sequence[str]) -> list[str]:
    """A script's command line as that of a program.

    `--name value` and `-n value` become `--name=value`; a boolean may stand alone or
    before true or false. Class variables of the dataclass change this: an option
    named in `repeatable` may be given several times, and its values become lines of
    one; one in `followed_by_two` has two words as its value; with `reads_command_line`
    all is handed on as it is, unless it asks for help.
    """
    if getattr(options, "reads_command_line", False):
        return ["--help"] if list(argv) in (["-h"], ["--help"]) else ["--", *argv]
    types = typing.get_type_hints(options) | typing.get_type_hints(StandardOptions)
    words = list(argv)
    given: dict[str, str] = {}
    while words and words[0].startswith("-") and words[0] not in ("-", "--"):
        name, equals, value = words.pop(0).lstrip("-").partition("=")
        key = "help" if name == "h" else name.replace("-", "_")
        if not equals and types.get(key, bool) is bool:
            alone = not words or words[0] not in ("true", "false")
            value = "true" if alone else words.pop(0)
        elif not equals:
            if not words:
                return [f"--{name}"]  # for the message that its value is missing
            value = words.pop(0)
            if words and key in getattr(options, "followed_by_two", ()):
                value += " " + words.pop(0)
        if key in given and key in getattr(options, "repeatable", ()):
            value = given[key] + "\n" + value
        given[key] = value
    if words[:1] == ["--"]:
        words.pop(0)
    spelled = [f"--{key.replace('_', '-')}={value}" for key, value in given.items()]
    return [*spelled, "--", *words]


def main(argv: Sequence[str]) -> int:
    """Runs the script that `argv[0]` names, or `argv[1]` if that is this file."""
    name, *rest = argv
    name = os.path.basename(name)
    if name == os.path.basename(__file__) and rest:
        name, *rest = rest
    owner = next((module for module, names in MODULES.items() if name in names), None)
    if owner is None:
        sys.stderr.write(f"ERROR (script) no such script: {name}\n")
        return 1
    importlib.import_module(owner)
    declared = COMMANDS[name]
    return run(declared, ["--print-args=false", *spell_out(declared.options, rest)])


if __name__ == "__main__":
    sys.exit(main(sys.argv))
