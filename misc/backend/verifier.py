"""The folder `verifier` of a model: how a recipe made its scores, for single trials.

    embedding.conf     `EmbeddingOptions`: which embedding of the network
    mean.vec           subtracted from it, if there
    transform.mat      then applied (LDA), if there
    plda               the scores are of this model; without it, cosines
    calibration.json   from scores to log-likelihood ratios, by calibration-train

The front end is in `nnet/front_end` (misc/model_front_end.py). nnet/make_verifier.py
writes the folder, nnet/verify.py uses it.
"""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_io import read_mat, read_vec_flt
from dataset.options import option
from misc.backend.lda import apply_transform, length_normalise
from misc.backend.plda import Plda, llr_factors, transform_embeddings
from misc.backend.plda_file import read_plda

Array = npt.NDArray[np.float64]

FOLDER = "verifier"
EMBEDDING_CONF = "embedding.conf"
MEAN, TRANSFORM, PLDA = "mean.vec", "transform.mat", "plda"
CALIBRATION = "calibration.json"


@dataclasses.dataclass(frozen=True)
class EmbeddingOptions:
    """What nnet/extract.py was told."""

    checkpoint: str = option("last", "Of the network: last, -1 or a step")
    node: str = option("", "Endpoint; empty: the configuration's embedding_node")
    chunk_size: int = option(10000, "Frames; longer recordings are cut into chunks")
    normalize: bool = option(False, "Embeddings of length 1")


@dataclasses.dataclass(frozen=True)
class BackEnd:
    """From embeddings to a score, as the recipes do it.

    ivector-subtract-global-mean, transform-vec and ivector-normalize-length, then
    ivector-plda-scoring or, without a model, ivector-compute-dot-products.

    Attributes:
        mean: [dim], or None.
        transform: [output_dim, dim] or [output_dim, dim + 1], or None.
        plda: of dimension output_dim, or None for cosines.
    """

    mean: Array | None = None
    transform: Array | None = None
    plda: Plda | None = None

    @property
    def score_name(self) -> str:
        """What its scores are."""
        return "cosine" if self.plda is None else "PLDA"

    def score(self, enrol: npt.ArrayLike, test: npt.ArrayLike) -> float:
        """The score of one trial.

        Args:
            enrol: [N, dim], embeddings of the enrolment, which are averaged as by
                ivector-mean; PLDA takes their number into account.
            test: [dim], the test's embedding.

        Raises:
            InputError: the dimension is not the back end's.
        """
        recordings = np.asarray(enrol, dtype=np.float64)
        sides = np.stack([recordings.mean(axis=0), np.asarray(test, np.float64)])
        if self.mean is not None:
            _check_dim(MEAN, self.mean.size, sides)
            sides = sides - self.mean
        if self.transform is not None:
            sides = apply_transform(self.transform, sides)
        if self.plda is None:
            unit = length_normalise(sides, scale_up=False)
            return float(unit[0] @ unit[1])
        _check_dim(PLDA, self.plda.dim, sides)
        counts = np.array([float(len(recordings)), 1.0])
        points = transform_embeddings(self.plda, length_normalise(sides), counts)
        left, right = llr_factors(self.plda, points[:1], points[1:], counts[:1])
        return float(left[0] @ right[0])


def read_back_end(folder: str) -> BackEnd:
    """The back end of a verifier folder; raises as `load_back_end`."""
    paths = [os.path.join(folder, name) for name in (MEAN, TRANSFORM, PLDA)]
    return load_back_end(*(path if os.path.exists(path) else "" for path in paths))


def load_back_end(mean: str, transform: str, plda: str) -> BackEnd:
    """A back end from Kaldi's files; an empty name stands for no such part.

    Raises:
        InputError: a damaged file, or parts of dimensions that do not fit.
    """
    back_end = BackEnd(
        read_vec_flt(mean).astype(np.float64) if mean else None,
        read_mat(transform).astype(np.float64) if transform else None,
        read_plda(plda) if plda else None,
    )
    dim = None if back_end.mean is None else back_end.mean.size
    if back_end.transform is not None:
        output_dim, columns = back_end.transform.shape
        if dim is not None and columns not in (dim, dim + 1):
            raise InputError(
                f"{transform}: takes vectors of dimension {columns} or {columns - 1}, "
                f"but {mean} is of dimension {dim}"
            )
        dim = output_dim
    if back_end.plda is not None and dim is not None and back_end.plda.dim != dim:
        raise InputError(
            f"{plda}: takes vectors of dimension {back_end.plda.dim}, but what comes "
            f"before gives {dim}"
        )
    return back_end


def _check_dim(part: str, dim: int, vectors: Array) -> None:
    if vectors.shape[1] != dim:
        raise InputError(
            f"{part} takes vectors of dimension {dim}, got {vectors.shape[1]}: does it "
            "belong to this network and this endpoint?"
        )
