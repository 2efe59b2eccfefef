"""Pools of blocks: plans that any process makes alike, and data that all comes by."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from dataset.block_sampler import BlockSampler, find_blocks
from dataset.errors import InputError
from dataset.sampler import DurationSampler, RandomSampler
from dataset.speaker_info import TextColumn

NUM_BLOCKS, PER_BLOCK, SPEAKERS = 40, 25, 50
RNG = np.random.default_rng(0)
NUM_FRAMES = RNG.integers(30, 90, NUM_BLOCKS * PER_BLOCK)
LABELS = RNG.permutation(np.arange(NUM_BLOCKS * PER_BLOCK) % SPEAKERS)
BLOCK_OF = RNG.permutation(np.arange(NUM_BLOCKS * PER_BLOCK) // PER_BLOCK)
BLOCKS = [("ark", 100 * i, 100) for i in range(NUM_BLOCKS)]


def make_sampler(pool_size=8, kind=RandomSampler, labels=LABELS, seed=5, **options):
    sizes = {"num_speakers": 4, "num_segments": 2, "min_len": 20, "max_len": 30}
    make = functools.partial(kind, num_classes=SPEAKERS, seed=seed, **sizes | options)
    return BlockSampler(NUM_FRAMES, labels, BLOCK_OF, BLOCKS, pool_size, make, seed)


def same(one, other):
    return all(np.array_equal(x, y) for x, y in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", [RandomSampler, DurationSampler])
def test_plan_depends_on_seed_and_step_only(kind):
    one, other = make_sampler(kind=kind), make_sampler(kind=kind)
    plans = [one.plan(step) for step in range(300)]
    for step in (299, 7, 150, 7, 0):
        assert same(other.plan(step), plans[step])
    assert not same(make_sampler(kind=kind, seed=6).plan(7), plans[7])


def test_segments_are_in_the_blocks_asked_for_and_utterances():
    sampler, asked = make_sampler(), []
    for step in range(300):
        asked += [block[1] // 100 for block in sampler.take_blocks(step)]
        plan = sampler.plan(step)
        pool = asked[-8 - 4 :][:8]  # four are ahead
        assert set(BLOCK_OF[plan.utterances]) <= set(pool)
        assert np.array_equal(plan.labels, LABELS[plan.utterances])
        assert (plan.starts + plan.length <= NUM_FRAMES[plan.utterances]).all()
    passes = np.array(asked[: 2 * NUM_BLOCKS]).reshape(2, -1)
    assert (np.sort(passes) == np.arange(NUM_BLOCKS)).all()
    assert (passes[0] != passes[1]).any()
    assert not sampler.take_blocks(299)
    # A run that goes on there has to ask for what it needs itself.
    again = [block[1] // 100 for block in make_sampler().take_blocks(299)]
    assert again == asked[-12:]


def test_all_utterances_come_about_once_in_a_pass():
    steps = NUM_BLOCKS * PER_BLOCK // 8
    sampler = make_sampler()
    drawn = [sampler.plan(step).utterances for step in range(8 * steps)]
    counts = np.bincount(np.concatenate(drawn), minlength=len(LABELS))
    assert counts.mean() == 8 and counts.min() > 0
    # Drawn from everywhere the variance would be 8; speakers differ within a pool.
    assert counts.std() < 6
    speakers = np.bincount(LABELS[np.concatenate(drawn)], minlength=SPEAKERS)
    np.testing.assert_allclose(speakers, speakers.mean(), rtol=0.4)


def test_pool_grows_until_it_has_enough_speakers():
    in_order = np.empty_like(LABELS)
    in_order[np.argsort(BLOCK_OF, kind="stable")] = np.sort(LABELS)
    sampler = make_sampler(pool_size=1, labels=in_order)
    assert 4 <= sampler.num_speakers_at_first <= 12
    for step in range(50):
        assert len(set(sampler.plan(step).labels)) == 4
    everywhere = make_sampler(pool_size=1, labels=in_order, num_speakers=50)
    assert len(set(everywhere.plan(3).labels)) == 50
    with pytest.raises(InputError, match="num_speakers_per_batch is 51"):
        make_sampler(num_speakers=51)


def test_blocks_are_whole_matrices_of_one_archive(tmp_path):
    sizes = {"a": 1000, "b": 50}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(bytes(size))
    offsets = RNG.permutation(np.arange(2, 980, 14))
    names = [f"{tmp_path}/a:{offset}" for offset in offsets]
    names += [f"{tmp_path}/b:7[0:9]"]
    block_of, blocks = find_blocks(TextColumn(names), block_bytes=100)
    assert len(blocks) == 11
    assert sum(block.size for block in blocks) == 998 + 43
    for offset, number in zip([*offsets, 7], block_of, strict=True):
        block = blocks[number]
        assert block.start <= offset < block.start + block.size
    ends = {block.path: block.start + block.size for block in blocks}
    assert ends == {f"{tmp_path}/{name}": size for name, size in sizes.items()}
    with pytest.raises(InputError, match="is a pipe"):
        find_blocks(TextColumn(["cat x |"]))
    with pytest.raises(InputError, match="cannot open /no/where: No such file"):
        find_blocks(TextColumn(["/no/where:3"]))
