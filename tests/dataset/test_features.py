import dataclasses
from pathlib import Path

import kaldi_native_fbank
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.errors import InputError
from dataset.features import (
    FbankOptions,
    MfccOptions,
    SlidingCmvnOptions,
    VadOptions,
    compute_fbank,
    compute_mfcc,
    energy_vad,
    select_voiced,
    sliding_cmvn,
)
from dataset.mel_energies import num_frames
from dataset.wav import read_wave

FRONTEND = Path(__file__).parents[1] / "data/kaldi/frontend"
MFCC = MfccOptions(
    dither=0.0,
    num_mel_bins=30,
    num_ceps=30,
    low_freq=20.0,
    high_freq=7600.0,
    snip_edges=False,
)
FBANK = FbankOptions(dither=0.0, num_mel_bins=80, high_freq=7600.0)


@pytest.fixture(scope="module")
def kaldi():
    with np.load(FRONTEND / "s3.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def speech():
    return read_wave(FRONTEND / "s3.flac").samples[0]


def noise(length, seed=0):
    return np.random.default_rng(seed).normal(0, 1000, length).astype(np.float32)


# Against Kaldi's own output.


def test_mfcc_as_kaldi(kaldi, speech):
    mfcc = compute_mfcc(speech, 16000, MFCC)
    np.testing.assert_allclose(mfcc, kaldi["mfcc"], rtol=0, atol=5e-5)
    assert (mfcc == kaldi["mfcc"]).mean() > 0.95  # to the last bit


def test_mfcc_of_telephone_speech_as_kaldi(kaldi):
    wave = read_wave(FRONTEND / "s3-8k.flac")
    options = MfccOptions(
        dither=0.0,
        sample_frequency=8000.0,
        high_freq=3700.0,
        num_ceps=23,
        snip_edges=False,
    )
    mfcc = compute_mfcc(wave.samples[0], wave.rate, options)
    np.testing.assert_allclose(mfcc[::10], kaldi["mfcc_8k"], rtol=0, atol=5e-5)


def test_fbank_as_kaldi(kaldi, speech):
    fbank = compute_fbank(speech, 16000, FBANK)
    np.testing.assert_allclose(fbank[::10], kaldi["fbank"], rtol=0, atol=4e-6)


def test_vad_as_kaldi(kaldi):
    options = VadOptions(5.5, 0.5, 2, 0.12)
    np.testing.assert_array_equal(energy_vad(kaldi["mfcc"], options), kaldi["vad"])


@pytest.mark.parametrize(
    "name, options",
    [
        ("cmvn_centred", SlidingCmvnOptions(300, 100, False, True)),
        ("cmvn_online_vars", SlidingCmvnOptions(100, 20, True, False)),
    ],
)
def test_sliding_cmvn_as_kaldi(kaldi, name, options):
    normalised = sliding_cmvn(kaldi["mfcc"], options)
    assert normalised.dtype == np.float32
    np.testing.assert_allclose(normalised[::10], kaldi[name], atol=1e-4)


@pytest.mark.parametrize(
    "name, rate, options",
    [
        ("odd_size", 16000, {"round_to_power_of_two": False, "use_energy": False}),
        (
            "odd_size_30ms",
            16000,
            {
                "round_to_power_of_two": False,
                "frame_length": 30.25,
                "window_type": "hamming",
            },
        ),
        ("blackman", 16000, {"window_type": "blackman", "blackman_coeff": 0.35}),
        ("upsampled", 8000, {"allow_upsample": True}),
    ],
)
def test_other_options_as_in_kaldi(name, rate, options):
    samples = read_wave(FRONTEND / "s1.flac").samples[0][8000 : 8000 + rate // 5]
    feats = compute_mfcc(samples, rate, MfccOptions(dither=0, **options))
    with np.load(FRONTEND / "mfcc_options.npz") as arrays:
        # What is left above 4 kHz after upsampling is only the rounding.
        atol = 2e-3 if name == "upsampled" else 2e-4
        np.testing.assert_allclose(feats, arrays[name], rtol=0, atol=atol)


# Against kaldi-native-fbank, for what the golden files do not have.


def native_features(extractor, options, samples, **changes):
    native = options()
    native.frame_opts.dither = 0
    for path, value in changes.items():
        *owner, name = path.split("__")
        setattr(getattr(native, owner[0]) if owner else native, name, value)
    online = extractor(native)
    online.accept_waveform(native.frame_opts.samp_freq, samples.tolist())
    online.input_finished()
    frames = range(online.num_frames_ready)
    return np.stack([online.get_frame(i) for i in frames])


@pytest.mark.parametrize(
    "ours, theirs",
    [
        ({}, {}),
        ({"use_power": False}, {"use_power": False}),
        ({"use_log_fbank": False}, {"use_log_fbank": False}),
        ({"use_energy": True}, {"use_energy": True}),
        (
            {"use_energy": True, "raw_energy": False},
            {"use_energy": True, "raw_energy": False},
        ),
        (
            {"use_energy": True, "energy_floor": 4e8},
            {"use_energy": True, "energy_floor": 4e8},
        ),
        (
            {"use_energy": True, "htk_compat": True},
            {"use_energy": True, "htk_compat": True},
        ),
        ({"remove_dc_offset": False}, {"frame_opts__remove_dc_offset": False}),
        ({"preemphasis_coefficient": 0.0}, {"frame_opts__preemph_coeff": 0.0}),
        ({"frame_length": 20.0}, {"frame_opts__frame_length_ms": 20.0}),
        ({"frame_shift": 7.5}, {"frame_opts__frame_shift_ms": 7.5}),
        ({"high_freq": -500.0}, {"mel_opts__high_freq": -500.0}),
        ({"snip_edges": False}, {"frame_opts__snip_edges": False}),
        *(
            ({"window_type": name}, {"frame_opts__window_type": name})
            for name in ("hamming", "hanning", "rectangular", "blackman", "sine")
        ),
    ],
)
def test_fbank_options_as_native(ours, theirs):
    samples = noise(8000) + 50
    native = native_features(
        kaldi_native_fbank.OnlineFbank,
        kaldi_native_fbank.FbankOptions,
        samples,
        **({"mel_opts__num_bins": 23} | theirs),
    )
    fbank = compute_fbank(samples, 16000, FbankOptions(dither=0.0, **ours))
    np.testing.assert_allclose(fbank, native, rtol=2e-4, atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cepstral_lifter": 0.0},
        {"use_energy": False},
        {"num_ceps": 20},
        {"htk_compat": True},
        {"htk_compat": True, "use_energy": False},
    ],
)
def test_mfcc_options_as_native(changes):
    samples = noise(8000)
    native = native_features(
        kaldi_native_fbank.OnlineMfcc,
        kaldi_native_fbank.MfccOptions,
        samples,
        **changes,
    )
    options = MfccOptions(dither=0.0, **changes)
    np.testing.assert_allclose(compute_mfcc(samples, 16000, options), native, atol=2e-3)


def warped(frequency, options, high, warp):
    """Kaldi's piecewise linear warp, in float64 and one frequency at a time."""
    if not options.low_freq <= frequency <= high:
        return frequency
    lower = options.vtln_low * max(1, warp)
    upper = (options.sample_frequency / 2 + options.vtln_high) * min(1, warp)
    corners = [options.low_freq, lower, upper, high]
    return np.interp(
        frequency, corners, [options.low_freq, lower / warp, upper / warp, high]
    )


@pytest.mark.parametrize("warp", [0.8, 0.98, 1.2])
def test_vtln_moves_the_edges_of_the_bins(warp):
    options = FbankOptions(dither=0.0, use_log_fbank=False, num_mel_bins=20)
    samples = noise(400)
    # With a frame of 400 samples, one frame: the spectrum through warped triangles.
    frame = samples - samples.mean()
    frame = frame - 0.97 * np.append(frame[0], frame[:-1])
    n = np.arange(400)
    frame *= (0.5 - 0.5 * np.cos(2 * np.pi * n / 399)) ** 0.85
    power = np.abs(np.fft.rfft(frame, 512)[:256]) ** 2
    mel = 1127 * np.log(1 + np.arange(256) * 16000 / 512 / 700)
    low, high = 1127 * np.log(1 + np.array([20, 8000]) / 700)
    edges = 700 * np.expm1(np.linspace(low, high, 22) / 1127)
    edges = [warped(edge, options, 8000, warp) for edge in edges]
    edges = 1127 * np.log(1 + np.array(edges) / 700)
    for number, (left, centre, right) in enumerate(
        zip(edges, edges[1:], edges[2:], strict=False)
    ):
        triangle = np.interp(mel, [left, centre, right], [0, 1, 0])
        energy = compute_fbank(samples, 16000, options, vtln_warp=warp)[0, number]
        np.testing.assert_allclose(energy, triangle @ power, rtol=1e-3)


def test_a_vtln_warp_needs_room_within_the_bins():
    options = FbankOptions(low_freq=200.0)
    assert len(compute_fbank(noise(800), 16000, options))  # without a warp it is free
    with pytest.raises(InputError, match="--vtln-low"):
        compute_fbank(noise(800), 16000, options, vtln_warp=1.1)
    with pytest.raises(InputError, match="above 0"):
        compute_fbank(noise(800), 16000, FbankOptions(), vtln_warp=0.0)


# Properties.


@given(
    length=st.integers(0, 2000),
    snip=st.booleans(),
    frame_ms=st.sampled_from([5.0, 12.5, 25.0]),
    shift_ms=st.sampled_from([5.0, 10.0, 30.0]),
)
@settings(deadline=None, max_examples=60)
def test_number_of_frames(length, snip, frame_ms, shift_ms):
    options = FbankOptions(
        dither=0.0,
        snip_edges=snip,
        frame_length=frame_ms,
        frame_shift=shift_ms,
        sample_frequency=8000.0,
        num_mel_bins=5,
    )
    size, shift = int(8 * frame_ms), int(8 * shift_ms)
    starts = range(0, length, shift)
    fitting = sum(start + size <= length for start in starts)
    # Without snipping a frame is centred on each half shift that lies in the signal.
    centres = sum(start + shift / 2 <= length for start in starts)
    assert num_frames(length, options) == (fitting if snip else centres)
    features = compute_fbank(noise(length), 8000, options)
    assert features.shape == (num_frames(length, options), 5)
    assert np.isfinite(features).all()


def test_gain_only_moves_the_first_cepstrum():
    options = dataclasses.replace(MFCC, use_energy=False)
    quiet, loud = (compute_mfcc(noise(16000) * g, 16000, options) for g in (1, 4))
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-4)
    np.testing.assert_allclose(
        loud[:, 0] - quiet[:, 0], np.log(16) * np.sqrt(30), rtol=1e-5
    )


