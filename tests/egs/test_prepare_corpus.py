"""A corpus folder becomes data directories; what is broken is named and left out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "a corpus"
    for part in ("train", "eval"):
        (folder / "data" / part).mkdir(parents=True)
        (folder / "audio" / part).mkdir(parents=True)
        for name in ("a-1", "b-1"):
            (folder / "audio" / part / f"{name}.flac").write_bytes(b"x")
        (folder / "data" / part / "utt2spk").write_text("a-1 a\nb-1 b\n")
    (folder / "data/train/wav.scp").write_text(
        "a-1 audio/train/a-1.flac\nb-1 flac -dcs audio/train/b-1.flac |\n"
    )
    (folder / "data/eval/wav.scp").write_text(
        "a-1 audio/eval/a-1.flac\nb-1 audio/eval/b-1.flac\n"
    )
    (folder / "data/eval/trials").write_text("a-1 a-1 target\na-1 b-1 nontarget\n")
    return folder


def prepare(corpus, data):
    return subprocess.run(
        [sys.executable, ROOT / "egs/mini/v1/local/prepare_corpus.py", corpus, data],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
    )


def test_paths_become_absolute_and_pipes_stay_pipes(corpus, tmp_path):
    done = prepare(corpus, tmp_path / "data")
    assert done.returncode == 0, done.stderr
    plain, pipe = (tmp_path / "data/train/wav.scp").read_text().splitlines()
    assert plain == f"a-1 {corpus}/audio/train/a-1.flac"
    assert pipe == f"b-1 flac -dcs '{corpus}/audio/train/b-1.flac' |"


def test_missing_files_and_unknown_trials_are_named_and_left_out(corpus, tmp_path):
    (corpus / "audio/train/b-1.flac").unlink()
    with (corpus / "data/eval/trials").open("a") as stream:
        stream.write("a-1 zz-9 target\n")
    done = prepare(corpus, tmp_path / "data")
    assert done.returncode == 0
    assert "b-1 is left out: no file of" in done.stderr
    assert "unknown utterance zz-9" in done.stderr
    assert "1 utterances, 1 left out" in done.stderr
    assert (tmp_path / "data/train/utt2spk").read_text() == "a-1 a\n"
    assert "zz-9" not in (tmp_path / "data/eval/trials").read_text()


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda c: (c / "data/eval/trials").unlink(), "trials: No such file"),
        (lambda c: (c / "data/eval/trials").write_text("a-1 b-1\n"), "trials:1: exp"),
        (
            lambda c: (c / "data/eval/trials").write_text("a-1 b-1 yes\n"),
            "target or nontarget?",
        ),
        (
            lambda c: (c / "data/eval/trials").write_text("a-1 b-1 target\n"),
            "needs targets and nontargets",
        ),
        (lambda c: (c / "data/train/wav.scp").write_text(""), "no usable utterance"),
    ],
)
def test_what_cannot_be_used_stops_with_its_name(corpus, tmp_path, change, words):
    change(corpus)
    done = prepare(corpus, tmp_path / "data")
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr
