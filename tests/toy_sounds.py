"""Made-up speech for tests: noise in syllables, with pauses."""

import numpy as np
import soundfile

RATE = 8000


def make_speech(seconds, seed, pause=0.3):
    """Float32 [n] of whole numbers in 16-bit scale."""
    rng = np.random.default_rng(seed)
    length = int(seconds * RATE)
    syllables = np.repeat(rng.random(length // 800 + 1), 800)[:length]
    loudness = np.where(syllables < pause, 20, 3000 * syllables)
    colour = rng.normal(size=9)
    samples = np.convolve(rng.normal(size=length), colour, "same") * loudness
    return np.clip(samples, -30000, 30000).astype(np.int16).astype(np.float32)


def write_sound(path, samples):
    soundfile.write(path, samples.astype(np.int16), RATE)
    return str(path)
