"""Mel bin energies by the fastest transform at hand: within rounding, not Kaldi's bits.

For features that are made anew each time and never stored: six times as fast as
`dataset.mel_energies`. Of speech without dither the cepstra differ by at most 0.002,
where a band is nearly silent, and there Kaldi's are not more exact.
"""

from __future__ import annotations

import functools

import numpy as np

from dataset.float32_product import unthreaded_product
from dataset.mel_energies import (
    FrameOptions,
    cut_frames,
    filterbank,
    log_of_energy,
    prepare_waveform,
)

_BLOCK = 128  # frames: what stays in the cache


def fast_mel_energies(
    samples: np.ndarray,
    rate: float,
    options: FrameOptions,
    rng: np.random.Generator | None,
    use_power: bool = True,
    vtln_warp: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """As `dataset.mel_energies.mel_energies`."""
    from scipy import fft  # NumPy's takes eight times as long

    window, weights = _matrix(options, vtln_warp)
    frames = cut_frames(prepare_waveform(samples, rate, options, rng), options)
    mel = np.empty((len(frames), weights.shape[1]), np.float32)
    energy = np.empty(len(frames))
    size = frames.shape[1]
    padded = np.zeros((_BLOCK, options.fft_size), np.float32)
    for start in range(0, len(frames), _BLOCK):
        block = frames[start : start + _BLOCK]
        windowed = padded[: len(block), :size]
        part = slice(start, start + len(block))
        energy[part] = _apply_window(block, window, options, windowed)
        spectrum = fft.rfft(padded[: len(block)])
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        if not use_power:
            np.sqrt(power, out=power)
        mel[part] = unthreaded_product(power, weights)
    return mel.T, log_of_energy(energy, options)


def _apply_window(
    frames: np.ndarray, window: np.ndarray, options: FrameOptions, out: np.ndarray
) -> np.ndarray:
    """Writes windowed frames to `out` [frames, window_size]; returns their energies."""
    if options.remove_dc_offset:
        frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.einsum("ij,ij->i", frames, frames)
    coefficient = np.float32(-options.preemphasis_coefficient)
    np.multiply(frames[:, :-1], coefficient, out=out[:, 1:])
    np.multiply(frames[:, 0], coefficient, out=out[:, 0])
    out += frames
    out *= window
    return energy if options.raw_energy else np.einsum("ij,ij->i", out, out)


@functools.lru_cache(maxsize=8)
def _matrix(options: FrameOptions, vtln_warp: float) -> tuple[np.ndarray, np.ndarray]:
    """The window, and the weights of the bins [fft_size / 2 + 1, bins]."""
    window, banks = filterbank(options, vtln_warp)
    weights = np.zeros((options.fft_size // 2 + 1, len(banks)), np.float32)
    for column, (first, kept) in enumerate(banks):
        weights[first : first + len(kept), column] = kept
    return window, weights
