"""Measures of a detector: EER, minDCF, actDCF, Cllr, the DET curve.

Every function takes the scores of target trials and of nontarget trials, in any order.
For several measures of many trials sort once: `misc.sorted_scores.SortedScores`, whose
methods these are. Higher means more alike. Infinite scores are welcome, NaN is refused.
Rates are fractions, not per cent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from misc.sorted_scores import (
    DetPoints,
    Scores,
    SortedScores,
    checked_scores,
    default_cost,
    refuse_nan,
)


def det_points(target: Scores, nontarget: Scores) -> DetPoints:
    """See `SortedScores.det_points`."""
    return SortedScores.of(target, nontarget).det_points()


def eer(target: Scores, nontarget: Scores) -> tuple[float, float]:
    """See `SortedScores.eer`."""
    return SortedScores.of(target, nontarget).eer()


def interpolated_eer(target: Scores, nontarget: Scores) -> float:
    """See `SortedScores.interpolated_eer`."""
    return SortedScores.of(target, nontarget).interpolated_eer()


def rocch_eer(target: Scores, nontarget: Scores) -> float:
    """See `SortedScores.rocch_eer`."""
    return SortedScores.of(target, nontarget).rocch_eer()


def min_dcf(
    target: Scores,
    nontarget: Scores,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> tuple[float, float]:
    """See `SortedScores.min_dcf`."""
    return SortedScores.of(target, nontarget).min_dcf(p_target, c_miss, c_fa)


def min_dcf_of_trials(
    scores: Scores,
    is_target: npt.ArrayLike,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> tuple[float, float]:
    """What Kaldi's sid/compute_min_dcf.py computes from these trials in this order.

    It differs from `min_dcf` in two corners: a threshold may fall between equal scores,
    in the order of the trials, and accepting every trial is not tried (which matters
    only where c_miss * p_target is above c_fa * (1 - p_target)).

    Args:
        scores: [trials].
        is_target: [trials] of bool.
        p_target: prior probability of a target trial, within 0 and 1.
        c_miss: cost of a miss, positive.
        c_fa: cost of a false alarm, positive.

    Returns:
        The normalised cost and the score at which it is reached first.
    """
    default = default_cost(p_target, c_miss, c_fa)
    values = checked_scores(scores, "trial")
    if np.isnan(values).any():
        refuse_nan(values, "trial")
    targets = np.asarray(is_target, dtype=bool)
    num_targets = int(targets.sum())
    if not 0 < num_targets < targets.size:
        kind = "target" if num_targets == 0 else "nontarget"
        raise InputError(f"The detection cost needs both kinds of trial, got no {kind}")
    order = np.argsort(values, kind="stable")
    p_miss = np.cumsum(targets[order]) / num_targets
    p_fa = 1.0 - np.cumsum(~targets[order]) / (targets.size - num_targets)
    costs = c_miss * p_miss * p_target + c_fa * p_fa * (1.0 - p_target)
    best = int(np.argmin(costs))
    return float(costs[best] / default), float(values[order[best]])


def act_dcf(
    target: Scores,
    nontarget: Scores,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> float:
    """See `SortedScores.act_dcf`."""
    return SortedScores.of(target, nontarget).act_dcf(p_target, c_miss, c_fa)


def cllr(target: Scores, nontarget: Scores) -> float:
    """See `SortedScores.cllr`."""
    return SortedScores.of(target, nontarget).cllr()


def min_cllr(target: Scores, nontarget: Scores) -> float:
    """See `SortedScores.min_cllr`."""
    return SortedScores.of(target, nontarget).min_cllr()


def compute_cos_pairwise_eer(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, max_num_embeddings: int = 1000
) -> float:
    """Equal error rate of the cosine of all pairs of a labelled set, for validation.

    As the original's function of this name: above `max_num_embeddings` only every k-th
    embedding is used, k = N // max_num_embeddings, and the rate is interpolated. Unlike
    the original it leaves its argument unchanged.

    Args:
        embeddings: [N, dim].
        labels: [N] speaker indices.
        max_num_embeddings: from twice this number on the set is thinned.

    Raises:
        InputError: no two embeddings of one speaker, or no two speakers.
    """
    vectors = np.asarray(embeddings)
    speakers = np.asarray(labels)
    if vectors.ndim != 2 or speakers.shape != vectors.shape[:1]:
        raise InputError(
            "Expected embeddings [N, dim] and labels [N], "
            f"got shapes {vectors.shape} and {speakers.shape}"
        )
    step = max(1, len(vectors) // max_num_embeddings)
    vectors, speakers = vectors[::step].astype(np.float64), speakers[::step]
    vectors /= np.sqrt(np.sum(vectors**2, axis=1, keepdims=True) + 1e-12)
    upper = np.triu_indices(len(vectors), k=1)
    scores = (vectors @ vectors.T)[upper]
    same = (speakers[:, None] == speakers[None, :])[upper]
    return interpolated_eer(scores[same], scores[~same])
