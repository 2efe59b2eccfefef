"""Pipelines of a wav.scp, run inside this process where all their programs are ours.

`flac -dcs a.flac | wav-reverberate --additive-signals='cat b.wav |' ... - - |` costs
two or three program starts for each utterance; here it costs none, and `flac` and `sox`
need not be installed. Known are:

- `cat FILE`;
- `flac` with `-d`, `-c` and `-s`, of FILE or `-`;
- `ffmpeg [-v LEVEL] [-nostdin] -i FILE -f wav -acodec pcm_s16le -`, with PyAV;
- `sox [-t TYPE] FILE [-r RATE] -t wav -`, also with the effect `speed FACTOR`;
- `wav-copy IN -` and `wav-reverberate [options] IN -`, unless the PATH has others than
  this project's.

Any other pipeline is left to the shell. Departures: whatever its extension says, a file
may be of any format that `dataset.wav.read_wave` knows; samples after `speed` or `-r`
differ a little from SoX's, whose low-pass filter is another one.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from dataset.errors import InputError
from dataset.ffmpeg import run_ffmpeg
from dataset.options import option, parse_options
from dataset.resampling import faster_length, play_faster
from dataset.wav import Noise, Wave, read_wave, reverberate, to_int16
from dataset.wave_cache import WaveCache

Program = Callable[[list[str], "Wave | None"], Wave]
"""What a program does with its arguments and its standard input."""

_CACHE_BYTES = 1 << 28
_SHELL_CHARACTERS = frozenset("$`*?[]{}~#!\\\n")
_SHELL_OPERATORS = frozenset("();<>|&")
_QUOTES_AND_OPERATORS = frozenset("'\"();<>&")


class _NotOurs(Exception):
    """A pipeline that only the shell understands."""


@dataclasses.dataclass(frozen=True)
class ReverberateOptions:
    """Options of Kaldi's wav-reverberate."""

    multi_channel_output: bool = option(
        False, "An output channel for each channel of the impulse response"
    )
    shift_output: bool = option(
        True,
        "Shift the output back by the delay of the impulse response's peak, and keep "
        "the length of the input; else the output is longer by the room",
    )
    input_wave_channel: int = option(0, "Channel of the input to use")
    rir_channel: int = option(0, "Channel of the impulse response to use")
    noise_channel: int = option(0, "Channel of the additive signals to use")
    impulse_response: str = option("", "Impulse response: a sound file or 'command |'")
    additive_signals: str = option(
        "", "Signals to add, separated by commas: sound files or 'command |'"
    )
    snrs: str = option("", "Their signal-to-noise ratios in dB, separated by commas")
    start_times: str = option("", "Where they start, in seconds, separated by commas")
    normalize_output: bool = option(True, "Scale the output to the power of the input")
    duration: float = option(
        0.0, "If not 0, cut or repeat the output to this length in seconds"
    )
    volume: float = option(
        0.0, "If not 0, scale the output by this, in place of --normalize-output"
    )


def run_pipe(rxfilename: str) -> Wave | None:
    """What `command |` writes, or None if the shell has to run it.

    Raises:
        InputError: a program of ours failed; the message has the pipeline.
    """
    try:
        stages = [_find_program(words) for words in _split_pipeline(rxfilename)]
        wave = None
        for program, arguments in stages:
            wave = program(arguments, wave)
        return wave
    except _NotOurs:
        return None
    except InputError as error:
        raise InputError(f"'{rxfilename}': {error}") from None


def plain_file(rxfilename: str) -> str | None:
    """The sound file that is all there is to `cat FILE |` or `flac -dcs FILE |`.

    None: of any other pipeline, which has to be run for its samples.
    """
    try:
        (name, *arguments), *others = _split_pipeline(rxfilename)
        if others or name not in _PASSING_ON:
            return None
        file = _PASSING_ON[name](arguments)
    except _NotOurs:
        return None
    return None if file == "-" else file


