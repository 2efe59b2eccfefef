"""What the headers of sound files say, read by processes and threads.

Only the first bytes of each file are looked at; processes, as libsndfile takes a tenth
of a millisecond for that, with threads, as a disk far away takes longer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import NamedTuple

import tqdm

from dataset.errors import InputError

BY_FFMPEG = (".m4a", ".mp4", ".aac")
EXTENSIONS = (".wav", ".flac", ".ogg", ".opus", ".mp3", *BY_FFMPEG, ".sph")
_BATCH = 1024  # files that a process is given at a time
_THREADS = 4  # of each process


class Header(NamedTuple):
    """What the header of a sound file says."""

    rate: int
    channels: int
    seconds: float


def read_headers(paths: Iterable[str], num_jobs: int) -> dict[str, Header | str]:
    """The header of each file, or in its place what is wrong with the file.

    Raises:
        InputError: a process was killed.
    """
    unique = list(dict.fromkeys(paths))
    batches = [unique[i : i + _BATCH] for i in range(0, len(unique), _BATCH)]
    try:
        with ProcessPoolExecutor(num_jobs) as pool:
            read = tqdm.tqdm(
                pool.map(_read_batch, batches),
                total=len(batches),
                desc="headers",
                disable=None,
            )
            return dict(zip(unique, (h for batch in read for h in batch), strict=True))
    except BrokenProcessPool:
        raise InputError("a process was killed: out of memory? Lower --nj") from None


def _read_batch(paths: list[str]) -> list[Header | str]:
    size = -(-len(paths) // _THREADS)
    parts = [paths[i : i + size] for i in range(0, len(paths), size)]
    with ThreadPoolExecutor(_THREADS) as pool:
        read = pool.map(lambda part: [_read_header(path) for path in part], parts)
        return [header for part in read for header in part]


def _read_header(path: str) -> Header | str:
    import soundfile

    try:
        if os.path.getsize(path) == 0:
            return "empty files"
        extension = os.path.splitext(path)[1].lower()
        if extension in BY_FFMPEG:
            return _read_media(path)
        if extension == ".sph":
            return _read_sphere(path)
        with soundfile.SoundFile(path) as sound:  # .info() asks for more
            rate, channels, frames = sound.samplerate, sound.channels, sound.frames
    except OSError as error:
        return f"files that cannot be opened: {error.strerror}"
    except soundfile.SoundFileError as error:
        return f"files that are no sound: {str(error).rpartition(': ')[2].rstrip('.')}"
    if frames <= 0:
        return "files without samples"
    return Header(rate, channels, frames / rate)


def _read_media(path: str) -> Header | str:
    """What FFmpeg's libraries know, by PyAV."""
    import av

    try:
        with av.open(path) as container:
            if not container.streams.audio:
                return "files without sound"
            stream = container.streams.audio[0]
            seconds = (container.duration or 0) / av.time_base
            if seconds <= 0:
                return "files that do not tell their length: convert them to wav"
            return Header(stream.rate, stream.channels, seconds)
    except av.FFmpegError as error:
        return f"files that are no sound: {error.strerror}"


def _read_sphere(path: str) -> Header | str:
    """NIST SPHERE, whatever its samples are coded in: sph2pipe knows shorten, too."""
    with open(path, "rb") as stream:
        text = stream.read(1024).decode("latin-1")
    fields = dict(re.findall(r"^(\w+) -\w+ (\S+)", text, re.MULTILINE))
    try:
        rate, count = int(fields["sample_rate"]), int(fields["sample_count"])
        channels = int(fields.get("channel_count", 1))
    except (KeyError, ValueError):
        return "files without a header of NIST SPHERE"
    if rate < 1 or count < 1:
        return "files without samples"
    return Header(rate, channels, count / rate)
