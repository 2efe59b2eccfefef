"""Pipelines of a wav.scp, run inside this process where all their programs are ours.

`flac -dcs a.flac | wav-reverberate --additive-signals='cat b.wav |' ... - - |` costs
two or three program starts for each utterance; here it costs none, and `flac` and `sox`
need not be installed. Known are:

- `cat FILE`;
- `flac` with `-d`, `-c` and `-s`, of FILE or `-`;
- `ffmpeg [-v LEVEL] [-nostdin] -i FILE -f wav -acodec pcm_s16le -`, with PyAV;
- `sox [-t TYPE] FILE [-r RATE] -t wav -`, also with the effect `speed FACTOR`;
- `wav-copy IN -`, `wav-reverberate [options] IN -` and `sph2pipe -f wav -p [-c 1|2]
  [-t begin:end] FILE`, unless the PATH has others than this project's.

Any other pipeline is left to the shell. Departures: whatever its extension says, a file
may be of any format that `dataset.wav.read_wave` knows; samples after `speed` or `-r`
differ a little from SoX's, whose low-pass filter is another one.
"""

from __future__ import annotations

import functools
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np

from dataset.errors import InputError
from dataset.ffmpeg import run_ffmpeg
from dataset.options import parse_options
from dataset.resampling import faster_length, play_faster
from dataset.reverberation import ReverberateOptions, apply_reverberation
from dataset.sph2pipe import parse_sph2pipe, read_part
from dataset.wav import Wave, read_wave, to_int16

Program = Callable[[list[str], "Wave | None"], Wave]
"""What a program does with its arguments and its standard input."""

_SHELL_CHARACTERS = frozenset("$`*?[]{}~#!\\\n")
_SHELL_OPERATORS = frozenset("();<>|&")
_QUOTES_AND_OPERATORS = frozenset("'\"();<>&")


class _NotOurs(Exception):
    """A pipeline that only the shell understands."""


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
    kaldis = name.startswith(("wav-", "sph2pipe"))
    if name not in _PROGRAMS or (kaldis and not _is_ours(name)):
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


def _sph2pipe(arguments: list[str], stdin: Wave | None) -> Wave:
    options = parse_sph2pipe(arguments)
    if options.target != "-":
        raise _NotOurs
    return read_part(options)


_PROGRAMS: dict[str, Program] = {
    "cat": _cat,
    "ffmpeg": _ffmpeg,
    "flac": _flac,
    "sox": _sox,
    "sph2pipe": _sph2pipe,
    "wav-copy": _wav_copy,
    "wav-reverberate": _wav_reverberate,
}

_PASSING_ON: dict[str, Callable[[list[str]], str]] = {
    "cat": _shown_file,
    "flac": _decoded_file,
}
