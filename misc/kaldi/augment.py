"""Plans of augmentation: what is done to each recording, as a pipeline of wav.scp.

The pipelines are those of Kaldi's steps/data/augment_data_dir.py (Snyder et al.,
X-vectors, ICASSP 2018, section 3.3) and steps/data/reverberate_data_dir.py (Ko et al.,
A study on data augmentation of reverberant speech, ICASSP 2017). Departs from both in
that random choices belong to (seed, recording, copy): a recording gets the same noise
whatever else is in the directory, and SNRs are drawn instead of taken in turn.
"""

from __future__ import annotations

import math
import os
import random
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from dataset.errors import InputError


@dataclass(frozen=True)
class Signal:
    """A noise or an impulse response: an entry of wav.scp."""

    name: str
    source: str
    seconds: float = 0.0
    room: str = ""
    probability: float = 1.0
    background: bool = True

    @property
    def is_pipe(self) -> bool:
        return self.source.endswith("|")


@dataclass
class Additions:
    """Signals that are added to a recording: the options of wav-reverberate."""

    sources: list[str] = field(default_factory=list)
    snrs: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)

    def add(self, source: str, snr: float, start: float) -> None:
        self.sources.append(source)
        self.snrs.append(snr)
        self.starts.append(start)

    def options(self) -> str:
        if not self.sources:
            return ""
        return (
            f"--additive-signals='{','.join(self.sources)}' "
            f"--start-times='{','.join(f'{x:.6g}' for x in self.starts)}' "
            f"--snrs='{','.join(f'{x:g}' for x in self.snrs)}'"
        )


@dataclass(frozen=True)
class NoisePlan:
    """What augment_data_dir.py adds.

    Attributes:
        background: noises that last as long as the recording; several at once.
        foreground: noises that come one after another, `interval` seconds apart.
    """

    background: Sequence[Signal] = ()
    background_snrs: Sequence[float] = ()
    numbers: Sequence[int] = (1,)
    foreground: Sequence[Signal] = ()
    foreground_snrs: Sequence[float] = ()
    interval: float = 0.0


@dataclass(frozen=True)
class RoomPlan:
    """What reverberate_data_dir.py does: see its options."""

    responses: Sequence[Signal]
    point_noises: Sequence[Signal] = ()
    isotropic_noises: Sequence[Signal] = ()
    foreground_snrs: Sequence[float] = ()
    background_snrs: Sequence[float] = ()
    speech_probability: float = 1.0
    point_probability: float = 1.0
    isotropic_probability: float = 1.0
    noises_per_minute: int = 2
    shift_output: bool = True


def chance(seed: int, recording: str, copy: int = 0) -> random.Random:
    """The random numbers of one copy of a recording."""
    return random.Random(f"{seed} {copy} {recording}")


def noisy(source: str, seconds: float, plan: NoisePlan, rng: random.Random) -> str:
    """A recording with noise as an entry of wav.scp."""
    additions = Additions()
    if plan.background:
        for _ in range(rng.choice(plan.numbers)):
            noise = rng.choice(plan.background)
            snr = rng.choice(plan.background_snrs)
            additions.add(_lasting(noise.source, seconds), snr, 0)
    start = 0.0
    while plan.foreground and start < seconds:
        noise = rng.choice(plan.foreground)
        additions.add(noise.source, rng.choice(plan.foreground_snrs), start)
        start += noise.seconds + plan.interval
    return _through(source, "--shift-output=true " + additions.options())


def reverberated(
    source: str, seconds: float, plan: RoomPlan, rng: random.Random
) -> str:
    """A recording in a room, and perhaps with noises in it, as an entry of wav.scp."""
    rooms = _by_room(plan.responses)
    weights = [sum(r.probability for r in own) for own in rooms.values()]
    room = rng.choices(list(rooms), weights)[0]
    response = _pick(rooms[room], rng)
    options = [f"--shift-output={str(plan.shift_output).lower()}"]
    if rng.random() < plan.speech_probability:
        options.append(f"--impulse-response={_quoted(response.source)}")
    additions = Additions()
    isotropic = [noise for noise in plan.isotropic_noises if noise.room == room]
    if isotropic and rng.random() < plan.isotropic_probability:
        noise = _pick(isotropic, rng)
        snr = rng.choice(plan.background_snrs)
        additions.add(_lasting(noise.source, seconds), snr, 0)
    most = math.floor(plan.noises_per_minute * seconds / 60)
    if plan.point_noises and most and rng.random() < plan.point_probability:
        for _ in range(rng.randint(1, most)):
            _add_point_noise(additions, rooms[room], seconds, plan, rng)
    options += [additions.options()] if additions.sources else []
    return _through(source, " ".join(options)) if len(options) > 1 else source


