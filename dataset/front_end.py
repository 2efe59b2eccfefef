"""From a sound file to the frames that a network is shown, as the recipes do it.

`wave_features` is one utterance of compute-mfcc-feats or compute-fbank-feats. A
`FrontEnd` is the whole chain of steps/make_mfcc.sh, sid/compute_vad_decision.sh and
nnet/run_extract_embeddings.sh: features, compression, voice activity, sliding CMVN,
voiced frames.
"""

from __future__ import annotations

import dataclasses
import io
import logging
import os
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from dataset.errors import InputError
from dataset.features import (
    FbankOptions,
    MfccOptions,
    SlidingCmvnOptions,
    VadOptions,
    compute_fbank,
    compute_mfcc,
    energy_vad,
    select_voiced,
    sliding_cmvn,
)
from dataset.kaldi_io import compress_mat, read_matrix_body
from dataset.options import option, read_config
from dataset.wav import Wave

Compute = Callable[..., np.ndarray]

MFCC_CONF, FBANK_CONF = "mfcc.conf", "fbank.conf"
VAD_CONF, CMVN_CONF = "vad.conf", "cmvn.conf"

_MOST_AT_PEAK = 0.01
"""Share of samples at the largest magnitude above which a recording is clipped; of
speech that is not, it is a few in a million."""
_PEAK = 0.9999  # so that the largest and the smallest 16-bit integer are both peaks

_log = logging.getLogger("kaldi")


@dataclasses.dataclass(frozen=True)
class WaveformOptions:
    """What compute-mfcc-feats and compute-fbank-feats have in common."""

    channel: int = option(
        -1, "Channel to use (-1: mono is expected, 0: left, 1: right)"
    )
    min_duration: float = option(
        0.0, "Leave out utterances shorter than this (seconds)"
    )
    subtract_mean: bool = option(False, "Subtract the mean over the utterance")
    vtln_warp: float = option(
        1.0, "VTLN warp factor of all utterances, unless --vtln-map is given"
    )
    vtln_map: str = option(
        "", "Rspecifier of the VTLN warp factors of utterances or speakers"
    )
    utt2spk: str = option(
        "", "Rspecifier of the speaker of each utterance, if --vtln-map is by speaker"
    )
    output_format: str = option("kaldi", "Format of the output: kaldi or htk")
    max_feature_vectors: int = option(
        -1, "Accepted and not used: it is for features that are computed as sound comes"
    )
    write_utt2dur: str = option("", "Wspecifier for the durations in seconds")
    seed: int = option(
        0, "Seed of the dither noise, which depends on this and on the utterance's key"
    )


@dataclasses.dataclass(frozen=True)
class ComputeMfccOptions(MfccOptions, WaveformOptions):
    """Options of compute-mfcc-feats."""


@dataclasses.dataclass(frozen=True)
class ComputeFbankOptions(FbankOptions, WaveformOptions):
    """Options of compute-fbank-feats."""


WaveOptions = ComputeMfccOptions | ComputeFbankOptions


def wave_features(
    compute: Compute,
    options: Any,
    key: str,
    wave: Wave,
    vtln_warp: float | None = None,
) -> np.ndarray:
    """Features of one utterance: float32 [frames, dim]; no frame if it is too short.

    Args:
        compute: `compute_mfcc` or `compute_fbank`.
        options: the `WaveOptions` that belong to it.
        key: of the utterance; the dither noise depends on it.
        wave: the waveform, from which a channel is chosen.
        vtln_warp: in place of that of the options.

    Raises:
        InputError: shorter than --min-duration, no such channel, or another sampling
            frequency.
    """
    if wave.duration < options.min_duration:
        raise InputError(
            f"{wave.duration:g} s is less than --min-duration={options.min_duration:g}"
        )
    rng = np.random.default_rng([options.seed, zlib.crc32(key.encode())])
    samples = _choose_channel(options, key, wave)
    warp = options.vtln_warp if vtln_warp is None else vtln_warp
    features = compute(samples, wave.rate, options, rng, warp)
    if options.subtract_mean and len(features):
        features = features - features.mean(axis=0, dtype=np.float64)
    return features.astype(np.float32, copy=False)


