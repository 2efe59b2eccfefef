#!/usr/bin/env python3
"""Makes a data directory of a folder of recordings named by their speakers.

e.g.: local/make_data_from_folder.py /data/speech data/all
      local/make_data_from_folder.py --speaker-depth 2 /data/VoxCeleb1 data/all
      local/make_data_from_folder.py --speaker-regex '([^/_]+)_' /data/flat data/all

The speaker of /data/speech/anna/monday/1.wav is `anna`, the first folder below the one
given; with --speaker-depth 2 it is `monday`, with --speaker-regex what the first group
of the expression finds in `anna/monday/1`. The utterance is `anna-monday-1`. Files
and folders whose names begin with a dot are passed by.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import recordings

from dataset.errors import InputError

_log = logging.getLogger("recordings")


def files_below(folder: str, seen: set[tuple[int, int]] | None = None) -> Iterator[str]:
    """All files, by path; links are followed, but no folder is entered twice."""
    seen = set() if seen is None else seen
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        found = sorted((e.name, e.is_dir()) for e in entries if e.name[0] != ".")
    for name, is_folder in found:
        path = os.path.join(folder, name)
        if is_folder:
            yield from files_below(path, seen)
        else:
            yield path


def find_recordings(
    folder: str, speaker_of: Callable[[str], tuple[str, str]], channel: int = 0
) -> list[recordings.Utterance]:
    """The recordings of a folder.

    Args:
        speaker_of: from a path relative to the folder, without its extension, to the
            speaker and the name of the utterance.
        channel: which is taken, from 1; 0: recordings have one.

    Raises:
        InputError: no such folder, no recording in it, or no speaker in a path.
    """
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: no such folder")
    found, others = [], Counter[str]()
    start = len(os.path.join(folder, ""))
    for path in files_below(folder):
        stem, extension = os.path.splitext(path[start:])
        if extension.lower() not in recordings.EXTENSIONS:
            others[extension.lower() or "no extension"] += 1
            continue
        speaker, name = speaker_of(stem)
        found.append(recordings.Utterance(path, path, speaker, name, channel))
    told = ", ".join(f"{number} {extension}" for extension, number in others.items())
    if not found:
        raise InputError(
            f"{folder}: no recordings ({' '.join(recordings.EXTENSIONS)}), but "
            f"{told or 'nothing else either'}"
        )
    if others:
        _log.info("%s: passed by, as no recordings: %s", folder, told)
    return found


def by_depth(stem: str, depth: int) -> tuple[str, str]:
    """The folder at a depth, from 1, and the path without it.

    Raises:
        InputError: the path is not so deep.
    """
    parts = stem.split("/")
    if len(parts) <= depth:
        raise InputError(
            f"'{stem}': expected the speaker to be the name of folder {depth} below "
            f"the one given, but there are {len(parts) - 1}; see --speaker-depth and "
            "--speaker-regex"
        )
    return parts[depth - 1], "/".join(parts[: depth - 1] + parts[depth:])


def by_regex(stem: str, expression: re.Pattern[str]) -> tuple[str, str]:
    """What the first group finds in a path, and the path.

    Raises:
        InputError: it finds nothing.
    """
    match = expression.search(stem)
    if not match or not match[1]:
        raise InputError(
            f"'{stem}': --speaker-regex '{expression.pattern}' finds no speaker in it"
        )
    return match[1], stem


def find(args: argparse.Namespace) -> list[recordings.Utterance]:
    """What the command line names."""
    folder, depth, channel = args.folder, args.speaker_depth, args.channel
    if args.speaker_regex is None:
        return find_recordings(folder, lambda stem: by_depth(stem, depth), channel)
    try:
        expression = re.compile(args.speaker_regex)
    except re.error as error:
        raise InputError(f"--speaker-regex '{args.speaker_regex}': {error}") from None
    if expression.groups < 1:
        raise InputError(
            f"--speaker-regex '{args.speaker_regex}': expected a group, as in "
            "'([^/]+)_', for the speaker"
        )
    return find_recordings(folder, lambda stem: by_regex(stem, expression), channel)


def main() -> int:
    """The data directory, or 1 and one line on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    speaker = parser.add_mutually_exclusive_group()
    speaker.add_argument(
        "--speaker-depth",
        type=recordings.positive,
        default=1,
        help="the folder that names the speaker, from 1 (default 1)",
    )
    speaker.add_argument("--speaker-regex", help="its first group names the speaker")
    parser.add_argument(
        "--channel",
        type=recordings.positive,
        default=0,
        help="of recordings with several, from 1",
    )
    recordings.add_arguments(parser)
    parser.add_argument("folder")
    parser.add_argument("data_dir")
    return recordings.run(parser, find)


if __name__ == "__main__":
    sys.exit(main())
