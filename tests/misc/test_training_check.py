"""What the sampler's rules leave out."""

import numpy as np

from dataset.sampler import RandomSampler
from misc.training_check import Share, sampling_losses


def test_losses_by_rule():
    #           speaker 0    1        3            4
    num_frames = np.array([10, 5, 30, 15, 20, 21, 40, 9])
    labels = np.array([0, 0, 1, 1, 3, 3, 3, 4])
    losses = sampling_losses(num_frames, labels, 10, 20)
    assert losses.present == Share(4, 8, 150)
    assert losses.never == Share(1, 2, 14)
    assert losses.sometimes == Share(1, 2, 25)


def test_they_are_the_samplers():
    rng = np.random.default_rng(0)
    num_frames, labels = rng.integers(1, 60, 300), rng.integers(0, 100, 300)
    sampler = RandomSampler(num_frames, labels, 100, 2, 1, 30, 40)
    losses = sampling_losses(num_frames, labels, 30, 40)
    assert losses.never.utterances == sampler.num_utterances_left_out > 0
    absent = 100 - losses.present.speakers
    assert losses.never.speakers + absent == sampler.num_speakers_left_out > absent
