import io
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.errors import InputError
from dataset.wav import Noise, read_wave, reverberate, to_int16, write_wave

FRONTEND = Path(__file__).parents[1] / "data/kaldi/frontend"


def stereo(length=50):
    """Two channels in 16-bit scale that 8 bits can hold."""
    values = np.random.default_rng(0).integers(-127, 128, (2, length)) * 256
    return values.astype(np.float32)


def riff(data, riff_size=None, data_size=None, chunks=b"", layout=(1, 1, 8000, 16)):
    """A RIFF file, byte by byte; layout is format tag, channels, rate and bits."""
    tag, channels, rate, bits = layout
    block = channels * bits // 8
    fmt = struct.pack("<HHIIHH", tag, channels, rate, rate * block, block, bits)
    riff_size = 36 + len(chunks) + len(data) if riff_size is None else riff_size
    data_size = len(data) if data_size is None else data_size
    return (
        struct.pack("<4sI4s4sI", b"RIFF", riff_size, b"WAVE", b"fmt ", 16)
        + fmt
        + chunks
        + struct.pack("<4sI", b"data", data_size)
        + data
    )


# Reading.


@pytest.mark.parametrize(
    "file_format, subtype",
    [
        ("WAV", "PCM_U8"),
        ("WAV", "PCM_16"),
        ("WAV", "PCM_24"),
        ("WAV", "PCM_32"),
        ("WAV", "FLOAT"),
        ("WAV", "DOUBLE"),
        ("WAVEX", "PCM_16"),
        ("WAVEX", "FLOAT"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("NIST", "PCM_16"),
        ("AIFF", "PCM_16"),
    ],
)
def test_formats(tmp_path, file_format, subtype):
    path = tmp_path / "sound"
    samples = stereo()
    soundfile.write(
        path, samples.T.astype(np.float64) / 32768, 22050, subtype, format=file_format
    )
    wave = read_wave(path)
    assert wave.rate == 22050
    assert wave.samples.dtype == np.float32
    assert wave.samples.flags.c_contiguous
    np.testing.assert_array_equal(wave.samples, samples)
    assert wave.duration == 50 / 22050


def test_more_than_16_bits_are_kept():
    data = np.array([1, -(2**31)], "<i4").tobytes()
    wave = read_wave(io.BytesIO(riff(data, layout=(1, 1, 8000, 32))))
    np.testing.assert_array_equal(wave.samples, [[2.0**-16, -32768]])


def test_mu_law(tmp_path):
    path = tmp_path / "telephone.wav"
    soundfile.write(path, np.sin(np.arange(100)) / 2, 8000, "ULAW")
    expected, _ = soundfile.read(path)
    np.testing.assert_allclose(read_wave(path).samples[0], expected * 32768)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000])
def test_header_of_a_stream(size, caplog):
    content = riff(b"\1\0\2\0\3\0", size, size)
    np.testing.assert_array_equal(
        read_wave(io.BytesIO(content)).samples, [[1.0, 2.0, 3.0]]
    )
    assert not caplog.records


def test_other_chunks_are_passed_over():
    chunks = struct.pack("<4sI3sx", b"LIST", 3, b"abc")  # padded to an even size
    content = riff(b"\1\0\2\0", chunks=chunks)
    np.testing.assert_array_equal(read_wave(io.BytesIO(content)).samples, [[1.0, 2.0]])


def test_from_a_stream_exactly_one_file_is_taken():
    stream = io.BytesIO(riff(b"\1\0\2\0") + b"next " + riff(b"\3\0"))
    assert read_wave(stream).samples.shape == (1, 2)
    assert stream.read(5) == b"next "
    np.testing.assert_array_equal(read_wave(stream).samples, [[3.0]])


def test_extensible_files_in_a_stream():
    content = io.BytesIO()
    soundfile.write(content, stereo().T / 32768, 8000, "PCM_16", format="WAVEX")
    stream = io.BytesIO(content.getvalue() * 2)
    for _ in range(2):
        np.testing.assert_array_equal(read_wave(stream).samples, stereo())


