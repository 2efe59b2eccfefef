"""The samples of utterances one after the other, however their recordings are named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from dataset.errors import InputError, Unusable
from dataset.kaldi_io import read_script
from dataset.kaldi_specifier import parse_rspecifier
from dataset.kaldi_stream import located, open_or_fd
from dataset.kaldi_table import SequentialReader
from dataset.utterance_table import read_pairs
from dataset.wav import Wave, read_wave, read_wave_file
from dataset.wave_segments import Segment, check_channels, cut_segment, parse_segment

UNREADABLE, NOT_THERE = "not readable", "no such segment"
"""Why an utterance is `Unusable`."""

Entries = Iterator[tuple[str, Wave | Unusable]]


def read_waves(sources: Sequence[str]) -> Entries:
    """Each utterance and its samples, or why there are none.

    Args:
        sources: a table (`scp:...`, `ark:...`, a file *.scp), a data directory (its
            segments, if there are some), or sound files, whose key is their name
            without folder and extension.

    Raises:
        InputError: a table is missing or malformed, an archive broken; two files would
            have the same key.
    """
    if len(sources) == 1:
        [source] = sources
        if os.path.isdir(source):
            return _read_directory(source)
        specifier = parse_rspecifier(source)
        if specifier is None and source.endswith(".scp"):
            return _read_script(source)
        if specifier is not None and specifier.forms == ("scp",):
            return _read_script(specifier.filename)
        if specifier is not None:
            return iter(SequentialReader(source, "wave"))
    return _read_files(_by_key(sources))


def _by_key(paths: Sequence[str]) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in paths:
        key = os.path.splitext(os.path.basename(path))[0]
        if key in files:
            raise InputError(
                f"{files[key]} and {path} would both be utterance {key}: name them in "
                "a wav.scp"
            )
        if key.split() != [key]:
            raise InputError(
                f"'{path}': an utterance's name is one word: name it in a wav.scp"
            )
        files[key] = path
    return files


def _read_files(files: dict[str, str]) -> Entries:
    for key, path in files.items():
        yield key, _attempt(read_wave_file, path)


def _read_script(rxfilename: str) -> Entries:
    with open_or_fd(rxfilename) as lines:
        for key, recording in read_script(lines, rxfilename):
            yield key, _attempt(read_wave, recording)


def _read_directory(directory: str) -> Entries:
    recordings = os.path.join(directory, "wav.scp")
    segments = os.path.join(directory, "segments")
    if os.path.exists(segments):
        return _read_segments(segments, dict(read_pairs(recordings)), recordings)
    return _read_script(recordings)


def _read_segments(path: str, recordings: dict[str, str], table: str) -> Entries:
    last: str | None = None
    with open_or_fd(path) as lines:
        for number, line in enumerate(lines, 1):
            with located(f"{path}:{number}"):
                segment = parse_segment(line.decode(errors="replace"))
                if segment.recording not in recordings:
                    raise InputError(
                        f"recording {segment.recording} is not in {table}; mend the "
                        "data directory (fix_data_dir.sh)"
                    )
            if segment.recording != last:  # those of one mostly follow one another
                last = segment.recording
                wave = _attempt(read_wave, recordings[last])
            yield segment.key, _part(wave, segment)


def _part(wave: Wave | Unusable, segment: Segment) -> Wave | Unusable:
    if isinstance(wave, Unusable):
        return wave
    try:
        check_channels(wave, segment)
        return cut_segment(wave, segment)
    except InputError as error:
        return Unusable(str(error), NOT_THERE)


def _attempt(read: Callable[[str], Wave], name: str) -> Wave | Unusable:
    try:
        return read(name)
    except (InputError, OSError) as error:
        return Unusable(str(error), UNREADABLE)
