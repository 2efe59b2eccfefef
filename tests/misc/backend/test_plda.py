import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend.lda import apply_transform, fit_lda, length_normalise
from misc.backend.plda import (
    Covariances,
    Plda,
    adapt_plda,
    diagonalise,
    em_steps,
    fit_plda,
    llr_factors,
    log_likelihood,
    plda_stats,
    smooth_within,
    transform_embeddings,
)
from misc.backend.plda_file import read_plda
from misc.backend.scoring import score_pairs


def draw(num_speakers=40, dim=3, seed=0, most=6):
    """Speakers with 1 to `most` utterances from known covariances."""
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(2, dim, dim)) * 0.4 + np.eye(dim)
    between, within = 2.0 * factors[0] @ factors[0].T, factors[1] @ factors[1].T
    counts = rng.integers(1, most + 1, num_speakers)
    labels = np.repeat(np.arange(num_speakers), counts)
    speakers = rng.multivariate_normal(np.full(dim, 0.5), between, num_speakers)
    noise = rng.multivariate_normal(np.zeros(dim), within, len(labels))
    return speakers[labels] + noise, labels, Covariances(within, between)


def covariances_of(plda):
    back = np.linalg.inv(plda.transform)
    return Covariances(back @ back.T, back * plda.psi @ back.T)


def slow_em_step(vectors, labels, old):
    """The posterior of each speaker, one by one, by full matrices."""
    means = np.array(
        [vectors[labels == s].mean(axis=0) for s in range(max(labels) + 1)]
    )
    within = between = 0.0
    for speaker, mean in enumerate(means):
        own = vectors[labels == speaker]
        centred = mean - means.mean(axis=0)
        precision = np.linalg.inv(old.between) + len(own) * np.linalg.inv(old.within)
        variance = np.linalg.inv(precision)
        expected = variance @ (len(own) * np.linalg.inv(old.within) @ centred)
        rest = centred - expected
        between = between + np.outer(expected, expected) + variance
        within = within + len(own) * (np.outer(rest, rest) + variance)
        within = within + (own - mean).T @ (own - mean)
    return Covariances(within / len(vectors), between / len(means))


def test_em_steps_are_those_of_full_matrices():
    vectors, labels, _ = draw()
    expected = Covariances(np.eye(3), np.eye(3))
    for found in em_steps(plda_stats(vectors, labels), 4):
        expected = slow_em_step(vectors, labels, expected)
        np.testing.assert_allclose(found.within, expected.within, atol=1e-10)
        np.testing.assert_allclose(found.between, expected.between, atol=1e-10)


def test_log_likelihood_is_that_of_the_joint_gaussian():
    from scipy.stats import multivariate_normal

    vectors, labels, true = draw(num_speakers=5, dim=2)
    stats = plda_stats(vectors, labels)
    total = 0.0
    for speaker in range(5):
        own = vectors[labels == speaker]
        n = len(own)
        joint = np.kron(np.ones((n, n)), true.between) + np.kron(np.eye(n), true.within)
        total += multivariate_normal.logpdf(own.ravel(), np.tile(stats.mean, n), joint)
    assert log_likelihood(stats, true) == pytest.approx(total / len(vectors))


def test_em_raises_the_likelihood():
    stats = plda_stats(*draw()[:2])
    values = [log_likelihood(stats, step) for step in em_steps(stats, 30)]
    assert (np.diff(values) > -1e-12).all()
    assert values[-1] > values[0] + 0.01


def test_planted_covariances_are_recovered():
    vectors, labels, true = draw(num_speakers=4000, dim=4, most=8)
    found = covariances_of(fit_plda(plda_stats(vectors, labels), 20))
    for name in ("within", "between"):
        error = np.abs(getattr(found, name) - getattr(true, name)).max()
        assert error < 0.06 * np.abs(getattr(true, name)).max()


def test_diagonal_coordinates():
    *_, true = draw(dim=5)
    plda = diagonalise(np.zeros(5), true)
    np.testing.assert_allclose(
        plda.transform @ true.within @ plda.transform.T, np.eye(5), atol=1e-12
    )
    np.testing.assert_allclose(
        plda.transform @ true.between @ plda.transform.T, np.diag(plda.psi), atol=1e-12
    )
    assert (np.diff(plda.psi) <= 0).all()


