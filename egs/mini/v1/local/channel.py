"""What lies between a mouth and a file: microphone, room noise, level.

All sounds are float arrays at RATE; `rng` is the only source of chance.
"""

from __future__ import annotations

import math

import numpy as np
import scipy.fft

RATE = 16000  # Hz
SPREAD = 4.5  # dB, of a microphone's response
SNR = (10.0, 30.0)  # dB
ORDERS = 6  # cosines of a response


def resample(samples: np.ndarray, rate: int, target: int = RATE) -> np.ndarray:
    """From `rate` down to `target`, by cutting the spectrum."""
    if rate == target:
        return samples
    step = math.gcd(rate, target)
    up, down = target // step, rate // step
    blocks = scipy.fft.next_fast_len(-(-len(samples) // down) + 1, real=True)
    spectrum = scipy.fft.rfft(samples, blocks * down)
    resampled = scipy.fft.irfft(spectrum[: blocks * up // 2 + 1], blocks * up)
    return resampled[: len(samples) * up // down] * (up / down)


def sample_response(rng: np.random.Generator, spread_db: float) -> np.ndarray:
    """A random smooth frequency response in dB at 129 points from 0 to RATE / 2.

    A sum of cosines over the mel scale, slow ones strongest: tilt and broad bumps.
    """
    mel = np.log1p(np.linspace(0, RATE / 2, 129) / 700)
    position = mel / mel[-1]
    response = np.zeros_like(position)
    for order in range(1, ORDERS):
        strength = rng.normal(0, spread_db / order)
        response += strength * np.cos(np.pi * order * position)
    return response


def band_limits(low: float, high: float) -> np.ndarray:
    """Gains in dB at the same points: 24 dB an octave beyond each limit (Hz)."""
    frequency = np.linspace(0, RATE / 2, 129).clip(1)
    below = np.log2(frequency / low).clip(max=0)
    above = np.log2(high / frequency).clip(max=0)
    return (24 * (below + above)).clip(min=-60)


def apply_response(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Filters without delay. `response`: dB at equal steps from 0 to RATE / 2."""
    size = scipy.fft.next_fast_len(len(samples) + RATE // 10, real=True)
    spectrum = scipy.fft.rfft(samples, size)
    points = np.linspace(0, 1, len(response))
    decibels = np.interp(np.linspace(0, 1, len(spectrum)), points, response)
    return scipy.fft.irfft(spectrum * 10 ** (decibels / 20), size)[: len(samples)]


def add_at_snr(speech: np.ndarray, noise: np.ndarray, snr: float) -> np.ndarray:
    """The sum of two sounds of one length, their powers `snr` dB apart."""
    gain = np.sqrt(power(speech) / power(noise)) * 10 ** (-snr / 20)
    return speech + gain * noise


def power(samples: np.ndarray) -> float:
    """Mean square."""
    return float(np.mean(np.square(samples)))


def record(rng: np.random.Generator, speech: np.ndarray) -> np.ndarray:
    """Speech as one random microphone in one random noise takes it: floats, below 1."""
    response = sample_response(rng, SPREAD)
    limits = band_limits(rng.uniform(40, 200), rng.uniform(4000, 8000))
    speech = apply_response(speech, response + limits)
    noise = apply_response(
        rng.standard_normal(len(speech)), sample_response(rng, 8.0) + limits
    )
    sound = add_at_snr(speech, noise, rng.uniform(*SNR))
    level = 10 ** (rng.uniform(-32, -18) / 20) / np.sqrt(power(sound))
    return sound * min(level, 0.9 / np.abs(sound).max())
