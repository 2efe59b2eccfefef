"""A front end gives what the recipes' commands give, and refuses what is no speech."""

import dataclasses
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dataset.errors import InputError, Unusable
from dataset.features import SlidingCmvnOptions, VadOptions
from dataset.front_end import (
    NO_SPEECH,
    NOT_FINITE,
    TOO_SHORT,
    UNFIT,
    ComputeFbankOptions,
    ComputeMfccOptions,
    FrontEnd,
    feature_differences,
    read_front_end,
)
from dataset.front_end_conf import conf_paths
from dataset.kaldi_io import read_mat_ark
from dataset.wav import Wave, read_wave

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests/data/kaldi/frontend/s1.flac"
CONF = {
    "mfcc": "--num-ceps=12\n--num-mel-bins=20\n--snip-edges=false\n",
    "fbank": "--num-mel-bins=20\n--use-energy=true\n",
    "vad": "--vad-energy-threshold=5.5\n--vad-frames-context=2\n",
    "cmvn": "--cmn-window=120\n--center=true\n",
}


def write_conf(folder, *names):
    for name in names:
        (folder / f"{name}.conf").write_text(CONF[name])


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("kind", ["mfcc", "fbank"])
def test_it_is_the_commands_one_after_the_other(tmp_path, kind, compress):
    """With the dither of the commands' key, and so bit for bit."""
    write_conf(tmp_path, kind, "vad", "cmvn")
    (tmp_path / "wav.scp").write_text(f"somebody {SPEECH}\n")
    commands = (
        f"compute-{kind}-feats --config={kind}.conf scp:wav.scp ark:- |"
        f" copy-feats --compress={str(compress).lower()} ark:- ark:feats &&"
        " compute-vad --config=vad.conf ark:feats ark:vad &&"
        " apply-cmvn-sliding --config=cmvn.conf ark:feats ark:- |"
        " select-voiced-frames ark:- ark:vad ark:voiced"
    )
    path = f"{ROOT / 'misc/kaldi/bin'}:{os.environ['PATH']}"
    environment = dict(os.environ, PATH=path)
    subprocess.run(
        commands, shell=True, check=True, cwd=tmp_path, env=environment, stderr=-3
    )
    [(_, expected)] = read_mat_ark(tmp_path / "voiced")
    if not compress:
        (tmp_path / "copy-feats.conf").write_text("--compress=false\n")
    front_end = read_front_end(conf_paths(str(tmp_path)))
    found = front_end.voiced_frames("somebody", read_wave(SPEECH))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert front_end.frame_shift == pytest.approx(0.01)
    other = front_end.voiced_frames("else", read_wave(SPEECH))
    assert other.shape != found.shape or (other != found).any()


def front_end(**changes):
    waves = dataclasses.replace(ComputeMfccOptions(), **changes)
    return FrontEnd(waves, VadOptions(), SlidingCmvnOptions(center=True))


def noise(scale=1000.0, seconds=1.0, channels=1):
    rng = np.random.default_rng(0)
    samples = scale * rng.normal(size=(channels, int(16000 * seconds)))
    return np.trunc(samples).astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "kind", "message"),
    [
        (np.zeros((1, 16000)), NO_SPEECH, "no speech: none of 98 frames"),
        (noise(2.0), NO_SPEECH, "no speech: none of 98 frames"),
        (noise(1000, 0.02), TOO_SHORT, "0.02 s is too short for a frame"),
        (noise(1e30), NOT_FINITE, "features that are not finite"),
        (noise(1000, 0.4), TOO_SHORT, "0.4 s is less than --min-duration=0.5"),
    ],
)
def test_what_is_no_speech_is_refused(samples, kind, message):
    shortest = 0.5 if "min-duration" in message else 0.0
    wave = Wave(samples.astype(np.float32), 16000)
    with pytest.raises(Unusable, match=message) as error, np.errstate(all="ignore"):
        front_end(min_duration=shortest).voiced_frames("key", wave)
    assert error.value.kind == kind


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.zeros((1, 16000), np.float32), "silent: all samples"),
        (np.full((1, 16000), 7, np.float32), "silent: all samples"),
        (np.clip(noise(20000), -32768, 32767), "clipped: 9.9 % of the samples"),
        (np.clip(noise(20000), -32768, 32767) / 8, "clipped: 9.9 % of the samples"),
        (np.array([[1, np.nan] * 8000], np.float32), "not finite"),
    ],
)
def test_levels_that_nothing_should_be_decided_by(samples, message):
    with pytest.raises(InputError, match=message):
        front_end().check_level(Wave(samples.astype(np.float32), 16000))


