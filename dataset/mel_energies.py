"""From a waveform to the energies of mel-frequency bins, frame by frame.

The common part of MFCC and filterbank features, as in Kaldi's feature-window.cc and
mel-computations.cc (src/feat): up to the power spectrum the float32 operations of Kaldi
in their order, since what remains in a nearly silent band is their rounding.
"""

from __future__ import annotations

import dataclasses
import functools
import logging

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dataset import mixed_radix_fft, split_radix_fft
from dataset.errors import InputError
from dataset.float32_product import float32_dot
from dataset.options import option
from dataset.resampling import resample
from dataset.split_radix_fft import c_float_function

ENERGY_FLOOR = np.finfo(np.float32).eps
"""What energies are raised to before the logarithm."""

_log = logging.getLogger("kaldi")

_BLOCK = 128  # frames transformed at once: what stays in the cache
_DITHER_BLOCK = 1 << 20  # samples: of hours of speech each copy counts
_LONG_BLOCK = 1024  # frames in whose spectra the mel bins are summed: fewer calls


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
    vtln_low: float = option(
        100.0, "Lowest frequency in Hz that --vtln-warp scales in full"
    )
    vtln_high: float = option(
        -500.0,
        "Highest frequency in Hz that --vtln-warp scales in full; if negative, offset "
        "from Nyquist",
    )
    debug_mel: bool = option(False, "Log the weights of the mel bins")
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


def frame_span(first: int, count: int, options: FrameOptions) -> tuple[int, int]:
    """The samples that frames `first` to `first + count` are cut from, as [begin, end).

    Without `snip_edges` they may reach past both ends of the waveform, which is
    reflected there.
    """
    size, shift = options.window_size, options.window_shift
    begin = first * shift
    if not options.snip_edges:
        begin -= size // 2 - shift // 2
    return begin, begin + (count - 1) * shift + size


