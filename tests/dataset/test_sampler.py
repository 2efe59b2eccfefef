"""The plan of batches: its rules, its distribution, and that it is reproducible."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dataset.errors import InputError
from dataset.sampler import (
    RANDOM_SAMPLERS,
    DurationSampler,
    RandomSampler,
    SequentialSampler,
    _choose,
)


def corpus(num_speakers=12, seed=0, shortest=50, longest=600, unsorted=True):
    """Frames and labels of 3 to 9 utterances per speaker, one of them of `longest`."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(3, 10, num_speakers)
    labels = np.repeat(np.arange(num_speakers), counts)
    num_frames = rng.integers(shortest, longest, len(labels))
    num_frames[np.cumsum(counts) - 1] = longest
    order = rng.permutation(len(labels)) if unsorted else np.arange(len(labels))
    return num_frames[order], labels[order].astype(np.int32)


def equal(one, other):
    return one.length == other.length and all(
        np.array_equal(a, b)
        for a, b in zip(one[:2] + one[3:], other[:2] + other[3:], strict=True)
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    step=st.integers(0, 2**40),
    num_speakers=st.integers(1, 12),
    num_segments=st.integers(1, 15),
    min_len=st.integers(1, 600),
    spread=st.integers(0, 300),
    sample_by=st.sampled_from(list(RANDOM_SAMPLERS)),
)
def test_every_batch_keeps_the_rules(
    seed, step, num_speakers, num_segments, min_len, spread, sample_by
):
    num_frames, labels = corpus(seed=seed % 100)
    max_len = min(min_len + spread, 600)
    sampler = RANDOM_SAMPLERS[sample_by](
        num_frames, labels, 12, num_speakers, num_segments, min_len, max_len, seed
    )
    plan = sampler.plan(step)
    assert min_len <= plan.length <= max_len
    assert plan.utterances.shape == plan.starts.shape == plan.labels.shape
    assert len(plan.labels) == num_speakers * num_segments == sampler.max_batch_size
    assert (plan.starts >= 0).all()
    assert (plan.starts + plan.length <= num_frames[plan.utterances]).all()
    assert plan.labels.dtype == np.int32
    assert np.array_equal(plan.labels, labels[plan.utterances])
    rows = plan.labels.reshape(num_speakers, num_segments)
    assert (rows == rows[:, :1]).all()
    assert len(np.unique(rows[:, 0])) == num_speakers
    if sample_by == "duration":
        return  # utterances come independently
    for speaker, chosen in zip(
        rows[:, 0], plan.utterances.reshape(rows.shape), strict=True
    ):
        long_enough = np.sum((labels == speaker) & (num_frames >= plan.length))
        most = -(-num_segments // long_enough)
        assert max(collections.Counter(chosen).values()) <= most
        assert most > 1 or len(set(chosen)) == num_segments


@pytest.mark.parametrize("sampler", RANDOM_SAMPLERS.values())
def test_plan_depends_on_seed_and_step_only(sampler):
    tables = corpus()
    one = sampler(*tables, 12, 8, seed=5)
    other = sampler(*tables, 12, 8, seed=5)
    forward = [one.plan(step) for step in range(20)]
    backward = [other.plan(step) for step in reversed(range(20))][::-1]
    assert all(map(equal, forward, backward))
    assert not equal(forward[0], forward[1])
    assert not equal(forward[0], sampler(*tables, 12, 8, seed=6).plan(0))
    # neither (seed, step) nor (step, seed) nor their sum decides alone
    assert not equal(one.plan(6), sampler(*tables, 12, 8, seed=6).plan(5))


def test_speakers_are_uniform_whatever_their_number_of_utterances():
    labels = np.repeat(np.arange(10), 2 ** np.arange(10))
    num_frames = np.full(len(labels), 300)
    sampler = RandomSampler(num_frames, labels, 10, 3, 1, 200, 300, seed=1)
    drawn = np.concatenate([sampler.plan(step).labels for step in range(4000)])
    counts = np.bincount(drawn, minlength=10)
    assert np.abs(counts - 1200).max() < 5 * np.sqrt(1200)


def test_lengths_utterances_and_starts_are_uniform():
    num_frames = np.full(40, 13)
    labels = np.repeat(np.arange(4), 10)
    sampler = RandomSampler(num_frames, labels, 4, 4, 2, 10, 12, seed=2)
    plans = [sampler.plan(step) for step in range(3000)]
    lengths = np.bincount([plan.length for plan in plans], minlength=13)[10:]
    assert np.abs(lengths - 1000).max() < 5 * np.sqrt(1000)
    utterances = np.bincount(np.concatenate([plan.utterances for plan in plans]))
    assert np.abs(utterances - 600).max() < 5 * np.sqrt(600)
    starts = np.concatenate([plan.starts for plan in plans if plan.length == 10])
    counts = np.bincount(starts, minlength=4)
    assert len(counts) == 4
    assert np.abs(counts - len(starts) / 4).max() < 5 * np.sqrt(len(starts) / 4)


def test_pairs_of_utterances_are_uniform():
    rng = np.random.default_rng(0)
    pairs = _choose(rng, np.full(12000, 4), 2)
    counts = collections.Counter(tuple(sorted(pair)) for pair in pairs.tolist())
    assert len(counts) == 6
    assert all(abs(count - 2000) < 5 * np.sqrt(2000) for count in counts.values())


def test_by_duration_one_speaker_a_batch_every_utterance_has_its_share():
    num_frames, labels = corpus(30)
    sampler = DurationSampler(num_frames, labels, 30, 1, 1, 200, 200, seed=4)
    plans = [sampler.plan(step) for step in range(20_000)]
    drawn = np.bincount([plan.utterances[0] for plan in plans], minlength=len(labels))
    assert_shares(drawn, np.where(num_frames >= 200, num_frames, 0))
    starts = [plan.starts[0] for plan in plans if num_frames[plan.utterances[0]] == 600]
    assert_shares(np.histogram(starts, 10, (0, 400))[0], np.ones(10))


def test_by_duration_utterances_of_a_speaker_come_independently():
    num_frames, labels = np.array([100, 200, 300, 99]), np.zeros(4, int)
    sampler = DurationSampler(num_frames, labels, 1, 1, 2, 100, 100)
    pairs = [sampler.plan(step).utterances for step in range(6000)]
    drawn = np.bincount([3 * first + second for first, second in pairs], minlength=9)
    assert_shares(drawn, np.outer([1, 2, 3], [1, 2, 3]).ravel())


@pytest.mark.parametrize("num_speakers", [2, 3])
def test_by_duration_speakers_come_one_after_another(num_speakers):
    # Of the batches of three, most need more speakers than the frames drawn show; the
    # last utterance, and speaker 4 with it, is too short.
    num_frames = np.array([900, 100, 500, 300, 200, 99])
    labels = np.array([0, 0, 1, 2, 3, 4])
    shares = [1000, 500, 300, 200]
    sampler = DurationSampler(num_frames, labels, 5, num_speakers, 1, 100, 100, seed=7)
    drawn = collections.Counter(
        tuple(sampler.plan(step).labels.tolist()) for step in range(12_000)
    )
    orders = list(itertools.permutations(range(4), num_speakers))
    assert_shares([drawn[order] for order in orders], in_succession(shares, orders))


def test_by_duration_though_most_frames_are_in_short_utterances():
    num_frames = np.array([1000, 500] + [99] * 3000)
    labels = np.array([0, 1] + [0, 1, 2] * 1000)
    sampler = DurationSampler(num_frames, labels, 3, 1, 1, 100, 100)
    drawn = np.bincount([sampler.plan(step).labels[0] for step in range(3000)])
    assert_shares(drawn, [2, 1])


def in_succession(shares, orders):
    """The probability of each order of being drawn without replacement."""
    probabilities = np.ones(len(orders))
    for i, order in enumerate(orders):
        left = float(np.sum(shares))
        for chosen in order:
            probabilities[i] *= shares[chosen] / left
            left -= shares[chosen]
    return probabilities


def assert_shares(counts, weights):
    """Chi-square: the counts are as likely as one in a thousand under the weights."""
    counts, weights = np.asarray(counts), np.asarray(weights, float)
    assert not counts[weights == 0].any()
    expected = weights[weights > 0] / weights.sum() * counts.sum()
    assert stats.chisquare(counts[weights > 0], expected).pvalue > 1e-3


def test_utterance_of_exactly_the_length_qualifies_and_shorter_ones_do_not():
    num_frames, labels = np.array([100, 99, 100, 300]), np.array([0, 0, 1, 1])
    sampler = RandomSampler(num_frames, labels, 2, 2, 4, 100, 100)
    plan = sampler.plan(0)
    assert set(plan.utterances) == {0, 2, 3}
    assert (plan.starts[plan.labels == 0] == 0).all()
    assert sampler.num_utterances_left_out == 1
    assert sampler.num_speakers_left_out == 0


def test_speakers_left_out_are_counted_and_never_drawn():
    # speaker 1 is short, speaker 3 absent, speaker 2 only good for short segments
    num_frames = np.array([500, 500, 80, 90, 250, 500])
    labels = np.array([0, 0, 1, 1, 2, 4])
    sampler = RandomSampler(num_frames, labels, 5, 2, 1, 200, 400, seed=3)
    assert sampler.num_speakers_left_out == 2
    assert sampler.num_utterances_left_out == 2
    plans = [sampler.plan(step) for step in range(300)]
    assert set(np.concatenate([plan.labels for plan in plans])) == {0, 2, 4}
    assert all(plan.length <= 250 for plan in plans if 2 in plan.labels)
    assert any(plan.length > 390 for plan in plans)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"num_speakers": 13}, ["num_speakers_per_batch is 13", "only 12 of the 14"]),
        ({"num_speakers": 0}, ["num_speakers_per_batch"]),
        ({"num_segments": 0}, ["num_segments_per_speaker"]),
        ({"min_len": 0}, ["min_segment_len", "got 0 and 400"]),
        ({"min_len": 401}, ["min_segment_len", "got 401 and 400"]),
        ({"max_len": 601}, ["only 0 of 12", "max_segment_len = 601", "to 600 or less"]),
        ({"min_len": 700, "max_len": 700}, ["only 0 of 12", "min_segment_len with it"]),
        ({"seed": -1}, ["seed", "-1"]),
        ({"seed": 2**64}, ["seed"]),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(InputError) as caught:
        RandomSampler(*corpus(), 14, **({"num_speakers": 8} | options))
    assert all(word in str(caught.value) for word in words), caught.value