def test_what_cannot_be_estimated_is_refused():
    with pytest.raises(InputError, match="4 speakers with one each"):
        plda_stats(np.eye(4), np.arange(4))
    with pytest.raises(InputError, match="singular.*LDA"):
        diagonalise(np.zeros(2), Covariances(np.diag([1.0, 0.0]), np.eye(2)))


def test_no_iteration_leaves_unit_covariances():
    stats = plda_stats(*draw()[:2])
    plda = fit_plda(stats, 0)
    np.testing.assert_array_equal(plda.mean, stats.mean)
    np.testing.assert_array_equal(plda.psi, 1.0)
    np.testing.assert_array_equal(plda.transform @ plda.transform.T, np.eye(plda.dim))


def direct_ratio(true, mean, enrolments, test):
    """Of enrolments and test from one speaker, over independent: full Gaussians."""
    from scipy.stats import multivariate_normal

    def log_density(*utterances):
        n = len(utterances)
        joint = np.kron(np.ones((n, n)), true.between) + np.kron(np.eye(n), true.within)
        return multivariate_normal.logpdf(np.ravel(utterances), np.tile(mean, n), joint)

    together = log_density(*enrolments, test)
    return together - log_density(*enrolments) - log_density(test)


def test_scores_are_the_ratio_of_full_gaussians():
    *_, true = draw(dim=4)
    rng = np.random.default_rng(5)
    mean = rng.normal(size=4)
    plda = diagonalise(mean, true)
    counts = np.array([1, 2, 5])
    enrolments = [rng.normal(size=(n, 4)) * 2 for n in counts]
    tests = rng.normal(size=(6, 4)) * 2
    left = transform_embeddings(
        plda, [e.mean(axis=0) for e in enrolments], counts, normalize_length=False
    )
    right = transform_embeddings(plda, tests, normalize_length=False)
    factors = llr_factors(plda, left, right, counts)
    for row, enrolled in enumerate(enrolments):
        for column, test in enumerate(tests):
            expected = direct_ratio(true, mean, enrolled, test)
            assert factors[0][row] @ factors[1][column] == pytest.approx(expected)


def test_scores_of_single_utterances_are_symmetric():
    plda = diagonalise(np.zeros(4), draw(dim=4)[2])
    a, b = np.random.default_rng(0).normal(size=(2, 7, 4))
    there, back = llr_factors(plda, a, b), llr_factors(plda, b, a)
    np.testing.assert_allclose(there[0] @ there[1].T, (back[0] @ back[1].T).T)


def test_length_normalisation():
    plda = diagonalise(np.ones(4), draw(dim=4)[2])
    rng = np.random.default_rng(1)
    vectors, counts = rng.normal(size=(9, 4)), rng.integers(1, 9, 9)
    plain = transform_embeddings(plda, vectors, counts, normalize_length=False)
    expected = (vectors - 1.0) @ plda.transform.T
    np.testing.assert_allclose(plain, expected)
    scaled = transform_embeddings(plda, vectors, counts)
    squares = np.sum(scaled**2 / (plda.psi + 1 / counts[:, None]), axis=1)
    np.testing.assert_allclose(squares, 4.0)
    simple = transform_embeddings(plda, vectors, simple_length_normalization=True)
    np.testing.assert_allclose(np.linalg.norm(simple, axis=1), 2.0)
    for found in (scaled, simple):  # only the length changes
        np.testing.assert_allclose(length_normalise(found), length_normalise(plain))
    at_mean = transform_embeddings(plda, np.ones((1, 4)))
    np.testing.assert_array_equal(at_mean, np.zeros((1, 4)))


@pytest.fixture(scope="module")
def prepared(kaldi_backend):
    """Golden sets, less the training mean, by LDA, length normalised."""
    mean = kaldi_backend["train"].mean(axis=0, dtype=np.float64)
    train = kaldi_backend["train"] - mean
    lda = fit_lda(train, kaldi_backend["train_labels"], 20)
    return {
        name: length_normalise(apply_transform(lda, kaldi_backend[name] - mean))
        for name in ("train", "enrol_means", "test", "adapt")
    }


