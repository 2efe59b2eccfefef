"""From a waveform to the energies of mel-frequency bins, frame by frame.

The common part of MFCC and filterbank features, as in Kaldi's feature-window.cc and
mel-computations.cc (src/feat), in float64.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dataset.errors import InputError
from dataset.options import option
from dataset.wav import resample

ENERGY_FLOOR = float(np.finfo(np.float32).eps)
"""What energies are raised to before the logarithm."""

_BLOCK = 32  # frames computed at once: what stays in the cache, and in the heap


@dataclasses.dataclass(frozen=True)
class FrameOptions:
    """How frames are cut out of the waveform and turned into mel bin energies."""

    sample_frequency: float = option(
        16000.0, "Sampling frequency of the waveform in Hz"
    )
    frame_length: float = option(25.0, "Frame length in milliseconds")
    frame_shift: float = option(10.0, "Frame shift in milliseconds")
    preemphasis_coefficient: float = option(0.97, "Coefficient of the pre-emphasis")
    remove_dc_offset: bool = option(True, "Subtract the mean of each frame")
    dither: float = option(1.0, "Standard deviation of the noise added; 0: none")
    window_type: str = option(
        "povey", "Window: hamming, hanning, povey, rectangular, sine or blackman"
    )
    blackman_coeff: float = option(0.42, "Constant of the blackman window")
    round_to_power_of_two: bool = option(
        True, "Pad frames to a power of two for the FFT"
    )
    snip_edges: bool = option(
        True, "Only frames that fit in the file; if false, the ends are reflected"
    )
    allow_downsample: bool = option(False, "Accept waveforms of a higher frequency")
    allow_upsample: bool = option(False, "Accept waveforms of a lower frequency")
    num_mel_bins: int = option(23, "Number of triangular mel-frequency bins")
    low_freq: float = option(20.0, "Low cutoff frequency of the mel bins in Hz")
    high_freq: float = option(
        0.0, "High cutoff frequency of the mel bins in Hz; if <= 0, offset from Nyquist"
    )
    energy_floor: float = option(0.0, "Floor on the frame's energy; 0: none")
    raw_energy: bool = option(True, "Take the energy before pre-emphasis and windowing")

    @property
    def window_size(self) -> int:
        """Samples of a frame."""
        return int(self.sample_frequency * 0.001 * self.frame_length)

    @property
    def window_shift(self) -> int:
        """Samples from one frame to the next."""
        return int(self.sample_frequency * 0.001 * self.frame_shift)

    @property
    def fft_size(self) -> int:
        """Samples of a frame with its padding."""
        if self.round_to_power_of_two:
            return 1 << (self.window_size - 1).bit_length()
        return self.window_size


def num_frames(num_samples: int, options: FrameOptions) -> int:
    """How many frames a waveform of so many samples gives."""
    size, shift = options.window_size, options.window_shift
    if not options.snip_edges:
        return (num_samples + shift // 2) // shift
    return 0 if num_samples < size else 1 + (num_samples - size) // shift


def mel_energies(
    samples: np.ndarray,
    rate: float,
    options: FrameOptions,
    rng: np.random.Generator | None,
    use_power: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """Mel bin energies [frames, bins] and log energies of the frames [frames]."""
    window, first_bin, banks = _filterbank(options)
    frames = _cut_frames(_prepare(samples, rate, options, rng), options)
    mel, energy = np.empty((len(frames), banks.shape[1])), np.empty(len(frames))
    padded = np.zeros((_BLOCK, options.fft_size))
    for start in range(0, len(frames), _BLOCK):
        block = frames[start : start + _BLOCK]
        part = slice(start, start + len(block))
        windowed = padded[: len(block), : len(window)]
        energy[part] = _apply_window(block, window, options, windowed)
        spectrum = np.fft.rfft(padded[: len(block)])
        spectrum = spectrum[:, first_bin : first_bin + len(banks)]
        power = spectrum.real**2 + spectrum.imag**2
        np.matmul(power if use_power else np.sqrt(power), banks, out=mel[part])
    log_energy = np.log(np.maximum(energy, ENERGY_FLOOR))
    if options.energy_floor > 0:
        np.maximum(log_energy, np.log(options.energy_floor), out=log_energy)
    return mel, log_energy


def _prepare(
    samples: np.ndarray,
    rate: float,
    options: FrameOptions,
    rng: np.random.Generator | None,
) -> np.ndarray:
    """The waveform at the wanted rate, with dither."""
    wanted = options.sample_frequency
    allowed = options.allow_downsample if rate > wanted else options.allow_upsample
    if rate != wanted and not allowed:
        raise InputError(
            f"expected a sampling frequency of {wanted:g} Hz, got {rate:g} Hz: "
            "set --sample-frequency, or give --allow-downsample or --allow-upsample"
        )
    waveform = samples.astype(np.float64)
    if rate != wanted:
        waveform = resample(waveform, int(rate), int(wanted))
    if options.dither != 0:
        rng = rng or np.random.default_rng(0)
        noise = rng.standard_normal(len(waveform), np.float32)
        waveform += np.float32(options.dither) * noise
    return waveform


def _cut_frames(waveform: np.ndarray, options: FrameOptions) -> np.ndarray:
    """A view [frames, window_size] of the waveform, reflected at its ends if wanted."""
    size, shift = options.window_size, options.window_shift
    count = num_frames(len(waveform), options)
    if not count:
        return np.empty((0, size))
    if not options.snip_edges:
        before = size // 2 - shift // 2
        after = max(0, (count - 1) * shift + size - before - len(waveform))
        waveform = np.pad(
            waveform[max(0, -before) :], (max(0, before), after), "symmetric"
        )
    return sliding_window_view(waveform, size)[::shift][:count]


def _apply_window(
    frames: np.ndarray, window: np.ndarray, options: FrameOptions, out: np.ndarray
) -> np.ndarray:
    """Writes the windowed frames into `out`; returns the energies [frames]."""
    if options.remove_dc_offset:
        frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.einsum("ij,ij->i", frames, frames)
    # The sample before the frame is taken to be equal to its first.
    np.multiply(frames[:, :-1], -options.preemphasis_coefficient, out=out[:, 1:])
    np.multiply(frames[:, 0], -options.preemphasis_coefficient, out=out[:, 0])
    out += frames
    out *= window
    return energy if options.raw_energy else np.einsum("ij,ij->i", out, out)


@functools.lru_cache(maxsize=8)
def _filterbank(options: FrameOptions) -> tuple[np.ndarray, int, np.ndarray]:
    """Window [size], first FFT bin in use, mel weights [bins in use, num_mel_bins]."""
    _check_frame_options(options)
    size, nyquist = options.fft_size, 0.5 * options.sample_frequency
    high = options.high_freq if options.high_freq > 0 else nyquist + options.high_freq
    if not 0 <= options.low_freq < high <= nyquist:
        raise InputError(
            f"expected 0 <= --low-freq < --high-freq <= {nyquist:g} Hz (half the "
            f"sampling frequency), got {options.low_freq:g} and {high:g}"
        )
    edges = np.linspace(_mel(options.low_freq), _mel(high), options.num_mel_bins + 2)
    left, centre, right = edges[:-2], edges[1:-1], edges[2:]
    # As in Kaldi the FFT bin at the Nyquist frequency is left out.
    mel = _mel(np.arange(size // 2) * options.sample_frequency / size)[:, None]
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    weights = np.maximum(0, np.minimum(rising, falling))
    if not weights.any(axis=0).all():
        raise InputError(
            f"--num-mel-bins={options.num_mel_bins} is too many for frames of "
            f"{options.frame_length:g} ms: some bin holds no frequency of the FFT"
        )
    used = np.flatnonzero(weights.any(axis=1))
    return _window(options), int(used[0]), weights[used[0] : used[-1] + 1].copy()


def _check_frame_options(options: FrameOptions) -> None:
    if options.window_size < 2 or options.window_shift < 1 or options.num_mel_bins < 3:
        raise InputError(
            "expected --frame-length of two samples or more, --frame-shift of one or "
            f"more and --num-mel-bins of 3 or more, got {options.frame_length:g} ms, "
            f"{options.frame_shift:g} ms and {options.num_mel_bins} bins at "
            f"{options.sample_frequency:g} Hz"
        )
    if options.fft_size % 2:
        raise InputError(
            f"--round-to-power-of-two=false needs frames of an even number of samples, "
            f"got {options.fft_size}"
        )
    if not 0 <= options.preemphasis_coefficient <= 1:
        raise InputError(
            "expected 0 <= --preemphasis-coefficient <= 1, "
            f"got {options.preemphasis_coefficient:g}"
        )


def _mel(frequency: np.ndarray | float) -> np.ndarray:
    return 1127.0 * np.log1p(np.asarray(frequency) / 700.0)


def _window(options: FrameOptions) -> np.ndarray:
    size = options.window_size
    angle = 2 * np.pi * np.arange(size) / (size - 1)
    hanning = 0.5 - 0.5 * np.cos(angle)
    a = options.blackman_coeff
    windows = {
        "hanning": hanning,
        "hamming": 0.54 - 0.46 * np.cos(angle),
        "povey": hanning**0.85,  # Hamming-like, but zero at the edges
        "rectangular": np.ones(size),
        "sine": np.sin(0.5 * angle),
        "blackman": a - 0.5 * np.cos(angle) + (0.5 - a) * np.cos(2 * angle),
    }
    if options.window_type not in windows:
        raise InputError(
            f"expected --window-type to be one of {', '.join(windows)}; "
            f"got '{options.window_type}'"
        )
    return windows[options.window_type]
