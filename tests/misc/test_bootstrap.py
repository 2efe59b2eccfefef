import numpy as np
import pytest

from dataset.errors import InputError
from misc import metrics
from misc.bootstrap import bootstrap_intervals
from misc.operating_points import OPERATING_POINTS

POINTS = [OPERATING_POINTS["sre16"], OPERATING_POINTS["sre08"]]


def trials(rng, num_speakers, per_speaker=3, spread=0.0):
    """All pairs of utterances; speakers differ in how well they are told apart."""
    speaker = np.repeat(np.arange(num_speakers), per_speaker)
    first, second = np.triu_indices(speaker.size, k=1)
    pairs = np.column_stack([speaker[first], speaker[second]])
    is_target = pairs[:, 0] == pairs[:, 1]
    ease = rng.normal(0, spread, num_speakers)
    scores = rng.normal(0, 1, is_target.size) + np.where(is_target, 2.0, 0.0)
    scores += np.where(is_target, ease[pairs[:, 0]], -ease[pairs].sum(axis=1))
    return scores, is_target, pairs


def slow_intervals(scores, is_target, pairs, num_draws, seed):
    """Every trial written out as often as its speakers were drawn."""
    size = pairs.max() + 1
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(num_draws):
        counts = rng.multinomial(size, np.full(size, 1 / size))
        copies = [
            counts[a] if target else counts[a] * counts[b]
            for (a, b), target in zip(pairs, is_target, strict=True)
        ]
        drawn = np.repeat(scores, copies)
        kinds = np.repeat(is_target, copies)
        pair = drawn[kinds], drawn[~kinds]
        if not (pair[0].size and pair[1].size):
            continue
        sre16 = [metrics.min_dcf(*pair, p)[0] for p in (0.01, 0.005)]
        sre08 = metrics.min_dcf(*pair, 0.01, 10)[0]
        rows.append([metrics.eer(*pair)[0], np.mean(sre16), sre08])
    return np.percentile(rows, [2.5, 97.5], axis=0).T


@pytest.mark.parametrize("ties", [False, True])
def test_intervals_are_those_of_written_out_trials(ties):
    scores, is_target, pairs = trials(np.random.default_rng(0), 6)
    if ties:
        scores = np.round(scores)
    found = bootstrap_intervals(scores, is_target, pairs, POINTS, num_draws=60, seed=5)
    np.testing.assert_allclose(found, slow_intervals(scores, is_target, pairs, 60, 5))


def test_intervals_depend_on_nothing_but_seed_and_trials():
    rng = np.random.default_rng(1)
    scores, is_target, pairs = trials(rng, 10)
    first = bootstrap_intervals(scores, is_target, pairs, POINTS, 50)
    order = rng.permutation(scores.size)
    shuffled = scores[order], is_target[order], pairs[order, ::-1]
    np.testing.assert_array_equal(
        first, bootstrap_intervals(*shuffled, POINTS, num_draws=50)
    )
    assert (first != bootstrap_intervals(scores, is_target, pairs, POINTS, 50, seed=1))[
        0
    ].any()
    wide = bootstrap_intervals(scores, is_target, pairs, POINTS, 50, level=0.99)
    assert (wide[:, 0] <= first[:, 0]).all() and (wide[:, 1] >= first[:, 1]).all()


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """EER of an endless population, speakers easy and hard; 60 samples of 40."""
    rng = np.random.default_rng(2)
    truth = metrics.eer(
        2.0 + rng.normal(0, np.hypot(1, 0.5), 200_000),
        rng.normal(0, np.sqrt(1 + 2 * 0.25), 200_000),
    )[0]
    hits = 0
    for _ in range(60):
        scores, is_target, pairs = trials(rng, 40, spread=0.5)
        low, high = bootstrap_intervals(scores, is_target, pairs, num_draws=100)[0]
        hits += low <= truth <= high
    assert 50 <= hits <= 60


def test_wrong_trials_are_refused():
    with pytest.raises(InputError, match="1 of 2 trials.*index 1"):
        bootstrap_intervals([1.0, 0.0], [True, False], [[0, 0], [1, 1]])
    with pytest.raises(InputError, match="at least two speakers"):
        bootstrap_intervals([1.0], [True], [[0, 0]])