def test_another_rate_or_channel_is_refused():
    wave = Wave(noise(), 8000)
    with pytest.raises(Unusable, match="expected .* 16000 Hz, got 8000 Hz") as error:
        front_end().voiced_frames("key", wave)
    assert error.value.kind == UNFIT
    assert len(front_end(allow_upsample=True).voiced_frames("key", wave))
    with pytest.raises(InputError, match="1 channels, but --channel=1"):
        front_end(channel=1).voiced_frames("key", Wave(noise(), 16000))


def test_only_the_chosen_channel_counts():
    samples = noise(channels=2)
    samples[0] = 0.0
    with pytest.raises(InputError, match="silent: all"):
        front_end().check_level(Wave(samples, 16000))
    front_end(channel=1).check_level(Wave(samples, 16000))
    assert len(front_end(channel=1).voiced_frames("key", Wave(samples, 16000)))


def test_speech_is_not_taken_for_clipped():
    samples = read_wave(SPEECH).samples
    loud = samples * (32767 / np.abs(samples).max())
    front_end().check_level(Wave(np.trunc(loud), 16000))


def test_a_folder_must_say_which_features(tmp_path):
    def read():
        return read_front_end(conf_paths(str(tmp_path)))

    write_conf(tmp_path, "vad")
    with pytest.raises(
        InputError, match=r"expected mfcc\.conf or fbank\.conf, and vad"
    ):
        read()
    write_conf(tmp_path, "fbank")
    assert isinstance(read().waves, ComputeFbankOptions)
    assert read().cmvn == SlidingCmvnOptions(cmn_window=300, center=True)
    assert read().compress
    write_conf(tmp_path, "mfcc")
    with pytest.raises(
        InputError, match=r"expected mfcc\.conf or fbank\.conf, and vad"
    ):
        read()
    (tmp_path / "fbank.conf").unlink()
    (tmp_path / "vad.conf").write_text("--loudness=3\n")
    with pytest.raises(InputError, match=r"--loudness .*vad\.conf"):
        read()
    (tmp_path / "vad.conf").write_text("--vad-frames-context=-1\n")
    with pytest.raises(InputError, match=r"vad\.conf: .*--vad-frames-context >= 0"):
        read()
    write_conf(tmp_path, "vad")
    (tmp_path / "mfcc.conf").write_text("--num-ceps=40\n")
    with pytest.raises(InputError, match=r"mfcc\.conf: .*--num-ceps <= --num-mel-bins"):
        read()


def test_features_are_the_same_if_their_numbers_mean_the_same():
    mfcc = ComputeMfccOptions(num_mel_bins=30, high_freq=-400)
    same = ComputeMfccOptions(num_mel_bins=30, high_freq=7600, dither=0, channel=1)
    assert feature_differences(same, mfcc) == []
    other = ComputeMfccOptions(num_ceps=12, high_freq=7600, snip_edges=False)
    assert feature_differences(other, mfcc) == [
        "--snip-edges=false", "--num-mel-bins=23", "--num-ceps=12",
    ]  # fmt: skip
    assert feature_differences(ComputeFbankOptions(), ComputeFbankOptions()) == []
