"""Writes m4a files like VoxCeleb2's: AAC, mono, 16 kHz."""

import numpy as np


def write_m4a(path, samples):
    """Samples in 16-bit scale, float or integer [n]."""
    import av

    with av.open(str(path), "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        data = np.asarray(samples).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(data, format="s16", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
