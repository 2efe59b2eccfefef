"""Commands on single embeddings, which Kaldi calls iVectors: means, length, LDA."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_io import read_mat, read_vec_flt, write_mat, write_vec_flt
from dataset.kaldi_stream import located
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from dataset.options import option
from misc.backend.lda import apply_transform, fit_lda, length_normalise
from misc.backend.trials import check_embedding, stack_embeddings
from misc.kaldi.command import command, log, warn

Array = npt.NDArray[np.float64]

_VECTORS_AT_ONCE = 1000


@dataclasses.dataclass(frozen=True)
class MeanOptions:
    binary: bool = option(
        False, "Write a mean vector in binary mode (tables say so in their wspecifier)"
    )


@command(
    "ivector-mean",
    """
Averages embeddings: over each speaker's utterances (3 or 4 arguments; the fourth is a
table of the numbers of utterances, for PLDA scoring), or over all (2 arguments).

Usage: ivector-mean [options] <spk2utt-rspecifier> <ivector-rspecifier> \\
         <ivector-wspecifier> [<num-utts-wspecifier>]
   or: ivector-mean [options] <ivector-rspecifier> <mean-wxfilename>
e.g.: ivector-mean ark:data/spk2utt scp:xvector.scp ark:spk_xvector.ark \\
         ark,t:num_utts.ark
  or: ivector-mean scp:xvector.scp mean.vec
""",
    MeanOptions,
    (2, 4),
)
def ivector_mean(options: MeanOptions, *arguments: str) -> int:
    if len(arguments) == 2:
        return _global_mean(options, *arguments)
    return _speaker_means(*arguments)


def _global_mean(options: MeanOptions, rspecifier: str, mean_wxfilename: str) -> int:
    total, num_done = np.zeros(0), 0
    with SequentialReader(rspecifier, "vector") as reader:
        for key, vector in reader:
            if num_done == 0:
                total = np.zeros(len(vector))
            check_embedding(key, vector, len(total))
            total += vector
            num_done += 1
    if num_done == 0:
        raise InputError(f"No vector to average in {rspecifier}")
    write_vec_flt(mean_wxfilename, total / num_done, binary=options.binary)
    log(f"Averaged {num_done} vectors")
    return 0


def _speaker_means(
    spk2utt_rspecifier: str,
    ivector_rspecifier: str,
    ivector_wspecifier: str,
    num_utts_wspecifier: str = "",
) -> int:
    num_done = num_failed = num_utts = num_absent = 0
    with (
        RandomAccessReader(ivector_rspecifier, "vector") as embeddings,
        SequentialReader(spk2utt_rspecifier, "tokens") as spk2utt,
        TableWriter(ivector_wspecifier, "vector") as mean_writer,
        TableWriter(num_utts_wspecifier or f"ark:{os.devnull}", "int") as count_writer,
    ):
        for speaker, utterances in spk2utt:
            found = embeddings_of(speaker, utterances, embeddings)
            num_utts += len(found)
            num_absent += len(utterances) - len(found)
            if not found:
                num_failed += 1
                continue
            vectors = stack_embeddings(*zip(*found, strict=True))
            mean_writer.write(speaker, np.mean(vectors, axis=0, dtype=np.float64))
            count_writer.write(speaker, len(found))
            num_done += 1
    log(
        f"Averaged {num_utts} utterances of {num_done} speakers; {num_absent} "
        f"utterances had no vector, {num_failed} speakers none at all"
    )
    return 0 if num_done else 1


def embeddings_of(
    speaker: str, utterances: list[str], embeddings: RandomAccessReader
) -> list[tuple[str, npt.NDArray]]:
    """A speaker's utterances and their vectors; warns of those that are not there.

    Raises:
        InputError: the list is empty.
    """
    if not utterances:
        raise InputError(f"Speaker {speaker}: expected utterances in spk2utt, got none")
    found: list[tuple[str, npt.NDArray]] = []
    for utterance in utterances:
        if utterance in embeddings:
            found.append((utterance, embeddings[utterance]))
        else:
            warn(f"No vector for utterance {utterance} of speaker {speaker}")
    if not found:
        warn(f"Leaving out speaker {speaker}: none of its utterances has a vector")
    return found


@dataclasses.dataclass(frozen=True)
class NormalizeLengthOptions:
    normalize: bool = option(True, "Set this to false to only copy")
    scaleup: bool = option(True, "Make the length sqrt(dim) rather than 1")


@command(
    "ivector-normalize-length",
    """
