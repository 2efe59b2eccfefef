"""Files that are whole or not there: written under a temporary name, synced, renamed.

After a crash, or with the disk full, each file is the old one or the new one. What a
process that was killed leaves behind has a temporary name, and can be taken away.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable

_TEMPORARY = re.compile(r"\.tmp\d+(\.\w+)?$")


def temporary_name(path: str) -> str:
    """A name beside `path`, with its suffix, that no other process takes."""
    root, suffix = os.path.splitext(path)
    return f"{root}.tmp{os.getpid()}{suffix}"


def write_whole(path: str, write: Callable[[str], object]) -> None:
    """Makes a file by `write(temporary name)`, then gives it its final name.

    Raises:
        OSError: naming the file.
    """
    temporary = temporary_name(path)
    try:
        write(temporary)
        sync(temporary)
        os.replace(temporary, path)
        sync(os.path.dirname(path) or ".")  # the name, too, outlasts a power cut
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), path) from None
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def write_text(path: str, text: str) -> None:
    """Writes a small text file whole."""

    def write(name: str) -> None:
        with open(name, "w", encoding="utf-8") as stream:
            stream.write(text)

    write_whole(path, write)


def sync(path: str) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_temporaries(folder: str) -> None:
    """Takes away what dead processes left half-written in a folder."""
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if not _TEMPORARY.search(name):
            continue
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.remove(path)
