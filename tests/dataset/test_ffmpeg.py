"""m4a as in VoxCeleb2, decoded by PyAV; written by it, too."""

import shutil
import subprocess

import numpy as np
import pytest
from m4a import write_m4a

from dataset.errors import InputError
from dataset.ffmpeg import run_ffmpeg
from dataset.wav import read_wave

av = pytest.importorskip("av")
PIPE = "ffmpeg -v 8 -i {} -f wav -acodec pcm_s16le - |"


@pytest.fixture
def m4a(tmp_path):
    """1 s of two tones."""
    time = np.arange(16000) / 16000
    samples = 6000 * np.sin(2 * np.pi * 440 * time) + 3000 * np.sin(5000 * time)
    write_m4a(tmp_path / "a.m4a", samples)
    return tmp_path / "a.m4a", samples


def test_it_is_the_sound_that_was_encoded(m4a):
    path, samples = m4a
    wave = read_wave(PIPE.format(path))
    assert wave.rate == 16000 and wave.samples.shape[0] == 1
    assert np.array_equal(wave.samples, np.round(wave.samples))
    start = int(np.argmax(np.correlate(wave.samples[0], samples[:4000], "valid")))
    got = wave.samples[0, start : start + 12000]
    assert np.corrcoef(got, samples[:12000])[0, 1] > 0.98


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs the program ffmpeg")
def test_the_program_gives_the_same_but_for_the_last_bit(m4a):
    path, _ = m4a
    command = PIPE.format(path).rstrip("|")
    done = subprocess.run(command, shell=True, capture_output=True, check=True)
    expected = np.frombuffer(done.stdout[done.stdout.index(b"data") + 8 :], "<i2")
    wave = read_wave(PIPE.format(path))
    assert np.abs(wave.samples[0] - expected).max() <= 1


def test_other_command_lines_are_for_the_program(m4a):
    path = str(m4a[0])
    output = ["-f", "wav", "-acodec", "pcm_s16le", "-"]
    options = ["-nostdin", "-loglevel", "error"]
    assert run_ffmpeg([*options, "-i", path, *output]) is not None
    assert run_ffmpeg(["-i", path, "-ar", "8000", *output]) is None
    assert run_ffmpeg(["-i", path]) is None
    assert run_ffmpeg(["-ss", "1", "-i", path, *output]) is None


def test_what_is_broken_is_named(m4a, tmp_path):
    path, _ = m4a
    (tmp_path / "cut.m4a").write_bytes(path.read_bytes()[:1000])
    (tmp_path / "none.m4a").write_bytes(b"")
    for name in ("cut.m4a", "none.m4a", "missing.m4a"):
        with pytest.raises(InputError, match=name):
            read_wave(PIPE.format(tmp_path / name))


def test_without_pyav_it_is_left_to_the_program_or_told_of(m4a, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    arguments = PIPE.format(m4a[0]).split()[1:-1]
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    assert run_ffmpeg(arguments) is None
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(InputError, match="neither the Python package 'av'"):
        run_ffmpeg(arguments)
