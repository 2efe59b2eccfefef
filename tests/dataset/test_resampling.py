"""Resampling and change of speed against their definition."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.resampling import faster_length, play_faster, resample


def slow_resample(samples, rate, new_rate, zeros):
    """Sums over all samples with the interpolation filter as a function of time."""
    cutoff = 0.99 * 0.5 * min(rate, new_rate)
    times = np.arange(len(samples)) / rate
    resampled = []
    while len(resampled) / new_rate < len(samples) / rate:
        away = times - len(resampled) / new_rate
        window = 0.5 * (1 + np.cos(2 * np.pi * cutoff / zeros * away))
        weights = np.where(np.abs(away) < zeros / (2 * cutoff), window, 0.0)
        weights *= 2 * cutoff * np.sinc(2 * cutoff * away) / rate
        resampled.append(weights @ samples)
    return np.array(resampled)


@given(
    length=st.integers(1, 200),
    rates=st.sampled_from([(16, 8), (8, 16), (9, 10), (11, 10), (48, 16), (441, 160)]),
)
@settings(deadline=None, max_examples=60)
def test_resample_by_definition(length, rates):
    samples = np.random.default_rng(length).normal(size=length)
    np.testing.assert_allclose(
        resample(samples, *rates),
        slow_resample(samples, *rates, 6),
        atol=2e-6,
    )


def test_resample_keeps_low_and_removes_high_tones():
    time = np.arange(16000) / 16000
    low = resample(np.sin(2 * np.pi * 1000 * time), 16000, 8000)
    np.testing.assert_allclose(
        low[50:-50], np.sin(2 * np.pi * 1000 * time[::2])[50:-50], atol=5e-3
    )
    high = resample(np.sin(2 * np.pi * 6000 * time), 16000, 8000)
    assert np.abs(high[50:-50]).max() < 1e-2


@given(
    length=st.integers(1, 400),
    speed=st.sampled_from(["9/10", "11/10", "2", "1/3", "441/160", "997/1000"]),
    data=st.data(),
)
@settings(deadline=None, max_examples=60)
def test_any_part_of_a_faster_signal_by_definition(length, speed, data):
    speed = Fraction(speed)
    samples = np.random.default_rng(length).normal(size=length).astype(np.float32)
    end = data.draw(st.integers(1, faster_length(length, speed)))
    begin = data.draw(st.integers(0, end - 1))
    read = []

    def reader(first, last):
        assert 0 <= first < last <= length
        read.append(last - first)
        return samples[first:last]

    part = play_faster(reader, length, speed, begin, end)
    rates = speed.numerator, speed.denominator
    whole = slow_resample(samples, *rates, 32)
    assert len(whole) == faster_length(length, speed)
    np.testing.assert_allclose(part, whole[begin:end], atol=5e-6)
    assert part.dtype == np.float32


def test_no_more_is_read_than_is_needed():
    read = []

    def reader(first, last):
        read.append(last - first)
        return np.ones(last - first, np.float32)

    play_faster(reader, 100_000, Fraction(9, 10), 50_000, 60_000)
    assert 9000 < sum(read) < 9500


@pytest.mark.parametrize("speed", [Fraction(1), Fraction(9, 10), Fraction(11, 10)])
def test_tone_gets_higher(speed):
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    faster = play_faster(lambda a, b: tone[a:b], 16000, speed, 2000, 12000)
    expected = np.sin(2 * np.pi * 1000 * float(speed) * np.arange(2000, 12000) / 16000)
    np.testing.assert_allclose(faster, expected, atol=2e-3)
