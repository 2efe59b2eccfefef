import logging

import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend.lda import apply_transform, class_means, fit_lda, length_normalise


def draw(num_speakers=60, num_utts=12, dim=6, seed=3):
    """Speakers that differ in the first two dimensions only."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(num_speakers), num_utts)
    speakers = rng.normal(size=(num_speakers, dim)) * np.r_[3.0, 2.0, np.zeros(dim - 2)]
    mixing = rng.normal(size=(dim, dim)) + 3 * np.eye(dim)
    within = rng.normal(size=(len(labels), dim))
    return (speakers[labels] + within) @ mixing.T + 5.0, labels, mixing


def test_class_means_are_those_of_a_loop():
    vectors, labels, _ = draw()
    order = np.random.default_rng(0).permutation(len(labels))
    means, counts = class_means(vectors[order], labels[order])
    for speaker in range(60):
        expected = vectors[labels == speaker]
        np.testing.assert_allclose(means[speaker], expected.mean(axis=0))
        assert counts[speaker] == len(expected)
    with pytest.raises(InputError, match="Class 1 has no embedding"):
        class_means(np.ones((2, 3)), [0, 2])


def test_lda_is_kaldis(kaldi_backend, kaldi_backend_folder):
    train, labels = kaldi_backend["train"], kaldi_backend["train_labels"]
    centred = train - train.mean(axis=0, dtype=np.float64)
    text = (kaldi_backend_folder / "lda_0.0_20.txt").read_text()
    expected = np.array(text.strip(" []\n").split(), float).reshape(20, 49)
    for factor, golden in [(0.0, expected), (0.1, kaldi_backend["lda_factor0.1"])]:
        found = fit_lda(centred, labels, len(golden), total_covariance_factor=factor)
        signs = np.sign(np.sum(found[:, :-1] * golden[:, :-1], axis=1))
        np.testing.assert_allclose(found * signs[:, None], golden, atol=2e-5)


def test_lda_finds_the_planted_directions():
    vectors, labels, mixing = draw()
    lda = fit_lda(vectors, labels, dim=2)
    # In the coordinates before mixing the speakers differ in dimensions 0 and 1.
    unmixed = lda[:, :-1] @ mixing
    assert np.abs(unmixed[:, 2:]).max() < 0.15
    projected = apply_transform(lda, vectors)
    means, _ = class_means(projected, labels)
    rest = projected - means[labels]
    np.testing.assert_allclose(rest.T @ rest / len(rest), np.eye(2), atol=1e-9)
    np.testing.assert_allclose(projected.mean(axis=0), 0.0, atol=1e-9)
    spread = means.T @ means / len(means)
    assert abs(spread[0, 1]) < 1e-9 and spread[0, 0] > spread[1, 1]


def test_the_total_covariance_becomes_unit_with_factor_one():
    vectors, labels, _ = draw()
    projected = apply_transform(
        fit_lda(vectors, labels, 4, total_covariance_factor=1.0), vectors
    )
    np.testing.assert_allclose(np.cov(projected.T, bias=True), np.eye(4), atol=1e-9)


def test_too_much_is_refused():
    vectors, labels, _ = draw(num_speakers=4)
    with pytest.raises(InputError, match="largest possible is 3"):
        fit_lda(vectors, labels, dim=4)
    with pytest.raises(InputError, match="largest possible is 3"):
        fit_lda(vectors, labels, dim=0)
    with pytest.raises(InputError, match="at least as many utterances, got 5"):
        fit_lda(vectors[:5], [0, 0, 1, 1, 2], dim=2)
    with pytest.raises(InputError, match="within-class covariance cannot be"):
        fit_lda(vectors[:8], np.arange(8), dim=2)


def test_small_eigenvalues_are_floored_with_a_warning(caplog):
    vectors, labels, _ = draw()
    constant = np.column_stack([vectors, np.ones(len(vectors))])
    with caplog.at_level(logging.WARNING, logger="kaldi"):
        lda = fit_lda(constant, labels, dim=2)
    assert "Floored 1 eigenvalues" in caplog.text
    assert np.isfinite(lda).all()
    with pytest.raises(InputError, match="covariance floor above 0"):
        fit_lda(np.ones((len(labels), 3)), labels, dim=2)


def test_transforms_are_linear_or_affine():
    transform = np.array([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]])
    np.testing.assert_allclose(apply_transform(transform, [1, 1, 1]), [6, 0])
    np.testing.assert_allclose(apply_transform(transform, [1, 1]), [6, 0])
    np.testing.assert_allclose(
        apply_transform(transform, [[1, 1], [0, 0]]), [[6, 0], [3, -1]]
    )
    with pytest.raises(InputError, match="3 columns takes .* 3 or 2, got 4"):
        apply_transform(transform, np.ones(4))


def test_length_is_normalised():
    vectors = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, -2.0]])
    unit = length_normalise(vectors, scale_up=False)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [0, -1]])
    np.testing.assert_allclose(length_normalise(vectors), unit * np.sqrt(2))
    np.testing.assert_allclose(length_normalise(vectors[0]), unit[0] * np.sqrt(2))
