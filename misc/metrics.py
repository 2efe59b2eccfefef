"""Measures of a detector: EER, minDCF, actDCF, Cllr, the DET curve.

Every function takes the scores of target trials and of nontarget trials, in any order,
and works in float64. Higher means more alike. Infinite scores are welcome, NaN is
refused. Rates are fractions, not per cent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError

Scores = npt.ArrayLike
Array = npt.NDArray[np.float64]


class DetPoints(NamedTuple):
    """The operating points of a detector, from the laxest to the strictest.

    A trial is accepted if its score lies above the threshold: the first point, with
    threshold -inf, accepts all, the last one rejects all.
    """

    thresholds: Array
    p_miss: Array
    p_fa: Array


def det_points(target: Scores, nontarget: Scores) -> DetPoints:
    """Miss and false alarm rates at each distinct score; equal scores are one point."""
    tar, non = _sorted_pair(target, nontarget)
    scores = np.sort(np.concatenate([tar, non]))
    last_of_its_value = np.append(scores[1:] != scores[:-1], True)
    thresholds = scores[last_of_its_value]
    missed = np.searchsorted(tar, thresholds, side="right")
    rejected = np.searchsorted(non, thresholds, side="right")
    return DetPoints(
        np.append(-np.inf, thresholds),
        np.append(0.0, missed / tar.size),
        np.append(1.0, 1.0 - rejected / non.size),
    )


def eer(target: Scores, nontarget: Scores) -> tuple[float, float]:
    """Equal error rate and its threshold by the rule of Kaldi's compute-eer.

    The k-th lowest target score is the threshold as soon as it lies above the score
    that as large a part of the nontarget scores reaches; the rate is k / targets.
    A target score equal to that nontarget score does not lie above it, so ties count
    against the system. The rate is a multiple of 1 / targets and never 1.
    """
    tar, non = _sorted_pair(target, nontarget)
    position = np.arange(tar.size)
    opposite = non.size - 1 - (non.size * position / tar.size).astype(np.int64)
    above = non[opposite] < tar
    above[-1] = True
    first = int(np.argmax(above))
    return first / tar.size, float(tar[first])


def interpolated_eer(target: Scores, nontarget: Scores) -> float:
    """Equal error rate where straight lines between the DET points cross p_miss = p_fa.

    A tie of target and nontarget scores is crossed by such a line: half of it counts.
    """
    _, p_miss, p_fa = det_points(target, nontarget)
    return float(np.interp(0.0, p_miss - p_fa, p_miss))


def rocch_eer(target: Scores, nontarget: Scores) -> float:
    """Equal error rate on the convex hull of the ROC (N. Brümmer, thesis, 2010).

    Never above `interpolated_eer`, and the same for any increasing map of the scores.
    """
    targets, nontargets = _pav_blocks(*_sorted_pair(target, nontarget))
    p_miss = np.append(0.0, np.cumsum(targets) / targets.sum())
    p_fa = np.append(1.0, 1.0 - np.cumsum(nontargets) / nontargets.sum())
    return float(np.interp(0.0, p_miss - p_fa, p_miss))


def min_dcf(
    target: Scores,
    nontarget: Scores,
    p_target: float = 0.01,
    c_miss: float = 1.0,
    c_fa: float = 1.0,
) -> tuple[float, float]:
    """Smallest normalised detection cost over all thresholds, and its threshold.

    NIST SRE 2016 evaluation plan, equations 2 to 4: 1 is the cost of the better of
    accepting all and rejecting all. Trials up to and including the threshold are
    rejected; equal scores are never parted.
    """
    tar, non = _sorted_pair(target, nontarget)
    is_target = np.arange(tar.size + non.size) < tar.size
    # Targets stand first among equals, so a cut within a tie only costs more.
    cost, threshold = min_dcf_of_trials(
        np.concatenate([tar, non]), is_target, p_target, c_miss, c_fa
    )
    accept_all = c_fa * (1.0 - p_target) / _default_cost(p_target, c_miss, c_fa)
    return (accept_all, -np.inf) if accept_all < cost else (cost, threshold)


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
    default = _default_cost(p_target, c_miss, c_fa)
    values = _checked(scores, "trial")
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
    """Normalised detection cost at the Bayes threshold of these costs.

    The scores must be log-likelihood ratios (natural logarithm); a trial is accepted if
    its score lies above log(c_fa (1 - p_target) / (c_miss p_target)).
    """
    default = _default_cost(p_target, c_miss, c_fa)
    tar, non = _checked_pair(target, nontarget)
    threshold = np.log(c_fa * (1.0 - p_target)) - np.log(c_miss * p_target)
    p_miss = np.mean(tar <= threshold)
    p_fa = np.mean(non > threshold)
    cost = c_miss * p_miss * p_target + c_fa * p_fa * (1.0 - p_target)
    return float(cost / default)


def cllr(target: Scores, nontarget: Scores) -> float:
    """Cost of log-likelihood ratios (natural logarithm), in bits; 1 for a mute system.

    N. Brümmer and J. du Preez, Computer Speech and Language 20 (2006), equation 46.
    """
    tar, non = _checked_pair(target, nontarget)
    bits = np.logaddexp(0.0, -tar).mean() + np.logaddexp(0.0, non).mean()
    return float(bits / (2.0 * np.log(2.0)))


def min_cllr(target: Scores, nontarget: Scores) -> float:
    """`cllr` after the best increasing map of the scores (pool adjacent violators)."""
    targets, nontargets = _pav_blocks(*_sorted_pair(target, nontarget))
    share_tar = targets / targets.sum()
    share_non = nontargets / nontargets.sum()
    both = (share_tar > 0) & (share_non > 0)  # the other blocks are free of error
    ratio = np.log(share_tar[both]) - np.log(share_non[both])
    bits = share_tar[both] @ np.logaddexp(0.0, -ratio)
    bits += share_non[both] @ np.logaddexp(0.0, ratio)
    return float(bits / (2.0 * np.log(2.0)))


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


def _checked(scores: Scores, kind: str) -> Array:
    values = np.asarray(scores, dtype=np.float64).ravel()
    if values.size == 0:
        raise InputError(f"Expected at least one {kind} score, got none")
    wrong = np.isnan(values)
    if wrong.any():
        raise InputError(
            f"{int(wrong.sum())} of {values.size} {kind} scores are NaN, the first at "
            f"index {int(np.argmax(wrong))}: look for bad embeddings"
        )
    return values


def _checked_pair(target: Scores, nontarget: Scores) -> tuple[Array, Array]:
    return _checked(target, "target"), _checked(nontarget, "nontarget")


def _sorted_pair(target: Scores, nontarget: Scores) -> tuple[Array, Array]:
    tar, non = _checked_pair(target, nontarget)
    return np.sort(tar), np.sort(non)


def _default_cost(p_target: float, c_miss: float, c_fa: float) -> float:
    if not 0.0 < p_target < 1.0:
        raise InputError(f"p_target must lie between 0 and 1, got {p_target}")
    if not (c_miss > 0.0 and c_fa > 0.0):
        raise InputError(f"Costs must be above 0, got c_miss={c_miss}, c_fa={c_fa}")
    return min(c_miss * p_target, c_fa * (1.0 - p_target))


def _pav_blocks(tar: Array, non: Array) -> tuple[Array, Array]:
    """Numbers of target and nontarget trials in each block of the isotonic regression.

    From the lowest scores to the highest; the share of targets rises with each block.
    """
    from scipy.optimize import isotonic_regression

    # Stable, and targets first: equal scores violate the order and end in one block.
    order = np.argsort(np.concatenate([tar, non]), kind="stable")
    is_target = (order < tar.size).astype(np.float64)
    starts = isotonic_regression(is_target).blocks[:-1]
    targets = np.add.reduceat(is_target, starts)
    return targets, np.add.reduceat(1.0 - is_target, starts)