Scales each vector to the length sqrt(dimension), or to 1.

Usage: ivector-normalize-length [options] <ivector-rspecifier> <ivector-wspecifier>
e.g.: ivector-normalize-length scp:xvector.scp ark:xvector_norm.ark
""",
    NormalizeLengthOptions,
    (2, 2),
)
def ivector_normalize_length(
    options: NormalizeLengthOptions, rspecifier: str, wspecifier: str
) -> int:
    ratios: list[float] = []

    def normalise(keys: list[str], vectors: Array) -> Array:
        lengths = np.linalg.norm(vectors, axis=1)
        for number in np.flatnonzero(lengths == 0.0):
            warn(f"Utterance {keys[number]}: a vector of zeros, left as it is")
        wanted = np.sqrt(vectors.shape[1]) if options.scaleup else 1.0
        ratios.extend((lengths / wanted).tolist())
        if not options.normalize:
            return vectors
        return length_normalise(vectors, options.scaleup)

    num_done = _map_table(rspecifier, wspecifier, normalise)
    if ratios:
        log(
            "Ratio of the vectors' lengths to the new length: mean "
            f"{np.mean(ratios):.6g}, standard deviation {np.std(ratios):.6g}"
        )
    return _finish(num_done)


@dataclasses.dataclass(frozen=True)
class SubtractMeanOptions:
    subtract_mean: bool = option(
        True, "Set this to false to only copy (where no mean is given)"
    )


@command(
    "ivector-subtract-global-mean",
    """
Subtracts a mean from all vectors: the one given, or else their own.

Usage: ivector-subtract-global-mean [options] [<mean-rxfilename>] \\
         <ivector-rspecifier> <ivector-wspecifier>
e.g.: ivector-subtract-global-mean mean.vec scp:xvector.scp ark:-
  or: ivector-subtract-global-mean scp:xvector.scp ark:-
""",
    SubtractMeanOptions,
    (2, 3),
)
def ivector_subtract_global_mean(options: SubtractMeanOptions, *arguments: str) -> int:
    *mean_rxfilename, rspecifier, wspecifier = arguments
    if not mean_rxfilename:
        return _subtract_own_mean(options, rspecifier, wspecifier)
    mean = read_vec_flt(mean_rxfilename[0]).astype(np.float64)

    def subtract(keys: list[str], vectors: Array) -> Array:
        check_embedding(keys[0], vectors[0], len(mean))
        return vectors - mean

    return _finish(_map_table(rspecifier, wspecifier, subtract))


def _subtract_own_mean(
    options: SubtractMeanOptions, rspecifier: str, wspecifier: str
) -> int:
    with SequentialReader(rspecifier, "vector") as reader:
        entries = list(reader)
    for key, vector in entries:
        check_embedding(key, vector, len(entries[0][1]))
    mean: Any = 0.0
    if entries and options.subtract_mean:
        mean = np.mean([vector for _, vector in entries], axis=0, dtype=np.float64)
        log(f"Norm of the mean: {np.linalg.norm(mean):.6g}")
    with TableWriter(wspecifier, "vector") as writer:
        for key, vector in entries:
            writer.write(key, vector - mean)
    return _finish(len(entries))


@command(
    "ivector-transform",
    """
Multiplies vectors by a matrix; with one column more than the vectors have dimensions,
that column is added (an affine transform). The same as transform-vec.

Usage: ivector-transform [options] <matrix-rxfilename> <ivector-rspecifier> \\
         <ivector-wspecifier>
e.g.: ivector-transform lda.mat ark:xvector.ark ark:projected.ark
""",
    num_args=(3, 3),
)
@command(
    "transform-vec",
    """
Multiplies vectors by a matrix; with one column more than the vectors have dimensions,
that column is added (an affine transform).

Usage: transform-vec [options] <matrix-rxfilename> <vector-rspecifier> \\
         <vector-wspecifier>
