"""Segments made of waveforms equal the recipe's chain over the whole utterance."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from toy_sounds import RATE, make_speech, write_sound

from dataset.augmentation import Additions, Augmentation, Rooms
from dataset.errors import InputError
from dataset.features import (
    VadOptions,
    compute_fbank,
    compute_mfcc,
    energy_vad,
    select_voiced,
    sliding_cmvn,
)
from dataset.front_end import ComputeFbankOptions, ComputeMfccOptions
from dataset.segments import Segment
from dataset.sound_reader import Sound
from dataset.vad_table import Vad
from dataset.voiced_segment import CMVN
from dataset.wav import reverberate
from dataset.wav_pipe import run_pipe
from dataset.waveform_reader import WaveformOptions, WaveformReader

MFCC = ComputeMfccOptions(
    sample_frequency=RATE, dither=0.0, num_ceps=13, snip_edges=False
)
FBANK = ComputeFbankOptions(
    sample_frequency=RATE, dither=0.0, num_mel_bins=20, use_energy=True
)
SPEED = Fraction(9, 10)
TOLERANCE = 2e-3  # of rounding, where a band is nearly silent


def generator():
    return np.random.default_rng(5)


def whole_features(samples, options):
    compute = compute_mfcc if options.__class__ is ComputeMfccOptions else compute_fbank
    return compute(samples, RATE, options)


def vad_of(samples, options=MFCC):
    features = whole_features(samples, options)
    threshold = 0.8 * features[:, 0].mean()
    decisions = energy_vad(features, VadOptions(threshold, 0.0, 2, 0.3))
    return Vad(len(decisions), np.packbits(decisions != 0).tobytes())


def prepared(samples, vad, options=MFCC):
    """What the recipe writes for a whole utterance."""
    decisions = np.zeros(vad.num_frames)
    decisions[vad.voiced_rows()] = 1
    features = whole_features(samples, options)[: vad.num_frames]
    if len(features) < vad.num_frames:  # of a copy that is a frame longer
        features = np.pad(
            features, ((0, vad.num_frames - len(features)), (0, 0)), "edge"
        )
    return select_voiced(sliding_cmvn(features, CMVN), decisions)


def read(reader, path, vad, start, length, **more):
    segment = Segment("utt", path, start, vad, **more)
    return reader.read(segment, length, generator())


@pytest.mark.parametrize(
    "options",
    [
        MFCC,
        FBANK,
        MFCC.__class__(
            **(
                vars(MFCC)
                | {"snip_edges": True, "use_energy": False, "subtract_mean": True}
            )
        ),
    ],
)
@pytest.mark.parametrize("name", ["a.wav", "a.flac"])
def test_segments_are_those_of_the_whole_utterance(tmp_path, options, name):
    samples = make_speech(8.03, seed=1)
    path = write_sound(tmp_path / name, samples)
    if name.endswith("flac"):
        path = f"flac -dcs {path} |"
    vad = vad_of(samples, options)
    expected = prepared(samples, vad, options)
    assert 300 < len(expected) < vad.num_frames - 50
    reader = WaveformReader(WaveformOptions(options))
    for start, length in [(0, 50), (0, len(expected)), (133, 40), (17, 1)]:
        frames = read(reader, path, vad, start, length)
        assert frames.dtype == np.float32
        np.testing.assert_allclose(
            frames, expected[start : start + length], rtol=0, atol=TOLERANCE
        )
    end = len(expected) - 30
    np.testing.assert_allclose(
        read(reader, path, vad, end, 30), expected[end:], rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize("snip_edges", [True, False])
@pytest.mark.parametrize("length", [20, 81, 200, 239, 240, 700])
def test_short_utterances(tmp_path, length, snip_edges):
    """Shorter than a frame, they are reflected more than once."""
    options = dataclasses.replace(MFCC, snip_edges=snip_edges)
    samples = make_speech(1, seed=2, pause=0)[:length]
    features = whole_features(samples, options)
    if not len(features):
        return
    vad = Vad(len(features), np.packbits(np.ones(len(features), bool)).tobytes())
    path = write_sound(tmp_path / "a.wav", samples)
    frames = read(WaveformReader(WaveformOptions(options)), path, vad, 0, len(features))
    np.testing.assert_allclose(
        frames, sliding_cmvn(features, CMVN), rtol=0, atol=TOLERANCE
    )


def test_only_what_is_needed_is_read(tmp_path, monkeypatch):
    samples = make_speech(60, seed=3)
    path = write_sound(tmp_path / "a.wav", samples)
    vad = vad_of(samples)
    reader = WaveformReader(WaveformOptions(MFCC))
    asked = []
    import soundfile

    class Spy(soundfile.SoundFile):
        def read(self, frames, **more):
            asked.append(frames)
            return super().read(frames, **more)

    monkeypatch.setattr(soundfile, "SoundFile", Spy)
    frames = read(reader, path, vad, 2000, 100)
    expected = prepared(samples, vad)[2000:2100]
    np.testing.assert_allclose(frames, expected, rtol=0, atol=TOLERANCE)
    assert len(asked) == 1 and asked[0] < 6 * RATE


def test_part_of_a_recording(tmp_path):
    samples = make_speech(9, seed=4)
    path = write_sound(tmp_path / "a.flac", samples)
    part = samples[int(1.25 * RATE) : int(6.5 * RATE)]
    vad = vad_of(part)
    reader = WaveformReader(WaveformOptions(MFCC))
    frames = read(reader, path, vad, 5, 60, times=(1.25, 6.5))
    np.testing.assert_allclose(
        frames, prepared(part, vad)[5:65], rtol=0, atol=TOLERANCE
    )
    tail = samples[2 * RATE :]
    for end in (-1.0, 9.0, 9.3):
        frames = read(reader, path, vad_of(tail), 0, 60, times=(2.0, end))
        np.testing.assert_allclose(
            frames, prepared(tail, vad_of(tail))[:60], rtol=0, atol=TOLERANCE
        )
    with pytest.raises(InputError, match=r"utterance utt .*9.5 s to 10 s is not in"):
        read(reader, path, vad, 0, 60, times=(9.5, 10.0))


def test_pipe_that_only_the_shell_knows(tmp_path):
    samples = make_speech(3, seed=5)
    path = write_sound(tmp_path / "a.wav", samples)
    reader = WaveformReader(WaveformOptions(MFCC))
    frames = read(reader, f"cat < {path} |", vad_of(samples), 7, 60)
    expected = prepared(samples, vad_of(samples))[7:67]
    np.testing.assert_allclose(frames, expected, rtol=0, atol=TOLERANCE)


def test_channels(tmp_path):
    import soundfile

    both = np.stack([make_speech(3, seed=6), make_speech(3, seed=7)])
    path = str(tmp_path / "a.flac")
    soundfile.write(path, both.T.astype(np.int16), RATE)
    options = dataclasses.replace(MFCC, channel=1)
    frames = read(
        WaveformReader(WaveformOptions(options)), path, vad_of(both[1]), 0, 50
    )
    expected = prepared(both[1], vad_of(both[1]))[:50]
    np.testing.assert_allclose(frames, expected, rtol=0, atol=TOLERANCE)
    options = dataclasses.replace(MFCC, channel=2)
    with pytest.raises(InputError, match="2 channels, but --channel=2"):
        read(WaveformReader(WaveformOptions(options)), path, vad_of(both[1]), 0, 50)


def test_dither_belongs_to_the_example(tmp_path):
    samples = make_speech(3, seed=8)
    path = write_sound(tmp_path / "a.wav", samples)
    options = dataclasses.replace(MFCC, dither=1.0)
    segment = Segment("utt", path, 3, vad_of(samples))
    first, second = (
        WaveformReader(WaveformOptions(options)).read(segment, 50, generator())
        for _ in range(2)
    )
    assert np.array_equal(first, second)
    other = WaveformReader(WaveformOptions(options)).read(
        segment, 50, np.random.default_rng(6)
    )
    assert 0 < np.abs(first - other).max() < 5


# Speeds.


@pytest.mark.parametrize("speed", [SPEED, Fraction(11, 10)])
@pytest.mark.parametrize("seconds", [5.0, 5.0049, 5.0051])
def test_copies_at_other_speeds(tmp_path, speed, seconds):
    """As through `sox speed`, but for the 16 bits that come out of it."""
    samples = make_speech(seconds, seed=9)
    path = write_sound(tmp_path / "a.wav", samples)
    vad = vad_of(samples)
    faster = run_pipe(f"sox {path} -t wav - speed {float(speed)} |").samples[0]
    copy = vad.at_speed(speed)
    assert abs(copy.num_frames - len(whole_features(faster, MFCC))) <= 1
    expected = prepared(faster, copy)
    reader = WaveformReader(WaveformOptions(MFCC))
    for start, length in [(0, 60), (100, 100), (len(expected) - 60, 60)]:
        frames = read(reader, path, vad, start, length, speed=speed)
        difference = np.abs(frames - expected[start : start + length])
        assert np.quantile(difference, 0.95) < 0.05


# Augmentation.


def augmented(kind, clean=0.0):
    return WaveformReader(WaveformOptions(MFCC, Augmentation(clean, [kind])))


def make_response(seed=0):
    rng = np.random.default_rng(seed)
    response = 3000 * rng.normal(size=2000) * np.exp(-np.arange(2000) / 300)
    response[40] = 30000
    return response.astype(np.int16).astype(np.float32)


@pytest.mark.parametrize("start", [0, 150, -60])
def test_room_sounds_as_in_the_whole_utterance(tmp_path, start):
    samples = make_speech(6, seed=10)
    path = write_sound(tmp_path / "a.wav", samples)
    room = write_sound(tmp_path / "room.wav", make_response())
    vad = vad_of(samples)
    output = np.convolve(samples.astype(np.float64), make_response())[40:]
    expected = prepared(output[: len(samples)].astype(np.float32), vad)
    begin = start if start >= 0 else len(expected) + start
    reader = augmented(Rooms(1.0, [[Sound("room", room)]]))
    frames = read(reader, path, vad, begin, 60)
    np.testing.assert_allclose(frames, expected[begin : begin + 60], atol=5e-3)


def test_snr_of_noise_is_that_of_the_segment(tmp_path):
    samples = make_speech(2, seed=11)
    path = write_sound(tmp_path / "a.wav", samples)
    music = write_sound(tmp_path / "music.wav", make_speech(3, seed=12))
    kind = Additions(1.0, [[Sound("music", music)]], [12.0])
    vad = vad_of(samples)
    reader = augmented(kind)
    noises = kind.draw(reader._noises, len(samples), RATE, _after_choice())
    mixed = reverberate(samples, RATE, None, noises)
    noise = noises[0].samples
    assert len(noise) == len(samples)
    power = np.mean(samples**2.0) / 10**1.2
    expected = samples + noise * np.sqrt(power / np.mean(noise**2.0))
    expected *= np.sqrt(np.mean(samples**2.0) / np.mean(expected**2.0))
    np.testing.assert_allclose(mixed, expected, rtol=0, atol=1e-2)
    # Two seconds are within one CMVN window, so the segment is the whole utterance.
    frames = read(reader, path, vad, 0, 60)
    expected = prepared(mixed.astype(np.float32), vad)[:60]
    np.testing.assert_allclose(frames, expected, rtol=0, atol=TOLERANCE)


def _after_choice():
    rng = generator()
    rng.random()
    return rng


def test_noises_one_after_another(tmp_path):
    clips = [
        Sound(str(i), write_sound(tmp_path / f"{i}.wav", make_speech(0.5, i, pause=0)))
        for i in range(3)
    ]
    reader = augmented(Additions(1.0, [clips], [15.0, 0.0], interval=0.25))
    kind = Additions(1.0, [clips], [15.0, 0.0], interval=0.25)
    for seed in range(20):
        noises = kind.draw(reader._noises, 3 * RATE, RATE, np.random.default_rng(seed))
        assert noises[0].start == 0 and len(noises[0].samples) <= RATE / 2
        for before, after in zip(noises, noises[1:], strict=False):
            end = before.start + len(before.samples) / RATE
            assert after.start == pytest.approx(end + 0.25)
            assert {before.snr, after.snr} <= {15.0, 0.0}
            assert after.start + len(after.samples) / RATE <= 3
        last = noises[-1]
        assert last.start + len(last.samples) / RATE > 3 - 0.25 - 1e-9


def test_babble_is_several_voices_as_long_as_the_segment(tmp_path):
    voices = [
        Sound(str(i), write_sound(tmp_path / f"{i}.wav", make_speech(0.1 + i, i)))
        for i in range(4)
    ]
    kind = Additions(1.0, [voices], [20.0, 13.0], numbers=[3, 5])
    reader = augmented(kind)
    counts = set()
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noises = kind.draw(reader._noises, 2 * RATE, RATE, rng)
        counts.add(len(noises))
        assert {len(noise.samples) for noise in noises} == {2 * RATE}
        assert all(noise.start == 0 for noise in noises)
    assert counts == {3, 5}


def test_kinds_come_by_their_weights():
    kinds = [Rooms(1.0, []), Additions(0.0, [], []), Additions(2.0, [], [])]
    augmentation = Augmentation(1.0, kinds)
    rng = generator()
    drawn = [augmentation.draw(rng) for _ in range(4000)]
    counts = [sum(kind is other for other in drawn) for kind in (None, *kinds)]
    np.testing.assert_allclose(counts, [1000, 1000, 0, 2000], atol=120)


def test_silent_part_of_a_noise_adds_nothing(tmp_path):
    samples = make_speech(2, seed=13)
    path = write_sound(tmp_path / "a.wav", samples)
    silence = write_sound(tmp_path / "silence.wav", np.zeros(3 * RATE))
    reader = augmented(Additions(1.0, [[Sound("silence", silence)]], [0.0]))
    frames = read(reader, path, vad_of(samples), 0, 60)
    expected = prepared(samples, vad_of(samples))[:60]
    np.testing.assert_allclose(frames, expected, rtol=0, atol=TOLERANCE)


# What is wrong.


def test_wrong_recordings_name_the_utterance(tmp_path):
    import soundfile

    samples = make_speech(3, seed=14)
    vad = vad_of(samples)
    reader = WaveformReader(WaveformOptions(MFCC))

    def fault(path):
        with pytest.raises(InputError) as caught:
            read(reader, str(path), vad, 0, 60)
        return str(caught.value)

    gone = tmp_path / "gone.wav"
    assert (
        fault(gone)
        == f"utterance utt ({gone}): cannot open {gone}: No such file or directory"
    )
    text = tmp_path / "text.wav"
    text.write_text("no sound at all, but more than a header's worth of bytes")
    assert "expected a sound file" in fault(text)
    short = write_sound(tmp_path / "short.wav", samples[:-RATE])
    assert "200 frames, but there are 300 VAD decisions" in fault(short)
    fast = tmp_path / "fast.wav"
    soundfile.write(fast, samples.astype(np.int16), 16000)
    assert "expected a sampling rate of 8000 Hz" in fault(fast)
    values = samples / 32768
    values[9000] = np.nan
    soundfile.write(tmp_path / "nan.wav", values, RATE, subtype="FLOAT")
    assert "nan.wav: sample 9000 is not a finite number" in fault(tmp_path / "nan.wav")
    cut = tmp_path / "cut.flac"
    soundfile.write(cut, samples.astype(np.int16), RATE)
    cut.write_bytes(cut.read_bytes()[:15000])
    assert "cut.flac" in fault(cut)
    assert "cut.flac" in fault(f"flac -dcs {cut} |")
    assert "(exit 3 |): command 'exit 3' failed with status 3" in fault("exit 3 |")


def test_wrong_noises_are_named(tmp_path):
    samples = make_speech(2, seed=15)
    path = write_sound(tmp_path / "a.wav", samples)
    silence = write_sound(tmp_path / "silence.wav", np.zeros(50))
    for kind, words in [
        (Rooms(1.0, [[Sound("r", silence)]]), "silence.wav: this impulse response"),
        (Rooms(1.0, [[Sound("r", "gone.wav")]]), "gone.wav"),
        (Additions(1.0, [[Sound("n", "gone.wav")]], [0.0]), "cannot open gone.wav"),
    ]:
        with pytest.raises(InputError, match="^utterance utt .*" + words):
            read(augmented(kind), path, vad_of(samples), 0, 60)
