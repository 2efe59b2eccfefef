"""From a recording to its embedding, in Python: what nnet/extract.py --wav writes.

from nnet.speaker_embedder import SpeakerEmbedder

embed = SpeakerEmbedder("exp/xvector")
embedding = embed("somebody.wav")  # float32 [512]
embedding = embed(samples, 16000)
"""

from __future__ import annotations

import os
import threading

import numpy as np

from dataset.errors import InputError, Unusable
from dataset.front_end import NOT_FINITE
from dataset.recordings import UNREADABLE
from dataset.wav import Wave, read_wave_file
from misc.embedder import Array, Embedder
from misc.model_front_end import model_front_end
from misc.run_dir import RunDir
from nnet.networks import open_network

_KEY = ""
"""Of every recording: the dither must not depend on a name."""

_HIGHEST = 2.0
"""Above 1, as decoded MP3 can be, but far from 16-bit integers."""


class SpeakerEmbedder:
    """The embeddings of a trained model, ours or the original's.

    It may be called from several threads; the network then serves one at a time, in as
    many threads as NumPy has (OPENBLAS_NUM_THREADS, before NumPy is imported).

    Args:
        model_dir: the folder of a run, with its `nnet/front_end`.
        node: an endpoint; empty: the configuration's embedding_node.
        checkpoint: `last`, `-1` (best validation loss) or a number of steps.
        normalize: embeddings of length 1.
        chunk_size: frames; longer recordings are averaged over chunks.
        min_frames: recordings with less speech are refused.
        gpu: its number; -1: none.

    Raises:
        InputError: no such model, checkpoint, endpoint or GPU; the front end is not
            known (the message says how it is added).
    """

    def __init__(
        self,
        model_dir: str,
        node: str = "",
        checkpoint: str = "last",
        normalize: bool = False,
        chunk_size: int = 10000,
        min_frames: int = 25,
        gpu: int = -1,
    ) -> None:
        self._front_end = model_front_end(RunDir(model_dir))
        network = open_network(model_dir, node, checkpoint, gpu)
        self._embedder = Embedder(network, chunk_size, normalize, min_frames)
        self._lock = threading.Lock()

    @property
    def sampling_rate(self) -> int:
        """That of the recordings, in Hz."""
        return int(self._front_end.waves.sample_frequency)

    def __call__(
        self, sound: str | os.PathLike[str] | np.ndarray, rate: int | None = None
    ) -> Array:
        """The embedding: float32 [dim]; at an endpoint before the pooling [rows, dim].

        Args:
            sound: a sound file (RIFF, FLAC, ... ; of several channels the first), or
                samples [n]: int16, or floats from -1 to 1.
            rate: of samples, in Hz; it must be `sampling_rate`.

        Raises:
            Unusable: a file that cannot be read, another sampling rate, no speech, too
                short.
            InputError: what was given is neither a file nor samples with a rate.
        """
        if isinstance(sound, np.ndarray):
            if rate is None:
                raise InputError(
                    "samples need their sampling rate: embed(samples, 16000)"
                )
            wave = _to_wave(sound, rate)
        elif rate is not None:
            raise InputError(f"{os.fspath(sound)}: a file has its own sampling rate")
        else:
            wave = _read(sound)
        frames = self._front_end.voiced_frames(_KEY, wave)
        with self._lock:
            return self._embedder(frames)


def _read(path: str | os.PathLike[str]) -> Wave:
    try:
        return read_wave_file(path)
    except InputError as error:
        raise Unusable(str(error), UNREADABLE) from None


def _to_wave(samples: np.ndarray, rate: int) -> Wave:
    if samples.ndim != 1:
        raise InputError(f"expected samples [n] of one channel, got {samples.shape}")
    if samples.dtype == np.int16:
        return Wave(samples[None].astype(np.float32), rate)
    if not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"expected samples of int16 or floats, got {samples.dtype}")
    if not np.isfinite(samples).all():
        raise Unusable("samples that are not finite", NOT_FINITE)
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > _HIGHEST:
        raise InputError(
            f"expected float samples from -1 to 1, got {peak:g}; of 16-bit integers "
            "make int16"
        )
    return Wave(samples[None].astype(np.float32) * np.float32(32768), rate)
