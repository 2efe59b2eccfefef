"""Broken input, through the commands: what and where on stderr, and a true status."""

import os

import numpy as np
import pytest
import soundfile

from dataset.kaldi_table import SequentialReader, TableWriter

MFCC = "compute-mfcc-feats --dither=0"


@pytest.fixture
def feats(tmp_path):
    """Three utterances in an archive with its script; returns them."""
    rng = np.random.default_rng(0)
    feats = {f"u{n}": rng.standard_normal((30, 4)).astype("f4") for n in (1, 2, 3)}
    with TableWriter(f"ark,scp:{tmp_path}/m.ark,{tmp_path}/m.scp", "matrix") as writer:
        for key, matrix in feats.items():
            writer.write(key, matrix)
    return feats


def keys(path):
    with SequentialReader(f"ark:{path}", "matrix") as reader:
        return [key for key, _ in reader]


def test_archive_cut_in_mid_matrix(run, tmp_path, feats):
    content = (tmp_path / "m.ark").read_bytes()
    (tmp_path / "m.ark").write_bytes(content[:-100])
    cut = "truncated: expected 480 bytes of a matrix, got 380"
    done = run("copy-feats ark:m.ark ark:o.ark", status=255)
    assert f"ark:m.ark, key u3: {cut}" in done.stderr
    done = run("copy-feats scp:m.scp ark:o.ark", status=255)
    assert cut in done.stderr and "key u3" in done.stderr
    done = run("copy-feats scp,p:m.scp ark:o.ark")
    assert "Copied 2 feature matrices; 1 failed" in done.stderr
    assert keys(tmp_path / "o.ark") == ["u1", "u2"]


def test_script_that_points_past_the_end(run, tmp_path, feats):
    (tmp_path / "m.scp").write_text("u1 m.ark:99999\n")
    done = run("copy-feats scp:m.scp ark:o.ark", status=255)
    size = (tmp_path / "m.ark").stat().st_size
    assert f"m.ark:99999: nothing at byte 99999: the file ends at {size}" in done.stderr


@pytest.mark.parametrize("command", ["compute-vad", "apply-cmvn-sliding"])
def test_nan_in_features(run, tmp_path, feats, command):
    feats["u2"][3, 1] = np.nan
    with TableWriter(f"ark:{tmp_path}/m.ark", "matrix") as writer:
        for key, matrix in feats.items():
            writer.write(key, matrix + np.float32(9))
    done = run(f"{command} ark:m.ark ark:o.ark")
    assert "u2: nan in frame 3, column 1; no output for it" in done.stderr
    assert "2 utterances" in done.stderr and "1 failed" in done.stderr


@pytest.mark.parametrize(
    ("pipe", "why"),
    [
        ("head -c 300 m.ark; exit 3", "failed with status 3"),
        ("cat m.ark; kill -9 $$", "was killed by signal 9"),
    ],
)
def test_the_command_of_a_pipe_fails(run, tmp_path, feats, pipe, why):
    """A stream that was cut off must not look like a short one."""
    done = run(f"copy-feats 'ark:{pipe} |' ark:o.ark", status=255)
    assert why in done.stderr


@pytest.mark.parametrize("pipe", ["head -c 300 a.wav; false", "cat a.wav | false"])
def test_the_command_of_a_sound_fails(run, tmp_path, pipe):
    soundfile.write(tmp_path / "a.wav", np.zeros(4000), 16000)
    (tmp_path / "wav.scp").write_text(f"a {pipe} |\nb a.wav\n")
    done = run(f"{MFCC} scp,p:wav.scp ark:o.ark")
    assert "key a:" in done.stderr and "failed with status 1; left out" in done.stderr
    assert "Done 1 out of 2 utterances" in done.stderr
    run(f"{MFCC} scp:wav.scp ark:o.ark", status=255)


def test_forms_of_wav(run, tmp_path):
    rng = np.random.default_rng(0)
    sound = np.round(rng.uniform(-0.4, 0.4, 8000) * 128) / 128  # exact in 8 bits
    forms = {
        "pcm16": ("WAV", "PCM_16"),
        "pcm8": ("WAV", "PCM_U8"),
        "pcm24": ("WAV", "PCM_24"),
        "extensible16": ("WAVEX", "PCM_16"),
        "extensible24": ("WAVEX", "PCM_24"),
    }
    for name, (form, subtype) in forms.items():
        soundfile.write(tmp_path / f"{name}.wav", sound, 16000, subtype, format=form)
    soundfile.write(tmp_path / "stereo.wav", np.stack([sound, -sound], 1), 16000)
    lines = [f"{name} {name}.wav\n" for name in sorted([*forms, "stereo"])]
    (tmp_path / "wav.scp").write_text("".join(lines))
    done = run(f"{MFCC} scp:wav.scp ark:o.ark")
    assert "stereo: 2 channels; the first is used" in done.stderr
    with SequentialReader(f"ark:{tmp_path}/o.ark", "matrix") as reader:
        feats = dict(reader)
    for name in (*forms, "stereo"):
        np.testing.assert_array_equal(feats[name], feats["pcm16"], err_msg=name)


