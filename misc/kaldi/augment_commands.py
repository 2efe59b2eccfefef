"""steps/data/augment_data_dir.py and reverberate_data_dir.py: noisy copies of data.

Nothing is computed here: the copy's wav.scp has pipelines, which run when features are
made. The copy keeps vad.scp, as it has the frames of the original.
"""

from __future__ import annotations

import math
import os
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from dataset import data_dir
from dataset.errors import InputError
from dataset.options import option
from dataset.text_table import Table, read_table, show
from misc.kaldi.augment import (
    NoisePlan,
    RoomPlan,
    Signal,
    chance,
    check_source,
    noisy,
    reverberated,
    split_list_line,
    weighted,
)
from misc.kaldi.command import command, log, warn
from misc.kaldi.length_commands import LengthOptions, recording_seconds

# What was measured of the sound as it was.
_NOT_COPIED = ("feats.scp", "cmvn.scp", "utt2num_frames", "utt2dur", "reco2dur")


@dataclass(frozen=True)
class AugmentOptions:
    fg_snrs: str = option("20:10:0", "SNRs of foreground noises, in dB")
    bg_snrs: str = option("20:10:0", "SNRs of background noises, in dB")
    num_bg_noises: str = option("1", "How many background noises at once, such as 1:2")
    fg_interval: float = option(0, "Seconds from one foreground noise to the next")
    utt_suffix: str = option("aug", "Put after the ids, with a hyphen")
    random_seed: int = option(123, "Random seed")
    bg_noise_dir: str = option("", "Data directory of background noises")
    fg_noise_dir: str = option("", "Data directory of foreground noises")


@command(
    "augment_data_dir.py",
    """
Copies a data directory with noise added: background noises last as long as the
recording, several at once (music, babble), foreground noises come one after another.

Usage: steps/data/augment_data_dir.py [options] <in-data-dir> <out-data-dir>
 e.g.: steps/data/augment_data_dir.py --utt-suffix noise --fg-interval 1 \\
         --fg-snrs 15:10:5:0 --fg-noise-dir data/musan_noise data/train data/train_noise
""",
    AugmentOptions,
    (2, 2),
)
def augment_data_dir(options: AugmentOptions, source: str, destination: str) -> int:
    if not options.bg_noise_dir and not options.fg_noise_dir:
        raise InputError("expected --fg-noise-dir or --bg-noise-dir, got neither")
    if not 0 <= options.fg_interval < math.inf:
        raise InputError(f"--fg-interval must not be below 0: {options.fg_interval:g}")
    plan = NoisePlan(
        read_noises(options.bg_noise_dir, needs_seconds=False),
        _numbers("--bg-snrs", options.bg_snrs),
        _counts("--num-bg-noises", options.num_bg_noises),
        read_noises(options.fg_noise_dir, needs_seconds=True),
        _numbers("--fg-snrs", options.fg_snrs),
        options.fg_interval,
    )
    seconds = _seconds(source)

    def add_noise(key: bytes, value: bytes, renaming: data_dir.Renaming) -> bytes:
        rng = chance(options.random_seed, os.fsdecode(key))
        entry = noisy(os.fsdecode(value), _of(seconds, key, source), plan, rng)
        return os.fsencode(entry)

    suffix = (b"", os.fsencode(f"-{options.utt_suffix}" if options.utt_suffix else ""))
    renaming = data_dir.Renaming(utterance=suffix, recording=suffix)
    _copy(source, destination, [renaming], add_noise)
    return 0


@dataclass(frozen=True)
class ReverberateDirOptions:
    repeatable: ClassVar = ("rir_set_parameters", "noise_set_parameters")

    rir_set_parameters: str = option("", "'<list>' or '<weight>, <list>'; repeatable")
    noise_set_parameters: str = option("", "'<list>' or '<weight>, <list>'; repeatable")
    num_replications: int = option(1, "Copies to make")
    foreground_snrs: str = option("20:10:0", "SNRs of foreground noises, in dB")
    background_snrs: str = option("20:10:0", "SNRs of background noises, in dB")
    prefix: str = option("", "Put before the ids, with the number of the copy")
    speech_rvb_probability: float = option(1.0, "Of putting the speech into a room")
    pointsource_noise_addition_probability: float = option(1.0, "Of point noises")
    isotropic_noise_addition_probability: float = option(1.0, "Of a room's own noise")
    rir_smoothing_weight: float = option(0.3, "Of equal probabilities, for responses")
    noise_smoothing_weight: float = option(0.3, "Of equal probabilities, for noises")
    max_noises_per_minute: int = option(2, "Point noises for a minute of speech")
    random_seed: int = option(0, "Random seed")
    shift_output: bool = option(True, "Take back the room's delay; keep the length")
    source_sampling_rate: int = option(
        0, "If set, what is at another rate is resampled"
    )
    include_original_data: bool = option(False, "The original is one more copy")


