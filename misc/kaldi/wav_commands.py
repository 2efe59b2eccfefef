"""Kaldi's commands for sound files: segments, durations, copying, augmentation."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_stream import located, open_or_fd
from dataset.kaldi_table import (
    RandomAccessReader,
    SequentialReader,
    TableWriter,
    are_tables,
)
from dataset.options import option
from dataset.reverberation import ReverberateOptions, apply_reverberation
from dataset.sph2pipe import parse_sph2pipe, read_part
from dataset.wav import read_wave, write_wave
from dataset.wave_segments import (
    SegmentOptions,
    check_channels,
    cut_segment,
    parse_segment,
)
from misc.kaldi.command import command, log, warn
from misc.kaldi.table_loop import transform_table


@command(
    "wav-reverberate",
    """
Puts a sound into a room and adds noises to it.

Usage: wav-reverberate [options...] <wav-in-rxfilename> <wav-out-wxfilename>
e.g.: wav-reverberate --impulse-response="flac -dcs rir.flac |" \\
        --additive-signals=noise1.wav,noise2.wav --snrs=20,15 \\
        --start-times=0,17.8 input.wav output.wav
""",
    ReverberateOptions,
    (2, 2),
)
def wav_reverberate(options: ReverberateOptions, source: str, target: str) -> int:
    """The command wav-reverberate."""
    wave = apply_reverberation(read_wave(source), options)
    write_wave(target, wave.samples, wave.rate)
    return 0


@command(
    "wav-copy",
    """
Copies sound files, or archives of them, as 16-bit PCM.

Usage: wav-copy <wav-rspecifier> <wav-wspecifier>
  or:  wav-copy <wav-rxfilename> <wav-wxfilename>
e.g.: wav-copy scp:wav.scp ark:-
      wav-copy wav.ark:123456 -
""",
    num_args=(2, 2),
)
def wav_copy(options: Any, source: str, target: str) -> int:
    """The command wav-copy."""
    if not are_tables(source, target):
        wave = read_wave(source)
        write_wave(target, wave.samples, wave.rate)
        return 0
    with (
        SequentialReader(source, "wave") as reader,
        TableWriter(target, "wave") as writer,
    ):
        num_done, num_failed = transform_table(
            reader, writer.write, lambda key, wave: wave
        )
    log(f"Copied {num_done} sound files; {num_failed} failed")
    return 0 if num_done else 1


@command(
    "sph2pipe",
    """
Writes a NIST SPHERE file, also a Shorten-compressed one, as 16-bit wav: what LDC's
program of this name does with these options. Without outfile, to the standard output.

Usage: sph2pipe -f wav -p [-c 1|2] [-t begin:end] <infile> [<outfile>]
e.g.: sph2pipe -f wav -p -c 1 call.sph | wav-copy - call_a.wav
""",
    num_args=(1, None),
)
def sph2pipe(options: Any, *arguments: str) -> int:
    """The command sph2pipe."""
    wanted = parse_sph2pipe(arguments)
    wave = read_part(wanted)
    write_wave(wanted.target, wave.samples, wave.rate)
    return 0


@dataclasses.dataclass(frozen=True)
class DurationOptions:
    """Options of wav-to-duration."""

    read_entire_file: bool = option(
        False, "For compatibility: sound files are always read to the end"
    )


@command(
    "wav-to-duration",
    """
Durations of sound files in seconds.

Usage: wav-to-duration [options...] <wav-rspecifier> <duration-wspecifier>
e.g.: wav-to-duration scp:wav.scp ark,t:utt2dur
""",
    DurationOptions,
    (2, 2),
)
def wav_to_duration(
    options: DurationOptions, wav_rspecifier: str, duration_wspecifier: str
) -> int:
    """The command wav-to-duration."""
    durations: list[float] = []
    with (
        SequentialReader(wav_rspecifier, "wave") as reader,
        TableWriter(duration_wspecifier, "float") as writer,
    ):

        def write(key: str, duration: float) -> None:
            writer.write(key, duration)
            durations.append(duration)

        num_done, num_failed = transform_table(
            reader, write, lambda key, wave: wave.duration
        )
    log(f"Wrote the durations of {num_done} sound files; {num_failed} failed")
    if durations:
        log(
            f"Mean duration was {np.mean(durations):g} s, shortest "
            f"{min(durations):g} s, longest {max(durations):g} s"
        )
    return 0 if num_done else 1


@command(
    "extract-segments",
    """
Cuts segments out of recordings. A line of the segments file is
  segment-id recording-id start-seconds end-seconds [channel]
where an end of -1 is the end of the recording.

Usage: extract-segments [options] <wav-rspecifier> <segments-file> <wav-wspecifier>
e.g.: extract-segments scp:wav.scp segments ark:-
""",
    SegmentOptions,
    (3, 3),
)
def extract_segments(
    options: SegmentOptions, wav_rspecifier: str, segments: str, wav_wspecifier: str
) -> int:
    """The command extract-segments."""
    num_lines = num_done = 0
    with (
        RandomAccessReader(wav_rspecifier, "wave") as reader,
        open_or_fd(segments) as lines,
        TableWriter(wav_wspecifier, "wave") as writer,
    ):
        for line in lines:
            num_lines += 1
            try:
                segment = parse_segment(line.decode())
                if segment.recording not in reader:
                    raise InputError(f"no recording {segment.recording}")
                wave = reader[segment.recording]
                piece = cut_segment(wave, segment, options)
            except (InputError, UnicodeDecodeError) as error:
                warn(f"{segments}:{num_lines}: {error}; left out")
                continue
            with located(f"{segments}:{num_lines}"):
                check_channels(wave, segment)
            writer.write(segment.key, piece)
            num_done += 1
    log(f"Cut {num_done} segments from {num_lines} lines of {segments}")
    return 0