def test_sound_without_samples_or_at_another_rate(run, tmp_path):
    sound = np.random.default_rng(0).uniform(-0.4, 0.4, 8000)
    soundfile.write(tmp_path / "good.wav", sound, 16000)
    soundfile.write(tmp_path / "rate.wav", sound, 8000)
    soundfile.write(tmp_path / "zero.wav", sound[:0], 16000)
    (tmp_path / "empty.wav").touch()
    names = ("empty", "good", "rate", "zero")
    (tmp_path / "wav.scp").write_text("".join(f"{n} {n}.wav\n" for n in names))
    done = run(f"{MFCC} scp,p:wav.scp ark:o.ark")
    for text in (
        "key empty: empty.wav: expected a sound file, found nothing",
        "rate: expected a sampling frequency of 16000 Hz, got 8000 Hz",
        "key zero: zero.wav: no samples in the sound file",
        "Done 1 out of 4 utterances",
    ):
        assert text in done.stderr


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers(run, tmp_path, value):
    sound = np.full(4000, 0.1, np.float32)
    soundfile.write(tmp_path / "good.wav", sound, 16000, "FLOAT")
    sound[77] = value
    soundfile.write(tmp_path / "bad.wav", sound, 16000, "FLOAT")
    (tmp_path / "wav.scp").write_text("bad bad.wav\ngood good.wav\n")
    done = run(f"{MFCC} scp,p:wav.scp ark:o.ark")
    assert "key bad: bad.wav: sample 77 is not a finite number; left out" in done.stderr
    assert "Done 1 out of 2 utterances" in done.stderr
    assert keys(tmp_path / "o.ark") == ["good"]


def test_names_that_are_not_utf8(run, tmp_path):
    """File names are bytes; keys must be UTF-8."""
    name = os.fsencode(tmp_path / "caf") + b"\xe9.wav"
    soundfile.write(tmp_path / "a.wav", np.full(4000, 0.1), 16000)
    os.rename(tmp_path / "a.wav", name)
    (tmp_path / "wav.scp").write_bytes(
        b"a %b\r\nb cat %b |\nc x\xe9.wav\n" % (name, name)
    )
    done = run(f"{MFCC} scp,p:wav.scp ark:o.ark")
    assert "key c: cannot open x\\udce9.wav: No such file" in done.stderr
    assert keys(tmp_path / "o.ark") == ["a", "b"]
    (tmp_path / "wav.scp").write_bytes(b"caf\xe9 a.wav\n")
    done = run(f"{MFCC} scp,p:wav.scp ark:o.ark", status=255)
    assert "wav.scp:1: expected a word in UTF-8" in done.stderr


def test_keys_that_are_not_as_promised(run, tmp_path, feats):
    with TableWriter(f"ark:{tmp_path}/v.ark", "vector") as writer:
        for key in ("u2", "u1", "u3"):
            writer.write(key, np.ones(30))
    command = "select-voiced-frames scp:m.scp {} ark:o.ark"
    done = run(command.format("ark,s,cs:v.ark"), status=255)
    assert "ark,s,cs:v.ark: option s promises sorted keys" in done.stderr
    run("cat v.ark v.ark > twice.ark")
    done = run(command.format("ark:twice.ark") + "; echo u4 m.ark:3 >> m.scp")
    done = run(command.format("ark:twice.ark"), status=255)
    assert "ark:twice.ark: key u2 is there twice" in done.stderr


def test_a_full_disk_and_a_reader_that_goes_away(run, feats):
    done = run("copy-feats scp:m.scp ark:/dev/full", status=255)
    assert "No space left on device: /dev/full" in done.stderr
    run("for n in {1..200}; do cat m.scp; done > many.scp")  # more than a pipe holds
    done = run("copy-feats scp:many.scp ark,t:- | head -c 9", status=141)  # SIGPIPE
    assert "ERROR" not in done.stderr
