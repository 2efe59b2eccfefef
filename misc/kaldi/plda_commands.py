"""Commands on PLDA models: estimation, smoothing, adaptation."""

from __future__ import annotations

import dataclasses

import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_table import RandomAccessReader, SequentialReader
from dataset.options import option
from misc.backend.plda import (
    PldaStats,
    adapt_plda,
    diagonalise,
    em_steps,
    log_likelihood,
    plda_stats,
    smooth_within,
    unit_covariances,
)
from misc.backend.plda_file import read_plda, write_plda
from misc.backend.trials import read_embeddings, stack_embeddings
from misc.kaldi.command import command, log
from misc.kaldi.ivector_commands import embeddings_of


@dataclasses.dataclass(frozen=True)
class ComputePldaOptions:
    num_em_iters: int = option(10, "Number of iterations of the EM algorithm")
    binary: bool = option(True, "Write in binary mode")


@command(
    "ivector-compute-plda",
    """
Estimates a PLDA model from the embeddings of labelled speakers.

Usage: ivector-compute-plda [options] <spk2utt-rspecifier> <ivector-rspecifier> \\
         <plda-wxfilename>
e.g.: ivector-compute-plda ark:data/spk2utt scp:xvector.scp plda
""",
    ComputePldaOptions,
    (3, 3),
)
def ivector_compute_plda(
    options: ComputePldaOptions,
    spk2utt_rspecifier: str,
    ivector_rspecifier: str,
    plda_wxfilename: str,
) -> int:
    if options.num_em_iters < 0:
        raise InputError(
            f"--num-em-iters must be at least 0, got {options.num_em_iters}"
        )
    stats = _read_stats(spk2utt_rspecifier, ivector_rspecifier)
    covariances = unit_covariances(stats.mean.size)
    for number, covariances in enumerate(em_steps(stats, options.num_em_iters), 1):
        objective = log_likelihood(stats, covariances)
        log(f"EM iteration {number}: log-likelihood per utterance {objective:.6g}")
    plda = diagonalise(stats.mean, covariances)
    write_plda(plda_wxfilename, plda, options.binary)
    return 0


def _read_stats(spk2utt_rspecifier: str, ivector_rspecifier: str) -> PldaStats:
    keys: list[str] = []
    vectors: list[npt.NDArray] = []
    labels: list[int] = []
    num_speakers = num_listed = 0
    with (
        SequentialReader(spk2utt_rspecifier, "tokens") as spk2utt,
        RandomAccessReader(ivector_rspecifier, "vector") as embeddings,
    ):
        for speaker, utterances in spk2utt:
            num_listed += 1
            found = embeddings_of(speaker, utterances, embeddings)
            keys += [key for key, _ in found]
            vectors += [vector for _, vector in found]
            labels += [num_speakers] * len(found)
            num_speakers += bool(found)
    log(
        f"Read {len(vectors)} utterances of {num_speakers} speakers; "
        f"{num_listed - num_speakers} speakers had none"
    )
    if not vectors:
        raise InputError(
            f"No utterance of {spk2utt_rspecifier} has a vector in {ivector_rspecifier}"
        )
    return plda_stats(stack_embeddings(keys, vectors), labels)


@dataclasses.dataclass(frozen=True)
class CopyPldaOptions:
    """Kaldi's copy takes the options of the scoring too, and ignores them."""

    smoothing: float = option(
        0.0, "Add this factor times the between-class to the within-class covariance"
    )
    binary: bool = option(True, "Write in binary mode")
    normalize_length: bool = option(True, "Accepted and not used")
    simple_length_normalization: bool = option(False, "Accepted and not used")


@command(
    "ivector-copy-plda",
    """
Copies a PLDA model, from text to binary or back, perhaps with a larger within-class
covariance.

Usage: ivector-copy-plda [options] <plda-rxfilename> <plda-wxfilename>
e.g.: ivector-copy-plda --smoothing=0.1 plda plda.smooth0.1
""",
    CopyPldaOptions,
    (2, 2),
)
def ivector_copy_plda(
    options: CopyPldaOptions, plda_rxfilename: str, plda_wxfilename: str
) -> int:
    plda = read_plda(plda_rxfilename)
    if options.smoothing != 0.0:
        plda = smooth_within(plda, options.smoothing)
        log(f"Smoothed by {options.smoothing:g}: psi from {plda.psi[0]:.6g} down")
    write_plda(plda_wxfilename, plda, options.binary)
    return 0


@dataclasses.dataclass(frozen=True)
class AdaptPldaOptions:
    mean_diff_scale: float = option(
        1.0, "Weight in the new variance of the square of the difference of the means"
    )
    within_covar_scale: float = option(
        0.3, "Share of the excess variance that the within-class covariance gets"
    )
    between_covar_scale: float = option(
        0.7, "Share of the excess variance that the between-class covariance gets"
    )
    binary: bool = option(True, "Write in binary mode")


@command(
    "ivector-adapt-plda",
    """
Adapts a PLDA model to the unlabelled embeddings of another domain.

Usage: ivector-adapt-plda [options] <plda-rxfilename> <ivector-rspecifier> \\
         <plda-wxfilename>
e.g.: ivector-adapt-plda plda scp:sre16_major/xvector.scp plda_adapt
""",
    AdaptPldaOptions,
    (3, 3),
)
def ivector_adapt_plda(
    options: AdaptPldaOptions,
    plda_rxfilename: str,
    ivector_rspecifier: str,
    plda_wxfilename: str,
) -> int:
    plda = read_plda(plda_rxfilename)
    embeddings = read_embeddings(ivector_rspecifier)
    embeddings.check_dim(plda.dim)
    adapted = adapt_plda(
        plda,
        embeddings.vectors,
        options.within_covar_scale,
        options.between_covar_scale,
        options.mean_diff_scale,
    )
    write_plda(plda_wxfilename, adapted, options.binary)
    log(f"Adapted to {len(embeddings.vectors)} vectors")
    return 0