@command(
    "reverberate_data_dir.py",
    """
Copies a data directory into rooms, by impulse responses, if wanted with noises.
A line of an RIR list: --rir-id <id> --room-id <room> [--probability <p>] <file>.
A line of a noise list: --noise-id <id> --noise-type isotropic|point-source
[--bg-fg-type background|foreground] [--room-linkage <room>] [--probability <p>] <file>.
Without --prefix, one copy keeps its ids.

Usage: steps/data/reverberate_data_dir.py [options] <in-data-dir> <out-data-dir>
 e.g.: steps/data/reverberate_data_dir.py --rir-set-parameters "0.5, rooms/rir_list" \\
         --pointsource-noise-addition-probability 0 data/train data/train_rvb
""",
    ReverberateDirOptions,
    (2, 2),
)
def reverberate_data_dir(
    options: ReverberateDirOptions, source: str, destination: str
) -> int:
    _check(options)
    plan = _room_plan(options)
    needs_seconds = bool(plan.point_noises or plan.isotropic_noises)
    seconds = _seconds(source) if needs_seconds else {}

    def put_into_room(key: bytes, value: bytes, renaming: data_dir.Renaming) -> bytes:
        if renaming.copy == 0:
            return value
        rng = chance(options.random_seed, os.fsdecode(key), renaming.copy)
        length = _of(seconds, key, source) if needs_seconds else 0.0
        return os.fsencode(reverberated(os.fsdecode(value), length, plan, rng))

    _copy(source, destination, _renamings(options), put_into_room)
    return 0


def _check(options: ReverberateDirOptions) -> None:
    if not options.rir_set_parameters:
        raise InputError("--rir-set-parameters is needed; see --help")
    for name, least in (("num_replications", 1), ("max_noises_per_minute", 0)):
        if (value := getattr(options, name)) < least:
            raise InputError(f"{_spelt(name)} {value}: expected >= {least}")
    for name in vars(options):
        if name.endswith(("_probability", "_weight")):
            _share(_spelt(name), str(getattr(options, name)))


def _spelt(name: str) -> str:
    return "--" + name.replace("_", "-")