def test_too_few_speakers_with_long_utterances_are_refused():
    num_frames, labels = np.array([300, 400, 450, 600]), np.arange(4)
    with pytest.raises(InputError) as caught:
        RandomSampler(num_frames, labels, 4, 3, 1, 200, 450)
    for words in (
        "only 2 of 4",
        "max_segment_len to 400",
        "num_speakers_per_batch to 2",
    ):
        assert words in str(caught.value)
    RandomSampler(num_frames, labels, 4, 3, 1, 200, 400)
    RandomSampler(num_frames, labels, 4, 2, 1, 200, 450)


def test_sequential_reads_each_utterance_once_in_order_from_its_start():
    num_frames, labels = corpus()
    sampler = SequentialSampler(num_frames, labels, 16, 100, 200)
    plans = [sampler.plan(step) for step in range(sampler.num_batches)]
    utterances = np.concatenate([plan.utterances for plan in plans])
    assert np.array_equal(utterances, np.arange(len(labels)))
    assert [len(plan.labels) for plan in plans[:-1]] == [16] * (len(plans) - 1)
    assert 0 < len(plans[-1].labels) <= 16
    for plan in plans:
        shortest = num_frames[plan.utterances].min()
        assert plan.length <= min(200, shortest)
        assert plan.length >= min(100, shortest)
        assert not plan.starts.any()
        assert np.array_equal(plan.labels, labels[plan.utterances])
    assert sampler.shortest == num_frames.min() < 100
    assert len({plan.length for plan in plans}) > 1


