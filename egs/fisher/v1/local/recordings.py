"""Recordings become a data directory: safe names, checked headers, Kaldi's tables.

What the make_data_*.py beside it have in common.
"""

from __future__ import annotations

import argparse
import functools
import logging
import os
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from safe_names import fingerprint, safe, speaker_names, utterance_names
from sound_headers import BY_FFMPEG, EXTENSIONS, Header, read_headers

from dataset.data_dir import ALL_TABLES, write_speakers
from dataset.errors import InputError
from dataset.text_table import write_lines, write_table

_NAMED = 3  # recordings of each fault that are shown
_SLACK = 0.5  # s that a segment may end after its recording

_log = logging.getLogger("recordings")


class Utterance(NamedTuple):
    """What a folder or a table says of an utterance.

    Attributes:
        where: its place for messages: a path, or file and line.
        name: what the utterance is called, below its speaker; any characters.
        channel: from 1; 0: of a recording with one channel.
        times: first and last second, or None for the whole recording.
        gender: m, f or nothing.
    """

    where: str
    path: str
    speaker: str
    name: str
    channel: int = 0
    times: tuple[float, float] | None = None
    gender: str = ""


class Faults:
    """What cannot be used, by reason."""

    def __init__(self) -> None:
        self.of: dict[str, list[str]] = {}

    def add(self, reason: str, where: str) -> None:
        self.of.setdefault(reason, []).append(where)

    def __str__(self) -> str:
        shown = []
        for reason, places in self.of.items():
            names = ", ".join(places[:_NAMED]) + (", ..." * (len(places) > _NAMED))
            shown.append(f"{len(places)} {reason} ({names})")
        return "; ".join(shown)

    def lines(self) -> Iterator[bytes]:
        for reason, places in self.of.items():
            for where in places:
                yield os.fsencode(f"{where}\t{reason}\n")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that all make_data_*.py have."""
    parser.add_argument(
        "--rate",
        type=positive,
        default=16000,
        help="Hz of the recordings (default 16000)",
    )
    parser.add_argument(
        "--resample",
        action="store_true",
        help="bring recordings of higher rates to it, by sox in wav.scp",
    )
    parser.add_argument(
        "--leave-out-bad",
        action="store_true",
        help="do without what cannot be used: told of, and listed in left_out",
    )
    parser.add_argument(
        "--nj", type=positive, default=2, help="processes that read headers (default 2)"
    )


def positive(text: str) -> int:
    """A whole number from 1, as an option's value."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got '{text}'")
    return int(text)