def mel_energies(
    samples: np.ndarray,
    rate: float,
    options: FrameOptions,
    rng: np.random.Generator | None,
    use_power: bool = True,
    vtln_warp: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Mel bin energies, float32 [bins, frames], and the log energies of frames.

    `vtln_warp` is the speaker's warp factor: above 1 the bins move down in frequency,
    as a longer vocal tract needs.
    """
    window, banks = filterbank(options, vtln_warp)
    frames = cut_frames(prepare_waveform(samples, rate, options, rng), options)
    mel = np.empty((len(banks), len(frames)), np.float32)
    energy = np.empty(len(frames))
    for start in range(0, len(frames), _LONG_BLOCK):
        part = slice(start, start + _LONG_BLOCK)
        spectrum, energy[part] = _power_spectrum(frames[part], window, options)
        if not use_power:
            np.sqrt(spectrum, out=spectrum)
        for row, (first, weights) in enumerate(banks):
            columns = spectrum[first : first + len(weights)]
            mel[row, part] = float32_dot(weights, columns)
    return mel, log_of_energy(energy, options)


def log_of_energy(energy: np.ndarray, options: FrameOptions) -> np.ndarray:
    """The logarithms of frames' energies, floored."""
    log_energy = np.log(np.maximum(energy, ENERGY_FLOOR))
    if options.energy_floor > 0:
        np.maximum(log_energy, np.log(options.energy_floor), out=log_energy)
    return log_energy


def _power_spectrum(
    frames: np.ndarray, window: np.ndarray, options: FrameOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Power spectra [fft_size / 2, frames] without Nyquist's, and energies [frames]."""
    power = np.empty((options.fft_size // 2, len(frames)), np.float32)
    energy = np.empty(len(frames))
    for start in range(0, len(frames), _BLOCK):
        columns = frames[start : start + _BLOCK].T
        part = slice(start, start + _BLOCK)
        padded = np.zeros((options.fft_size, columns.shape[1]), np.float32)
        energy[part] = _apply_window(columns, window, options, padded[: len(window)])
        real, imag = _transform(padded)
        np.add(real * real, imag * imag, out=power[:, part])
    return power, energy


def prepare_waveform(
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
    waveform = samples
    if rate != wanted:
        waveform = resample(samples, int(rate), int(wanted))
    waveform = waveform.astype(np.float32, copy=options.dither != 0)
    if options.dither != 0:
        rng = rng or np.random.default_rng(0)
        for start in range(0, len(waveform), _DITHER_BLOCK):
            part = waveform[start : start + _DITHER_BLOCK]
            noise = rng.standard_normal(len(part), np.float32)
            part += np.float32(options.dither) * noise
    return waveform


def cut_frames(waveform: np.ndarray, options: FrameOptions) -> np.ndarray:
    """A view [frames, window_size] of the waveform, reflected at its ends if wanted."""
    size, shift = options.window_size, options.window_shift
    count = num_frames(len(waveform), options)
    if not count:
        return np.empty((0, size))
    if not options.snip_edges:
        begin, end = frame_span(0, count, options)
        waveform = np.pad(
            waveform[max(0, begin) :],
            (max(0, -begin), max(0, end - len(waveform))),
            "symmetric",
        )
    return sliding_window_view(waveform, size)[::shift][:count]


def _apply_window(
    columns: np.ndarray, window: np.ndarray, options: FrameOptions, out: np.ndarray
) -> np.ndarray:
    """Writes windowed frames [window_size, frames] to `out`; returns their energies."""
    if options.remove_dc_offset:
        total = columns.sum(axis=0, dtype=np.float64).astype(np.float32)
        columns = columns - total / np.float32(len(columns))
    energy = np.einsum("ij,ij->j", columns, columns, dtype=np.float64)
    # The sample before the frame is taken to be equal to its first.
    coefficient = np.float32(options.preemphasis_coefficient)
    np.multiply(columns[:-1], -coefficient, out=out[1:])
    np.multiply(columns[0], -coefficient, out=out[0])
    out += columns
    out *= window[:, None]
    if options.raw_energy:
        return energy
    return np.einsum("ij,ij->j", out, out, dtype=np.float64)


def _transform(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Real and imaginary parts of the spectrum, without the bin at Nyquist."""
    size = len(columns)
    if size & (size - 1) == 0:
        return split_radix_fft.real_fft(columns)
    return mixed_radix_fft.real_fft(columns)


@functools.lru_cache(maxsize=64)  # as many warps as speakers commonly have
def filterbank(
    options: FrameOptions, vtln_warp: float
) -> tuple[np.ndarray, list[tuple[int, np.ndarray]]]:
    """Window [size]; for each mel bin its first FFT bin, and the weights from it."""
    _check_frame_options(options)
    size, nyquist = options.fft_size, 0.5 * options.sample_frequency
    high = options.high_freq if options.high_freq > 0 else nyquist + options.high_freq
    if not 0 <= options.low_freq < high <= nyquist:
        raise InputError(
            f"expected 0 <= --low-freq < --high-freq <= {nyquist:g} Hz (half the "
            f"sampling frequency), got {options.low_freq:g} and {high:g}"
        )
    # Steps in float32, as in Kaldi, where the FFT bin at Nyquist is left out.
    one = np.float32(1)
    lowest, highest = _mel(np.array([options.low_freq, high]))
    step = (highest - lowest) / np.float32(options.num_mel_bins + 1)
    bins = np.arange(options.num_mel_bins, dtype=np.float32)[:, None]
    left, centre = lowest + bins * step, lowest + (bins + one) * step
    right = lowest + (bins + one + one) * step
    if vtln_warp != 1:
        _check_vtln(options, high, vtln_warp)
        left, centre, right = (
            _mel(_warp_frequency(_frequency(edges), options, high, vtln_warp))
            for edges in (left, centre, right)
        )
    width = np.float32(options.sample_frequency / size)
    mel = _mel(width * np.arange(size // 2, dtype=np.float32))
    rising, falling = (mel - left) / (centre - left), (right - mel) / (right - centre)
    weights = np.where(mel <= centre, rising, falling)
    weights[(mel <= left) | (mel >= right)] = 0
    if not weights.any(axis=1).all():
        raise InputError(
            f"--num-mel-bins={options.num_mel_bins} is too many for frames of "
            f"{options.frame_length:g} ms: some bin holds no frequency of the FFT"
        )
    banks = []
    for row in weights:
        used = np.flatnonzero(row)
        banks.append((int(used[0]), row[used[0] : used[-1] + 1]))
    if options.debug_mel:
        for number, (first, kept) in enumerate(banks):
            _log.info("mel bin %d: FFT bins from %d, weights %s", number, first, kept)
    return _window(options).astype(np.float32), banks


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


def _vtln_high(options: FrameOptions) -> float:
    offset = 0.5 * options.sample_frequency if options.vtln_high < 0 else 0.0
    return options.vtln_high + offset


def _check_vtln(options: FrameOptions, high: float, warp: float) -> None:
    lower, upper = options.vtln_low, _vtln_high(options)
    if not warp > 0:
        raise InputError(
            f"expected a VTLN warp factor (--vtln-warp) above 0, got {warp:g}"
        )
    if not options.low_freq < lower < upper < high:
        raise InputError(
            "a VTLN warp needs --low-freq < --vtln-low < --vtln-high < --high-freq, "
            f"got {options.low_freq:g}, {lower:g}, {upper:g} and {high:g} Hz"
        )


def _mel(frequency: np.ndarray) -> np.ndarray:
    ratio = frequency.astype(np.float32) / np.float32(700)
    return np.float32(1127) * c_float_function("logf")(np.float32(1) + ratio)


def _frequency(mel: np.ndarray) -> np.ndarray:
    one = np.float32(1)
    return np.float32(700) * (c_float_function("expf")(mel / np.float32(1127)) - one)


def _warp_frequency(
    frequency: np.ndarray, options: FrameOptions, high: float, warp: float
) -> np.ndarray:
    """Where a speaker's frequencies in Hz lie for one of average vocal tract length.

    `frequency / warp` between the two VTLN frequencies (which the warp moves inwards),
    and straight lines from there to both ends of the mel bins, which stay.
    """
    low, one, scale = np.float32(options.low_freq), np.float32(1), np.float32(1 / warp)
    high = np.float32(high)
    lower = np.float32(options.vtln_low) * max(one, np.float32(warp))
    upper = np.float32(_vtln_high(options)) * min(one, np.float32(warp))
    below = (scale * lower - low) / (lower - low)
    above = (high - scale * upper) / (high - upper)
    warped = np.select(
        [frequency < lower, frequency < upper],
        [low + below * (frequency - low), scale * frequency],
        high + above * (frequency - high),
    )
    return np.where((frequency < low) | (frequency > high), frequency, warped)


def _window(options: FrameOptions) -> np.ndarray:
    size = options.window_size
    angle = 2 * np.pi * np.arange(size) / (size - 1)
    hanning = 0.5 - 0.5 * np.cos(angle)
    a = float(np.float32(options.blackman_coeff))
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
