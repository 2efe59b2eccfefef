import subprocess
from pathlib import Path

import numpy as np
import pytest
from toy_sphere import write_sphere

from dataset import reverberation, wav_pipe, wave_cache
from dataset.errors import InputError
from dataset.options import parse_options
from dataset.reverberation import ReverberateOptions, apply_reverberation
from dataset.wav import Noise, read_wave, reverberate, to_int16, write_wave
from dataset.wav_pipe import (
    plain_file,
    run_pipe,
)
from dataset.wave_cache import WaveCache

FRONTEND = Path(__file__).parents[1] / "data/kaldi/frontend"
BIN = Path(__file__).parents[2] / "misc/kaldi/bin"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with speech, a room and noise, and a PATH that leads to our commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}:/usr/bin:/bin")
    wav_pipe._is_ours.cache_clear()
    reverberation._cache = WaveCache(1 << 20)
    rng = np.random.default_rng(0)
    response = rng.normal(0, 100, (2, 300)) * np.exp(-np.arange(300) / 50)
    response[0, 40], response[1, 60] = 30000, 25000
    write_wave("rir.wav", response, 16000)
    write_wave("noise.wav", rng.normal(0, 300, (2, 5000)), 16000)
    write_wave("stereo.wav", rng.normal(0, 3000, (2, 8000)), 16000)
    for name in ("s1", "s2"):
        (tmp_path / f"{name}.flac").symlink_to(FRONTEND / f"{name}.flac")
    samples = read_wave("s1.flac").samples
    write_wave("s1.wav", samples, 16000)
    write_sphere(tmp_path / "s1.sph", samples.astype(np.int16), 16000, "pcm")
    yield tmp_path
    wav_pipe._is_ours.cache_clear()


@pytest.fixture
def no_programs(monkeypatch):
    """Whoever starts a program fails."""

    def refuse(*arguments, **options):
        raise AssertionError(f"started {arguments}")

    monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.mark.parametrize(
    "pipe",
    [
        "cat s1.wav |",
        " cat s1.wav|",
        "cat s1.wav | cat | cat - |",
        "cat 's1.wav' |",
        "flac -dcs s1.flac |",
        "flac -d -c -s s1.flac |",
        "flac -c -d -s s1.flac |",
        "flac --decode --stdout --silent s1.flac |",
        "flac -cd s1.flac |",
        "cat s1.flac | flac -dcs - |",
        "sox s1.flac -t wav - |",
        "sox -t flac s1.flac -t wav - |",
        "sox -V1 -q s1.flac -r 16k -t wav - |",
        "sox s1.wav -t wav -r 16000 - |",
        "wav-copy s1.wav - |",
        "sph2pipe -f wav -p -c 1 s1.sph |",
        "cat s1.wav | wav-copy - - |",
    ],
)
def test_programs_run_in_this_process(no_programs, pipe):
    wave, expected = read_wave(pipe), read_wave("s1.wav")
    assert wave.rate == 16000
    np.testing.assert_array_equal(wave.samples, expected.samples)


@pytest.mark.parametrize(
    "pipe",
    [
        "cat s1.wav stereo.wav |",
        "cat -n s1.wav |",
        "cat $HOME/s1.wav |",
        "cat s?.wav |",
        "cat < s1.wav |",
        "cat s1.wav; true |",
        "cat s1.wav || true |",
        "cat s1.wav | |",
        "cat 's1.wav |",
        "flac -t s1.flac |",
        "flac -dcs --until=3 s1.flac |",
        "flac -dcs - |",
        "sox s1.wav -t raw - |",
        "sox s1.wav -b 8 -t wav - |",
        "sox s1.wav -t wav - speed |",
        "sox s1.wav -t wav - speed -1 |",
        "sox s1.wav -t wav - vol 2 |",
        "sox s1.wav out.wav |",
        "sox -m s1.wav s2.wav -t wav - |",
        "wav-copy scp:wav.scp - |",
        "wav-copy s1.wav out.wav |",
        "wav-reverberate s1.wav out.wav |",
        "wav-reverberate --help s1.wav - |",
        "ffmpeg -ss 1 -i s1.wav -f wav - |",
        "LC_ALL=C cat s1.wav |",
    ],
)
def test_the_rest_is_left_to_the_shell(no_programs, pipe):
    assert run_pipe(pipe) is None


def test_the_shell_gives_the_same():
    in_process, by_shell = read_wave("cat s1.wav |"), read_wave("cat < s1.wav |")
    np.testing.assert_array_equal(in_process.samples, by_shell.samples)


def test_reverberation_gives_what_the_command_writes():
    command = (
        "cat s1.wav | wav-reverberate --impulse-response='cat rir.wav |' "
        "--additive-signals='cat noise.wav |,noise.wav' --snrs=10,20 --start-times=0,1 "
        "- - |"
    )
    in_process = run_pipe(command)
    assert in_process is not None
    by_shell = read_wave("true; " + command)
    np.testing.assert_array_equal(in_process.samples, by_shell.samples)