def test_silence_is_floored():
    fbank = compute_fbank(np.zeros(1600), 16000, FBANK)
    np.testing.assert_allclose(fbank, np.log(np.finfo(np.float32).eps), rtol=1e-6)


def test_dither_belongs_to_the_generator(speech):
    options = dataclasses.replace(MFCC, dither=1.0)

    def features(seed):
        return compute_mfcc(speech, 16000, options, np.random.default_rng(seed))

    np.testing.assert_array_equal(features(1), features(1))
    assert np.abs(features(1) - features(2)).max() > 1e-3
    without_generator = [compute_mfcc(speech, 16000, options) for _ in range(2)]
    np.testing.assert_array_equal(*without_generator)


def test_dither_has_its_power():
    options = FbankOptions(dither=2.0, use_energy=True)
    energy = np.exp(compute_fbank(np.zeros(160000), 16000, options)[:, 0])
    assert energy.mean() / 400 == pytest.approx(4.0, rel=0.05)


def test_other_rates_need_permission(speech):
    with pytest.raises(InputError, match="expected .* 16000 Hz, got 8000 Hz"):
        compute_mfcc(speech[::2], 8000, MFCC)
    with pytest.raises(InputError, match="--allow-downsample"):
        compute_mfcc(speech, 48000, dataclasses.replace(MFCC, allow_upsample=True))


