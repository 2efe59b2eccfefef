#!/usr/bin/env python3
"""Data directories of VoxCeleb1 and VoxCeleb2: <data>/train and <data>/eval.

usage: local/prepare_voxceleb.py [options] <voxceleb1> <data>
e.g.:  local/prepare_voxceleb.py --protocol official --voxceleb2 /corpora/VoxCeleb2 \\
           /corpora/VoxCeleb1 data

Layouts: see voxceleb_files.py. <data>/eval holds the recordings that the lists of
trials name, and the lists as trials_o, trials_o_clean, ...:

    o  veri_test.txt       e  list_test_all.txt       h  list_test_hard.txt
    o_clean  veri_test2.txt   e_clean  list_test_all2.txt   h_clean  list_test_hard2.txt

(o also as voxceleb1_test_v2.txt or, with names of speakers, voxceleb1_test.txt), looked
for in <voxceleb1> and the folders right below. --protocol original trains on all of
VoxCeleb2 and on those speakers of VoxCeleb1 that are neither in its test set nor in the
lists; e and h are made of these, so they are refused. --protocol official trains on the
dev set of VoxCeleb2.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Iterable

from voxceleb_files import (
    SUFFIXES,
    Found,
    Metadata,
    find_file,
    find_recordings,
    read_metadata,
    read_trials,
)

from dataset.data_dir import ALL_TABLES, write_speakers
from dataset.errors import InputError
from dataset.text_table import write_lines, write_table

_logger = logging.getLogger("prepare_voxceleb")

LISTS = {
    "o": ("veri_test.txt", "voxceleb1_test_v2.txt", "voxceleb1_test.txt"),
    "o_clean": ("veri_test2.txt",),
    "e": ("list_test_all.txt",),
    "e_clean": ("list_test_all2.txt",),
    "h": ("list_test_hard.txt",),
    "h_clean": ("list_test_hard2.txt",),
}
OF_TEST_SPEAKERS = ("o", "o_clean")
PUBLISHED = {
    "VoxCeleb1": [(1251, 153516)],
    "VoxCeleb2": [(6112, 1128246), (5994, 1092009)],
}
"""Speakers and recordings, by the corpora's pages; of VoxCeleb2 also those of dev."""

Recordings = dict[str, str]
"""Paths by key."""


def choose_lists(corpus: str, wanted: list[str], protocol: str) -> dict[str, str]:
    """The files of the lists of trials, by name.

    Raises:
        InputError: one that is wanted is missing or not for the protocol; none is left.
    """
    found = {
        name: path
        for name, files in LISTS.items()
        if (path := find_file(corpus, files))
    }
    for name in wanted:
        if name not in LISTS:
            raise InputError(
                f"--lists: expected some of {', '.join(LISTS)}, got '{name}'"
            )
        if protocol == "original" and name not in OF_TEST_SPEAKERS:
            raise InputError(
                f"--lists {name}: its speakers are trained on with --protocol "
                "original; take --protocol official"
            )
        if name not in found:
            raise InputError(f"--lists {name}: no {LISTS[name][0]} in {corpus}")
    if protocol == "original":
        found = {name: found[name] for name in OF_TEST_SPEAKERS if name in found}
    if not found:
        files = ", ".join(LISTS[name][0] for name in OF_TEST_SPEAKERS)
        raise InputError(f"{corpus}: no list of trials ({files}, ...); see README.md")
    return {name: found[name] for name in wanted or found}


def index(found: Iterable[Found], corpus: str) -> dict[str, Found]:
    """Recordings by key; of one that is there twice, the file quickest to read."""
    recordings: dict[str, Found] = {}
    twice = 0
    for one in found:
        other = recordings.setdefault(one.key, one)
        if other is not one:
            twice += 1
            recordings[one.key] = min(one, other, key=_preference)
    if not recordings:
        raise InputError(
            f"{corpus}: expected recordings like id10001/1zcIwhmdeo4/00001.wav, or "
            ".flac or .m4a; there are none"
        )
    if twice:
        _logger.warning("%s: %d recordings are there twice", corpus, twice)
    return recordings


def _preference(one: Found) -> tuple[int, str]:
    return SUFFIXES.index(os.path.splitext(one.path)[1]), one.path


def dev_set(recordings: dict[str, Found], corpus: str) -> Recordings:
    """That of VoxCeleb2: by the folders' names, else by vox2_meta.csv.

    Raises:
        InputError: neither tells; nothing is of the dev set.
    """
    parts = read_metadata(corpus, "vox2_meta.csv").parts
    dev = {}
    for key, found in recordings.items():
        part = found.part or parts.get(speaker_of(key))
        if part is None:
            raise InputError(
                f"{found.path}: of the dev or the test set? Put vox2_meta.csv into "
                f"{corpus}, or name the folders so"
            )
        if part == "dev":
            dev[key] = found.path
    if not dev:
        raise InputError(f"{corpus}: no recordings of the dev set")
    return dev