def apply_reverberation(wave: Wave, options: ReverberateOptions) -> Wave:
    """Kaldi's wav-reverberate on a waveform; the output has 16-bit precision.

    With `--shift-output` each channel is shifted by its own peak. Without, the output
    is longer by the room than the input, but ends with a repetition of its beginning,
    and is a sample shorter than the input if there is no room.

    Departures: sampling rates of an impulse response must match too.

    Raises:
        InputError: the options contradict each other or the signals.
    """
    signal = _channel(wave, options.input_wave_channel, "input")
    response = _load(options.impulse_response, wave.rate)
    noises = _load_noises(options, wave.rate)
    if not options.multi_channel_output:
        channels = [(options.rir_channel, options.noise_channel)]
    elif response is None:
        raise InputError("--multi-channel-output needs an --impulse-response")
    else:
        channels = [(i, i) for i in range(len(response.samples))]
    outputs = []
    for rir_channel, noise_channel in channels:
        room = None
        if response is not None:
            room = _channel(response, rir_channel, "impulse response")
        added = [
            Noise(_channel(noise, noise_channel, "additive signal"), snr, start)
            for noise, snr, start in noises
        ]
        outputs.append(_reverberate_channel(signal, wave.rate, room, added, options))
    return Wave(to_int16(np.stack(outputs)).astype(np.float32), wave.rate)


def _reverberate_channel(
    signal: np.ndarray,
    rate: int,
    room: np.ndarray | None,
    noises: list[Noise],
    options: ReverberateOptions,
) -> np.ndarray:
    output = reverberate(
        signal, rate, room, noises, options.normalize_output, options.volume
    )
    delay, length = 0, len(signal)
    if options.duration > 0:
        length = int(np.float32(rate) * np.float32(options.duration))
    elif not options.shift_output:
        length += (0 if room is None else len(room)) - 1
    if length < 1:
        raise InputError("the output would have no samples")
    if options.shift_output and room is not None:
        delay = int(np.argmax(room))
    return np.resize(output[delay : delay + len(signal)], length)


def _load_noises(
    options: ReverberateOptions, rate: int
) -> list[tuple[Wave, float, float]]:
    names = [name for name in options.additive_signals.split(",") if name.strip()]
    snrs = _parse_numbers(options.snrs, "--snrs")
    starts = _parse_numbers(options.start_times, "--start-times")
    if names and not len(names) == len(snrs) == len(starts):
        raise InputError(
            f"expected as many --snrs and --start-times as --additive-signals, "
            f"got {len(snrs)} and {len(starts)} for {len(names)}"
        )
    waves = [_load(name, rate) for name in names]
    return [
        (wave, snr, start)
        for wave, snr, start in zip(waves, snrs, starts, strict=False)
        if wave is not None
    ]


def _parse_numbers(text: str, name: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",") if word.strip()]
    except ValueError:
        raise InputError(
            f"expected numbers separated by commas in {name}, got '{text}'"
        ) from None


def _channel(wave: Wave, channel: int, what: str) -> np.ndarray:
    if not 0 <= channel < len(wave.samples):
        raise InputError(
            f"the {what} has {len(wave.samples)} channels, so no channel {channel}"
        )
    return wave.samples[channel]


_cache = WaveCache(_CACHE_BYTES)


def _load(rxfilename: str, rate: int) -> Wave | None:
    """An impulse response or additive signal; None for an empty name."""
    if not rxfilename.strip():
        return None
    wave = _cache.read(rxfilename)
    if wave.rate != rate:
        raise InputError(
            f"{rxfilename}: expected the sampling rate of the input, {rate} Hz, "
            f"got {wave.rate} Hz"
        )
    return wave


# The shell's part.


def _split_pipeline(rxfilename: str) -> list[list[str]]:
    """The words of each command of `command | command |`."""
    text = rxfilename.strip().removesuffix("|")
    if _SHELL_CHARACTERS.intersection(text):
        raise _NotOurs
    if _QUOTES_AND_OPERATORS.intersection(text):
        commands = _lex(text)
    else:  # as most are: in a twentieth of the time
        commands = [command.split() for command in text.split("|")]
    if not all(commands):
        raise _NotOurs
    return commands


def _lex(text: str) -> list[list[str]]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars="".join(_SHELL_OPERATORS))
    lexer.whitespace_split = True
    commands: list[list[str]] = [[]]
    for word in _words(lexer):
        if word == "|":
            commands.append([])
        elif word and _SHELL_OPERATORS.issuperset(word):
            raise _NotOurs
        else:
            commands[-1].append(word)
    return commands


def _words(lexer: shlex.shlex) -> Iterator[str]:
    try:
        yield from lexer
    except ValueError:  # an open quote: the shell will tell
        raise _NotOurs from None


def _find_program(words: list[str]) -> tuple[Program, list[str]]:
    name = words[0]
    if name not in _PROGRAMS or (name.startswith("wav-") and not _is_ours(name)):
        raise _NotOurs
    return _PROGRAMS[name], words[1:]


@functools.cache
def _is_ours(name: str) -> bool:
    """Whether the PATH leads to this project's command of that name, or to none."""
    path = shutil.which(name)
    return path is None or os.path.basename(os.path.realpath(path)) == "kaldi"