@pytest.fixture(scope="module")
def trained(kaldi_backend, prepared):
    return fit_plda(plda_stats(prepared["train"], kaldi_backend["train_labels"]))


def test_model_is_kaldis_up_to_signs(trained, kaldi_backend_folder):
    golden = read_plda(kaldi_backend_folder / "plda.txt")
    np.testing.assert_allclose(trained.psi, golden.psi, atol=1e-5)
    np.testing.assert_allclose(np.abs(trained.mean), np.abs(golden.mean), atol=1e-5)
    ours, kaldis = covariances_of(trained), covariances_of(golden)
    np.testing.assert_allclose(np.abs(ours.within), np.abs(kaldis.within), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "counted", "options"),
    [
        ("plda", False, {}),
        ("plda_numutts", True, {}),
        ("plda_simple", False, {"simple_length_normalization": True}),
        ("plda_smooth_nonorm", False, {"normalize_length": False}),
        ("plda_adapt", True, {}),
    ],
)
def test_scores_of_our_own_model_are_kaldis(
    name, counted, options, trained, prepared, kaldi_backend
):
    plda = trained
    if "smooth" in name:
        plda = smooth_within(plda, 0.1)
    if "adapt" in name:
        plda = adapt_plda(plda, prepared["adapt"], 0.75, 0.25)
    counts = kaldi_backend["num_utts"] if counted else 1
    found = score_pairs(
        *llr_factors(
            plda,
            transform_embeddings(plda, prepared["enrol_means"], counts, **options),
            transform_embeddings(plda, prepared["test"], **options),
            counts,
        ),
        kaldi_backend["trial_rows"],
        kaldi_backend["trial_columns"],
    )
    np.testing.assert_allclose(found, kaldi_backend[f"scores_{name}"], atol=1e-4)


def test_smoothing_adds_to_the_within_class_covariance(kaldi_backend_folder):
    plda = read_plda(kaldi_backend_folder / "plda.txt")
    before, after = covariances_of(plda), covariances_of(smooth_within(plda, 0.25))
    np.testing.assert_allclose(after.between, before.between, atol=1e-9)
    np.testing.assert_allclose(
        after.within, before.within + 0.25 * before.between, atol=1e-9
    )
    golden = read_plda(kaldi_backend_folder / "plda_smooth0.1.txt")
    smoothed = smooth_within(plda, 0.1)
    np.testing.assert_allclose(smoothed.psi, golden.psi, rtol=1e-5)
    np.testing.assert_allclose(smoothed.transform, golden.transform, atol=1e-5)
    with pytest.raises(InputError, match="from 0 to 1, got 2"):
        smooth_within(plda, 2.0)


def test_adaptation_shares_out_the_excess_variance():
    """Twice the standard deviation in one direction of a plain model."""
    plda = Plda(np.zeros(2), np.eye(2), np.array([3.0, 1.0]))  # total variances 4, 2
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    vectors = np.array([5.0, 0.0]) + signs * np.sqrt([16.0, 1.0])
    found = adapt_plda(plda, vectors, 0.25, 0.5, mean_diff_scale=0.0)
    covariances = covariances_of(found)
    np.testing.assert_allclose(found.mean, [5.0, 0.0])
    # Excess 12 in dimension 0; dimension 1 has shrunk, which changes nothing.
    np.testing.assert_allclose(covariances.within, np.diag([4.0, 1.0]), atol=1e-9)
    np.testing.assert_allclose(covariances.between, np.diag([9.0, 1.0]), atol=1e-9)
    shifted = covariances_of(adapt_plda(plda, vectors, 0.0, 1.0, mean_diff_scale=2.0))
    np.testing.assert_allclose(
        shifted.between, np.diag([15.0 + 2 * 25.0, 1.0]), atol=1e-9
    )
    with pytest.raises(InputError, match="not be negative"):
        adapt_plda(plda, vectors, within_covar_scale=-1.0)
