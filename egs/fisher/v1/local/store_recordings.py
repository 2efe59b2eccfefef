#!/usr/bin/env python3
"""Decodes once what a data directory has behind pipes, into FLAC files.

e.g.: local/store_recordings.py --nj 8 data/train data/recordings

A training that makes its features on the fly reads parts of recordings. In wav and
flac files they are found at once; what comes out of ffmpeg, sph2pipe or sox would be
decoded whole each time. Such recordings (mono, 16 bits) are stored, wav.scp names the
new files, and wav.scp.pipes keeps what was there. Files that an interrupted run has
left are used: the name of each tells the pipe that it was made of.
"""

from __future__ import annotations

import argparse
import os
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import tqdm
from recordings import positive

from dataset.errors import InputError
from dataset.sound_reader import seekable_file
from dataset.text_table import read_table, write_table
from dataset.wav import read_wave, to_int16

_NAMED = 3


def stored_file(folder: str, recording: str, rxfilename: str) -> str:
    """Where a recording is stored; a thousand folders share them."""
    number = zlib.crc32(rxfilename.encode())
    return os.path.join(
        folder, f"{number % 1000:03d}", f"{recording}.{number:08x}.flac"
    )


def store(job: tuple[str, str]) -> str | None:
    """Decodes a recording into a file, unless that is there; says what went wrong."""
    import soundfile

    rxfilename, path = job
    if os.path.exists(path):
        return None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    unfinished = f"{path}.tmp{os.getpid()}"
    try:
        wave = read_wave(rxfilename)
        if len(wave.samples) != 1:
            raise InputError(
                f"{rxfilename}: {len(wave.samples)} channels, expected one"
            )
        soundfile.write(
            unfinished, np.asarray(to_int16(wave.samples[0])), wave.rate, format="FLAC"
        )
        os.replace(unfinished, path)
    except (InputError, OSError, soundfile.SoundFileError) as error:
        return str(error)
    finally:
        if os.path.exists(unfinished):
            os.unlink(unfinished)
    return None


def store_recordings(data_dir: str, folder: str, num_jobs: int) -> int:
    """Stores all recordings that parts cannot be read of; returns their number.

    Raises:
        InputError: one cannot be decoded or written; wav.scp stays as it was.
    """
    path = os.path.join(data_dir, "wav.scp")
    entries = {k.decode(): v.decode() for k, v in read_table(path).items()}
    folder = os.path.abspath(folder)
    new = {
        recording: stored_file(folder, recording, rxfilename)
        for recording, rxfilename in entries.items()
        if seekable_file(rxfilename) is None
    }
    jobs = [(entries[recording], file) for recording, file in new.items()]
    faults = [fault for fault in _run(jobs, num_jobs) if fault]
    if faults:
        shown = "; ".join(faults[:_NAMED])
        raise InputError(f"{len(faults)} of {len(jobs)} cannot be stored: {shown}")
    if new:
        write_table(path + ".pipes", read_table(path))
        stored = entries | new
        write_table(path, {k.encode(): stored[k].encode() for k in stored})
    return len(new)


def _run(jobs: list[tuple[str, str]], num_jobs: int) -> Iterator[str | None]:
    if not jobs:
        return
    try:
        with ProcessPoolExecutor(num_jobs) as pool:
            done = pool.map(store, jobs, chunksize=16)
            yield from tqdm.tqdm(done, total=len(jobs), desc="stored", disable=None)
    except BrokenProcessPool:
        raise InputError("a process was killed: out of memory? Lower --nj") from None


def main() -> int:
    """The files, or 1 and one line on stderr."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--nj", type=positive, default=4, help="processes (default 4)")
    parser.add_argument("data_dir")
    parser.add_argument("folder")
    args = parser.parse_args()
    try:
        number = store_recordings(args.data_dir, args.folder, args.nj)
    except (InputError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f"{args.data_dir}: {number} recordings stored in {args.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