def speaker_of(key: str) -> str:
    """id10001 of id10001-1zcIwhmdeo4-00001."""
    return key[:7]


def count(name: str, recordings: Iterable[str]) -> None:
    """Says how large a corpus is, and what is published, if that is something else."""
    keys = list(recordings)
    size = len({speaker_of(key) for key in keys}), len(keys)
    _logger.info("%s: %d speakers, %d recordings", name, *size)
    if size not in PUBLISHED[name]:
        _logger.warning(
            "published are %d speakers, %d recordings: is it whole?",
            *PUBLISHED[name][0],
        )


def entry(path: str) -> str:
    """What stands in wav.scp for a sound file."""
    quoted = shlex.quote(path)
    if path.endswith(".m4a"):
        return f"ffmpeg -nostdin -v 8 -i {quoted} -f wav -acodec pcm_s16le - |"
    if path.endswith(".flac"):
        return f"flac -dcs {quoted} |"
    return path if quoted == path else f"cat {quoted} |"


def check_decoder(recordings: Recordings) -> None:
    """Refuses m4a files where nothing can decode them: a real Kaldi needs ffmpeg."""
    kaldi = bool(os.environ.get("KALDI_ROOT"))
    if shutil.which("ffmpeg") or importlib.util.find_spec("av") and not kaldi:
        return
    path = next((path for path in recordings.values() if path.endswith(".m4a")), None)
    if path is not None:
        other = "" if kaldi else " or the Python package 'av' (pip install av)"
        raise InputError(f"{path}: decoding m4a needs the program 'ffmpeg'{other}")


def write_data_dir(directory: str, recordings: Recordings) -> None:
    """Writes wav.scp, utt2spk and spk2utt; takes out what other data have left."""
    os.makedirs(directory, exist_ok=True)
    for name in os.listdir(directory):
        if name in ALL_TABLES or name.startswith("trials_"):
            os.remove(os.path.join(directory, name))
    keys = sorted(recordings)
    write_table(
        os.path.join(directory, "wav.scp"),
        {key.encode(): os.fsencode(entry(recordings[key])) for key in keys},
    )
    write_speakers(directory, {key.encode(): speaker_of(key).encode() for key in keys})
    speakers = len({speaker_of(key) for key in keys})
    _logger.info("%s: %d speakers, %d recordings", directory, speakers, len(keys))


def prepare(args: argparse.Namespace) -> None:
    """Reads both corpora, then writes both data directories."""
    metadata = read_metadata(args.voxceleb1, "vox1_meta.csv")
    lists = choose_lists(args.voxceleb1, args.lists.split(), args.protocol)
    trials = {name: read_trials(path, metadata) for name, path in lists.items()}
    first = index(find_recordings(args.voxceleb1, metadata), args.voxceleb1)
    count("VoxCeleb1", first)
    named = {key for pairs in trials.values() for pair in pairs for key in pair}
    missing = sorted(named.difference(first))
    if missing:
        raise InputError(
            f"{args.voxceleb1}: {len(missing)} of the {len(named)} recordings in the "
            f"lists of trials are missing, the first is {missing[0]}: is it whole?"
        )
    train: Recordings = {}
    if args.protocol == "original":
        tested = {speaker_of(key) for key in named}
        tested |= {
            speaker for speaker, part in metadata.parts.items() if part == "test"
        }
        tested |= {speaker_of(key) for key in first if first[key].part == "test"}
        train = {k: f.path for k, f in first.items() if speaker_of(k) not in tested}
    if args.voxceleb2:
        no_names = Metadata("", {}, {})
        second = index(find_recordings(args.voxceleb2, no_names), args.voxceleb2)
        count("VoxCeleb2", second)
        if args.protocol == "official":
            train = dev_set(second, args.voxceleb2)
        else:
            train |= {key: found.path for key, found in second.items()}
    if not train:
        raise InputError("nothing to train on: where is VoxCeleb2? (--voxceleb2)")
    check_decoder(train)
    write_data_dir(os.path.join(args.data, "train"), train)
    evaluation = os.path.join(args.data, "eval")
    write_data_dir(evaluation, {key: first[key].path for key in named})
    for name, pairs in trials.items():
        path = os.path.join(evaluation, f"trials_{name}")
        write_lines(
            path, (f"{a} {b} {kind}\n".encode() for (a, b), kind in pairs.items())
        )
        _logger.info("%s: %d trials of %s", path, len(pairs), lists[name])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--protocol", choices=("original", "official"), default="original"
    )
    parser.add_argument("--voxceleb2", default="", help="the folder of VoxCeleb2")
    parser.add_argument(
        "--lists", default="", help="names, with spaces (default: all that are there)"
    )
    parser.add_argument("voxceleb1")
    parser.add_argument("data")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        prepare(args)
    except (InputError, OSError) as error:
        _logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
