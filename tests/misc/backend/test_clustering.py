import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend.clustering import agglomerative_clusters


def slow_clusters(costs, threshold, min_clusters=1, max_cluster_fraction=1.0):
    """Of the definition: every mean cost anew in each step."""
    clusters = [[number] for number in range(len(costs))]
    most = np.ceil(len(costs) * max_cluster_fraction)
    while len(clusters) > min_clusters:
        pairs = [
            (np.mean([costs[a, b] for a in one for b in two]), i, j)
            for j, two in enumerate(clusters)
            for i, one in enumerate(clusters[:j])
            if len(one) + len(two) <= most
        ]
        if not pairs or min(pairs)[0] > threshold:
            break
        _, i, j = min(pairs)
        merged = clusters[i] + clusters[j]
        clusters = [c for n, c in enumerate(clusters) if n not in (i, j)] + [merged]
    labels = np.zeros(len(costs), int)
    for number, cluster in enumerate(clusters, 1):
        labels[cluster] = number
    return labels


def costs(num, seed):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(num, num))
    return matrix + matrix.T


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "options",
    [(-0.5,), (0.0,), (5.0,), (np.inf, 4), (np.inf, 3, 0.34), (0.2, 2, 0.5), (-99,)],
)
def test_labels_are_those_of_the_definition(seed, options):
    matrix = costs(17, seed)
    if seed % 2:  # with many that are equal
        matrix = np.rint(matrix)
    found = agglomerative_clusters(matrix, *options)
    np.testing.assert_array_equal(found, slow_clusters(matrix, *options))


@pytest.mark.parametrize(
    "options", [(0.0, 2), (np.inf, 1), (-1.5, 1), (np.inf, 3, 0.4)]
)
def test_two_passes_are_parts_first(options):
    matrix = np.rint(2 * costs(40, 3))
    threshold, min_clusters, *share = options
    first = np.concatenate(
        [
            100 * part
            + slow_clusters(
                matrix[14 * part : 14 * part + 14, 14 * part : 14 * part + 14],
                threshold,
                10 * min_clusters,
            )
            for part in range(3)
        ]
    )
    groups = [np.flatnonzero(first == label) for label in np.unique(first)]
    while len(groups) > min_clusters:
        pairs = [
            (matrix[np.ix_(one, two)].mean(), i, j)
            for j, two in enumerate(groups)
            for i, one in enumerate(groups[:j])
            if len(one) + len(two) <= np.ceil(40 * (share or [1.0])[0])
        ]
        if min(pairs)[0] > threshold:
            break
        _, i, j = min(pairs)
        merged = np.concatenate([groups[i], groups[j]])
        groups = [g for n, g in enumerate(groups) if n not in (i, j)] + [merged]
    expected = np.zeros(40, int)
    for number, group in enumerate(groups, 1):
        expected[group] = number
    share = share or [1.0]
    found = agglomerative_clusters(matrix, threshold, min_clusters, *share, 15)
    np.testing.assert_array_equal(found, expected)


def test_it_is_scipys_average_linkage():
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    points = np.random.default_rng(1).normal(size=(60, 2))
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    tree = linkage(squareform(distances), "average")
    for threshold in (0.3, 0.8, 2.0):
        expected = fcluster(tree, threshold, "distance")
        found = agglomerative_clusters(distances, threshold)
        pairs = set(zip(expected.tolist(), found.tolist(), strict=True))
        assert len(pairs) == len(set(expected)) == found.max()


def test_few_utterances():
    assert agglomerative_clusters(np.zeros((0, 0)), 1.0).tolist() == []
    assert agglomerative_clusters(np.zeros((1, 1)), 1.0).tolist() == [1]
    assert agglomerative_clusters(np.zeros((2, 2)), 0.0).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("matrix", "options", "message"),
    [
        (np.zeros((2, 3)), (0.0,), r"square matrix, got shape \[2, 3\]"),
        (np.full((2, 2), np.nan), (0.0,), "NaN"),
        (np.zeros((2, 2)), (0.0, 0), "at least one cluster"),
        (np.zeros((4, 4)), (0.0, 2, 0.4), "at least one over their number"),
        (np.zeros((4, 4)), (0.0, 2, 1.0, 0), "at least one utterance, got 0"),
    ],
)
def test_wrong_input_is_refused(matrix, options, message):
    with pytest.raises(InputError, match=message):
        agglomerative_clusters(matrix, *options)
