"""The front end as operations of a graph, for exports that take a waveform.

What `dataset/front_end.py` does in NumPy, once more in `keras.ops`, so that it can be
part of a SavedModel, an ONNX or a TFLite file; nnet/export.py holds one against the
other. All is float32; the Fourier transform is a product with a matrix, which each
format has and which costs a twentieth of what the network does. Left out are dither and
the loss of Kaldi's compression of features: a shipped model wants neither.
"""

from __future__ import annotations

import numpy as np
from keras import ops

from dataset.features import SlidingCmvnOptions, VadOptions, cepstral_transform
from dataset.front_end import ComputeMfccOptions, FrontEnd, WaveOptions
from dataset.mel_energies import ENERGY_FLOOR, filterbank


def voiced_frames(samples, front_end: FrontEnd):
    """The normalised features of the voiced frames of one recording.

    Args:
        samples: [n], in the scale of 16-bit integers, at the front end's frequency.

    Returns:
        [voiced frames, dim]; no rows if none is voiced.

    Raises:
        InputError: the front end's options do not fit each other.
    """
    import tensorflow as tf

    features = _features(samples, front_end.waves)
    voiced = _voiced(features[:, 0], front_end.vad)
    normalised = _sliding_cmvn(features, front_end.cmvn)
    # Not ops.nonzero, whose result TFLite cannot take apart.
    return tf.boolean_mask(normalised, voiced)


def _features(samples, options: WaveOptions):
    mfcc = isinstance(options, ComputeMfccOptions)
    window, banks = filterbank(options, options.vtln_warp)
    frames, log_energy = _windowed_frames(samples, window, options)
    cosine, sine = _fourier_matrices(options.fft_size, options.window_size)
    spectrum = ops.square(frames @ cosine) + ops.square(frames @ sine)
    if not mfcc and not options.use_power:
        spectrum = ops.sqrt(spectrum)
    weights = np.zeros((options.fft_size // 2, len(banks)), np.float32)
    for column, (first, bank) in enumerate(banks):
        weights[first : first + len(bank), column] = bank
    features = spectrum @ weights
    if mfcc or options.use_log_fbank:
        features = _floored_log(features)
    features = (_cepstra if mfcc else _fbank)(features, log_energy, options)
    if options.subtract_mean:
        features = features - ops.mean(features, axis=0, keepdims=True)
    return features


def _windowed_frames(samples, window: np.ndarray, options: WaveOptions):
    """Frames [T, window_size], ready to be transformed, and log energies [T, 1]."""
    size, shift = options.window_size, options.window_shift
    length = ops.shape(samples)[0]
    if options.snip_edges:
        count, begin = (length - size) // shift + 1, 0
    else:
        count, begin = (length + shift // 2) // shift, shift // 2 - size // 2
    starts = ops.arange(count, dtype="int32") * shift + begin
    index = ops.expand_dims(starts, 1) + np.arange(size, dtype=np.int32)
    if not options.snip_edges:  # the waveform is reflected at its ends
        index = ops.where(index < 0, -1 - index, index)
        index = ops.where(index >= length, 2 * length - 1 - index, index)
    frames = ops.take(samples, index, axis=0)
    if options.remove_dc_offset:
        frames = frames - ops.mean(frames, axis=1, keepdims=True)
    energy = _energy(frames)
    before = ops.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    frames = (frames - options.preemphasis_coefficient * before) * window
    log_energy = _floored_log(energy if options.raw_energy else _energy(frames))
    if options.energy_floor > 0:
        log_energy = ops.maximum(log_energy, float(np.log(options.energy_floor)))
    return frames, log_energy


def _energy(frames):
    return ops.sum(ops.square(frames), axis=1, keepdims=True)


def _floored_log(energies):
    return ops.log(ops.maximum(energies, float(ENERGY_FLOOR)))


def _fourier_matrices(fft_size: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """[size, fft_size / 2] each: without Nyquist's bin, and no rows for the padding."""
    turns = np.outer(np.arange(size), np.arange(fft_size // 2)) % fft_size
    angle = 2 * np.pi / fft_size * turns
    return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)


def _cepstra(log_mel, log_energy, options):
    transform, lifter = cepstral_transform(options)
    cepstra = log_mel @ np.ascontiguousarray((transform * lifter[:, None]).T)
    first, others = cepstra[:, :1], cepstra[:, 1:]
    if options.use_energy:
        first = log_energy
    elif options.htk_compat:
        first = first * float(np.sqrt(2.0))
    return _in_order(first, others, options.htk_compat)


def _fbank(mel, log_energy, options):
    if options.use_energy:
        return _in_order(log_energy, mel, options.htk_compat)
    return mel


def _in_order(first, others, last: bool):
    return ops.concatenate([others, first] if last else [first, others], axis=1)


def _voiced(log_energy, options: VadOptions):
    """Whether each frame is voiced, [T]."""
    length = ops.shape(log_energy)[0]
    threshold = options.vad_energy_threshold
    threshold = threshold + options.vad_energy_mean_scale * ops.mean(log_energy)
    votes = ops.cast(log_energy > threshold, "int32")
    frames = ops.arange(length, dtype="int32")
    starts = ops.maximum(frames - options.vad_frames_context, 0)
    ends = ops.minimum(frames + options.vad_frames_context + 1, length)
    counts = _window_sums(ops.expand_dims(votes, 1), starts, ends)[:, 0]
    needed = ops.cast(ends - starts, "float32") * options.vad_proportion_threshold
    return ops.cast(counts, "float32") >= needed


def _sliding_cmvn(features, options: SlidingCmvnOptions):
    length = ops.shape(features)[0]
    frames = ops.arange(length, dtype="int32")
    if options.center:
        starts = ops.maximum(frames - options.cmn_window // 2, 0)
        ends = starts + options.cmn_window
    else:
        starts = ops.maximum(frames - options.cmn_window, 0)
        ends = ops.maximum(frames + 1, options.min_cmn_window)
    overshoot = ops.maximum(ends - length, 0)
    starts, ends = ops.maximum(starts - overshoot, 0), ends - overshoot
    counts = ops.expand_dims(ops.cast(ends - starts, "float32"), 1)
    centred = features - ops.mean(features, axis=0, keepdims=True)
    means = _window_sums(centred, starts, ends) / counts
    normalised = centred - means
    if options.norm_vars:
        squares = _window_sums(ops.square(centred), starts, ends) / counts
        variances = ops.maximum(squares - ops.square(means), 1e-10)
        normalised = normalised / ops.sqrt(variances)
    return normalised


def _window_sums(values, starts, ends):
    """Sums of the rows from `starts` to `ends`."""
    sums = ops.cumsum(values, axis=0)
    sums = ops.concatenate([ops.zeros_like(values[:1]), sums], axis=0)
    return ops.take(sums, ends, axis=0) - ops.take(sums, starts, axis=0)
