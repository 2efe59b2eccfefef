"""Noises, music, voices and impulse responses that a training adds to its speech."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import numpy as np

from dataset.errors import InputError
from dataset.sound_reader import Sound, SoundReader, seekable_file
from dataset.utterance_table import fill_rows, read_recordings
from misc.kaldi.augment import split_list_line

_NUM_HEARD = 20
"""Sounds of a list that are read to the end before a training starts."""


def read_sounds(path: str) -> list[Sound]:
    """The sounds of a data directory, of a file as its wav.scp, or of an rir_list.

    Raises:
        InputError: it cannot be read, is empty or malformed, or a file is missing.
    """
    if os.path.isdir(path):
        sounds = read_recordings(path)
    elif _is_rir_list(path):
        sounds = list(_read_rir_list(path))
    else:
        names: dict[str, int] = {}
        rxfilenames = list(fill_rows(path, names))
        sounds = list(map(Sound, names, rxfilenames))
    if not sounds:
        raise InputError(f"{path}: expected sounds, but there is none")
    for sound in sounds:
        file = seekable_file(sound.rxfilename)
        if file is not None and not os.path.isfile(file):
            raise InputError(f"{path}: {sound.name}: no such file: {file}")
    return sounds


def check_sounds(path: str, sounds: Sequence[Sound], rate: int) -> None:
    """Reads some sounds, evenly spread over the list.

    Raises:
        InputError: one cannot be read, is silent, or has another sampling rate.
    """
    reader = SoundReader(rate)
    for number in np.unique(np.linspace(0, len(sounds) - 1, _NUM_HEARD).astype(int)):
        sound = sounds[number]
        try:
            with reader.open(sound) as stream:
                silent = not stream.read(0, stream.length).any()
        except (InputError, OSError) as error:
            raise InputError(f"{path}: {sound.name}: {error}") from None
        if silent:
            raise InputError(
                f"{path}: {sound.name} is silent: leave it out, as it cannot be scaled "
                "to a signal-to-noise ratio"
            )


def _is_rir_list(path: str) -> bool:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline().startswith("--")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None


def _read_rir_list(path: str) -> Iterator[Sound]:
    with open(path, encoding="utf-8", errors="surrogateescape") as stream:
        for number, line in enumerate(stream, 1):
            where = f"{path}:{number}"
            options, words = split_list_line(line, where)
            if not words or "rir-id" not in options:
                raise InputError(
                    f"{where}: expected --rir-id <id> --room-id <room> <file>, got "
                    f"'{line.strip()}'"
                )
            if "probability" in options:
                raise InputError(
                    f"{where}: --probability has no use here: all responses of a list "
                    "have the same"
                )
            yield Sound(options["rir-id"], " ".join(words))