def _share(where: str, text: str) -> float:
    """A probability or a weight."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise InputError(f"{where}: expected a number from 0 to 1, got '{text}'")
    return number


def _renamings(options: ReverberateDirOptions) -> list[data_dir.Renaming]:
    prefix = options.prefix
    several = options.num_replications > 1 or options.include_original_data
    if several and not prefix:
        prefix = "rvb"
        warn("--prefix is set to rvb, as there are several copies")
    renamings = [data_dir.Renaming()] if options.include_original_data else []
    for copy in range(1, options.num_replications + 1):
        affix = (os.fsencode(f"{prefix}{copy}-") if prefix else b"", b"")
        renamings.append(data_dir.Renaming(affix, affix, affix, copy))
    return renamings


def _room_plan(options: ReverberateDirOptions) -> RoomPlan:
    rate = options.source_sampling_rate
    responses = _read_sets(
        "--rir-set-parameters",
        options.rir_set_parameters,
        _parse_response,
        options.rir_smoothing_weight,
        rate,
    )
    noises = _read_sets(
        "--noise-set-parameters",
        options.noise_set_parameters,
        _parse_noise,
        options.noise_smoothing_weight,
        rate,
    )
    log(f"{len(responses)} impulse responses, {len(noises)} noises")
    return RoomPlan(
        responses,
        [noise for noise in noises if not noise.room],
        [noise for noise in noises if noise.room],
        _numbers("--foreground-snrs", options.foreground_snrs),
        _numbers("--background-snrs", options.background_snrs),
        options.speech_rvb_probability,
        options.pointsource_noise_addition_probability,
        options.isotropic_noise_addition_probability,
        options.max_noises_per_minute,
        options.shift_output,
    )


Parser = Callable[[dict[str, str], str], Signal]


def _read_sets(
    name: str, parameters: str, parse: Parser, smoothing: float, rate: int
) -> list[Signal]:
    """The signals of all lists, each list with its share of the probability."""
    sets = [_parse_set(name, text) for text in parameters.splitlines()]
    if not sets:
        return []
    empty = [Signal(path, path) for path, _ in sets]
    signals: list[Signal] = []
    for listed in weighted(empty, [share for _, share in sets], 0, 1, name):
        found, given = _read_list(listed.source, parse, rate)
        shares = weighted(found, given, smoothing, listed.probability, listed.source)
        signals += shares
    return signals


def _parse_set(name: str, text: str) -> tuple[str, float | None]:
    share, comma, path = text.rpartition(",")
    where = f"{name} '{text}' (which is '<weight>, <list>' or '<list>')"
    return path.strip(), _share(where, share) if comma else None


def _read_list(
    path: str, parse: Parser, rate: int
) -> tuple[list[Signal], list[float | None]]:
    try:
        with open(path) as stream:
            lines = stream.read().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    signals: list[Signal] = []
    given: list[float | None] = []
    for number, line in enumerate(lines, 1):
        where = f"{path}:{number}"
        options, words = split_list_line(line, where)
        if not words:
            raise InputError(f"{where}: expected options and a file, got '{line}'")
        signal = replace(parse(options, where), source=" ".join(words))
        check_source(signal, where)
        signals.append(_at_rate(signal, rate))
        text = options.get("probability")
        given.append(None if text is None else _share(f"{where}: --probability", text))
    if not signals:
        raise InputError(f"{path} is empty")
    return signals, given


def _parse_response(options: dict[str, str], where: str) -> Signal:
    for name in ("rir-id", "room-id"):
        if name not in options:
            raise InputError(f"{where}: --{name} is missing")
    return Signal(options["rir-id"], "", room=options["room-id"])


def _parse_noise(options: dict[str, str], where: str) -> Signal:
    kind, span = options.get("noise-type"), options.get("bg-fg-type", "background")
    if kind not in ("isotropic", "point-source"):
        raise InputError(f"{where}: --noise-type is isotropic or point-source: {kind}")
    if span not in ("background", "foreground"):
        raise InputError(f"{where}: --bg-fg-type is background or foreground: {span}")
    room = options.get("room-linkage", "")
    if bool(room) != (kind == "isotropic"):
        raise InputError(
            f"{where}: --room-linkage is for isotropic noises, which need it"
        )
    name = options.get("noise-id", where)
    return Signal(name, "", room=room, background=span == "background")


def _at_rate(signal: Signal, rate: int) -> Signal:
    """The signal, through sox if its sampling rate is another one.

    Departs from Kaldi, which sends everything through sox: a file at the right rate
    stays a file.
    """
    if not rate:
        return signal
    if signal.is_pipe:
        source = f"{signal.source} sox -t wav - -r {rate} -t wav - |"
        return replace(signal, source=source)
    if _rate_of(signal.source) == rate:
        return signal
    return replace(signal, source=f"sox {signal.source} -r {rate} -t wav - |")


def _rate_of(path: str) -> int | None:
    try:
        with wave.open(path) as stream:
            return stream.getframerate()
    except (wave.Error, EOFError):
        return None  # not PCM: sox knows


def read_noises(directory: str, needs_seconds: bool) -> list[Signal]:
    """The noises of a data directory, in order; none if there is no directory."""
    if not directory:
        return []
    require(directory, "wav.scp")
    path = os.path.join(directory, "wav.scp")
    table = read_table(path)
    if not table:
        raise InputError(f"{path} is empty")
    noises = {key: Signal(show(key), os.fsdecode(v)) for key, v in table.items()}
    for noise in noises.values():
        check_source(noise, path)
    if not needs_seconds:
        return list(noises.values())
    seconds = _seconds(directory)
    return [
        replace(noise, seconds=_of(seconds, key, directory))
        for key, noise in noises.items()
    ]


def _seconds(directory: str) -> Table:
    """Recording -> seconds: reco2dur, or made from utt2dur, or measured."""
    require(directory, "wav.scp")
    return recording_seconds(directory, LengthOptions())


def require(directory: str, name: str) -> None:
    """Raises InputError if a data directory lacks a table."""
    if not os.path.isfile(os.path.join(directory, name)):
        raise InputError(f"no such file: {directory}/{name}")


def _of(seconds: Table, key: bytes, directory: str) -> float:
    try:
        length = float(seconds[key])
    except (KeyError, ValueError):
        length = 0.0
    if not 0 < length < float("inf"):
        raise InputError(
            f"{directory}: the duration of {show(key)} is missing or not above zero in "
            "reco2dur (or utt2dur); utils/data/get_reco2dur.sh makes it"
        )
    return length


def _copy(
    source: str,
    destination: str,
    renamings: Sequence[data_dir.Renaming],
    change: data_dir.Change,
) -> None:
    require(source, "wav.scp")
    changes: dict[str, data_dir.Change | None] = dict.fromkeys(_NOT_COPIED)
    data_dir.copy(source, destination, renamings, changes | {"wav.scp": change})
    copied = len(data_dir.read_speakers(destination))
    log(f"{destination}: {copied} utterances from {source}")


def _numbers(name: str, text: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.split(":")]
    except ValueError:
        numbers = [math.nan]
    if not all(map(math.isfinite, numbers)):
        raise InputError(f"{name}: expected numbers such as 20:10:0, got '{text}'")
    return numbers


def _counts(name: str, text: str) -> list[int]:
    numbers = _numbers(name, text)
    if any(number < 1 or number != int(number) for number in numbers):
        raise InputError(f"{name}: expected counts such as 1:2, got '{text}'")
    return [int(number) for number in numbers]
