"""Agglomerative clustering of a recording's utterances, for diarization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError

Array = npt.NDArray[np.float64]


def agglomerative_clusters(
    costs: npt.ArrayLike,
    threshold: float,
    min_clusters: int = 1,
    max_cluster_fraction: float = 1.0,
) -> npt.NDArray[np.int64]:
    """Merges the two clusters of least mean cost until it exceeds the threshold.

    Average linkage, as Kaldi's agglomerative-cluster in one pass
    (src/ivector/agglomerative-clustering.cc). A merge changes one row of the matrix of
    costs; each row's least is kept, so that N merges take time of the order of N^2.

    Args:
        costs: [N, N], symmetric; the upper triangle is read.
        threshold: clusters of a mean cost up to this are merged.
        min_clusters: where merging ends at the latest.
        max_cluster_fraction: no cluster gets more than this share of the N.

    Returns:
        [N] labels from 1: utterances left alone first, then clusters by age.

    Raises:
        InputError: costs that are not square or hold NaN; clusters so small that
            `min_clusters` cannot be reached.
    """
    sums = np.array(costs, dtype=np.float64)
    if sums.ndim != 2 or sums.shape[0] != sums.shape[1]:
        raise InputError(f"Expected a square matrix, got shape {list(sums.shape)}")
    if np.isnan(sums).any():
        raise InputError("The scores hold NaN")
    if min_clusters < 1 or max_cluster_fraction * min_clusters < 1.0:
        raise InputError(
            f"Expected at least one cluster, and a largest share of at least one over "
            f"their number, got {min_clusters} and {max_cluster_fraction:g}"
        )
    num = len(sums)
    sums = np.triu(sums, 1) + np.triu(sums, 1).T
    most = np.ceil(num * max_cluster_fraction)
    sizes = np.ones(num)
    members = {number: [number] for number in range(num)}  # in the order of their age
    means = np.where(np.eye(num, dtype=bool) | (most < 2), np.inf, sums)
    least, nearest = means.min(axis=1, initial=np.inf), _nearest(means)
    while len(members) > min_clusters:
        kept = int(np.argmin(least))
        gone = int(nearest[kept])
        if not (least[kept] <= threshold and least[kept] < np.inf):
            break
        members[kept] = members.pop(kept) + members.pop(gone)
        sums[kept] += sums[gone]
        sums[:, kept] = sums[kept]
        sizes[kept] += sizes[gone]
        row = sums[kept] / (sizes[kept] * sizes)
        alive = np.zeros(num, dtype=bool)
        alive[list(members)] = True
        alive[kept] = False
        row[~alive | (sizes[kept] + sizes > most)] = np.inf
        means[kept] = means[:, kept] = row
        means[gone] = means[:, gone] = np.inf
        # A mean of two means is not below both: no other row's least changes.
        stale = np.isin(nearest, (kept, gone))
        least[stale] = means[stale].min(axis=1)
        nearest[stale] = _nearest(means[stale])
    labels = np.empty(num, np.int64)
    for number, cluster in enumerate(members.values(), 1):
        labels[cluster] = number
    return labels


def _nearest(means: Array) -> npt.NDArray[np.int64]:
    return means.argmin(axis=1) if means.size else np.zeros(0, np.int64)