def run(parser: argparse.ArgumentParser, find: Callable[..., list[Utterance]]) -> int:
    """The main function of a make_data_*.py: `find` lists what its arguments name."""
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        make_data_dir(
            find(args),
            args.data_dir,
            args.rate,
            args.resample,
            args.leave_out_bad,
            args.nj,
        )
    except (InputError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    return 0


def make_data_dir(
    utterances: Sequence[Utterance],
    data_dir: str,
    rate: int,
    resample: bool = False,
    leave_out_bad: bool = False,
    num_jobs: int = 2,
) -> None:
    """Writes wav.scp, utt2spk, spk2utt and what else is known.

    That is: utt2dur, `segments` and reco2dur if an utterance has times, spk2gender if
    all genders are known, spk2name for the speakers whose name had to be changed.

    Raises:
        InputError: something cannot be used, unless that is left out; or nothing is.
    """
    faults = Faults()
    headers = read_headers((u.path for u in utterances), num_jobs)
    _tell_rates(headers.values())
    usable = [u for u in utterances if _is_usable(u, headers, rate, resample, faults)]
    speakers = speaker_names({u.speaker for u in usable})
    named = _named(usable, speakers, faults)
    if faults.of and not leave_out_bad:
        number = sum(map(len, faults.of.values()))
        raise InputError(
            f"{number} of {len(utterances)} utterances cannot be used: {faults}. Mend "
            "or remove them, or do without: --leave-out-bad"
        )
    if not named:
        raise InputError(f"no recording that can be used is left: {faults}")
    genders = _genders(usable, speakers)
    os.makedirs(data_dir, exist_ok=True)
    _remove_tables(data_dir)
    if faults.of:
        _log.warning("left out, and listed in %s/left_out: %s", data_dir, faults)
        write_lines(os.path.join(data_dir, "left_out"), faults.lines())
    known = {path: h for path, h in headers.items() if isinstance(h, Header)}
    _write(data_dir, named, speakers, genders, known, rate)
    _log.info("%s: %d utterances of %d speakers", data_dir, len(named), len(speakers))


def _tell_rates(headers: Iterable[Header | str]) -> None:
    known = [h for h in headers if isinstance(h, Header)]
    rates, channels = Counter(h.rate for h in known), Counter(h.channels for h in known)
    for rate, number in sorted(rates.items()):
        _log.info("%d recordings at %d Hz", number, rate)
    for count, number in sorted(channels.items()):
        if count > 1:
            _log.info("%d recordings with %d channels", number, count)


def _is_usable(
    utterance: Utterance,
    headers: Mapping[str, Header | str],
    rate: int,
    resample: bool,
    faults: Faults,
) -> bool:
    header = headers[utterance.path]
    reason = header if isinstance(header, str) else None
    if isinstance(header, Header):
        reason = _bad_path(utterance.path)
        if reason is None:
            reason = (
                _bad_rate(header.rate, rate, resample)
                or _bad_channel(header.channels, utterance.channel)
                or _bad_times(header.seconds, utterance.times)
            )
    if reason is not None:
        faults.add(reason, utterance.where)
    return reason is None


def _bad_path(path: str) -> str | None:
    extension = os.path.splitext(path)[1].lower()
    if extension not in EXTENSIONS:
        return f"with an extension that is not one of {' '.join(EXTENSIONS)}"
    if "\n" in path or "\r" in path:
        return "with a line break in the name of the file"
    program = "sph2pipe" if extension == ".sph" else ""
    if extension in BY_FFMPEG and os.environ.get("KALDI_ROOT"):
        program = "ffmpeg"  # our own commands decode by PyAV
    if program and not _is_there(program):
        return f"files that {program} must decode, which is not on the PATH: install it"
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return "with a file name that is not UTF-8"
    return None


@functools.cache
def _is_there(program: str) -> bool:
    return shutil.which(program) is not None


def _bad_rate(is_rate: int, rate: int, resample: bool) -> str | None:
    if is_rate < rate:
        return (
            f"at {is_rate} Hz, below the {rate} Hz asked for: --rate {is_rate} "
            "--resample takes all there is down to it"
        )
    if is_rate > rate and not resample:
        return f"at {is_rate} Hz, not {rate} Hz: --resample brings them to it"
    return None


def _bad_channel(channels: int, channel: int) -> str | None:
    if channel > channels:
        return f"without a channel {channel}, as the recordings have {channels}"
    if channels > 1 and not channel:
        return (
            f"in recordings of {channels} channels: which one? (from 1: --channel, or "
            "a column of the table)"
        )
    return None


def _bad_times(seconds: float, times: tuple[float, float] | None) -> str | None:
    if times is not None and times[1] > seconds + _SLACK:
        return "which end after their recordings"
    return None


def _named(
    utterances: Sequence[Utterance], speakers: Mapping[str, str], faults: Faults
) -> dict[str, Utterance]:
    """Utterances by safe name; what comes a second time is a fault."""
    named: dict[str, Utterance] = {}
    names = utterance_names([(speakers[u.speaker], u.name) for u in utterances])
    for name, utterance in zip(names, utterances, strict=True):
        if name in named:
            faults.add(f"of the same name as {named[name].where}", utterance.where)
        else:
            named[name] = utterance
    return named


def _genders(
    utterances: Sequence[Utterance], speakers: Mapping[str, str]
) -> dict[str, str]:
    """The gender of each speaker; nothing if one is not known."""
    genders: dict[str, str] = {}
    for utterance in utterances:
        name = speakers[utterance.speaker]
        gender = genders.setdefault(name, utterance.gender)
        if gender != utterance.gender:
            raise InputError(
                f"{utterance.where}: speaker {utterance.speaker} has the gender "
                f"'{utterance.gender}' here, and '{gender}' before"
            )
    unknown = sum(not gender for gender in genders.values())
    if 0 < unknown < len(genders):
        _log.warning("%d speakers have no gender: none is written", unknown)
    return {} if unknown else genders


# Tables


def _entry(path: str, header: Header, channel: int, rate: int) -> str:
    """A line of wav.scp after its key: the file, or programs that decode it."""
    file, extension = shlex.quote(path), os.path.splitext(path)[1].lower()
    commands = {
        ".wav": [],
        ".flac": [f"flac -dcs {file}"],
        ".sph": [f"sph2pipe -f wav -p -c {channel or 1} {file}"],
    }.get(extension, [f"sox {file} -t wav -"])
    if extension in BY_FFMPEG:
        commands = [f"ffmpeg -nostdin -v 8 -i {file} -f wav -acodec pcm_s16le -"]
    if header.channels > 1 and extension != ".sph":
        source = "-" if commands else file
        commands.append(
            f"wav-reverberate --input-wave-channel={channel - 1} {source} -"
        )
    if header.rate != rate:
        commands.append(f"sox -t wav {'-' if commands else file} -r {rate} -t wav -")
    return " | ".join(commands) + " |" if commands else path


def _write(
    data_dir: str,
    named: Mapping[str, Utterance],
    speakers: Mapping[str, str],
    genders: Mapping[str, str],
    headers: Mapping[str, Header],
    rate: int,
) -> None:
    tables: dict[str, dict[str, str]] = {"wav.scp": {}}
    durations: dict[str, float] = {}
    recordings: dict[str, float] = {}
    cut = any(u.times is not None for u in named.values())
    for name, utterance in named.items():
        header = headers[utterance.path]
        path = os.path.abspath(utterance.path)
        recording = _recording_name(path, utterance.channel) if cut else name
        entry = _entry(path, header, utterance.channel, rate)
        tables["wav.scp"][recording] = entry
        recordings[recording] = durations[name] = header.seconds
        if cut:
            start, end = utterance.times or (0.0, header.seconds)
            end = min(end, header.seconds)
            tables.setdefault("segments", {})[name] = (
                f"{recording} {start:.3f} {end:.3f}"
            )
            durations[name] = end - start
    tables["utt2dur"] = {n: f"{s:.3f}" for n, s in durations.items()}
    if cut:
        tables["reco2dur"] = {n: f"{s:.3f}" for n, s in recordings.items()}
    if genders:
        tables["spk2gender"] = dict(genders)
    changed = {name: true for true, name in speakers.items() if name != true}
    if changed:
        tables["spk2name"] = changed
        _log.info(
            "%d speakers have other names, in letters that are safe: see %s/spk2name",
            len(changed),
            data_dir,
        )
    for table, rows in tables.items():
        encoded = {n.encode(): rows[n].encode() for n in sorted(rows)}
        write_table(os.path.join(data_dir, table), encoded)
    utt2spk = {n.encode(): speakers[named[n].speaker].encode() for n in sorted(named)}
    write_speakers(data_dir, utt2spk)


def _recording_name(path: str, channel: int) -> str:
    """Of a recording with several utterances: of its file, and unlike all others."""
    stem = safe(os.path.splitext(os.path.basename(path))[0], "-")
    return f"{stem}-{fingerprint(path)}" + (f"-{channel}" if channel else "")


def _remove_tables(data_dir: str) -> None:
    """What another preparation left must not be taken for a part of this one."""
    for name in (*ALL_TABLES, "utt2spk", "spk2utt", "spk2name", "left_out"):
        path = os.path.join(data_dir, name)
        if os.path.isfile(path):
            os.unlink(path)