def _choose_channel(options: Any, key: str, wave: Wave) -> np.ndarray:
    channels = len(wave.samples)
    if options.channel < 0:
        if channels > 1:
            _log.warning(
                "%s: %d channels; the first is used (see --channel)", key, channels
            )
        return wave.samples[0]
    if options.channel >= channels:
        raise InputError(f"{channels} channels, but --channel={options.channel}")
    return wave.samples[options.channel]


@dataclasses.dataclass(frozen=True)
class FrontEnd:
    """What a recipe does before the network.

    Attributes:
        waves: options of the features; their type says which features.
        vad: options of compute-vad.
        cmvn: options of apply-cmvn-sliding.
        compress: whether the features pass through Kaldi's lossy compression, as they
            do in steps/make_mfcc.sh unless told otherwise.
    """

    waves: WaveOptions
    vad: VadOptions
    cmvn: SlidingCmvnOptions
    compress: bool = True

    @property
    def frame_shift(self) -> float:
        """Seconds from one frame to the next."""
        return 0.001 * self.waves.frame_shift

    def voiced_frames(self, key: str, wave: Wave) -> np.ndarray:
        """The normalised features of the voiced frames: float32 [frames, dim].

        Args:
            key: of the utterance; with dither, the features depend on it.
            wave: the recording.

        Raises:
            InputError: silent, clipped, too short, or another sampling frequency.
        """
        channel = min(max(self.waves.channel, 0), len(wave.samples) - 1)
        _check_level(wave.samples[channel])
        mfcc = isinstance(self.waves, ComputeMfccOptions)
        compute = compute_mfcc if mfcc else compute_fbank
        features = wave_features(compute, self.waves, key, wave)
        if not len(features):
            raise InputError(f"{wave.duration:g} s is too short for a frame")
        if self.compress:
            features = read_matrix_body(io.BytesIO(compress_mat(features)), binary=True)
        voiced = energy_vad(features, self.vad)
        if not voiced.any():
            raise InputError(
                f"no speech: none of {len(voiced)} frames was judged voiced; is the "
                "recording silent, or very faint?"
            )
        return select_voiced(sliding_cmvn(features, self.cmvn), voiced)


def load_front_end(
    mfcc: str, fbank: str, vad: str, cmvn: str, compress: bool = True
) -> FrontEnd:
    """A front end from Kaldi's option files; an empty name stands for no such file.

    Raises:
        InputError: one is wrong, or it is not the options of one kind of features.
    """
    if bool(mfcc) == bool(fbank):
        raise InputError("Expected the options either of MFCC or of filterbanks")
    waves: WaveOptions
    if mfcc:
        waves = read_config(ComputeMfccOptions, mfcc)
    else:
        waves = read_config(ComputeFbankOptions, fbank)
    if waves.vtln_map:
        raise InputError(f"{mfcc or fbank}: --vtln-map is for compute-*-feats alone")
    return FrontEnd(
        waves,
        read_config(VadOptions, vad) if vad else VadOptions(),
        read_config(SlidingCmvnOptions, cmvn) if cmvn else SlidingCmvnOptions(),
        compress,
    )


def read_front_end(folder: str, compress: bool = True) -> FrontEnd:
    """The front end of a folder with vad.conf, cmvn.conf, and mfcc.conf or fbank.conf.

    Raises:
        InputError: one is missing or wrong, or there are both kinds of features.
    """
    mfcc, fbank, vad, cmvn = (
        os.path.join(folder, name)
        for name in (MFCC_CONF, FBANK_CONF, VAD_CONF, CMVN_CONF)
    )
    if os.path.exists(mfcc) == os.path.exists(fbank):
        raise InputError(f"{folder}: expected either {MFCC_CONF} or {FBANK_CONF}")
    if os.path.exists(mfcc):
        return load_front_end(mfcc, "", vad, cmvn, compress)
    return load_front_end("", fbank, vad, cmvn, compress)


def _check_level(samples: np.ndarray) -> None:
    level = np.abs(samples)
    peak = level.max()
    if not np.isfinite(peak):
        raise InputError("samples that are not finite: the file is damaged")
    if peak == level.min():
        raise InputError("silent: all samples are the same")
    at_peak = float(np.mean(level >= _PEAK * peak))
    if at_peak > _MOST_AT_PEAK:
        raise InputError(
            f"clipped: {100 * at_peak:.1f} % of the samples are at the largest "
            f"magnitude, at most {100 * _MOST_AT_PEAK:g} % are accepted; record again "
            "at a lower level"
        )
