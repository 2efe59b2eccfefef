"""Command-line options with Kaldi's rules (src/util/parse-options.cc).

Options are the fields of a dataclass: `frame_length: float = option(25.0, "...")`
is given as `--frame-length=25`. They come before the positional arguments; a boolean
may stand alone (`--binary` = `--binary=true`); `--config=file` holds one option a line.
This lives in dataset/ because a wav.scp holds command lines of its own.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from dataset.errors import InputError

Options = TypeVar("Options")

_TRUE, _FALSE = {"true", "t", "1", ""}, {"false", "f", "0"}
_TYPE_NAMES = {bool: "bool", int: "int", float: "float", str: "string"}


def option(default: Any, help: str) -> Any:
    """A dataclass field that is a command-line option."""
    return dataclasses.field(default=default, metadata={"help": help})


@dataclasses.dataclass(frozen=True)
class StandardOptions:
    """What every Kaldi command takes."""

    config: str = option("", "Configuration file to read (this option may be repeated)")
    help: bool = option(False, "Print out usage message")
    print_args: bool = option(True, "Print the command line arguments (to stderr)")
    verbose: int = option(0, "Verbose level (higher->more logging)")


def parse_options(
    options_type: type[Options], argv: Sequence[str]
) -> tuple[Options, StandardOptions, list[str]]:
    """Splits a command line (without the program's name) into options and arguments.

    Returns:
        The options, the standard options, and the positional arguments. As in Kaldi
        a `--config` file is read first, wherever it stands: the command line wins.

    Raises:
        InputError: an unknown option, or a value of the wrong type.
    """
    written, positional = _split(argv)
    types = _option_types(StandardOptions) | _option_types(options_type)
    values: dict[str, Any] = {}
    pairs = [_parse_pair(text, types, where="command line") for text in written]
    for name, value in pairs:
        if name == "config" and value:
            values.update(_read_config(value, types))
    values.update(pairs)
    standard = StandardOptions(
        **{f.name: values.pop(f.name, f.default) for f in fields(StandardOptions)}
    )
    return options_type(**values), standard, positional


def read_config(options_type: type[Options], path: str) -> Options:
    """Options from a Kaldi configuration file such as conf/mfcc.conf.

    Raises:
        InputError: the file is missing, or holds an unknown or ill-typed option.
    """
    return options_type(**_read_config(path, _option_types(options_type)))


def format_options(options_type: type) -> str:
    """The option part of a usage text, as Kaldi lays it out."""
    blocks = []
    kinds = {"Options": options_type, "Standard options": StandardOptions}
    for title, kind in kinds.items():
        types = _option_types(kind)
        lines = [f"{title}:"]
        for field in sorted(fields(kind), key=lambda f: f.name):
            default = field.default
            if isinstance(default, bool):
                shown = str(default).lower()
            elif isinstance(default, str):
                shown = f'"{default}"'
            else:
                shown = f"{default:g}" if isinstance(default, float) else str(default)
            name = "--" + field.name.rstrip("_").replace("_", "-")
            type_name = _TYPE_NAMES[types[field.name]]
            help_text = field.metadata.get("help", "")
            lines.append(f"  {name:<25} : {help_text} ({type_name}, default = {shown})")
        if len(lines) > 1:
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _option_types(options_type: type) -> dict[str, type]:
    hints = typing.get_type_hints(options_type)
    return {field.name: hints[field.name] for field in fields(options_type)}


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    for i, text in enumerate(argv):
        if text == "--":
            return list(argv[:i]), list(argv[i + 1 :])
        if not text.startswith("--"):
            return list(argv[:i]), list(argv[i:])
    return list(argv), []


def _parse_pair(text: str, types: dict[str, type], where: str) -> tuple[str, Any]:
    name, equals, value = text[2:].partition("=")
    key = name.lower().replace("-", "_")
    if key not in types and key + "_" in types:  # a Python keyword, such as --from
        key += "_"
    if key not in types:
        raise InputError(f"Invalid option --{name} ({where}); see --help")
    wanted = types[key]
    if wanted is bool:
        if value.lower() in _TRUE:
            return key, True
        if value.lower() in _FALSE:
            return key, False
        raise InputError(
            f"Invalid value for boolean option --{name} ({where}): "
            f"expected true or false, got '{value}'"
        )
    if not equals:
        raise InputError(f"Option --{name} needs a value: --{name}=... ({where})")
    try:
        return key, wanted(value)
    except ValueError:
        raise InputError(
            f"Invalid value for option --{name} ({where}): "
            f"expected {_TYPE_NAMES[wanted]}, got '{value}'"
        ) from None


def _read_config(path: str, types: dict[str, type]) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise InputError(f"Cannot open config file {path}: {error.strerror}") from None
    values = {}
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not text.startswith("--"):
            raise InputError(
                f"{path}:{number}: expected a line --option=value, got '{line}'"
            )
        name, value = _parse_pair(text, types, where=f"{path}:{number}")
        values[name] = value
    return values