def test_sequential_shuffled_is_a_reproducible_permutation_with_random_starts():
    num_frames, labels = corpus(60)
    plans, again, other = (
        [sampler.plan(step) for step in range(sampler.num_batches)]
        for sampler in (
            SequentialSampler(num_frames, labels, 16, 100, 200, shuffle=True, seed=seed)
            for seed in (3, 3, 4)
        )
    )
    assert all(map(equal, plans, again))
    assert not np.array_equal(plans[0].utterances, other[0].utterances)
    utterances = np.concatenate([plan.utterances for plan in plans])
    assert not np.array_equal(utterances, np.arange(len(labels)))
    assert np.array_equal(np.sort(utterances), np.arange(len(labels)))
    starts = np.concatenate([plan.starts for plan in plans])
    lengths = np.concatenate([np.full(len(p.starts), p.length) for p in plans])
    assert (starts >= 0).all() and (starts + lengths <= num_frames[utterances]).all()
    assert np.mean(starts > 0) > 0.5


def test_sequential_refuses_what_it_cannot_do():
    with pytest.raises(InputError, match="no utterances"):
        SequentialSampler(np.array([], int), np.array([], int))
    with pytest.raises(InputError, match="batch_size"):
        SequentialSampler(*corpus(), batch_size=0)


def test_two_million_utterances_are_planned_without_looking_at_them_all():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 7300, 2_200_000)
    num_frames = rng.integers(400, 3000, len(labels))
    sampler = RandomSampler(num_frames, labels, 7300)
    touched = []
    sampler._num_frames = _Counting(num_frames, touched)
    sampler.plan(0)
    assert sum(touched) == 64


class _Counting:
    """An array that notes how many of its elements are asked for."""

    def __init__(self, values, touched):
        self.values, self.touched = values, touched

    def __getitem__(self, index):
        self.touched.append(len(index))
        return self.values[index]


@pytest.mark.parametrize("shuffle", [False, True])
def test_sequential_leaves_out_utterances_without_a_frame(shuffle):
    num_frames = np.array([0, 9, 0, 8, 7])
    sampler = SequentialSampler(num_frames, np.arange(5), 2, 5, 5, shuffle)
    assert (sampler.num_batches, sampler.shortest) == (2, 7)
    assert sampler.num_utterances_left_out == 2
    labels = np.concatenate([sampler.plan(step).labels for step in range(2)])
    assert sorted(labels) == [1, 3, 4]
    with pytest.raises(InputError, match="no utterances"):
        SequentialSampler(np.zeros(3, int), np.arange(3))
