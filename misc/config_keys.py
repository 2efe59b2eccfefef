"""Keys of a configuration that say of themselves what they take, and the checks of it.

`misc/params.py` has the keys; here is what is the same for any.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any

Fields = Mapping[str, "dataclasses.Field[Any]"]

ABOVE_ZERO = "a value above 0"
"""Stands in `used_if` for any such value of the other key."""


def key(
    help: str,
    default: Any = MISSING,
    choices: tuple[Any, ...] = (),
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    used_if: tuple[Any, ...] | None = None,
) -> Any:
    """A configuration key, as the field of a dataclass.

    Args:
        help: what it is, with its unit.
        default: taken when the key is absent; a key without one must be given.
        choices: the allowed values.
        low, high: smallest and largest value, of each entry of a list.
        above: the value must be larger than this.
        used_if: (other key, value, ...): the key belongs to these values of the other.
            Without a default it must be given with them; with another choice (of a
            loss, an optimizer) it is refused. (other key, ABOVE_ZERO) is for a number
            that turns something on; if it is given as 0, the key may stay.
    """
    metadata = {
        "help": help,
        "choices": choices,
        "low": low,
        "high": high,
        "above": above,
        "used_if": used_if,
        "required": default is MISSING,
    }
    if used_if and default is MISSING:
        default = None
    return dataclasses.field(default=default, metadata=metadata)


def is_list(kind: Any) -> bool:
    """Whether a type hint is that of a list, `tuple[x, ...]`."""
    return typing.get_origin(kind) is tuple


def entry_types(kind: Any) -> tuple[type, ...]:
    """The types that a hint allows for a value, or for each entry of a list."""
    types = typing.get_args(kind) or (kind,)
    return tuple(t for t in types if t is not Ellipsis)


def cast(value: Any, kind: Any) -> Any:
    """A whole number as a float where a float is meant."""
    return float(value) if type(value) is int and float in entry_types(kind) else value


def faults(
    given: Mapping[str, Any], fields: Fields, types: Mapping[str, Any]
) -> Iterable[str]:
    """All that is wrong with each key for itself, in one line each.

    Args:
        given: key -> value as JSON has it.
        fields, types: name -> field made by `key`, and its type hint.
    """
    for name in given:
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            yield f"unknown key '{name}'{hint}"
    for name, field in fields.items():
        if name in given:
            yield from value_faults(name, given[name], types[name], field.metadata)
        elif field.default is MISSING:
            yield f"key '{name}' is missing ({field.metadata['help']})"


def value_faults(
    name: str, value: Any, kind: Any, limits: Mapping[str, Any]
) -> Iterable[str]:
    """What is wrong with one value: its type, its range, its choice."""
    if not is_list(kind):
        yield from _entry_faults(name, value, kind, limits)
    elif not isinstance(value, list):
        yield f"'{name}': expected a list, got {json.dumps(value)}"
    else:
        for entry in value:
            yield from _entry_faults(name, entry, kind, limits)
        if limits["choices"] and len(set(map(str, value))) < len(value):
            yield f"'{name}': something is given twice: {json.dumps(value)}"


def _entry_faults(
    name: str, value: Any, kind: Any, limits: Mapping[str, Any]
) -> Iterable[str]:
    wanted = entry_types(kind)
    choices, low, high, above = (
        limits[part] for part in ("choices", "low", "high", "above")
    )
    # bool is an int to Python, but true is no number to a reader.
    if type(value) not in wanted and not (type(value) is int and float in wanted):
        names = " or ".join(t.__name__ for t in wanted if t is not type(None))
        yield f"'{name}': expected {names}, got {json.dumps(value)}"
    elif choices:
        if value not in choices:
            got = f"'{value}'" if isinstance(value, str) else value
            yield f"'{name}': expected one of {', '.join(map(str, choices))}, got {got}"
    elif isinstance(value, (int, float)):
        if not math.isfinite(value):
            yield f"'{name}': expected a finite number, got {value}"
        elif low is not None and value < low:
            yield f"'{name}': must be at least {low}, got {value}"
        elif above is not None and value <= above:
            yield f"'{name}': must be above {above}, got {value}"
        elif high is not None and value > high:
            yield f"'{name}': must be at most {high}, got {value}"


def use_faults(given: Mapping[str, Any], fields: Fields) -> Iterable[str]:
    """The keys that the chosen parts need and lack, and those that none of them uses.

    Args:
        given, fields: as for `faults`, which found none.
    """
    for name, field in fields.items():
        if field.metadata["used_if"] is None:
            continue
        other, *values = field.metadata["used_if"]
        chosen = given.get(other, fields[other].default)
        shown = f"{other} = {json.dumps(chosen)}"
        if ABOVE_ZERO in values and given.get(other) == 0:
            continue
        if chooses(chosen, values):
            if name not in given and field.metadata["required"]:
                yield f"key '{name}' is missing: {shown} needs it"
        elif name in given and not _is_idle(given[name], chosen):
            with_it = f"without {other}" if chosen is None else f"with {shown}"
            meant = " or ".join(map(str, values))
            yield f"'{name}' has no use {with_it}: remove it (it is for {meant})"


def _is_idle(value: Any, chosen: Any) -> bool:
    """False and [] do nothing, and a switch that is off may keep its keys."""
    return value is False or value == [] or chosen is False


def chooses(chosen: Any, values: Sequence[Any]) -> bool:
    """Whether a choice, or a list of them, is among or has some of the values."""
    if ABOVE_ZERO in values:
        return bool(chosen)
    if isinstance(chosen, (list, tuple)):
        return any(value in chosen for value in values)
    return chosen in values