def _add_point_noise(
    additions: Additions,
    responses: Sequence[Signal],
    seconds: float,
    plan: RoomPlan,
    rng: random.Random,
) -> None:
    noise = _pick(plan.point_noises, rng)
    options = f"--impulse-response={_quoted(_pick(responses, rng).source)}"
    if noise.background:
        options += f" --duration={seconds:.6g}"
        start, snrs = 0.0, plan.background_snrs
    else:
        start, snrs = round(rng.random() * seconds, 2), plan.foreground_snrs
    additions.add(_through(noise.source, options), rng.choice(snrs), start)


def _lasting(source: str, seconds: float) -> str:
    """A noise that is repeated or cut to a length."""
    return f"wav-reverberate --duration={seconds:.6g} {_quoted(source)} - |"


def _through(source: str, options: str) -> str:
    if source.endswith("|"):
        return f"{source} wav-reverberate {options} - - |"
    return f"wav-reverberate {options} {_quoted(source)} - |"


def _quoted(source: str) -> str:
    """In double quotes, which may stand within the single ones of a list of signals."""
    escaped = re.sub(r'(["$`\\])', r"\\\1", source)
    return f'"{escaped}"'


Weighted = TypeVar("Weighted", bound=Signal)


def _pick(signals: Sequence[Weighted], rng: random.Random) -> Weighted:
    return rng.choices(signals, [signal.probability for signal in signals])[0]


def _by_room(responses: Sequence[Signal]) -> Mapping[str, list[Signal]]:
    rooms: dict[str, list[Signal]] = {}
    for response in responses:
        rooms.setdefault(response.room, []).append(response)
    return rooms


def smooth(
    given: Sequence[float | None],
    weight: float = 0.0,
    total: float = 1.0,
    where: str = "",
) -> list[float]:
    """Probabilities that sum to `total`, as Kaldi's reverberate_data_dir.py has them.

    Those not given share equally what the others leave; those given are drawn towards
    that share by `weight`.

    Raises:
        InputError: they sum to zero; `where` says which.
    """
    rest = 1 - sum(p for p in given if p is not None)
    number = sum(p is None for p in given)
    share = rest / number if number and rest > 0 else 0.0
    mixed = [share if p is None else (1 - weight) * p + weight * share for p in given]
    scale = sum(mixed)
    if scale <= 0:
        raise InputError(f"{where}: the probabilities sum to zero")
    return [total * p / scale for p in mixed]


def split_list_line(line: str, where: str) -> tuple[dict[str, str], list[str]]:
    """The options and the words after them of a line of an rir_list or noise_list.

    Raises:
        InputError: a quote is not closed; `where` says which line it is.
    """
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None
    options = {}
    while len(words) > 1 and words[0].startswith("--"):
        name, equals, value = words.pop(0)[2:].partition("=")
        options[name] = value if equals else words.pop(0)
    return options, words


def check_source(signal: Signal, where: str) -> None:
    """Refuses what is not there, or cannot stand within --additive-signals='...,...'.

    Raises:
        InputError: there is no such file, or the source holds quotes or a comma.
    """
    path = re.sub(r":\d+$", "", signal.source)  # without an offset into an archive
    if not signal.is_pipe and not os.path.isfile(path):
        raise InputError(f"{where}: {signal.name}: no such file: {path}")
    for character in "',\"":
        if character in signal.source:
            raise InputError(
                f"{where}: {signal.name}: a noise or impulse response becomes part of "
                f"a quoted list, and must not contain {character}: {signal.source}"
            )


def weighted(
    signals: Sequence[Signal],
    given: Sequence[float | None],
    weight: float,
    total: float,
    where: str,
) -> list[Signal]:
    """The signals with their probabilities: see `smooth`."""
    return [
        replace(signal, probability=p)
        for signal, p in zip(signals, smooth(given, weight, total, where), strict=True)
    ]