def test_downsampling_keeps_what_the_lower_rate_has(speech):
    """Downsampled by us or by sox: the mel bins below 3 kHz agree."""
    options = FbankOptions(
        dither=0.0, sample_frequency=8000.0, high_freq=3000.0, allow_downsample=True
    )
    ours = compute_fbank(speech, 16000, options)
    by_sox = read_wave(FRONTEND / "s3-8k.flac")
    assert ours.shape == (358, 23)
    theirs = compute_fbank(by_sox.samples[0], 8000, options)
    loud = theirs > theirs.max() - 10
    np.testing.assert_allclose(ours[loud], theirs[loud], atol=0.1)


@pytest.mark.parametrize(
    "change, expected",
    [
        ({"num_ceps": 31}, "--num-ceps <= --num-mel-bins=30, got 31"),
        ({"high_freq": 9000.0}, "<= 8000 Hz"),
        ({"low_freq": 7700.0}, "--low-freq < --high-freq"),
        ({"num_mel_bins": 2, "num_ceps": 2}, "--num-mel-bins of 3 or more"),
        ({"num_mel_bins": 400}, "--num-mel-bins=400 is too many"),
        ({"window_type": "kaiser"}, "one of hanning, .*got 'kaiser'"),
        ({"frame_shift": 0.0}, "--frame-shift"),
        ({"frame_length": 0.0}, "--frame-length"),
        ({"preemphasis_coefficient": 2.0}, "--preemphasis-coefficient"),
        ({"round_to_power_of_two": False, "frame_length": 24.9375}, "got 399"),
    ],
)
def test_wrong_options_are_named(change, expected):
    with pytest.raises(InputError, match=expected):
        compute_mfcc(noise(1600), 16000, dataclasses.replace(MFCC, **change))


