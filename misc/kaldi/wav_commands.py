"""Kaldi's commands for sound files: segments, durations, copying, augmentation."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_stream import open_or_fd
from dataset.kaldi_table import (
    RandomAccessReader,
    SequentialReader,
    TableWriter,
    are_tables,
)
from dataset.options import option
from dataset.reverberation import ReverberateOptions, apply_reverberation
from dataset.sph2pipe import parse_sph2pipe, read_part
from dataset.wav import Wave, read_wave, write_wave
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


@dataclasses.dataclass(frozen=True)
class SegmentOptions:
    """Options of extract-segments."""

    min_segment_length: float = option(
        0.1, "Leave out segments shorter than this (seconds)"
    )
    max_overshoot: float = option(
        0.5,
        "Cut segments that pass the end by up to this (seconds), leave out others",
    )


class _Segment(NamedTuple):
    """A line of a segments file; end -1: to the end; channel -1: not given."""

    key: str
    recording: str
    start: float
    end: float
    channel: int


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
                segment = _parse_segment(line.decode())
                if segment.recording not in reader:
                    raise InputError(f"no recording {segment.recording}")
                wave = reader[segment.recording]
                piece = _cut(wave, segment, options)
            except (InputError, UnicodeDecodeError) as error:
                warn(f"{segments}:{num_lines}: {error}; left out")
                continue
            if segment.channel < 0 and len(wave.samples) > 1:
                raise InputError(
                    f"{segments}:{num_lines}: recording {segment.recording} has "
                    f"{len(wave.samples)} channels, so the line must end with one"
                )
            writer.write(segment.key, piece)
            num_done += 1
    log(f"Cut {num_done} segments from {num_lines} lines of {segments}")
    return 0


def _parse_segment(line: str) -> _Segment:
    words = line.split()
    try:
        key, recording, start, end = (
            words[0],
            words[1],
            float(words[2]),
            float(words[3]),
        )
        channel = int(words[4]) if len(words) > 4 else -1
    except (IndexError, ValueError):
        words = []
    if len(words) not in (4, 5) or len(words) == 5 and channel < 0:
        raise InputError(
            f"expected 'segment recording start end [channel]', got '{line.rstrip()}'"
        )
    if not 0 <= start < (np.inf if end == -1 else end):
        raise InputError(f"segment {key}: no time from {start:g} s to {end:g} s")
    return _Segment(key, recording, start, end, channel)


def _cut(wave: Wave, segment: _Segment, options: SegmentOptions) -> Wave:
    """The samples of a segment; times are compared in single precision, as in Kaldi."""
    channels, length = wave.samples.shape
    seconds = np.float32(length) / np.float32(wave.rate)
    latest = float(seconds + np.float32(options.max_overshoot))
    shortest = float(np.float32(options.min_segment_length))
    duration = float(seconds)
    end = duration if segment.end == -1 else segment.end
    if segment.start > duration or end > latest:
        raise InputError(
            f"segment {segment.key}: {segment.start:g} s to {segment.end:g} s is not "
            f"in recording {segment.recording} of {wave.duration:g} s"
        )
    end = min(end, duration)
    first = int(segment.start * wave.rate + 0.5)
    last = min(int(end * wave.rate + 0.5), length)
    if end - segment.start < shortest or first >= last:
        raise InputError(
            f"segment {segment.key}: {end - segment.start:g} s is less than "
            f"--min-segment-length={options.min_segment_length:g}"
        )
    if segment.channel >= channels:
        raise InputError(
            f"segment {segment.key}: recording {segment.recording} has {channels} "
            "channels, counted from 0"
        )
    channel = max(segment.channel, 0)
    return Wave(wave.samples[channel : channel + 1, first:last], wave.rate)
