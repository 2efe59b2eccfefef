"""The file of a light network: a description in JSON and float32 arrays.

The layout is that of safetensors: eight bytes, the length of a JSON header as a little
endian integer; the header, which has for each array its `dtype`, `shape` and
`data_offsets`, and the description as a text under `__metadata__`; then the arrays.
Reading it runs nothing that is in it. The arrays are a memory map: jobs on one machine
share it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from dataset.errors import InputError
from misc.light.rows import Array
from misc.whole_files import write_whole

_ALIGNMENT = 64
_MOST = 1 << 27
"""Bytes of the largest header that is read."""


def write_light(path: str, description: Any, weights: Mapping[str, Array]) -> None:
    """Writes a file whole.

    Args:
        description: anything JSON can express.
        weights: float32.
    """
    header: dict[str, Any] = {"__metadata__": {"description": json.dumps(description)}}
    end = 0
    for name, array in weights.items():
        offsets = [end, end + array.size * 4]
        header[name] = {
            "dtype": "F32",
            "shape": list(array.shape),
            "data_offsets": offsets,
        }
        end = offsets[1]
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 8) % _ALIGNMENT)

    def write(name: str) -> None:
        with open(name, "wb") as stream:
            stream.write(len(text).to_bytes(8, "little") + text)
            for array in weights.values():
                stream.write(np.ascontiguousarray(array, dtype="<f4").tobytes())

    write_whole(path, write)


def read_light(path: str) -> tuple[Any, dict[str, Array]]:
    """The description and the weights.

    Raises:
        InputError: it is not such a file, or it is damaged.
        OSError: it cannot be opened.
    """
    size = os.path.getsize(path)
    try:
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(_MOST, size):
                raise ValueError
            header = json.loads(stream.read(length))
        description = json.loads(header.pop("__metadata__")["description"])
        data = np.memmap(path, np.uint8, "r", offset=8 + length) if header else None
        weights = {name: _array(data, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError(f"{path}: damaged; delete it, and it is made again") from None
    return description, weights


def _array(data: Any, entry: Mapping[str, Any]) -> Array:
    begin, end = entry["data_offsets"]
    if entry["dtype"] != "F32" or not 0 <= begin <= end <= len(data):
        raise ValueError
    return data[begin:end].view("<f4").reshape(entry["shape"]).view(np.ndarray)
