"""The commands for sound files, run as programs."""

from pathlib import Path

import numpy as np
import pytest
from toy_sphere import write_sphere

from dataset.kaldi_table import SequentialReader
from dataset.wav import read_wave, write_wave

FRONTEND = Path(__file__).parents[2] / "data/kaldi/frontend"


@pytest.fixture
def recordings(tmp_path):
    """A mono and a stereo recording whose samples count up, and their wav.scp."""
    write_wave(tmp_path / "mono.wav", np.arange(8000), 8000)
    write_wave(tmp_path / "stereo.wav", np.arange(8000).reshape(2, -1), 8000)
    (tmp_path / "wav.scp").write_text("mono mono.wav\nstereo stereo.wav\n")


def read_waves(folder, name="out.ark"):
    with SequentialReader(f"ark:{folder / name}", "wave") as reader:
        return {key: wave.samples for key, wave in reader}


def test_reverberate_as_kaldi(run, tmp_path):
    run(
        f"wav-reverberate --additive-signals={FRONTEND}/s2.flac --start-times=0.3"
        f" --snrs=10 --duration=2.0 --shift-output=true {FRONTEND}/s1.flac out.wav"
    )
    output, golden = read_wave(tmp_path / "out.wav"), FRONTEND / "s1-with-s2.flac"
    assert np.abs(output.samples - read_wave(golden).samples).max() <= 1


def test_reverberate_in_a_pipe(run, tmp_path, recordings):
    done = run(
        "wav-reverberate --volume=2 mono.wav - |"
        ' wav-reverberate --impulse-response="cat mono.wav |" - - | cat > out.wav'
    )
    assert read_wave(tmp_path / "out.wav").samples.shape == (1, 8000)
    assert done.stdout == ""


def test_reverberate_says_what_is_wrong(run, tmp_path, recordings):
    done = run("wav-reverberate none.wav out.wav", status=255)
    assert "ERROR (wav-reverberate) cannot open none.wav" in done.stderr
    assert not (tmp_path / "out.wav").exists()


def test_sph2pipe(run, tmp_path):
    samples = np.arange(-4000, 4000, dtype=np.int16).reshape(2, -1) * 8
    write_sphere(tmp_path / "a.sph", samples, coding="pcm", shorten=True)
    run("sph2pipe -f wav -p -c 2 -t 0.1: a.sph b.wav; sph2pipe -pf rif a.sph > all.wav")
    part, whole = (read_wave(tmp_path / f"{name}.wav") for name in ("b", "all"))
    assert part.rate == whole.rate == 8000
    np.testing.assert_array_equal(part.samples, samples[1:, 800:])
    np.testing.assert_array_equal(whole.samples, samples)
    write_sphere(tmp_path / "mono.sph", samples[:1], coding="pcm")
    run("sph2pipe -f wav -p -c 2 mono.sph b.wav")  # there is no choice: as in LDC's
    np.testing.assert_array_equal(read_wave(tmp_path / "b.wav").samples, samples[:1])


def test_sph2pipe_says_what_is_wrong(run, tmp_path):
    write_sphere(tmp_path / "mono.sph", np.ones((1, 800), np.int16))
    for arguments, message in {
        "-f wav -p -c 3 mono.sph out.wav": "-c: expected 1 or 2, got '3'",
        "-f wav -p -t 1:2 mono.sph out.wav": "no time from 1 s to 2 s in 0.1 s",
        "-f wav -c 1 mono.sph out.wav": "expected -f wav and -p",
        "-f wav -p -s 1:2 mono.sph out.wav": "option -s not recognized",
        "-f wav -p": "expected one or two files, got 0",
    }.items():
        done = run(f"sph2pipe {arguments}", status=255)
        assert message in done.stderr and not (tmp_path / "out.wav").exists()


def test_wav_copy(run, tmp_path, recordings):
    run("wav-copy scp:wav.scp ark:- | wav-copy ark:- ark,scp:out.ark,out.scp")
    waves = read_waves(tmp_path)
    np.testing.assert_array_equal(waves["mono"], [np.arange(8000)])
    np.testing.assert_array_equal(waves["stereo"], np.arange(8000).reshape(2, -1))
    location = (tmp_path / "out.scp").read_text().split()[3]
    run(f"wav-copy {location} - | wav-copy - stereo2.wav")
    copied = (tmp_path / "stereo2.wav").read_bytes()
    assert copied == (tmp_path / "stereo.wav").read_bytes()


