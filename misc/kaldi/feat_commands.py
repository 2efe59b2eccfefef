"""Kaldi's commands that make features: MFCC, filterbanks, VAD, sliding CMVN."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from dataset import htk
from dataset.errors import InputError
from dataset.features import (
    SlidingCmvnOptions,
    VadOptions,
    compute_fbank,
    compute_mfcc,
    energy_vad,
    select_voiced,
    sliding_cmvn,
)
from dataset.front_end import (
    Compute,
    ComputeFbankOptions,
    ComputeMfccOptions,
    wave_features,
)
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from dataset.options import option
from misc.kaldi.command import command, log, verbose_log, warn
from misc.kaldi.table_loop import mapped_reader, optional_writer, transform_table

# From waveforms.


@command(
    "compute-mfcc-feats",
    """
Computes MFCC features of sound files.
The dither noise is the same in every run; change --seed for another.

Usage: compute-mfcc-feats [options...] <wav-rspecifier> <feats-wspecifier>
e.g.: compute-mfcc-feats --config=conf/mfcc.conf scp,p:wav.scp ark:mfcc.ark
""",
    ComputeMfccOptions,
    (2, 2),
)
def compute_mfcc_feats(
    options: ComputeMfccOptions, wav_rspecifier: str, feats_wspecifier: str
) -> int:
    """The command compute-mfcc-feats."""
    kind = htk.MFCC | (htk.WITH_ENERGY if options.use_energy else htk.WITH_C0)
    return _compute_feats(compute_mfcc, options, wav_rspecifier, feats_wspecifier, kind)


@command(
    "compute-fbank-feats",
    """
Computes log mel filterbank features of sound files.
The dither noise is the same in every run; change --seed for another.

Usage: compute-fbank-feats [options...] <wav-rspecifier> <feats-wspecifier>
e.g.: compute-fbank-feats --num-mel-bins=80 scp,p:wav.scp ark:fbank.ark
""",
    ComputeFbankOptions,
    (2, 2),
)
def compute_fbank_feats(
    options: ComputeFbankOptions, wav_rspecifier: str, feats_wspecifier: str
) -> int:
    """The command compute-fbank-feats."""
    kind = htk.FBANK | (htk.WITH_ENERGY if options.use_energy else 0)
    return _compute_feats(
        compute_fbank, options, wav_rspecifier, feats_wspecifier, kind
    )


def _compute_feats(
    compute: Compute,
    options: Any,
    wav_rspecifier: str,
    feats_wspecifier: str,
    htk_kind: int,
) -> int:
    _check_options(compute, options)
    as_htk = options.output_format == "htk"
    with (
        SequentialReader(wav_rspecifier, "wave") as reader,
        TableWriter(feats_wspecifier, "htk" if as_htk else "matrix") as writer,
        optional_writer(options.write_utt2dur, "double") as duration_writer,
        contextlib.ExitStack() as stack,
    ):
        find_warp = _warp_finder(options, stack)

        def write(key: str, value: tuple[np.ndarray, float]) -> None:
            features, duration = value
            if not len(features):
                warn(f"{key}: {duration:g} s is too short for a frame")
            written: Any = features
            if as_htk:
                written = htk.HtkFeatures(features, options.frame_shift, htk_kind)
            writer.write(key, written)
            if duration_writer:
                duration_writer.write(key, float(np.float32(duration)))
            verbose_log(2, f"Processed features for key {key}")

        num_done, num_failed = transform_table(
            reader,
            write,
            lambda key, wave: (
                wave_features(compute, options, key, wave, find_warp(key)),
                wave.duration,
            ),
        )
    log(f"Done {num_done} out of {num_done + num_failed} utterances")
    return 0 if num_done else 1


def _check_options(compute: Compute, options: Any) -> None:
    """Ends the command if no utterance can be done with these options."""
    if options.output_format not in ("kaldi", "htk"):
        raise InputError(
            f"--output-format={options.output_format}: expected kaldi or htk"
        )
    if options.utt2spk and not options.vtln_map:
        raise InputError("--utt2spk is of use only with --vtln-map")
    compute(np.zeros(0), options.sample_frequency, options)


def _warp_finder(options: Any, stack: contextlib.ExitStack) -> Callable[[str], float]:
    """From an utterance to its VTLN warp factor."""
    if not options.vtln_map:
        return lambda key: options.vtln_warp
    return mapped_reader(options.vtln_map, "float", options.utt2spk, stack)


# From features.


def _frames(features: np.ndarray) -> np.ndarray:
    if not len(features):
        raise InputError("empty feature matrix")
    finite = np.isfinite(features)
    if not finite.all():
        frame, column = np.argwhere(~finite)[0]
        raise InputError(f"{features[frame, column]} in frame {frame}, column {column}")
    return features


@dataclasses.dataclass(frozen=True)
class ComputeVadOptions(VadOptions):
    """Options of compute-vad."""

    omit_unvoiced_utts: bool = option(
        False, "Leave out utterances without a voiced frame"
    )


@command(
    "compute-vad",
    """
Voice activity decisions from the log energy, which is the first feature: for each
utterance a vector with 1 for a voiced frame and 0 for the others.

Usage: compute-vad [options] <feats-rspecifier> <vad-wspecifier>
e.g.: compute-vad --config=conf/vad.conf scp:feats.scp ark:vad.ark
""",
    ComputeVadOptions,
    (2, 2),
)
def compute_vad(
    options: ComputeVadOptions, feats_rspecifier: str, vad_wspecifier: str
) -> int:
    """The command compute-vad."""
    energy_vad(np.zeros((0, 1)), options)  # no utterance can be done with wrong ones
    num_unvoiced = num_frames = num_voiced_frames = 0
    with (
        SequentialReader(feats_rspecifier, "matrix") as reader,
        TableWriter(vad_wspecifier, "vector") as writer,
    ):

        def write(key: str, vad: np.ndarray) -> None:
            nonlocal num_unvoiced, num_frames, num_voiced_frames
            num_frames += len(vad)
            num_voiced_frames += int(vad.sum())
            if not vad.any():
                num_unvoiced += 1
                omitted = "; no output for it" if options.omit_unvoiced_utts else ""
                warn(f"{key}: no frame was judged voiced{omitted}")
            if vad.any() or not options.omit_unvoiced_utts:
                writer.write(key, vad)

        num_done, num_failed = transform_table(
            reader, write, lambda key, features: energy_vad(_frames(features), options)
        )
    log(
        f"Applied energy-based voice activity detection to {num_done} utterances: "
        f"{num_unvoiced} without a voiced frame; {num_failed} failed"
    )
    proportion = num_voiced_frames / max(num_frames, 1)
    log(f"Proportion of voiced frames was {proportion:.6g} over {num_frames} frames")
    return 0 if num_done > num_unvoiced else 1


@command(
    "apply-cmvn-sliding",
    """
Cepstral mean (and variance) normalisation over a sliding window.

Usage: apply-cmvn-sliding [options] <feats-rspecifier> <feats-wspecifier>
e.g.: apply-cmvn-sliding --center=true --cmn-window=300 scp:feats.scp ark:-
""",
    SlidingCmvnOptions,
    (2, 2),
)
def apply_cmvn_sliding(
    options: SlidingCmvnOptions, feats_rspecifier: str, feats_wspecifier: str
) -> int:
    """The command apply-cmvn-sliding."""
    sliding_cmvn(np.zeros((0, 1)), options)  # as in compute-vad
    with (
        SequentialReader(feats_rspecifier, "matrix") as reader,
        TableWriter(feats_wspecifier, "matrix") as writer,
    ):
        num_done, num_failed = transform_table(
            reader,
            writer.write,
            lambda key, features: sliding_cmvn(_frames(features), options),
        )
    log(f"Normalised {num_done} utterances; {num_failed} failed")
    return 0 if num_done else 1


@command(
    "select-voiced-frames",
    """
Keeps the frames that compute-vad judged voiced.

Usage: select-voiced-frames <feats-rspecifier> <vad-rspecifier> <feats-wspecifier>
e.g.: select-voiced-frames scp:feats.scp scp,s,cs:vad.scp ark:-
""",
    num_args=(3, 3),
)
def select_voiced_frames(
    options: Any, feats_rspecifier: str, vad_rspecifier: str, feats_wspecifier: str
) -> int:
    """The command select-voiced-frames."""
    with (
        SequentialReader(feats_rspecifier, "matrix") as reader,
        RandomAccessReader(vad_rspecifier, "vector") as vad_reader,
        TableWriter(feats_wspecifier, "matrix") as writer,
    ):

        def change(key: str, features: np.ndarray) -> np.ndarray:
            frames = _frames(features)
            if key not in vad_reader:
                raise InputError(f"no VAD decisions in {vad_rspecifier}")
            return select_voiced(frames, vad_reader[key])

        num_done, num_failed = transform_table(reader, writer.write, change)
    log(f"Selected voiced frames of {num_done} utterances; {num_failed} failed")
    return 0 if num_done else 1
