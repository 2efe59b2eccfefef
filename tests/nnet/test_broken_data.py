"""nnet/train.py on broken data: one line that names it, status 1, nothing left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy

from dataset import archive_check
from dataset.kaldi_io import write_mat
from nnet import program, train

ROOT = Path(__file__).parents[2]
LISTS = ["train", "train/spklist", "valid", "all_speakers"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Data that can be used, with VAD; it is copied for each case."""
    folder = tmp_path_factory.mktemp("sound")
    for part, seed in (("train", 0), ("valid", 9)):
        toy.write_data_dir(folder / part, seed=seed)
        toy.write_vad(folder / part)
    shutil.copy(folder / "train/spklist", folder / "all_speakers")
    return folder


@pytest.fixture
def home(sound, tmp_path, monkeypatch):
    """The current directory; archives are named relative to it."""
    shutil.copytree(sound, tmp_path, dirs_exist_ok=True)
    for scp in tmp_path.glob("*/*.scp"):
        scp.write_text(scp.read_text().replace(f"{sound}/", ""))
    toy.write_config(tmp_path / "config.json", num_epochs=1)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(monkeypatch, caplog, *options):
    """train.py in this process: its status and its last line."""
    arguments = ["train.py", "--config", "config.json", *options, *LISTS, "model"]
    monkeypatch.setattr(sys, "argv", arguments)
    status = program.main("train.py", train.main)
    errors = [r.message for r in caplog.records if r.levelname == "ERROR"]
    assert len(errors) == (status != 0)
    return status, errors[0] if errors else ""


def cut(path, number=10):
    os.truncate(path, path.stat().st_size - number)


def repeat(path):
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines, lines[2]]))


def become_directory(path):
    path.unlink()
    path.mkdir()


def become_unreadable(path):
    path.unlink()
    path.symlink_to("/proc/self/mem")  # whose first byte is an input/output error


def put(home, utterance, matrix, part="train"):
    """Another matrix in the place of an utterance's."""
    write_mat(home / "other.mat", matrix)
    scp = home / part / "feats.scp"
    lines = scp.read_text().splitlines()
    place = f"{utterance} other.mat"
    lines = [place if line.startswith(f"{utterance} ") else line for line in lines]
    scp.write_text("\n".join(lines) + "\n")


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


NAN = np.full((70, 5), np.nan, np.float32)
NARROW = np.zeros((70, 4), np.float32)
TABLES = ("feats.scp", "utt2num_frames", "spk2utt", "spklist", "vad.scp")
OF_TABLES = [
    (what, name, words)
    for name in TABLES
    for what, words in {
        repeat: "is there twice",
        Path.unlink: "vad.scp is missing" if name == "vad.scp" else "No such file",
        lambda path: path.write_text(""): "",
        lambda path: path.write_bytes(b"s0-\xe9 1\n"): "is not UTF-8 text",
        become_directory: "Is a directory",
        become_unreadable: "Input/output error",
    }.items()
]


@pytest.mark.parametrize(("damage", "name", "words"), OF_TABLES)
def test_a_table(home, monkeypatch, caplog, damage, name, words):
    damage(home / "train" / name)
    status, error = run(monkeypatch, caplog, "--set", "raw_features=true")
    assert status == 1 and words in error and f"train/{name}" in error
    assert "\n" not in error and not (home / "model").exists()


