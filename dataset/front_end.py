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
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from dataset import front_end_conf as conf
from dataset.errors import InputError, Unusable
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
from dataset.kaldi_stream import located
from dataset.options import option, read_config
from dataset.voiced_segment import CMVN
from dataset.wav import Wave

Compute = Callable[..., np.ndarray]

TOO_SHORT, NO_SPEECH, NOT_FINITE = "too short", "without speech", "not finite"
UNFIT = "of another sampling rate or without the channel"
"""Why a recording is `Unusable`."""

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


@dataclasses.dataclass(frozen=True)
class StorageOptions:
    """What steps/make_mfcc.sh gives to copy-feats."""

    compress: bool = option(True, "Store a number in one byte")


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

    @property
    def dim(self) -> int:
        """Features of a frame."""
        return feature_dim(self.waves)

    @property
    def compute(self) -> Compute:
        """`compute_mfcc` or `compute_fbank`."""
        mfcc = isinstance(self.waves, ComputeMfccOptions)
        return compute_mfcc if mfcc else compute_fbank

    def voiced_frames(self, key: str, wave: Wave) -> np.ndarray:
        """The normalised features of the voiced frames: float32 [frames, dim].

        Args:
            key: of the utterance; with dither, the features depend on it.
            wave: the recording.

        Raises:
            Unusable: no speech, too short, samples beyond all measure, another sampling
                frequency, no such channel.
        """
        features = self._features(key, wave)
        if self.compress:
            features = read_matrix_body(io.BytesIO(compress_mat(features)), binary=True)
        voiced = energy_vad(features, self.vad)
        if not voiced.any():
            raise Unusable(
                f"no speech: none of {len(voiced)} frames was judged voiced; is the "
                "recording silent, or very faint?",
                NO_SPEECH,
            )
        return select_voiced(sliding_cmvn(features, self.cmvn), voiced)

    def _features(self, key: str, wave: Wave) -> np.ndarray:
        if wave.duration < self.waves.min_duration:
            shortest = f"--min-duration={self.waves.min_duration:g}"
            raise Unusable(f"{wave.duration:g} s is less than {shortest}", TOO_SHORT)
        try:
            features = wave_features(self.compute, self.waves, key, wave)
        except InputError as error:
            raise Unusable(str(error), UNFIT) from None
        if not len(features):
            raise Unusable(f"{wave.duration:g} s is too short for a frame", TOO_SHORT)
        if not np.isfinite(features).all():
            raise Unusable("features that are not finite", NOT_FINITE)
        return features

    def stream(
        self, entries: Iterable[tuple[str, Wave | Unusable]]
    ) -> Iterator[tuple[str, np.ndarray | Unusable]]:
        """`voiced_frames` of one recording after the other, or why there are none."""
        for key, wave in entries:
            if isinstance(wave, Unusable):
                yield key, wave
                continue
            try:
                yield key, self.voiced_frames(key, wave)
            except Unusable as error:
                yield key, error

    def check_level(self, wave: Wave) -> None:
        """Refuses what no decision should be made of, though it has features.

        Raises:
            InputError: silent, clipped, or not finite.
        """
        channel = min(max(self.waves.channel, 0), len(wave.samples) - 1)
        _check_level(wave.samples[channel])


def feature_dim(options: WaveOptions) -> int:
    """Features of a frame."""
    if isinstance(options, ComputeMfccOptions):
        return options.num_ceps
    return options.num_mel_bins + options.use_energy


def read_front_end(paths: Mapping[str, str]) -> FrontEnd:
    """A front end from its option files.

    Args:
        paths: where they are, by their names in `dataset.front_end_conf`.

    Raises:
        InputError: there are no options of one kind of features, or none of the VAD; a
            file is missing or wrong.
    """
    kinds = [name for name in conf.KINDS if name in paths]
    if len(kinds) != 1 or conf.VAD not in paths:
        raise InputError(f"expected {' or '.join(conf.KINDS)}, and {conf.VAD}")
    waves = read_wave_options(paths[kinds[0]], kinds[0])
    if waves.vtln_map:
        raise InputError(f"{paths[kinds[0]]}: --vtln-map is for compute-*-feats alone")
    cmvn, storage = CMVN, StorageOptions()
    if conf.CMVN in paths:
        cmvn = read_config(SlidingCmvnOptions, paths[conf.CMVN])
    if conf.COPY in paths:
        storage = read_config(StorageOptions, paths[conf.COPY])
    vad = read_config(VadOptions, paths[conf.VAD])
    front_end = FrontEnd(waves, vad, cmvn, storage.compress)
    with located(paths[kinds[0]]):
        front_end.compute(np.zeros(0), waves.sample_frequency, waves)
    frame = np.zeros((1, front_end.dim))
    with located(paths[conf.VAD]):
        energy_vad(frame, vad)
    sliding_cmvn(frame, cmvn)
    return front_end


def read_wave_options(path: str, kind: str) -> WaveOptions:
    """Options of MFCC or filterbanks, as `kind`, of `front_end_conf.KINDS`, says.

    Raises:
        InputError: the file is missing or wrong.
    """
    if kind == conf.MFCC:
        return read_config(ComputeMfccOptions, path)
    return read_config(ComputeFbankOptions, path)


_NO_MATTER = ("dither", "allow_downsample", "allow_upsample", "debug_mel")
"""Options that do not change what the number in a column means."""


def feature_differences(found: WaveOptions, wanted: WaveOptions) -> list[str]:
    """The options that make other features of the same kind, as `--name=found`."""
    kind = MfccOptions if isinstance(found, MfccOptions) else FbankOptions
    names = [f.name for f in dataclasses.fields(kind) if f.name not in _NO_MATTER]
    return [
        f"--{name.replace('_', '-')}={str(getattr(found, name)).lower()}"
        for name in (*names, "subtract_mean")
        if _value(found, name) != _value(wanted, name)
    ]


def _value(options: WaveOptions, name: str) -> Any:
    if name == "high_freq" and options.high_freq <= 0:
        return options.high_freq + options.sample_frequency / 2
    return getattr(options, name)


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
