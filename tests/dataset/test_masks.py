"""Masks: widths, places, and nothing else changed."""

import numpy as np

from dataset.masks import Masks


def test_masks_are_bands_of_zeros():
    widths = {"time": set(), "frequency": set()}
    places = set()
    for seed in range(300):
        frames = np.ones((50, 12), np.float32)
        Masks(time=[5], frequency=[3]).apply(frames, np.random.default_rng(seed))
        rows = np.flatnonzero(~frames.any(axis=1))
        columns = np.flatnonzero(~frames.any(axis=0))
        for name, masked in (("time", rows), ("frequency", columns)):
            widths[name].add(len(masked))
            assert not len(masked) or np.ptp(masked) == len(masked) - 1
        places.update(rows.tolist())
        frames[rows], frames[:, columns] = 1, 1
        assert (frames == 1).all()
    assert widths == {"time": set(range(6)), "frequency": set(range(4))}
    assert places == set(range(50))


def test_several_masks_and_segments_shorter_than_a_mask():
    frames = np.ones((4, 12), np.float32)
    rng = np.random.default_rng(0)
    Masks(time=[100, 100, 100]).apply(frames, rng)
    assert set(np.unique(frames)) <= {0, 1}
    frames = np.ones((200, 12), np.float32)
    Masks(time=[10] * 5).apply(frames, rng)
    assert 10 < (frames[:, 0] == 0).sum() <= 50