def _read_input(name: str, stdin: Wave | None) -> Wave:
    if name != "-":
        return read_wave(name)
    if stdin is None:
        raise _NotOurs
    return stdin


def _cat(arguments: list[str], stdin: Wave | None) -> Wave:
    return _read_input(_shown_file(arguments), stdin)


def _shown_file(arguments: list[str]) -> str:
    """What `cat` writes to its standard output."""
    names = arguments or ["-"]
    if len(names) > 1 or names[0].startswith("-") and names[0] != "-":
        raise _NotOurs
    return names[0]


def _flac(arguments: list[str], stdin: Wave | None) -> Wave:
    return _read_input(_decoded_file(arguments), stdin)


def _decoded_file(arguments: list[str]) -> str:
    """What `flac` decodes to its standard output."""
    long = {"--decode": "d", "--stdout": "c", "--silent": "s", "--totally-silent": "s"}
    files = [word for word in arguments if word == "-" or not word.startswith("-")]
    flags = {
        letter
        for word in arguments
        if word not in files
        for letter in long.get(word, word.removeprefix("-"))
    }
    if not {"d", "c"} <= flags <= {"d", "c", "s"} or len(files) > 1:
        raise _NotOurs
    return files[0] if files else "-"


def _ffmpeg(arguments: list[str], stdin: Wave | None) -> Wave:
    if (wave := run_ffmpeg(arguments)) is None:
        raise _NotOurs
    return wave


def _sox(arguments: list[str], stdin: Wave | None) -> Wave:
    words = list(arguments)
    while words and words[0] in ("-q", "-V0", "-V1", "-V2"):
        words.pop(0)
    _take_options(words, "-t")
    name = words.pop(0) if words else "-?"
    output = _take_options(words, "-t", "-r")
    if name.startswith("-") and name != "-" or words[:1] != ["-"]:
        raise _NotOurs
    factor = _parse_speed(words[1:])
    rate = output.get("-r", "").replace("k", "000")
    if output.get("-t") != "wav" or not (rate.isdecimal() or not rate):
        raise _NotOurs
    wave = _read_input(name, stdin)
    return _convert(wave, factor, int(rate) if rate else wave.rate)


def _take_options(words: list[str], *names: str) -> dict[str, str]:
    """Takes `-option value` pairs off the front of a command line."""
    taken = {}
    while len(words) > 1 and words[0] in names:
        taken[words[0]] = words[1]
        del words[:2]
    return taken


def _convert(wave: Wave, speed: Fraction, rate: int) -> Wave:
    ratio = Fraction(wave.rate) * speed / rate
    if ratio == 1:
        return Wave(wave.samples, rate)
    samples = [_play_faster(channel, ratio) for channel in wave.samples]
    return Wave(to_int16(np.round(samples)).astype(np.float32), rate)


def _play_faster(samples: np.ndarray, speed: Fraction) -> np.ndarray:
    end = faster_length(len(samples), speed)
    return play_faster(
        lambda begin, end: samples[begin:end], len(samples), speed, 0, end
    )


def _parse_speed(effect: list[str]) -> Fraction:
    """The factor of the effect `speed FACTOR`; 1 if there is no effect."""
    if not effect:
        return Fraction(1)
    try:
        factor = Fraction(effect[1]).limit_denominator(1000)
    except (IndexError, ValueError, ZeroDivisionError):
        raise _NotOurs from None
    if effect[0] != "speed" or len(effect) != 2 or factor <= 0:
        raise _NotOurs
    return factor


def _wav_copy(arguments: list[str], stdin: Wave | None) -> Wave:
    source, *output = arguments or ["-"]
    if output != ["-"] or source.startswith("--") or ":" in source:  # an archive?
        raise _NotOurs
    return _read_input(source, stdin)


def _wav_reverberate(arguments: list[str], stdin: Wave | None) -> Wave:
    options, standard, names = parse_options(ReverberateOptions, arguments)
    if len(names) != 2 or names[1] != "-" or standard.help:
        raise _NotOurs
    return apply_reverberation(_read_input(names[0], stdin), options)


_PROGRAMS: dict[str, Program] = {
    "cat": _cat,
    "ffmpeg": _ffmpeg,
    "flac": _flac,
    "sox": _sox,
    "wav-copy": _wav_copy,
    "wav-reverberate": _wav_reverberate,
}

_PASSING_ON: dict[str, Callable[[list[str]], str]] = {
    "cat": _shown_file,
    "flac": _decoded_file,
}