def test_file_with_offset(tmp_path):
    path = tmp_path / "wav.ark"
    path.write_bytes(b"utt1 " + riff(b"\7\0"))
    np.testing.assert_array_equal(read_wave(f"{path}:5").samples, [[7.0]])


def test_pipe_by_the_shell(tmp_path):
    (tmp_path / "a.wav").write_bytes(riff(b"\7\0"))
    wave = read_wave(f"cd {tmp_path}; cat a.wav |")
    np.testing.assert_array_equal(wave.samples, [[7.0]])


def test_truncated_file_is_used_with_a_warning(tmp_path, caplog):
    path = tmp_path / "cut.wav"
    path.write_bytes(riff(b"\1\0" * 100)[:-50])
    assert read_wave(path).samples.shape == (1, 75)
    assert f"{path}: expected 200 bytes of samples, got 150" in caplog.text


def test_insane_size_takes_no_memory(caplog):
    content = riff(b"\1\0\2\0", data_size=0xFFFFFFF0)
    assert read_wave(io.BytesIO(content)).samples.shape == (1, 2)
    assert "expected 4294967280 bytes" in caplog.text


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "found nothing"),
        (b"RIFF", "expected a sound file"),
        (b"no sound at all, but long enough to be one", "expected a sound file"),
        (riff(b""), "no samples"),
        (riff(b"\1\0")[:40], "ends before its samples"),
        (riff(b"\1\0")[:12] + riff(b"\1\0")[36:], "no chunk 'fmt '"),
        (riff(b"\1\0", layout=(1, 0, 8000, 16)), "channels=0"),
        (riff(b"\1\0", layout=(1, 1, 0, 16)), "rate=0"),
        (riff(b"\1\0" * 6, layout=(1, 1, 8000, 48)), "bits=48"),
        (riff(b"\1\0" * 6, layout=(3, 1, 8000, 16)), "float ones of 32 or 64.*bits=16"),
    ],
)
def test_no_sound(tmp_path, content, message):
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"bad.wav: .*{message}"):
        read_wave(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="none.wav: No such file"):
        read_wave(tmp_path / "none.wav")


@given(st.binary(max_size=80))
@settings(deadline=None, max_examples=200)
def test_no_traceback_for_any_bytes(garbage):
    for content in (garbage, riff(b"\1\0", chunks=garbage)):
        try:
            read_wave(io.BytesIO(content))
        except InputError:
            pass


# Writing.


def test_written_as_others_write_it(tmp_path):
    samples = stereo()
    write_wave(tmp_path / "ours.wav", samples, 8000)
    soundfile.write(tmp_path / "theirs.wav", samples.T / 32768, 8000, "PCM_16")
    ours = (tmp_path / "ours.wav").read_bytes()
    assert ours == (tmp_path / "theirs.wav").read_bytes()
    stream = io.BytesIO()
    write_wave(stream, samples, 8000)
    assert stream.getvalue() == ours


def test_one_channel_may_be_flat(tmp_path):
    write_wave(tmp_path / "a.wav", np.arange(3.0), 8000)
    np.testing.assert_array_equal(read_wave(tmp_path / "a.wav").samples, [[0, 1, 2]])


def test_to_int16_cuts_and_clips(caplog):
    whole = to_int16(np.array([1.9, -1.9, 32767.9, 32768.0, -32769.0]))
    assert whole.dtype == np.int16
    np.testing.assert_array_equal(whole, [1, -1, 32767, 32767, -32768])
    assert "clipped 2 samples out of 5" in caplog.text
    assert caplog.records[0].levelno == logging.WARNING


# Reverberation.