def test_nested_pipes_and_cache(no_programs, monkeypatch):
    names = []

    def read(name):
        names.append(name)
        return read_wave(name)

    monkeypatch.setattr(wav_pipe, "read_wave", read)
    monkeypatch.setattr(wave_cache, "read_wave", read)
    pipe = (
        'flac -dcs s1.flac | wav-reverberate --impulse-response="flac -dcs s2.flac |" '
        "--additive-signals='noise.wav,cat noise.wav |' --snrs=10,20 --start-times=0,1 "
        "--shift-output=true - - |"
    )
    first, second = read_wave(pipe), read_wave(pipe)
    np.testing.assert_array_equal(first.samples, second.samples)
    assert names.count("s1.flac") == 2
    assert names.count("flac -dcs s2.flac |") == 1
    assert names.count("noise.wav") == 2  # by itself, and through cat


def test_commands_of_a_real_kaldi_are_respected(folder, monkeypatch):
    other = folder / "kaldi"
    other.mkdir()
    (other / "wav-copy").write_text("#!/bin/sh\ncat stereo.wav\n")
    (other / "wav-copy").chmod(0o755)
    monkeypatch.setenv("PATH", f"{other}:{BIN}:/usr/bin:/bin")
    assert run_pipe("wav-copy s1.wav - |") is None
    assert read_wave("wav-copy s1.wav - |").samples.shape == (2, 8000)
    assert run_pipe("wav-reverberate s1.wav - |") is not None


def test_without_any_kaldi_on_the_path(monkeypatch, no_programs):
    monkeypatch.setenv("PATH", "/nowhere")
    assert read_wave("wav-copy s1.wav - |").samples.shape == (1, 57600)


@pytest.mark.parametrize(
    "pipe, message",
    [
        ("cat none.wav |", "'cat none.wav |': .*none.wav: No such file"),
        ("flac -dcs rir.flac | cat |", "rir.flac: No such file"),
        ("wav-reverberate --snr=3 s1.wav - |", "Invalid option --snr"),
        (
            "wav-reverberate --impulse-response='cat none.wav |' s1.wav - |",
            "wav-reverberate .*'cat none.wav |': .*none.wav: No such file",
        ),
    ],
)
def test_errors_have_the_pipeline(no_programs, pipe, message):
    with pytest.raises(InputError, match=message.replace("|", r"\|")):
        read_wave(pipe)


# Speed and rate.


@pytest.mark.parametrize(
    "factor, length", [("0.9", 8889), ("1.1", 7273), ("1.0", 8000)]
)
@pytest.mark.parametrize("pipe", ["sox -t wav tone.wav -t wav - speed {} |"])
def test_speed(no_programs, pipe, factor, length):
    tone = 10000 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 16000)
    write_wave("tone.wav", tone, 16000)
    wave = read_wave(pipe.format(factor))
    assert wave.rate == 16000
    assert wave.samples.shape == (1, length)
    spectrum = np.abs(np.fft.rfft(wave.samples[0]))
    peak = spectrum.argmax() * 16000 / length
    assert peak == pytest.approx(1000 * float(factor), abs=2)
    middle = wave.samples[0, 500:-500]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(10000 / np.sqrt(2), rel=1e-3)


def test_speed_after_another_stage(no_programs):
    wave = read_wave("flac -dcs s1.flac | sox -t wav - -t wav - speed 0.9 |")
    assert wave.samples.shape == (1, 64000)


def test_sox_changes_the_rate(no_programs):
    wave = read_wave("sox s1.flac -r 8k -t wav - |")
    assert wave.rate == 8000
    assert wave.samples.shape == (1, 28800)


# Reverberation: the options around the numerics of dataset.wav.


def reverberated(*arguments, source="s1.wav"):
    options, _, _ = parse_options(ReverberateOptions, arguments)
    return apply_reverberation(read_wave(source), options).samples


def test_golden_command_of_kaldi():
    output = reverberated(
        "--additive-signals=s2.flac",
        "--start-times=0.3",
        "--snrs=10",
        "--duration=2.0",
        "--shift-output=true",
    )
    expected = read_wave(FRONTEND / "s1-with-s2.flac").samples
    assert output.shape == expected.shape
    assert np.abs(output - expected).max() <= 1


def test_shift_and_tail():
    signal = read_wave("s1.wav").samples[0]
    rir = read_wave("rir.wav").samples[0]
    whole = to_int16(reverberate(signal, 16000, rir))
    shifted = reverberated("--impulse-response=rir.wav")
    np.testing.assert_array_equal(shifted, [whole[40 : 40 + len(signal)]])
    # As long as with the room's tail, but in its place the beginning once more.
    longer = reverberated("--impulse-response=rir.wav", "--shift-output=false")
    repeated = np.resize(whole[: len(signal)], len(whole))
    np.testing.assert_array_equal(longer, [repeated])
    np.testing.assert_array_equal(
        reverberated("--shift-output=false"), read_wave("s1.wav").samples[:, :-1]
    )


