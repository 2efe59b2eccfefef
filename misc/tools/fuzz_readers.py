#!/usr/bin/env python3
"""Feeds damaged files to every reader of archives and sound, with the fuzzer atheris.

usage: fuzz_readers.py [options of libFuzzer] corpus-folder
e.g.:  pip install atheris
       fuzz_readers.py -runs=1000000 -max_len=600 /tmp/corpus

The first byte of an input chooses the reader. A reader may return or raise InputError;
anything else, more memory than `_MEMORY` or more than ten seconds end the run, and the
input is kept as crash-*. Sound files other than RIFF are libsndfile's, which is not
fuzzed here.
"""

from __future__ import annotations

import io
import logging
import os
import resource
import sys
import tempfile
from collections.abc import Callable

import atheris

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, ROOT)

with atheris.instrument_imports(include=["dataset"]):
    import numpy as np

    from dataset import htk, kaldi_objects, wav
    from dataset.errors import InputError
    from dataset.feature_reader import FeatureReader
    from dataset.kaldi_io import read_entries, read_script
    from dataset.kaldi_range import parse_range
    from dataset.kaldi_specifier import parse_rspecifier, parse_wspecifier

_MEMORY = 1 << 29
"""Bytes that a reader may take beyond what the process has at the start."""

_FILE = os.path.join(tempfile.mkdtemp(dir="/dev/shm"), "input")


def _archive(read: Callable) -> Callable[[bytes], None]:
    def read_all(data: bytes) -> None:
        for _ in read_entries(io.BytesIO(data), read, "input"):
            pass

    return read_all


def _random_access(data: bytes) -> None:
    with open(_FILE, "wb") as stream:
        stream.write(data)
    reader = FeatureReader()
    rows, _ = reader.shape(_FILE)
    reader.read(_FILE, rows // 2)


def _riff(data: bytes) -> None:
    wav.read_wave(io.BytesIO(b"RIFF" + data))


def _script(data: bytes) -> None:
    for _ in read_script(io.BytesIO(data), "input"):
        pass


def _names(data: bytes) -> None:
    text = data.decode(errors="replace")
    for parse in (parse_rspecifier, parse_wspecifier):
        parse(text)
    parse_range(text, (100, 30))


READERS: list[Callable[[bytes], None]] = [
    *(
        _archive(getattr(kaldi_objects, f"read_{kind}"))
        for kind in ("matrix", "vector", "int_vector", "int", "number", "tokens")
    ),
    _archive(htk.read_htk),
    _random_access,
    _riff,
    _script,
    _names,
]


def _seeds() -> list[bytes]:
    """A valid input of each form, after the byte that chooses its reader."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((4, 3)).astype(np.float32)
    seeds = []

    def add(reader: int, write: Callable, *arguments: object) -> None:
        stream = io.BytesIO()
        write(stream, *arguments)
        entry = stream.getvalue()
        seeds.append(bytes([reader]) + b"a " + entry + b"b " + entry)
        if write is kaldi_objects.write_matrix:
            seeds.append(bytes([7]) + entry)

    for value in (matrix, matrix.astype(np.float64)):
        for binary in (True, False):
            add(0, kaldi_objects.write_matrix, value, binary)
            add(1, kaldi_objects.write_vector, value[0], binary)
    for method in range(1, 8):
        add(0, kaldi_objects.write_matrix, matrix, True, method)
    for binary in (True, False):
        add(2, kaldi_objects.write_int_vector, np.arange(3), binary)
        add(3, kaldi_objects.write_int, 5, binary)
        add(4, kaldi_objects.write_number, 0.5, binary)
    add(5, kaldi_objects.write_tokens, ["x", "y"], False)
    add(6, htk.write_htk, htk.HtkFeatures(matrix, 10.0, htk.MFCC))
    import soundfile

    for subtype in ("PCM_16", "PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"):
        for form in ("WAV", "WAVEX"):
            stream = io.BytesIO()
            soundfile.write(stream, matrix[:, :2], 8000, subtype, format=form)
            seeds.append(bytes([8]) + stream.getvalue()[4:])
    seeds.append(bytes([9]) + b"a x.ark:12[0:3,1]\nb gunzip -c y |\n")
    seeds += [bytes([10]) + text for text in (b"ark,s,cs:a", b"ark,scp,t:a,b", b"1:3,")]
    return seeds


def _one_input(data: bytes) -> None:
    if data:
        try:
            READERS[data[0] % len(READERS)](data[1:])
        except InputError:
            pass


def main() -> None:
    if len(sys.argv) < 2 or not os.path.isdir(sys.argv[-1]):
        sys.exit(__doc__)
    for number, seed in enumerate(_seeds()):
        with open(os.path.join(sys.argv[-1], f"seed-{number:03d}"), "wb") as stream:
            stream.write(seed)
    logging.disable(logging.CRITICAL)
    atheris.Setup([*sys.argv, "-timeout=10"], _one_input)
    with open("/proc/self/statm") as statm:
        taken = int(statm.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + _MEMORY, taken + _MEMORY))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
