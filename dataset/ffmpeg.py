"""Sound in containers that libsndfile does not know, such as VoxCeleb2's m4a.

They are decoded by PyAV (the package `av`, FFmpeg's libraries within), where it is
installed: the program `ffmpeg` takes a tenth of a second to start, ten times what it
takes to decode an utterance.
"""

from __future__ import annotations

import importlib.util
import shutil

import numpy as np

from dataset.errors import InputError
from dataset.wav import Wave

_WITH_A_VALUE = {"-v", "-loglevel", "-threads"}
_ALONE = {"-nostdin", "-hide_banner", "-y"}
_OUTPUTS = [
    ["-f", "wav", *codec, output]
    for codec in (["-acodec", "pcm_s16le"], ["-c:a", "pcm_s16le"], [])
    for output in ("-", "pipe:1")
]


def run_ffmpeg(arguments: list[str]) -> Wave | None:
    """What `ffmpeg` with these arguments writes, if PyAV can do it; else None.

    It can do `[-v LEVEL] [-nostdin] -i FILE -f wav -acodec pcm_s16le -`.

    Raises:
        InputError: the file cannot be decoded; neither PyAV nor the program is there.
    """
    words = list(arguments)
    while words and words[0] in _WITH_A_VALUE | _ALONE:
        del words[: 2 if words[0] in _WITH_A_VALUE else 1]
    if len(words) < 3 or words[0] != "-i" or words[2:] not in _OUTPUTS:
        return None
    if importlib.util.find_spec("av") is not None:
        return read_media(words[1])
    if shutil.which("ffmpeg") is None:
        raise InputError(
            "neither the Python package 'av' nor the program 'ffmpeg' is installed: "
            "'pip install av' gives the former"
        )
    return None


def read_media(path: str) -> Wave:
    """The first audio stream of a file.

    Returns:
        16-bit precision, with the file's channels and rate. Of AAC a sample may differ
        by 1 from that of another version of FFmpeg.

    Raises:
        InputError: it is missing, no media file, cut short, or has no audio.
    """
    import av

    try:
        with av.open(path) as container:
            if not container.streams.audio:
                raise InputError(f"{path}: no audio stream in the file")
            stream = container.streams.audio[0]
            to_16_bits = av.AudioResampler(format="s16p")
            frames = [
                part.to_ndarray()
                for frame in container.decode(stream)
                for part in to_16_bits.resample(frame)
            ]
            rate = int(stream.codec_context.sample_rate)
    except (OSError, av.FFmpegError) as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    if not frames:
        raise InputError(f"{path}: no samples in the sound file")
    return Wave(np.concatenate(frames, axis=1).astype(np.float32), rate)
