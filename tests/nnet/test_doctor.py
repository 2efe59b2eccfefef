"""nnet/doctor.py as a program: what it says of a good directory and of broken ones."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy
from toy_sounds import augmented_config, write_recordings

from dataset.kaldi_io import write_mat

ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path):
    """A configuration, training and validation data."""
    toy.write_config(tmp_path / "config.json", num_parallel_datasets=1)
    toy.write_data_dir(tmp_path / "train")
    toy.write_data_dir(tmp_path / "valid", num_utts=2, seed=1)
    return tmp_path


def doctor(home, *options, status=0, lists=("train", "valid")):
    arguments = [word for name in lists for word in (name, "train/spklist")]
    done = subprocess.run(
        [sys.executable, ROOT / "nnet/doctor.py", *options, "config.json", *arguments],
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == status, done.stdout + done.stderr
    assert ("The training cannot run:" in done.stdout) == bool(status)
    return done.stdout


def change(home, name, old, new):
    path = home / name
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def row(output, name):
    (line,) = (line for line in output.splitlines() if line.startswith(name))
    return line[len(name) :].split()


def test_a_good_directory_with_its_network(home):
    output = doctor(home)
    assert "train: 1 archives" in output
    assert "of 24 segments read from across them 0 cannot be used" in output
    assert row(output, "classes of the spklist") == ["6"]
    assert row(output, "there")[:2] == ["6", "24"]
    assert "40063 weights" in output
    assert "15 frames at least, 6 speakers" in output
    for name in ("read by 1 workers", "read in the training process", "needed by"):
        assert float(row(output, name)[-3]) > 0
    assert row(output, "ring of 15 batches")[1] == "MB"
    assert "Expected share of the time spent waiting for data:" in output


def test_without_the_network_it_takes_two_seconds(home):
    begun = time.monotonic()
    output = doctor(home, "--no-net", lists=["train"])
    assert time.monotonic() - begun < 4  # on a busy machine
    assert "needed by" not in output
    assert "weights" not in output


def test_what_the_sampler_leaves_out(home):
    lengths = ["s0-u0 20", "s0-u1 20", "s0-u2 20", "s0-u3 20", "s1-u0 25", "s1-u1 60"]
    lines = (home / "train/utt2num_frames").read_text().splitlines()
    keys = {line.split()[0] for line in lengths}
    lengths += [line for line in lines if line.split()[0] not in keys]
    text = "\n".join(lengths).replace("s1-u1 60", "s1-u1 40")
    (home / "train/utt2num_frames").write_text(text + "\n")
    output = doctor(home, "--no-net", "--set", "min_segment_len=21")
    assert row(output, "shorter than min_segment_len = 21: never drawn")[:2] == [
        "1",
        "4",
    ]
    assert row(output, "shorter than max_segment_len = 30: not in all batches")[:2] == [
        "0",
        "1",
    ]
    assert "1 speakers have no utterance of min_segment_len = 21" in output


def test_every_fault_is_told_not_only_the_first(home):
    change(home, "config.json", '"seed"', '"sead"')
    change(home, "train/spk2utt", "s1 s1-u0", "stranger s1-u0")
    change(home, "train/utt2num_frames", "s2-u1", "s9-u1")
    change(home, "valid/feats.scp", "valid/feats.ark", "valid/gone.ark")
    output = doctor(home, "--no-net", status=1)
    for words in (
        "did you mean 'seed'?",
        "1 utterances of feats.scp are not in train/utt2num_frames, the first is s2-u1",
        "1 speakers of train/spk2utt are not in the spklist: stranger",
        "valid/gone.ark:6: cannot open: No such file",
        "valid: 9 more of the segments that were read cannot be used",
    ):
        assert words in output


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("train/spklist", "s3 3", "s3 7", "indices of its 6 speakers"),
        ("train/feats.scp", "s1-u1", "s1-u0", "utterance s1-u0 is there twice"),
        ("train/utt2num_frames", "s1-u1 ", "s1-u1 -", "a positive number of frames"),
        ("train/spk2utt", " s1-u1", "", "s1-u1"),
        ("train/utt2num_frames", "s1-u1 ", "s1-u1 1", "utt2num_frames says 1"),
        ("config.json", '"tdnn"', '"tdn"', "'network_type': expected one of tdnn"),
        ("config.json", '"softmax"', '"soft"', "'loss_func': expected one of"),
    ],
)
def test_a_fault_of_the_lists(home, name, old, new, words):
    change(home, name, old, new)
    options = [] if name == "config.json" else ["--no-net"]
    assert words in doctor(home, *options, status=1)


def test_the_network_is_looked_at_though_the_lists_have_faults(home):
    change(home, "train/spklist", "s3 3", "s3 7")
    output = doctor(home, "--set", "min_segment_len=10", status=1, lists=["train"])
    assert "indices of its 6 speakers" in output
    assert "the network needs 15 frames" in output


def test_a_missing_table(home):
    (home / "train/spk2utt").unlink()
    (home / "train/feats.scp").write_text("")
    output = doctor(home, "--no-net", status=1, lists=["train"])
    assert "cannot read train/spk2utt: No such file" in output
    assert "train/feats.scp is empty" in output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["num_speakers_per_batch=9"], "only 6 of the 6 speakers"),
        (["max_segment_len=80"], "max_segment_len = 80"),
        (["min_segment_len=10"], "the network needs 15 frames"),
        (["embedding_node=tdnn9"], "no endpoint 'tdnn9'"),
        (["min_segment_len=40"], "'min_segment_len' = 40 is above 'max_segment_len'"),
    ],
)
def test_a_configuration_that_does_not_fit(home, options, words):
    net = [] if "15 frames" in words or "endpoint" in words else ["--no-net"]
    given = [part for option in options for part in ("--set", option)]
    assert words in doctor(home, *net, *given, status=1)


def rewrite(home, name, matrix):
    """Puts another matrix in the place of an utterance's."""
    with open(home / "train/other.ark", "wb") as stream:
        write_mat(stream, matrix, key=name)
    lines = (home / "train/feats.scp").read_text().splitlines()
    place = f"{name} {home}/train/other.ark:{len(name) + 1}"
    lines = [place if line.startswith(f"{name} ") else line for line in lines]
    (home / "train/feats.scp").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (np.full((70, 5), np.nan, np.float32), "values that are NaN or infinite"),
        (np.zeros((70, 4), np.float32), "features of dimension 5"),
        (np.zeros((25, 5), np.float32), "utt2num_frames says"),
    ],
)
def test_a_matrix_that_cannot_be_used(home, matrix, words):
    rewrite(home, "s3-u2", matrix)
    output = doctor(home, "--no-net", status=1, lists=["train"])
    assert f"{words}" in output
    assert "utterance s3-u2" in output
    assert "of 24 segments read from across them 1 cannot be used" in output