# VAD and CMVN against their definitions, frame by frame.


def slow_vad(log_energy, options):
    threshold = options.vad_energy_threshold
    threshold += options.vad_energy_mean_scale * log_energy.mean(dtype=np.float64)
    decisions = []
    for t in range(len(log_energy)):
        around = range(
            t - options.vad_frames_context, t + options.vad_frames_context + 1
        )
        votes = [log_energy[u] > threshold for u in around if 0 <= u < len(log_energy)]
        needed = np.float32(options.vad_proportion_threshold) * np.float32(len(votes))
        decisions.append(sum(votes) >= needed)
    return decisions


@given(
    st.lists(st.integers(-5, 15), min_size=1, max_size=30),
    st.integers(0, 7),
    st.sampled_from([0.12, 0.2, 0.5, 0.6, 0.99]),
    st.sampled_from([0.0, 0.5]),
)
@settings(deadline=None, max_examples=150)
def test_vad_by_definition(energies, context, proportion, mean_scale):
    features = np.array(energies, np.float32)[:, None]
    options = VadOptions(5.0, mean_scale, context, proportion)
    vad = energy_vad(features, options)
    assert vad.dtype == np.float32
    np.testing.assert_array_equal(vad, slow_vad(features[:, 0], options))


def slow_cmvn(features, options):
    length, window = len(features), options.cmn_window
    normalised = np.empty_like(features, np.float64)
    for t in range(length):
        start = t - window // 2 if options.center else t - window
        end = start + window if options.center else t + 1
        if start < 0:
            start, end = 0, end - start
        if not options.center:
            end = max(t + 1, options.min_cmn_window)
        if end > length:
            start, end = max(0, start - (end - length)), length
        part = features[start:end].astype(np.float64)
        normalised[t] = features[t] - part.mean(axis=0)
        if options.norm_vars:
            normalised[t] /= np.sqrt(np.maximum(part.var(axis=0), 1e-10))
            if len(part) == 1:
                normalised[t] = 0
    return normalised


@given(
    length=st.integers(1, 60),
    window=st.integers(1, 70),
    smallest=st.integers(0, 40),
    norm_vars=st.booleans(),
    center=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_sliding_cmvn_by_definition(length, window, smallest, norm_vars, center):
    features = np.random.default_rng(length).normal(20, 3, (length, 2))
    options = SlidingCmvnOptions(window, smallest, norm_vars, center)
    np.testing.assert_allclose(
        sliding_cmvn(features.astype(np.float32), options),
        slow_cmvn(features.astype(np.float32), options),
        atol=1e-5,
    )


def test_cmvn_of_constant_features_is_zero():
    features = np.full((500, 3), 1234.567, np.float32)
    options = SlidingCmvnOptions(norm_vars=True)
    np.testing.assert_array_equal(sliding_cmvn(features, options), 0)


def test_cmvn_keeps_its_precision_far_from_zero():
    features = np.random.default_rng(0).normal(5000, 0.05, (400, 2)).astype("f4")
    options = SlidingCmvnOptions(100, norm_vars=True)
    normalised = sliding_cmvn(features, options)
    np.testing.assert_allclose(normalised, slow_cmvn(features, options), atol=1e-5)


def test_select_voiced(kaldi):
    voiced = select_voiced(kaldi["mfcc"], kaldi["vad"])
    assert len(voiced) == kaldi["vad"].sum()
    np.testing.assert_array_equal(voiced[0], kaldi["mfcc"][kaldi["vad"].argmax()])
    with pytest.raises(InputError, match="360 frames of features but 3 of VAD"):
        select_voiced(kaldi["mfcc"], np.ones(3))
    with pytest.raises(InputError, match="no frame was judged voiced"):
        select_voiced(kaldi["mfcc"], np.zeros(360))


@pytest.mark.parametrize(
    "options",
    [VadOptions(5, 0.5, -1), VadOptions(5, -1.0), VadOptions(5, 0.5, 0, 1.5)],
)
def test_wrong_vad_options(options):
    with pytest.raises(InputError, match="VAD options out of range"):
        energy_vad(np.ones((3, 2)), options)


def test_wrong_cmn_window():
    with pytest.raises(InputError, match="--cmn-window > 0, got 0"):
        sliding_cmvn(np.ones((3, 2)), SlidingCmvnOptions(0))


def test_no_frames():
    empty = np.empty((0, 3), np.float32)
    assert energy_vad(empty, VadOptions()).shape == (0,)
    assert sliding_cmvn(empty, SlidingCmvnOptions()).shape == (0, 3)