CASES = {
    "truncated archive": (
        lambda home: cut(home / "train/feats.ark"),
        ["utterance s5-u3: train/feats.ark:", "truncated or damaged"],
    ),
    "empty archive": (
        lambda home: os.truncate(home / "train/feats.ark", 0),
        ["utterance s0-u0: train/feats.ark:6", "empty file"],
    ),
    "vanished archive": (
        lambda home: (home / "train/feats.ark").unlink(),
        ["utterance s0-u0: train/feats.ark:6", "No such file"],
    ),
    "directory": (
        lambda home: become_directory(home / "train/feats.ark"),
        ["utterance s0-u0: train/feats.ark:6", "Is a directory"],
    ),
    "no archive": (
        lambda home: (home / "train/feats.ark").write_bytes(b"\xc6" * 99_999),
        ["utterance s0-u0: train/feats.ark:6", "expected"],
    ),
    "NaN first": (lambda home: put(home, "s0-u0", NAN), ["utterance s0-u0", "NaN"]),
    "NaN later": (lambda home: put(home, "s3-u1", NAN), ["utterance s3-u1", "NaN"]),
    "dimension first": (
        lambda home: put(home, "s0-u0", NARROW),
        ["utterance s0-u0", "dimension 5, as most have, got 4 in other.mat"],
    ),
    "dimension later": (
        lambda home: put(home, "s3-u1", NARROW),
        ["utterance s3-u1", "dimension 5, as most have, got 4 in other.mat"],
    ),
    "more frames stated": (
        lambda home: change(home / "train/utt2num_frames", "s3-u1 ", "s3-u1 1"),
        ["utterance s3-u1: utt2num_frames says 1"],
    ),
    "missing in spk2utt": (
        lambda home: change(home / "train/spk2utt", " s3-u1", ""),
        ["1 utterances of feats.scp are not in train/spk2utt", "s3-u1"],
    ),
    "missing in spklist": (
        lambda home: change(home / "train/spklist", "s5 5\n", ""),
        ["1 speakers of train/spk2utt are not in the spklist: s5"],
    ),
    "no data directory": (
        lambda home: shutil.rmtree(home / "train"),
        ["cannot read train/spklist", "No such file"],
    ),
    "validation: truncated": (
        lambda home: cut(home / "valid/feats.ark"),
        ["utterance s5-u3: valid/feats.ark:", "truncated or damaged"],
    ),
    "validation: NaN": (
        lambda home: put(home, "s3-u1", NAN, "valid"),
        ["utterance s3-u1", "NaN"],
    ),
    "validation: dimension": (
        lambda home: put(home, "s0-u0", NARROW, "valid"),
        ["utterance s0-u0", "dimension 5, as most have"],
    ),
}
RAW_CASES = {
    "truncated decisions": (
        lambda home: cut(home / "train/vad.ark"),
        ["utterance s5-u3: cannot read its VAD decisions: train/vad.ark"],
    ),
    "vanished decisions": (
        lambda home: (home / "train/vad.ark").unlink(),
        ["utterance s0-u0: cannot read its VAD decisions", "No such file"],
    ),
    "frames without decisions": (
        lambda home: put(home, "s3-u1", np.ones((90, 5), np.float32)),
        ["utterance s3-u1: utt2num_frames says", "other.mat has 90"],
    ),
}


@pytest.mark.parametrize("case", [*CASES, *RAW_CASES])
def test_archives_and_lists(home, monkeypatch, caplog, case):
    damage, words = (CASES | RAW_CASES)[case]
    damage(home)
    raw = f"raw_features={str(case in RAW_CASES).lower()}"
    status, error = run(monkeypatch, caplog, "--set", raw)
    assert status == 1 and "\n" not in error
    assert all(word in error for word in words), error
    assert not (home / "model").exists()


def unseen(monkeypatch):
    """Only the first utterance is looked at at the start, as if there were millions."""
    monkeypatch.setattr(archive_check, "_FEW_SEGMENTS", 0)


@pytest.mark.parametrize("matrix", [NAN, NARROW, NAN[:10] * 0])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_segment_that_the_start_did_not_see(
    home, monkeypatch, caplog, matrix, workers
):
    unseen(monkeypatch)
    put(home, "s3-u1", matrix)
    option = f"num_parallel_datasets={workers}"
    status, error = run(monkeypatch, caplog, "--set", option)
    assert status == 1 and error.startswith("utterance s3-u1: ")
    assert "other.mat" in error and "\n" not in error


def test_with_tolerance_training_goes_on_and_tells(home, monkeypatch, caplog):
    unseen(monkeypatch)
    put(home, "s3-u1", NAN)
    histories = []
    for workers in (0, 2):
        caplog.clear()
        shutil.rmtree(home / "model", ignore_errors=True)
        options = (f"num_parallel_datasets={workers}", "max_bad_segments=0.1")
        given = [word for option in options for word in ("--set", option)]
        assert run(monkeypatch, caplog, *given) == (0, "")
        told = [r.message for r in caplog.records if r.levelname == "WARNING"]
        assert len(told) == 2
        assert told[0].startswith("segment replaced: utterance s3-u1: frame ")
        assert "segments, of 1 utterances, cannot be used, and were repl" in told[1]
        histories.append((home / "model/nnet/valid_loss").read_text())
    assert histories[0] == histories[1]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_the_program_ends_within_a_second(home, sent):
    """Of Ctrl-C, and of a worker that is killed, as for want of memory."""
    toy.write_config(
        home / "config.json", num_steps_per_epoch=10**6, num_parallel_datasets=2,
        show_training_progress=5,
    )  # fmt: skip
    command = [sys.executable, ROOT / "nnet/train.py", "--config", "config.json"]
    with subprocess.Popen(
        [*command, *LISTS, "model"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        while "step 5 of" not in process.stderr.readline():
            assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        workers = [int(word) for word in children.split()]
        assert len(workers) == 2
        begun = time.monotonic()
        if sent == signal.SIGINT:
            os.killpg(process.pid, sent)
        else:
            os.kill(workers[0], sent)
        lines = process.stderr.read().splitlines()
        process.wait()
        assert time.monotonic() - begun < 1.5  # half a second of it for a busy machine
    errors = [line for line in lines if not line.startswith("INFO")]
    assert len(errors) == 1, errors
    expected = (130, "interrupted") if sent == signal.SIGINT else (1, "killed by sig")
    assert process.returncode == expected[0] and expected[1] in errors[0]
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
