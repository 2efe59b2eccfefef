"""The sounds used last are kept, up to a bound."""

import numpy as np

from dataset import wave_cache
from dataset.wav import Wave


def test_cache_is_bounded(monkeypatch):
    read = []
    wave = Wave(np.zeros((1, 100), np.float32), 8000)
    monkeypatch.setattr(wave_cache, "read_wave", lambda name: read.append(name) or wave)
    cache = wave_cache.WaveCache(1000)  # two of them
    for name in "abacab":
        cache.read(name)
    assert "".join(read) == "abcb"
