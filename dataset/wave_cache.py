"""Sound files that are read again and again, such as noises and impulse responses."""

from __future__ import annotations

import collections

from dataset.wav import Wave, read_wave


class WaveCache:
    """The sounds used last.

    Args:
        limit: bytes of samples that are kept.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waves: collections.OrderedDict[str, Wave] = collections.OrderedDict()
        self._size = 0

    def read(self, rxfilename: str) -> Wave:
        """What `read_wave` gives."""
        if rxfilename in self._waves:
            self._waves.move_to_end(rxfilename)
            return self._waves[rxfilename]
        wave = read_wave(rxfilename)
        self._waves[rxfilename] = wave
        self._size += wave.samples.nbytes
        while self._size > self._limit:
            self._size -= self._waves.popitem(last=False)[1].samples.nbytes
        return wave
