"""NIST SPHERE files of each coding, and damaged ones."""

import numpy as np
import pytest
import soundfile
from toy_sphere import encode_mulaw, sphere_header, write_sphere

from dataset.errors import InputError
from dataset.shorten import decode_mulaw
from dataset.sphere import decode_sphere, parse_header
from dataset.wav import read_wave

SAMPLES = np.random.default_rng(0).normal(0, 3000, (2, 1500)).astype(np.int16)


@pytest.mark.parametrize("shorten", [False, True])
@pytest.mark.parametrize("coding", ["pcm", "ulaw"])
def test_files_come_back(tmp_path, coding, shorten):
    path = write_sphere(tmp_path / "a.sph", SAMPLES, 8000, coding, shorten)
    wave = read_wave(path)
    expected = SAMPLES if coding == "pcm" else decode_mulaw(encode_mulaw(SAMPLES))
    assert wave.rate == 8000 and wave.samples.dtype == np.float32
    np.testing.assert_array_equal(wave.samples, expected)


@pytest.mark.parametrize("subtype", ["PCM_16", "ULAW", "ALAW"])
@pytest.mark.parametrize("endian", ["BIG", "LITTLE"])
def test_as_soundfile_writes_and_reads_them(tmp_path, subtype, endian):
    path = tmp_path / "a.sph"
    soundfile.write(path, SAMPLES.T, 8000, subtype, endian, "NIST")
    expected, _ = soundfile.read(path, dtype="int16")
    np.testing.assert_array_equal(read_wave(path).samples, expected.T)


def test_both_byte_orders(tmp_path):
    for byte_format in ("01", "10"):
        path = write_sphere(
            tmp_path / "a.sph", SAMPLES, coding="pcm", byte_format=byte_format
        )
        np.testing.assert_array_equal(read_wave(path).samples, SAMPLES)


def test_of_a_file_that_is_cut_short_what_is_there_is_used(tmp_path, caplog):
    path = write_sphere(tmp_path / "a.sph", SAMPLES, coding="pcm")
    path.write_bytes(path.read_bytes()[:-400])
    np.testing.assert_array_equal(read_wave(path).samples, SAMPLES[:, :-100])
    assert "expected 1500 samples by the SPHERE header, got 1400" in caplog.text


def test_shorten_data_of_another_number_of_channels(tmp_path):
    path = write_sphere(tmp_path / "a.sph", SAMPLES[:1], shorten=True)
    content = path.read_bytes().replace(b"channel_count -i 1", b"channel_count -i 2")
    path.write_bytes(content)
    with pytest.raises(InputError, match="header says 2 channels, the samples have 1"):
        read_wave(path)


def test_shorten_data_that_is_cut_short_is_refused(tmp_path):
    path = write_sphere(tmp_path / "a.sph", SAMPLES, shorten=True)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(InputError, match=r"a.sph: .*cut short"):
        read_wave(path)


@pytest.mark.parametrize(
    "content",
    [
        b"NIST_1A\n   nono\n",
        b"NIST_1A\n-1024\n",
        b"NIST_1A\n   1024\nend_head\n",
        sphere_header({"channel_count": 1, "sample_count": 0, "sample_rate": 8000}),
    ],
)
def test_headers_that_cannot_be_used(content):
    with pytest.raises(InputError, match="SPHERE header"):
        parse_header(content)


def test_what_follows_the_samples_is_left_out(tmp_path):
    path = write_sphere(tmp_path / "a.sph", SAMPLES, coding="pcm")
    decoded = decode_sphere(path.read_bytes() + b"junk")
    assert decoded is not None
    np.testing.assert_array_equal(decoded[0], SAMPLES)
