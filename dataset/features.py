"""From samples to features: MFCC, filterbanks, energy VAD, sliding CMVN.

Arrays in, arrays out; what Kaldi's compute-mfcc-feats, compute-fbank-feats,
compute-vad, apply-cmvn-sliding and select-voiced-frames compute, with their option
names and defaults. Samples are in the scale of 16-bit integers (`dataset.wav.Wave`).

Without dither they give Kaldi's numbers but for a last bit here and there. Departures:
dither noise is added once to the waveform, not anew to each frame, and comes from a
seeded generator, so that the same input gives the same features.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from dataset.errors import InputError
from dataset.fast_mel_energies import fast_mel_energies
from dataset.float32_product import float32_product, unthreaded_product
from dataset.mel_energies import ENERGY_FLOOR, FrameOptions, mel_energies
from dataset.options import option


@dataclasses.dataclass(frozen=True)
class MfccOptions(FrameOptions):
    """Options of `compute_mfcc`."""

    num_ceps: int = option(13, "Number of cepstra, including C0")
    use_energy: bool = option(True, "Use the log energy of the frame in place of C0")
    cepstral_lifter: float = option(22.0, "Constant of the cepstral lifter; 0: none")
    htk_compat: bool = option(
        False, "Put the energy or C0 last, and C0 times the square root of 2, as HTK"
    )


@dataclasses.dataclass(frozen=True)
class FbankOptions(FrameOptions):
    """Options of `compute_fbank`."""

    use_energy: bool = option(False, "Put the log energy of the frame first")
    htk_compat: bool = option(False, "Put the energy last, as HTK")
    use_log_fbank: bool = option(True, "Logarithm of the energies")
    use_power: bool = option(
        True, "Energies from the power spectrum, not the magnitude"
    )


@dataclasses.dataclass(frozen=True)
class VadOptions:
    """Options of `energy_vad`."""

    vad_energy_threshold: float = option(5.0, "Constant term of the energy threshold")
    vad_energy_mean_scale: float = option(
        0.5, "Scale of the utterance's mean log energy in the threshold"
    )
    vad_frames_context: int = option(
        0, "Frames on each side that take part in the vote"
    )
    vad_proportion_threshold: float = option(
        0.6, "Proportion of frames above the threshold that makes a frame voiced"
    )


@dataclasses.dataclass(frozen=True)
class SlidingCmvnOptions:
    """Options of `sliding_cmvn`."""

    cmn_window: int = option(600, "Window in frames")
    min_cmn_window: int = option(
        100, "Smallest window at the start of an utterance (only if center=false)"
    )
    norm_vars: bool = option(False, "Normalise variances too")
    center: bool = option(False, "Window around the frame, else the window ends at it")
    max_warnings: int = option(
        5, "Accepted and not used: there are no warnings of variances close to zero"
    )


def compute_mfcc(
    samples: np.ndarray,
    rate: float,
    options: MfccOptions,
    rng: np.random.Generator | None = None,
    vtln_warp: float = 1.0,
    exact: bool = True,
) -> np.ndarray:
    """Mel-frequency cepstra: float32 [frames, num_ceps].

    Davis and Mermelstein (1980) in the form of Kaldi's compute-mfcc-feats.

    Args:
        samples: waveform [n] in 16-bit scale.
        rate: its sampling frequency in Hz.
        options: as on Kaldi's command line.
        rng: source of the dither noise; seed 0 if not given.
        vtln_warp: the speaker's warp factor for vocal tract length normalisation.
        exact: with Kaldi's rounding; else in a sixth of the time
            (dataset.fast_mel_energies).

    Raises:
        InputError: the rate or the options do not fit.
    """
    transform, lifter = _cepstral_transform(options)
    energies_of = mel_energies if exact else fast_mel_energies
    energies, log_energy = energies_of(samples, rate, options, rng, True, vtln_warp)
    if exact:
        cepstra = float32_product(transform, _log(energies))
    else:
        cepstra = unthreaded_product(_log(energies).T, transform.T).T
    cepstra *= lifter[:, None]
    if options.use_energy:
        cepstra[0] = log_energy
    if options.htk_compat:
        if not options.use_energy:
            cepstra[0] *= np.float32(np.sqrt(2.0))
        cepstra = np.roll(cepstra, -1, axis=0)
    return np.ascontiguousarray(cepstra.T)


def compute_fbank(
    samples: np.ndarray,
    rate: float,
    options: FbankOptions,
    rng: np.random.Generator | None = None,
    vtln_warp: float = 1.0,
    exact: bool = True,
) -> np.ndarray:
    """Log mel bin energies: float32 [frames, num_mel_bins (+ 1 with use_energy)].

    Kaldi's compute-fbank-feats; arguments and errors as for `compute_mfcc`.
    """
    energies_of = mel_energies if exact else fast_mel_energies
    features, log_energy = energies_of(
        samples, rate, options, rng, options.use_power, vtln_warp
    )
    if options.use_log_fbank:
        features = _log(features)
    if options.use_energy:
        rows = [log_energy[None].astype(np.float32), features]
        features = np.concatenate(rows[::-1] if options.htk_compat else rows)
    return np.ascontiguousarray(features.T)


def _log(energies: np.ndarray) -> np.ndarray:
    floored = np.maximum(energies, ENERGY_FLOOR, dtype=np.float64)
    return np.log(floored, out=floored).astype(np.float32)


def energy_vad(features: np.ndarray, options: VadOptions) -> np.ndarray:
    """Voice activity decisions: float32 [frames], 1 for voiced, else 0.

    A frame votes if its log energy (column 0) is above the threshold; it is voiced if
    enough of the frames around it vote. Kaldi's compute-vad.

    Raises:
        InputError: the options are out of range.
    """
    context, proportion = options.vad_frames_context, options.vad_proportion_threshold
    if context < 0 or not 0 < proportion < 1 or options.vad_energy_mean_scale < 0:
        raise InputError(
            "VAD options out of range: expected --vad-frames-context >= 0, "
            "--vad-energy-mean-scale >= 0, 0 < --vad-proportion-threshold < 1; "
            f"got {options}"
        )
    log_energy = features[:, 0].astype(np.float64)
    if not len(log_energy):
        return np.zeros(0, np.float32)
    mean_term = options.vad_energy_mean_scale * log_energy.mean()
    votes = log_energy > options.vad_energy_threshold + mean_term
    frames = np.arange(len(votes))
    starts = np.maximum(frames - context, 0)
    ends = np.minimum(frames + context + 1, len(votes))
    counted = np.concatenate([[0], np.cumsum(votes)])
    # In float32, as in Kaldi: 5 frames at 0.6 must need 3, not 3.0000001.
    needed = (ends - starts).astype(np.float32) * np.float32(proportion)
    return (counted[ends] - counted[starts] >= needed).astype(np.float32)


def sliding_cmvn(features: np.ndarray, options: SlidingCmvnOptions) -> np.ndarray:
    """Mean (and variance) normalisation over a window that moves along: float32.

    Kaldi's apply-cmvn-sliding; the window is shifted inwards at the utterance's ends.

    Raises:
        InputError: the window is not positive.
    """
    if options.cmn_window <= 0:
        raise InputError(f"expected --cmn-window > 0, got {options.cmn_window}")
    length = len(features)
    if not length:
        return features.astype(np.float32)
    starts, ends = cmvn_windows(np.arange(length), length, options)
    counts = (ends - starts)[:, None]
    # Sums stay small and exact for constant features if they are taken about the mean.
    centred = features - features.mean(axis=0, dtype=np.float64)
    means = _window_sums(centred, starts, ends) / counts
    normalised = centred - means
    if options.norm_vars:
        variances = _window_sums(centred**2, starts, ends) / counts - means**2
        normalised /= np.sqrt(np.maximum(variances, 1e-10))
    return normalised.astype(np.float32)


def select_voiced(features: np.ndarray, vad: np.ndarray) -> np.ndarray:
    """The rows of `features` whose `vad` is 1; Kaldi's select-voiced-frames.

    Raises:
        InputError: the lengths differ, decisions are not 0 or 1, or no frame is voiced.
    """
    if len(features) != len(vad):
        raise InputError(
            f"{len(features)} frames of features but {len(vad)} of VAD decisions: "
            "compute both from the same features"
        )
    if not np.isin(vad, (0, 1)).all():
        raise InputError("VAD decisions other than 0 and 1")
    voiced = features[vad != 0]
    if not len(voiced):
        raise InputError("no frame was judged voiced")
    return voiced


def cmvn_windows(
    frames: np.ndarray, length: int, options: SlidingCmvnOptions
) -> tuple[np.ndarray, np.ndarray]:
    """Where the windows of some frames of an utterance begin, and where they end.

    Args:
        frames: their numbers, int.
        length: frames of the utterance.

    Returns:
        Two arrays of the shape of `frames`; both rise with it.
    """
    if options.center:
        starts = np.maximum(frames - options.cmn_window // 2, 0)
        ends = starts + options.cmn_window
    else:
        starts = np.maximum(frames - options.cmn_window, 0)
        ends = np.maximum(frames + 1, options.min_cmn_window)
    overshoot = np.maximum(ends - length, 0)
    return np.maximum(starts - overshoot, 0), ends - overshoot


def _window_sums(
    values: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> np.ndarray:
    sums = np.zeros((len(values) + 1, values.shape[1]))
    np.cumsum(values, axis=0, out=sums[1:])
    return sums[ends] - sums[starts]


@functools.lru_cache(maxsize=8)
def _cepstral_transform(options: MfccOptions) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal DCT-II [num_ceps, num_mel_bins], and the lifter [num_ceps]."""
    bins, ceps, lifter = options.num_mel_bins, options.num_ceps, options.cepstral_lifter
    if not 1 <= ceps <= bins:
        raise InputError(
            f"expected 1 <= --num-ceps <= --num-mel-bins={bins}, got {ceps}"
        )
    order = np.arange(ceps)
    scale, first = np.float32(np.sqrt(2.0 / bins)), np.float32(np.sqrt(1.0 / bins))
    dct = np.cos(np.pi / bins * np.outer(order, np.arange(bins) + 0.5)) * float(scale)
    dct[0] = first
    lift = np.ones(ceps)
    if lifter != 0:
        lift += 0.5 * lifter * np.sin(np.pi * order / lifter)
    return dct.astype(np.float32), lift.astype(np.float32)
