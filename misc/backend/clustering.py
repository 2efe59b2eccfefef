"""Agglomerative clustering of a recording's utterances, for diarization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError

Array = npt.NDArray[np.float32]

FIRST_PASS_MAX = 32767


def agglomerative_clusters(
    costs: npt.ArrayLike,
    threshold: float,
    min_clusters: int = 1,
    max_cluster_fraction: float = 1.0,
    first_pass_max: int = FIRST_PASS_MAX,
) -> npt.NDArray[np.int64]:
    """Merges the two clusters of least mean cost until it exceeds the threshold.

    Average linkage, as Kaldi's agglomerative-cluster
    (src/ivector/agglomerative-clustering.cc), in single precision as there, so that
    equal costs are equal here too: then the older clusters are merged first. Many
    utterances are merged in two passes: each of their equal parts to ten times
    `min_clusters`, then what these leave.

    Args:
        costs: [N, N], symmetric; the upper triangle is read.
        threshold: clusters of a mean cost up to this are merged.
        min_clusters: where merging ends at the latest.
        max_cluster_fraction: no cluster gets more than this share of the N.
        first_pass_max: the largest number of utterances that are merged in one pass.

    Returns:
        [N] labels from 1: utterances left alone first, then clusters by age.

    Raises:
        InputError: costs that are not square or hold NaN; clusters so small that
            `min_clusters` cannot be reached; parts of no utterance.
    """
    matrix = np.asarray(costs, dtype=np.float32)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise InputError(f"Expected a square matrix, got shape {list(matrix.shape)}")
    if np.isnan(matrix).any():
        raise InputError("The scores hold NaN")
    if min_clusters < 1 or max_cluster_fraction * min_clusters < 1.0:
        raise InputError(
            f"Expected at least one cluster, and a largest share of at least one over "
            f"their number, got {min_clusters} and {max_cluster_fraction:g}"
        )
    if first_pass_max < 1:
        raise InputError(
            f"The first pass needs at least one utterance, got {first_pass_max}"
        )
    num = len(matrix)
    matrix = np.triu(matrix, 1) + np.triu(matrix, 1).T
    most = float(np.ceil(np.float32(num) * np.float32(max_cluster_fraction)))
    clusters = [[number] for number in range(num)]
    if num > first_pass_max:
        size = -(-num // -(-num // first_pass_max))
        parts = [clusters[start : start + size] for start in range(0, num, size)]
        clusters = [
            cluster
            for part in parts
            for cluster in _merge(matrix, part, threshold, 10 * min_clusters, most)
        ]
    labels = np.empty(num, np.int64)
    merged = _merge(matrix, clusters, threshold, min_clusters, most)
    for number, cluster in enumerate(merged, 1):
        labels[cluster] = number
    return labels


def _merge(
    matrix: Array,
    clusters: list[list[int]],
    threshold: float,
    min_clusters: int,
    most: float,
) -> list[list[int]]:
    """The clusters that are left, by age.

    A merge changes one row of the matrix of costs; each row's least is kept, so that N
    merges take time of the order of N^2.
    """
    num = len(clusters)
    sums = _sums(matrix, clusters)
    sizes = np.array([len(cluster) for cluster in clusters], np.float32)
    ages = np.arange(num)  # the number of a cluster, in the order of their making
    members = dict(enumerate(clusters))  # likewise in that order
    with np.errstate(invalid="ignore"):
        means = sums / (sizes[:, None] * sizes)
    means[np.eye(num, dtype=bool) | (sizes[:, None] + sizes > most)] = np.inf
    least = means.min(axis=1, initial=np.inf)
    nearest = _oldest(means, least, ages)
    while len(members) > min_clusters:
        lowest = least.min()
        if not (lowest <= threshold and lowest < np.inf):
            break
        kept, gone = _oldest_pair(np.flatnonzero(least == lowest), nearest, ages)
        members[kept] = members.pop(kept) + members.pop(gone)
        ages[kept] = ages.max() + 1
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
        # A mean of two means is below both by rounding at most.
        stale = np.isin(nearest, (kept, gone)) | (row < least)
        least[stale] = means[stale].min(axis=1)
        nearest[stale] = _oldest(means[stale], least[stale], ages)
    return list(members.values())


def _sums(matrix: Array, clusters: list[list[int]]) -> Array:
    """The sums of the costs between the members of any two clusters."""
    order = [number for cluster in clusters for number in cluster]
    chosen = matrix[np.ix_(order, order)]
    if len(order) == len(clusters):
        return chosen
    starts = np.cumsum([0, *map(len, clusters[:-1])])
    columns = np.add.reduceat(chosen, starts, axis=1, dtype=np.float64)
    return np.add.reduceat(columns, starts, axis=0).astype(np.float32)


def _oldest(means: Array, least: Array, ages: npt.NDArray) -> npt.NDArray[np.int64]:
    """For each row the oldest of the clusters at its least mean."""
    if not means.size:
        return np.zeros(0, np.int64)
    return np.where(means == least[:, None], ages, np.iinfo(np.int64).max).argmin(1)


def _oldest_pair(
    rows: npt.NDArray, nearest: npt.NDArray, ages: npt.NDArray
) -> tuple[int, int]:
    """Of these rows with their nearest, the pair with the oldest older cluster."""
    pairs = np.sort(np.stack([ages[rows], ages[nearest[rows]]]), axis=0)
    best = rows[np.lexsort(pairs[::-1])[0]]
    first, second = sorted((best, nearest[best]), key=ages.__getitem__)
    return int(first), int(second)
