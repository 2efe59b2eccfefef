#!/usr/bin/env python3
"""Prints docs/configuration.md: one table of the keys of a configuration.

usage: describe_params.py > docs/configuration.md
"""

from __future__ import annotations

import inspect
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Any

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT)

from misc import config_rules, params  # noqa: E402
from misc.augmentation_keys import AugmentationKeys  # noqa: E402
from misc.config_keys import entry_types, is_list  # noqa: E402

HEAD = """# The configuration: keys of the JSON files

Made by `misc/tools/describe_params.py` from `misc/params.py` and
`misc/augmentation_keys.py`; change it there.

A configuration is one flat JSON object under the original's names. Everything in it
is checked before anything starts: unknown keys (with the nearest name), types, ranges,
keys that belong to another choice, combinations that cannot be. `Note`,
`Another option` and keys that begin with `?` are comments. `--set key=value` overrides
a key, as in `--set amsoftmax_m=0.25` or `--set 'att_key_num_nodes=[500,500]'`.

"Belongs to" names the choice that a key is for: there it must be given unless it has a
default, with another choice it is refused. False and `[]` are fine anywhere.

| key | type | default | allowed | belongs to | what it is |
|---|---|---|---|---|---|
"""
TAIL = """
Two trainings of the original are not part of this project. Their keys are known, and a
configuration that has one is refused:
"""


def rows() -> Iterator[str]:
    """The lines of the table, a title before each group."""
    groups = _groups()
    own = params.Params.__annotations__
    inherited = [name for name in params.FIELDS if name not in own]
    for name in [*own, *inherited]:
        field = params.FIELDS[name]
        if name in groups:
            yield f"| **{groups[name]}** | | | | | |"
        limits = field.metadata
        used_if = limits["used_if"]
        cells = (
            f"`{name}`",
            _type(params.TYPES[name]),
            _default(field.default, limits["required"]),
            _allowed(limits),
            f"`{used_if[0]}` = {', '.join(map(_json, used_if[1:]))}" if used_if else "",
            limits["help"],
        )
        yield "| " + " | ".join(cells) + " |"


def _groups() -> dict[str, str]:
    """First key of each group -> the comment above it in the source."""
    source = "".join(map(inspect.getsource, (params.Params, AugmentationKeys)))
    found = re.findall(r"^    # (.+)\n    (\w+):", source, re.M)
    return {key: title for title, key in found}


def _type(kind: object) -> str:
    names = [t.__name__ for t in entry_types(kind) if t is not type(None)]
    text = " or ".join({"str": "string"}.get(name, name) for name in names)
    return f"list of {text}" if is_list(kind) else text


def _default(default: object, required: bool) -> str:
    if required:
        return "must be given"
    return "none" if default is None else _json(default)


def _allowed(limits: Mapping[str, Any]) -> str:
    if limits["choices"]:
        return ", ".join(map(str, limits["choices"]))
    low, high, above = limits["low"], limits["high"], limits["above"]
    if low is not None and low == high:
        return f"{low:g}"
    parts = [f"> {above:g}"] if above is not None else []
    parts += [f"≥ {low:g}"] if low is not None else []
    parts += [f"≤ {high:g}"] if high is not None else []
    return ", ".join(parts)


def _json(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, tuple) else str(value)


def main() -> None:
    """Writes the page to stdout."""
    sys.stdout.write(HEAD)
    for row in rows():
        print(row)
    print(TAIL)
    for training, keys in config_rules.OTHER_TRAININGS.items():
        print(f"- {training}: {', '.join(f'`{key}`' for key in keys)}.")


if __name__ == "__main__":
    main()
