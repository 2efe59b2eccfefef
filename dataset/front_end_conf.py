"""The option files that say how features are made, kept with what is made of them.

    mfcc.conf or fbank.conf   options of compute-mfcc-feats or compute-fbank-feats
    copy-feats.conf           whether they are stored compressed; absent: they are
    vad.conf                  options of compute-vad
    cmvn.conf                 options of apply-cmvn-sliding; absent: the recipes'

A data directory has those of its features in `conf/`, cmvn.conf only where they are
normalised already; copies, parts and unions of directories have them, too. Kaldi's own
scripts leave the first alone, or none: what is not there is not known.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from dataset.errors import InputError

KINDS = MFCC, FBANK = "mfcc.conf", "fbank.conf"
COPY, VAD, CMVN = "copy-feats.conf", "vad.conf", "cmvn.conf"
NAMES = (*KINDS, COPY, VAD, CMVN)

Files = dict[str, str]
"""Name to content."""


def conf_paths(folder: str) -> dict[str, str]:
    """Those of the files that a folder has: name to path."""
    paths = {name: os.path.join(folder, name) for name in NAMES}
    return {name: path for name, path in paths.items() if os.path.exists(path)}


def read_conf(folder: str) -> Files:
    """Those of the files that a folder has: name to content."""
    return {name: read_conf_file(path) for name, path in conf_paths(folder).items()}


def read_conf_file(path: str) -> str:
    """A file's content; comments may be in any encoding.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None


def replace_data_conf(directory: str, files: Files) -> None:
    """Puts the files into a data directory in place of those that are there."""
    folder = data_conf(directory)
    for name in NAMES:
        path = os.path.join(folder, name)
        if os.path.lexists(path):
            os.unlink(path)
    if files:
        os.makedirs(folder, exist_ok=True)
    for name, content in files.items():
        with open(os.path.join(folder, name), "w", encoding="utf-8") as stream:
            stream.write(content)


def data_conf(directory: str) -> str:
    """Where a data directory has the files, as in Kaldi's steps/make_mfcc.sh."""
    return os.path.join(directory, "conf")


def common_conf(directories: Iterable[str]) -> tuple[Files, list[str]]:
    """What is known of features that come from several data directories.

    Returns:
        The files in which those that have them agree; what was left out, a sentence
        for each.
    """
    found: dict[str, Files] = {name: {} for name in NAMES}
    for directory in directories:
        for name, content in read_conf(data_conf(directory)).items():
            found[name].setdefault(content, directory)
    files, notes = {}, []
    for name, contents in found.items():
        if len(contents) == 1:
            [files[name]] = contents
        elif contents:
            where = " and ".join(list(contents.values())[:2])
            notes.append(f"conf/{name} is left out: not the same in {where}")
    return files, notes
