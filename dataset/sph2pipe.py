"""What LDC's program sph2pipe does: a channel of a NIST SPHERE file as a waveform."""

from __future__ import annotations

import getopt
from collections.abc import Sequence
from typing import NamedTuple

from dataset.errors import InputError
from dataset.wav import Wave, read_wave

_USE = "known is: -f wav -p [-c 1|2] [-t begin:end] infile [outfile]"


class Sph2pipeOptions(NamedTuple):
    """A command line of sph2pipe: files, channel from 0, times in seconds."""

    source: str
    target: str
    channel: int | None
    begin: float
    end: float | None


def parse_sph2pipe(arguments: Sequence[str]) -> Sph2pipeOptions:
    """The command line `-f wav -p [-c 1|2] [-t [begin]:[end]] infile [outfile]`.

    Departures: other formats than 16-bit wav, and `-s`, `-h`, `-u`, `-a`, are refused.

    Raises:
        InputError: it is another one.
    """
    try:
        pairs, files = getopt.getopt(list(arguments), "pf:c:t:")
    except getopt.GetoptError as error:
        raise InputError(f"{error}; {_USE}") from None
    options = dict(pairs)
    if options.get("-f", "").lower()[:3] not in ("wav", "rif") or "-p" not in options:
        raise InputError(f"expected -f wav and -p; {_USE}")
    if not 1 <= len(files) <= 2:
        raise InputError(f"expected one or two files, got {len(files)}; {_USE}")
    if options.get("-c", "1") not in ("1", "2"):
        raise InputError(f"-c: expected 1 or 2, got '{options['-c']}'")
    try:
        begin, end = options.get("-t", ":").split(":")
        times = float(begin or 0), float(end) if end else None
    except ValueError:
        raise InputError(
            f"-t: expected 'begin:end' in seconds, got '{options['-t']}'"
        ) from None
    channel = int(options["-c"]) - 1 if "-c" in options else None
    return Sph2pipeOptions(files[0], (*files, "-")[1], channel, *times)


def read_part(options: Sph2pipeOptions) -> Wave:
    """What sph2pipe writes: one channel or all, from begin to end.

    As there, `-c` has no effect on a file with one channel.

    Raises:
        InputError: the file cannot be read, or the times are not in it.
    """
    samples, rate = read_wave(options.source)
    begin = int(options.begin * rate)
    end = samples.shape[1] if options.end is None else int(options.end * rate)
    if not 0 <= begin < min(end, samples.shape[1]):
        raise InputError(
            f"{options.source}: no time from {options.begin:g} s to {end / rate:g} s "
            f"in {samples.shape[1] / rate:g} s"
        )
    if options.channel is not None and len(samples) > 1:
        samples = samples[options.channel : options.channel + 1]
    return Wave(samples[:, begin:end], rate)
