#!/usr/bin/env python3
"""Writes what the pipes of a wav.scp give as FLAC files, and their list.

usage: local/write_sounds.py <wav.scp> <folder> <out.scp>
e.g.:  local/write_sounds.py data/swbd_sre/wav.scp data/sounds data/sounds.scp

For training on waveforms, which reads a few seconds of a file at a time: of a pipe it
would decode everything. Files that are there are kept. A recording that cannot be read
is left out, with a warning; status 1 if none is left.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

import numpy as np
import soundfile

from dataset.errors import InputError
from dataset.text_table import read_table, write_table
from dataset.wav import read_wave, to_int16

_logger = logging.getLogger("write_sounds")


def write_sound(source: str, path: str) -> None:
    """Writes a sound as 16-bit FLAC, whole or not at all."""
    wave = read_wave(source)
    samples = np.ascontiguousarray(to_int16(wave.samples).T)
    temporary = f"{path}.{os.getpid()}.tmp"
    soundfile.write(temporary, samples, wave.rate, "PCM_16", format="FLAC")
    os.replace(temporary, path)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wav_scp")
    parser.add_argument("folder")
    parser.add_argument("out_scp")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    folder = os.path.abspath(args.folder)
    os.makedirs(folder, exist_ok=True)
    written = {}
    try:
        for key, source in read_table(args.wav_scp).items():
            name = os.fsdecode(key)
            path = os.path.join(folder, name.replace("/", "_") + ".flac")
            try:
                if not os.path.isfile(path):
                    write_sound(os.fsdecode(source), path)
            except InputError as error:
                _logger.warning("%s is left out: %s", name, error)
                continue
            written[key] = os.fsencode(path)
        if not written:
            raise InputError(f"{args.wav_scp}: no recording could be written")
        write_table(args.out_scp, written)
    except InputError as error:
        _logger.error("%s", error)
        return 1
    _logger.info("%s: %d recordings", args.out_scp, len(written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
