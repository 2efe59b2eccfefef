"""A configuration's files: JSON with comments and overrides, and learning rates."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from dataset.errors import InputError


def read(path: str, overrides: Sequence[str]) -> dict[str, Any]:
    """The keys of a JSON file, its comments left out.

    Args:
        path: the file, one object of keys and values.
        overrides: `key=value` texts that win over the file; a value that is not JSON
            is a string.

    Raises:
        InputError: no such file, no such object, a key that is given twice.
    """
    given = _read_json(path)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: expected key=value")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return {key: value for key, value in given.items() if not _is_comment(key)}


def read_rates(path: str) -> list[float]:
    """Learning rates from a text file, one a line.

    Raises:
        InputError: no such file, or a line that is no rate.
    """
    try:
        with open(path, encoding="utf-8") as stream:
            rates = [float(line) for line in stream if line.strip()]
    except OSError as error:
        raise InputError(f"learning_rate {path}: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"learning_rate {path}: {error}; one number a line") from None
    for rate in rates:
        if not 0 < rate < math.inf:
            raise InputError(
                f"learning_rate {path}: expected rates above 0, got {rate:g}"
            )
    return rates


def _read_json(path: str) -> dict[str, Any]:
    def no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs if not _is_comment(key)]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise InputError(f"{path}: given twice: {', '.join(twice)}")
        return dict(pairs)

    try:
        with open(path, encoding="utf-8") as stream:
            given = json.load(stream, object_pairs_hook=no_duplicates)
    except OSError as error:
        raise InputError(
            f"Cannot open configuration {path}: {error.strerror}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise InputError(f"{path}: expected an object {{...}} of keys and values")
    return given


def _is_comment(key: str) -> bool:
    return key in ("Note", "Another option") or key.startswith("?")
