#!/usr/bin/env python3
"""The job of store_recordings.sh: decodes the recordings of a wav.scp into FLAC files.

usage: shared/store_recordings.py <wav.scp> <folder> <out.scp>

<out.scp> lists all: what was decoded as `flac -dcs <file> |`, which a real Kaldi reads,
too; recordings of which parts can be read, as they were. Files that are there are kept:
the name of each tells the pipe that it was made of. Recordings that cannot be decoded
are left out, with a warning each.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys
import zlib

import numpy as np
import soundfile

from dataset.errors import InputError
from dataset.sound_reader import seekable_file
from dataset.text_table import read_table, write_table
from dataset.wav import read_wave, to_int16

_logger = logging.getLogger("store_recordings")


def stored_file(folder: str, recording: str, rxfilename: str) -> str:
    """Where a recording is stored; a thousand folders share them."""
    number = zlib.crc32(os.fsencode(rxfilename))
    name = f"{recording.replace('/', '_')}.{number:08x}.flac"
    return os.path.join(folder, f"{number % 1000:03d}", name)


def store(rxfilename: str, path: str) -> None:
    """Decodes a recording into a file of 16 bits, unless that is there.

    Raises:
        InputError: it cannot be decoded, or has several channels.
        OSError, soundfile.SoundFileError: it cannot be written.
    """
    if os.path.exists(path):
        return
    wave = read_wave(rxfilename)
    if len(wave.samples) != 1:
        raise InputError(f"{rxfilename}: {len(wave.samples)} channels, expected one")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    unfinished = f"{path}.{os.getpid()}.tmp"
    try:
        samples = np.asarray(to_int16(wave.samples[0]))
        soundfile.write(unfinished, samples, wave.rate, "PCM_16", format="FLAC")
        os.replace(unfinished, path)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)


def main() -> int:
    """Status 1 and a line on stderr if nothing can be read or written at all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wav_scp", metavar="wav.scp")
    parser.add_argument("folder")
    parser.add_argument("out_scp", metavar="out.scp")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    folder = os.path.abspath(args.folder)
    stored, number = {}, 0
    try:
        entries = read_table(args.wav_scp)
        for key, value in entries.items():
            recording, rxfilename = os.fsdecode(key), os.fsdecode(value)
            stored[key] = value
            if seekable_file(rxfilename) is not None:
                continue
            path = stored_file(folder, recording, rxfilename)
            try:
                store(rxfilename, path)
                stored[key] = os.fsencode(f"flac -dcs {shlex.quote(path)} |")
                number += 1
            except InputError as error:
                _logger.warning("%s is left out: %s", recording, error)
                del stored[key]
        write_table(args.out_scp, stored)
    except (InputError, OSError, soundfile.SoundFileError) as error:
        _logger.error("%s", error)
        return 1
    _logger.info(
        "Stored %d recordings, left %d as they are; %d failed",
        number,
        len(stored) - number,
        len(entries) - len(stored),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