def golden_room():
    n = np.arange(120)
    response = np.trunc(20000 * np.cos(n * n) * 0.96**n)
    response[7] = 30000
    return response


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("short_room", ["--impulse-response=room5.wav"]),
        ("room", ["--impulse-response=room120.wav"]),
        ("tail", ["--impulse-response=room120.wav", "--shift-output=false"]),
        (
            "noise_in_room",
            [
                "--impulse-response=room120.wav",
                "--additive-signals=part.wav",
                "--snrs=5",
                "--start-times=0.02",
                "--duration=0.06",
            ],
        ),
        ("volume", ["--impulse-response=room120.wav", "--volume=0.8"]),
    ],
)
def test_rooms_as_in_kaldi(name, arguments):
    speech, noise = (
        read_wave(FRONTEND / f"{name}.flac").samples[0] for name in ("s1", "s2")
    )
    write_wave("speech.wav", speech[8000:8800], 16000)
    write_wave("part.wav", noise[12000:12500], 16000)
    write_wave("room5.wav", np.array([30000, 0, 0, -8000, 100]), 16000)
    write_wave("room120.wav", golden_room(), 16000)
    output = reverberated(*arguments, source="speech.wav")[0]
    with np.load(FRONTEND / "reverberated.npz") as arrays:
        expected = arrays[name].astype(int)
    assert len(output) == len(expected)
    assert np.abs(output - expected).max() <= 1


def test_channels():
    signal = read_wave("stereo.wav").samples[1]
    rir, noise = read_wave("rir.wav").samples, read_wave("noise.wav").samples
    arguments = (
        "--impulse-response=rir.wav",
        "--additive-signals=noise.wav",
        "--snrs=3",
        "--start-times=0",
        "--input-wave-channel=1",
    )
    expected = []
    for channel in (0, 1):
        output = reverberate(signal, 16000, rir[channel], [Noise(noise[channel], 3, 0)])
        start = (40, 60)[channel]
        expected.append(to_int16(output)[start : start + len(signal)])
    both = reverberated(*arguments, "--multi-channel-output=true", source="stereo.wav")
    np.testing.assert_array_equal(both, expected)
    second = reverberated(
        *arguments, "--rir-channel=1", "--noise-channel=1", source="stereo.wav"
    )
    np.testing.assert_array_equal(second, expected[1:])


@pytest.mark.parametrize("seconds, length", [(0.25, 4000), (1.2, 19200)])
def test_duration_cuts_or_repeats(seconds, length):
    signal = read_wave("stereo.wav").samples[0]
    output = reverberated(
        f"--duration={seconds}", "--normalize-output=false", source="stereo.wav"
    )
    np.testing.assert_array_equal(output, [np.resize(signal, length)])


def test_volume():
    np.testing.assert_array_equal(
        reverberated("--volume=0.5"), np.trunc(read_wave("s1.wav").samples / 2)
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--input-wave-channel=1"], "the input has 1 channels, so no channel 1"),
        (
            ["--impulse-response=rir.wav", "--rir-channel=2"],
            "the impulse response has 2",
        ),
        (["--multi-channel-output"], "needs an --impulse-response"),
        (["--additive-signals=noise.wav"], "got 0 and 0 for 1"),
        (
            ["--additive-signals=noise.wav", "--snrs=1,2", "--start-times=0"],
            "got 2 and 1 for 1",
        ),
        (
            ["--additive-signals=noise.wav", "--snrs=loud", "--start-times=0"],
            "--snrs, got 'loud'",
        ),
        (
            ["--impulse-response=low.wav"],
            "low.wav: .* of the input, 16000 Hz, got 8000",
        ),
    ],
)
def test_contradicting_options(arguments, message):
    write_wave("low.wav", np.ones(10), 8000)
    with pytest.raises(InputError, match=message):
        reverberated(*arguments)


@pytest.mark.parametrize(
    ("rxfilename", "file"),
    [
        ("flac -dcs a.flac |", "a.flac"),
        ("cat 'a b.wav' |", "a b.wav"),
        ("flac --decode --stdout a.flac |", "a.flac"),
        ("flac -dcs |", None),
        ("flac -c a.wav |", None),
        ("flac -dcs a.flac | cat |", None),
        ("sox a.flac -t wav - speed 0.9 |", None),
        ("sph2pipe -f wav a.sph |", None),
        ("cat $HOME/a.wav |", None),
        ("cat 'a.wav |", None),
    ],
)
def test_plain_file(rxfilename, file):
    assert plain_file(rxfilename) == file