def slow_convolution(signal, response):
    """By definition, but for the transform at frequency 0 and at Nyquist's: see wav."""
    size = 1 << int(np.ceil(np.log2(4 * len(response))))
    step = size - len(response) + 1
    signs = (-1.0) ** np.arange(size)
    room = np.pad(response, (0, size - len(response)))
    output = np.zeros(len(signal) + len(response) + size + step)
    for start in range(0, len(signal) + len(response) - 1, step):
        block = np.zeros(size)
        block[: len(signal[start : start + step])] = signal[start : start + step]
        sum1 = (block * signs).sum() * (room * signs).sum()
        wrong = block.sum() * (room * signs).sum() + (block * signs).sum() * room.sum()
        exact = np.convolve(block[:step], response)
        output[start : start + size] += exact - sum1 / size
        output[start : start + size] += (wrong - sum1) / size * signs
    return output[: len(signal) + len(response) - 1]


def slow_reverberation(signal, response, rate, noise, snr, offset):
    """The definition, by direct convolution."""
    response = response / 32768
    peak = response.argmax()
    early = response[max(0, peak - rate // 1000) : peak + rate // 20]
    early_power = np.mean(slow_convolution(signal, early) ** 2)
    output = slow_convolution(signal, response)
    scale = np.sqrt(early_power / np.mean(noise**2) / 10 ** (snr / 10))
    for i, value in enumerate(noise * scale):
        if offset + i < len(output):
            output[offset + i] += value
    return output * np.sqrt(np.mean(signal**2) / np.mean(output**2))


@pytest.mark.parametrize("peak", [3, 100, 690])
def test_reverberation_by_definition(peak):
    rng = np.random.default_rng(peak)
    signal, noise = rng.normal(0, 1000, 3000), rng.normal(0, 50, 1000)
    response = rng.normal(0, 500, 700)
    response[peak] = 30000
    output = reverberate(signal, 2000, response, [Noise(noise, 5.0, 1.25)])
    expected = slow_reverberation(signal, response, 2000, noise, 5.0, 2500)
    assert len(output) == 3699
    np.testing.assert_allclose(output, expected, atol=1e-8)


def test_noise_as_kaldi_adds_it():
    speech, noise = (read_wave(FRONTEND / f"{name}.flac") for name in ("s1", "s2"))
    output = reverberate(
        speech.samples[0], 16000, noises=[Noise(noise.samples[0], 10.0, 0.3)]
    )
    expected = read_wave(FRONTEND / "s1-with-s2.flac").samples[0]
    assert np.abs(to_int16(output)[:32000] - expected).max() <= 1


def test_ratio_and_volume():
    rng = np.random.default_rng(0)
    signal, noise = rng.normal(0, 1000, 8000), rng.normal(0, 3, 8000)
    added = reverberate(signal, 8000, noises=[Noise(noise, 10, 0)], normalize=False)
    ratio = np.mean(signal**2) / np.mean((added - signal) ** 2)
    assert 10 * np.log10(ratio) == pytest.approx(10.0, abs=1e-6)
    np.testing.assert_allclose(
        reverberate(signal, 8000, noises=[Noise(noise, 10, 0)], volume=0.5), added / 2
    )
    normalised = reverberate(signal, 8000, noises=[Noise(noise, 10, 0)])
    assert np.mean(normalised**2) == pytest.approx(np.mean(signal**2))


def test_noise_past_the_end_is_ignored():
    signal = np.ones(100)
    for start in (0.5, 1.0, 7.0):
        output = reverberate(
            signal, 100, noises=[Noise(np.ones(200), 0, start)], normalize=False
        )
        np.testing.assert_allclose(output, np.where(np.arange(100) < 100 * start, 1, 2))


def test_silence_stays_silence():
    output = reverberate(np.zeros(100), 8000, np.ones(3), [Noise(np.ones(5), 0, 0)])
    np.testing.assert_array_equal(output, 0)


@pytest.mark.parametrize(
    "noise, message",
    [
        (Noise(np.zeros(5), 0, 0), "silent"),
        (Noise(np.ones(5), 0, -1), "start times of 0 s or more, got -1"),
    ],
)
def test_noise_that_cannot_be_added(noise, message):
    with pytest.raises(InputError, match=message):
        reverberate(np.ones(10), 8000, noises=[noise])