e.g.: transform-vec lda.mat ark:xvector.ark ark:projected.ark
""",
    num_args=(3, 3),
)
def transform_vec(
    options: object, matrix_rxfilename: str, rspecifier: str, wspecifier: str
) -> int:
    transform = read_mat(matrix_rxfilename).astype(np.float64)

    def apply(keys: list[str], vectors: Array) -> Array:
        with located(f"Utterance {keys[0]}"):
            return apply_transform(transform, vectors)

    return _finish(_map_table(rspecifier, wspecifier, apply))


def _map_table(
    rspecifier: str, wspecifier: str, function: Callable[[list[str], Array], Array]
) -> int:
    """Writes the rows of function(keys, vectors [N, dim]) for the vectors of a table.

    Returns their number.
    """
    num_done = 0
    with (
        SequentialReader(rspecifier, "vector") as reader,
        TableWriter(wspecifier, "vector") as writer,
    ):
        for keys, vectors in _blocks(reader):
            results = function(keys, vectors).astype(np.float32)
            for key, result in zip(keys, results, strict=True):
                writer.write(key, result)
            num_done += len(keys)
    return num_done


def _blocks(
    entries: Iterable[tuple[str, npt.NDArray]],
) -> Iterator[tuple[list[str], Array]]:
    """Vectors in turn, as many at once as are of one dimension, up to some number."""
    for _, group in itertools.groupby(
        enumerate(entries),
        lambda item: (item[0] // _VECTORS_AT_ONCE, len(item[1][1])),
    ):
        keys, vectors = zip(*(entry for _, entry in group), strict=True)
        yield list(keys), stack_embeddings(keys, vectors).astype(np.float64)


def _finish(num_done: int) -> int:
    log(f"Wrote {num_done} vectors")
    return 0 if num_done else 1


@dataclasses.dataclass(frozen=True)
class LdaOptions:
    dim: int = option(100, "Number of dimensions to keep")
    total_covariance_factor: float = option(
        0.0,
        "What becomes unit: 0 the within-class covariance, 1 the total covariance, "
        "between them their mixture",
    )
    covariance_floor: float = option(
        1e-6, "Floor of its eigenvalues, as a factor of the largest one"
    )
    binary: bool = option(True, "Write in binary mode")


@command(
    "ivector-compute-lda",
    """
Estimates linear discriminant analysis: an affine transform, which also takes away the
mean.

Usage: ivector-compute-lda [options] <ivector-rspecifier> <utt2spk-rspecifier> \\
         <lda-matrix-wxfilename>
e.g.: ivector-compute-lda --dim=150 scp:xvector.scp ark:data/utt2spk lda.mat
""",
    LdaOptions,
    (3, 3),
)
def ivector_compute_lda(
    options: LdaOptions,
    ivector_rspecifier: str,
    utt2spk_rspecifier: str,
    lda_wxfilename: str,
) -> int:
    with (
        SequentialReader(ivector_rspecifier, "vector") as reader,
        RandomAccessReader(utt2spk_rspecifier, "tokens") as utt2spk,
    ):
        found, speakers, num_failed = _with_speakers(reader, utt2spk)
    if not found:
        raise InputError(
            f"No vector of {ivector_rspecifier} has a speaker in {utt2spk_rspecifier}"
        )
    number_of = {speaker: n for n, speaker in enumerate(dict.fromkeys(speakers))}
    lda = fit_lda(
        stack_embeddings(list(found), list(found.values())),
        [number_of[speaker] for speaker in speakers],
        options.dim,
        options.total_covariance_factor,
        options.covariance_floor,
    )
    write_mat(lda_wxfilename, lda.astype(np.float32), binary=options.binary)
    log(
        f"Estimated {options.dim} dimensions from {len(found)} utterances of "
        f"{len(number_of)} speakers; left out {num_failed}"
    )
    return 0


def _with_speakers(
    entries: Iterable[tuple[str, npt.NDArray]], utt2spk: RandomAccessReader
) -> tuple[dict[str, npt.NDArray], list[str], int]:
    """The vectors whose speaker is known, their speakers, and how many are left out."""
    found: dict[str, npt.NDArray] = {}
    speakers: list[str] = []
    num_failed = 0
    for key, vector in entries:
        if key in found or key not in utt2spk:
            reason = (
                "it comes twice" if key in found else "it has no speaker in utt2spk"
            )
            warn(f"Leaving out utterance {key}: {reason}")
            num_failed += 1
            continue
        found[key] = vector
        speakers.append(" ".join(utt2spk[key]))
    return found, speakers, num_failed
