import numpy as np
import pytest
from scipy.stats import multivariate_normal

from dataset.errors import InputError
from misc.backend.dense_scoring import dense_scores, recording_pca
from misc.backend.plda import Plda


def test_scores_are_the_definition():
    """The ratio of joint to separate densities, in the coordinates of the PCA."""
    rng = np.random.default_rng(0)
    plda = Plda(
        rng.normal(size=5), rng.normal(size=(5, 5)), np.array([9, 4, 2, 1, 0.5])
    )
    vectors = rng.normal(size=(12, 5)) * [3, 2, 1, 0.5, 0.1]
    values, directions = np.linalg.eigh(np.cov(vectors.T))
    share = np.cumsum(values[::-1]) / values.sum()
    pca = directions[:, ::-1].T[: np.argmax(share > 0.8) + 2]
    back = pca @ np.linalg.inv(plda.transform)
    within, between = back @ back.T, back @ np.diag(plda.psi) @ back.T
    total = within + between
    points = (vectors - plda.mean) @ pca.T
    alone = multivariate_normal(cov=total)
    both = multivariate_normal(cov=np.block([[total, between], [between, total]]))
    expected = [
        [
            both.logpdf(np.hstack([a, b])) - alone.logpdf(a) - alone.logpdf(b)
            for b in points
        ]
        for a in points
    ]
    found = dense_scores(plda, vectors, 0.8, normalize_length=False)
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_how_many_directions_a_recording_has():
    vectors = np.diag([4.0, 3.0, 2.0, 1.0])
    vectors = np.vstack([vectors, -vectors])  # shares 16, 9, 4, 1 of 30
    counts = [len(recording_pca(vectors, x)) for x in (0.0, 0.5, 0.6, 0.9, 1.0)]
    assert counts == [2, 2, 3, 4, 4]
    assert len(recording_pca(np.ones((1, 4)), 0.5)) == 1
    with pytest.raises(InputError, match="from 0 to 1, got 1.5"):
        recording_pca(vectors, 1.5)
