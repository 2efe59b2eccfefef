"""Other sampling rates and other speeds, by a windowed sinc (src/feat/resample.cc)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dataset.float32_product import float32_dot, unthreaded_product

_KALDI_ZEROS = 6
_SPEED_ZEROS = 32  # sharper: this makes training data

_OUTPUTS = 1 << 12
"""Samples resampled at once: what stays in the cache."""

_GROUP = 32
"""Outputs that are the columns of one product of matrices."""


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Resamples [n] to [ceil(n * new_rate / rate)], float32.

    Interpolation with a windowed sinc that is cut after 6 zero crossings on each side,
    below 99 % of the smaller Nyquist frequency: Kaldi's ResampleWaveform, in its single
    precision.
    """
    divisor = math.gcd(rate, new_rate)
    down, up = rate // divisor, new_rate // divisor
    cutoff = np.float32(0.99 * 0.5 * min(rate, new_rate))
    reach = _KALDI_ZEROS / (2 * float(cutoff)) * rate  # in input samples
    taps = math.floor(2 * reach) + 1
    length = -(-len(samples) * up // down)
    before = math.floor(reach)
    padded = np.pad(np.asarray(samples, np.float32), (before, before + taps + down))
    windows = sliding_window_view(padded, taps)
    resampled = np.empty(length, np.float32)
    for phase in range(min(up, length)):
        first = math.ceil(phase * down / up - reach)
        times = ((first + np.arange(taps)) / rate - phase / new_rate).astype(np.float32)
        weights = _filter(times, cutoff, _KALDI_ZEROS) / np.float32(rate)
        outputs, rows = resampled[phase::up], windows[first + before :: down]
        for start in range(0, len(outputs), _OUTPUTS):
            part = slice(start, min(start + _OUTPUTS, len(outputs)))
            outputs[part] = float32_dot(weights, rows[part].T)
    return resampled


def faster_length(length: int, speed: Fraction) -> int:
    """Samples of a signal of `length` samples that is played `speed` times as fast."""
    return -(-length * speed.denominator // speed.numerator)


def play_faster(
    read: Callable[[int, int], np.ndarray],
    length: int,
    speed: Fraction,
    begin: int,
    end: int,
) -> np.ndarray:
    """Samples `begin` to `end` of a signal played `speed` times as fast, float32.

    Pitch changes too, as by sox' effect `speed`. The filter is that of `resample`, cut
    after 32 zero crossings. Only the samples that are needed are read; the signal is
    zero outside.

    Args:
        read: gives the samples of the signal from one place to another.
        length: samples of the signal.
        speed: a ratio of small integers.
        begin, end: within [0, faster_length(length, speed)].
    """
    if speed == 1:
        return read(begin, end)
    period = _period(speed)
    first = begin // period.outputs
    count = -(-end // period.outputs) - first
    start = first * period.inputs - period.before
    padded = np.zeros((count - 1) * period.inputs + period.span, np.float32)
    low, high = max(start, 0), min(start + len(padded), length)
    if low < high:
        padded[low - start : high - start] = read(low, high)
    output = np.empty((count, period.outputs), np.float32)
    for offset, column, weights in period.groups:
        taps, width = weights.shape
        rows = sliding_window_view(padded[offset:], taps)[:: period.inputs][:count]
        output[:, column : column + width] = unthreaded_product(rows, weights)
    return output.ravel()[begin - first * period.outputs :][: end - begin]


class _Period(NamedTuple):
    """So many input samples for so many output samples, and how these come of those.

    Attributes:
        before: samples needed before a period; span: from there to the last one needed.
        groups: (first input sample, from there; first output sample; filter values
            [inputs, outputs]).
    """

    inputs: int
    outputs: int
    before: int
    span: int
    groups: list[tuple[int, int, np.ndarray]]


@functools.lru_cache(maxsize=8)
def _period(speed: Fraction) -> _Period:
    """The shortest period of a speed that has outputs for a whole group."""
    repeats = -(-_GROUP // speed.denominator)
    inputs, outputs = repeats * speed.numerator, repeats * speed.denominator
    cutoff = np.float32(0.99 * 0.5 / max(1.0, float(speed)))  # in cycles a sample
    reach = _SPEED_ZEROS / (2 * float(cutoff))
    before = math.ceil(reach)
    groups = []
    for column in range(0, outputs, _GROUP):
        times = np.arange(column, min(column + _GROUP, outputs)) * float(speed)
        first = math.ceil(times[0] - reach)
        last = math.floor(times[-1] + reach)
        distances = np.arange(first, last + 1)[:, None] - times
        weights = _filter(distances.astype(np.float32), cutoff, _SPEED_ZEROS)
        groups.append((first + before, column, weights))
    span = max(offset + len(weights) for offset, _, weights in groups)
    return _Period(inputs, outputs, before, span, groups)


def _filter(times: np.ndarray, cutoff: np.float32, zeros: int) -> np.ndarray:
    """The windowed sinc at times in seconds, for a cutoff in Hz; float32."""
    exact, frequency = times.astype(np.float64), float(cutoff)
    hann = 0.5 * (1 + np.cos(2 * np.pi * frequency / zeros * exact))
    hann[np.abs(exact) >= zeros / (2 * frequency)] = 0.0
    sinc = 2 * frequency * np.sinc(2 * frequency * exact)
    return sinc.astype(np.float32) * hann.astype(np.float32)