def test_a_truncated_archive(home):
    ark = home / "train/feats.ark"
    with open(ark, "r+b") as stream:
        stream.truncate(ark.stat().st_size - 10)
    output = doctor(home, "--no-net", status=1, lists=["train"])
    assert "utterance s5-u3" in output
    assert "truncated or damaged" in output


def test_other_features_for_validation(home):
    toy.write_data_dir(home / "odd", num_utts=1, dim=4)
    output = doctor(home, "--no-net", status=1, lists=["train", "odd"])
    assert "train has 5-dimensional features, odd has 4" in output


def test_bad_segments_that_may_be_replaced_are_advice(home):
    rewrite(home, "s3-u2", np.full((70, 5), np.nan, np.float32))
    share = ("--no-net", "--set", "max_bad_segments=0.05")
    output = doctor(home, *share, lists=["train"])
    advice = output.partition("Advice:")[2]
    assert "utterance s3-u2: frame" in advice
    assert "1 of 24 segments read from train would be replaced" in advice
    rewrite(home, "s4-u2", np.zeros((70, 4), np.float32))
    output = doctor(home, *share, status=1, lists=["train"])
    assert "2 of 24 segments read from train cannot be used, more than" in output
    output = doctor(home, "--no-net", status=1, lists=["train"])
    faults = output.partition("The training cannot run:")[2]
    assert faults.count("utterance s3-u2: ") == 1


def test_a_bad_segment_for_validation_is_a_fault(home):
    ark = home / "valid/feats.ark"
    with open(ark, "r+b") as stream:
        stream.truncate(ark.stat().st_size - 10)
    output = doctor(home, "--no-net", "--set", "max_bad_segments=0.5", status=1)
    assert output.partition("The training cannot run:")[2].count("s5-u1: ") == 1


@pytest.fixture
def recordings(tmp_path):
    """A configuration that makes and augments features of recordings."""
    keys = augmented_config(tmp_path) | {"num_parallel_datasets": 1}
    toy.write_config(tmp_path / "config.json", **keys)
    write_recordings(tmp_path / "train")
    write_recordings(tmp_path / "valid", per_speaker=2)
    return tmp_path


def test_recordings_that_features_are_made_of(recordings):
    output = doctor(recordings, "--no-net")
    assert "train: 12 recordings, about 0." in output
    assert "10 features a frame; of 12 segments made of them 0 cannot be used" in output
    assert row(output, "classes of the spklist, at 3 speeds") == ["12"]
    assert row(output, "there")[:2] == ["12", "36"]
    for name in ("read by 1 workers", "read in the training process"):
        assert float(row(output, name)[-3]) > 0


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("train/s1_2.wav", "utterance s1_2 ("),
        ("train/vad.scp", "train/vad.scp is missing"),
        ("train/wav.scp", "cannot read train/wav.scp"),
        ("rir_list", "cannot read rir_list"),
        ("0.wav", "r0: no such file"),
        ("mfcc.conf", "mfcc.conf: No such file"),
    ],
)
def test_missing_files_of_an_augmentation(recordings, path, words):
    (recordings / path).unlink()
    assert words in doctor(recordings, "--no-net", status=1)
