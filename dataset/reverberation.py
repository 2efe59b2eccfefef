"""What Kaldi's wav-reverberate does: a room, and additive signals, for a waveform."""

from __future__ import annotations

import dataclasses

import numpy as np

from dataset.errors import InputError
from dataset.options import option
from dataset.wav import Noise, Wave, reverberate, to_int16
from dataset.wave_cache import WaveCache

_CACHE_BYTES = 1 << 28


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