def test_durations(run, recordings):
    done = run("wav-to-duration --read-entire-file=true scp:wav.scp ark,t:-")
    assert done.stdout.split() == ["mono", "1", "stereo", "0.5"]
    assert "Mean duration was 0.75 s, shortest 0.5 s, longest 1 s" in done.stderr


def test_durations_of_nothing(run, tmp_path):
    (tmp_path / "wav.scp").write_text("a none.wav\n")
    run("wav-to-duration scp,p:wav.scp ark,t:-", status=1)
    run("wav-copy scp,p:wav.scp ark:out.ark", status=1)


def test_segments(run, tmp_path, recordings):
    (tmp_path / "segments").write_text(
        "a mono 0 0.5\n"
        "b mono 0.25 -1\n"
        "c mono 0.5 1.25\n"  # cut: passes the end by less than 0.5 s
        "d stereo 0.1 0.4 1\n"
    )
    done = run("extract-segments scp:wav.scp segments ark:out.ark")
    waves = read_waves(tmp_path)
    np.testing.assert_array_equal(waves["a"], [np.arange(4000)])
    np.testing.assert_array_equal(waves["b"], [np.arange(2000, 8000)])
    np.testing.assert_array_equal(waves["c"], [np.arange(4000, 8000)])
    np.testing.assert_array_equal(waves["d"], [np.arange(4800, 7200)])
    assert "Cut 4 segments from 4 lines of segments" in done.stderr


@pytest.mark.parametrize(
    "line, message",
    [
        (
            "a mono 0",
            "expected 'segment recording start end [channel]', got 'a mono 0'",
        ),
        ("a mono zero 1", "expected 'segment"),
        ("a mono 0 1 x", "expected 'segment"),
        ("a mono 0 1 -1", "expected 'segment"),
        ("a mono 0 1 0 0", "expected 'segment"),
        ("a mono 0.5 0.5", "segment a: no time from 0.5 s to 0.5 s"),
        ("a mono -1 0.5", "no time from -1 s"),
        ("a mono nan 0.5", "no time from nan s"),
        ("a other 0 1", "no recording other"),
        ("a mono 1.1 1.2", "1.1 s to 1.2 s is not in recording mono of 1 s"),
        ("a mono 0.5 1.6", "is not in recording mono of 1 s"),
        ("a mono 0.5 0.6", "0.1 s is less than --min-segment-length=0.1"),
        ("a mono 0.95 1.2", "0.05 s is less than --min-segment-length=0.1"),
        ("a mono 0 0.4 1", "recording mono has 1 channels"),
    ],
)
def test_bad_segments(run, tmp_path, recordings, line, message):
    (tmp_path / "segments").write_text(f"good mono 0 1\n{line}\n")
    done = run("extract-segments scp:wav.scp segments ark:out.ark")
    assert list(read_waves(tmp_path)) == ["good"]
    warning = done.stderr.partition("WARNING (extract-segments) segments:2: ")[2]
    assert message in warning
    assert "Cut 1 segments from 2 lines" in done.stderr


def test_which_of_two_channels_is_not_guessed(run, tmp_path, recordings):
    (tmp_path / "segments").write_text("a stereo 0 0.4\n")
    done = run("extract-segments scp:wav.scp segments ark:out.ark", status=255)
    assert "segments:1: recording stereo has 2 channels" in done.stderr


def test_ends_of_segments_are_rounded(run, tmp_path, recordings):
    (tmp_path / "segments").write_text("a mono 0.10007 0.4\nb mono 0.3 0.40001\n")
    run("extract-segments scp:wav.scp segments ark:out.ark")
    waves = read_waves(tmp_path)
    np.testing.assert_array_equal(waves["a"], [np.arange(801, 3200)])
    np.testing.assert_array_equal(waves["b"], [np.arange(2400, 3200)])


@pytest.mark.parametrize(
    "name",
    [
        "wav-reverberate",
        "wav-copy",
        "wav-to-duration",
        "extract-segments",
        "sph2pipe",
    ],
)
def test_usage(run, name):
    done = run(name, status=1)
    assert f"Usage: {name}" in done.stderr and "e.g.:" in done.stderr
