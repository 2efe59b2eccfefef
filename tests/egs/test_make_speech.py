"""The synthetic corpus: distinct voices, the same bytes from the same seed."""

import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

LOCAL = Path(__file__).parents[2] / "egs/mini/v1/local"


def run(program, *arguments):
    command = [sys.executable, LOCAL / program, *arguments]
    root = str(LOCAL.parents[3])
    return subprocess.run(
        [str(x) for x in command],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": root, "PATH": "/usr/bin:/bin"},
    )


def make(folder, nj=2, seed=5):
    sizes = ["--train-speakers", 4, "--eval-speakers", 3]
    sizes += ["--train-utts", 2, "--eval-utts", 2]
    return run("make_speech.py", "--seed", seed, "--nj", nj, *sizes, folder)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpus") / "speech"
    done = make(folder)
    assert done.returncode == 0, done.stderr
    return folder


def lines(path):
    return path.read_text().splitlines()


def waves(folder):
    return sorted(folder.rglob("*.wav"))


def samples(path):
    with wave.open(str(path)) as stream:
        assert (stream.getnchannels(), stream.getsampwidth()) == (1, 2)
        assert stream.getframerate() == 16000
        return np.frombuffer(stream.readframes(stream.getnframes()), "<i2")


def test_sounds(corpus):
    paths = waves(corpus)
    assert len(paths) == 4 * 2 + 3 * 2
    for path in paths:
        x = samples(path).astype(float)
        assert 1.0 < len(x) / 16000 < 12.0, path
        assert 50 < np.sqrt((x**2).mean()) and abs(x).max() < 32767, path


def test_lists(corpus):
    for part, number in (("train", 8), ("eval", 6)):
        rows = [line.split() for line in lines(corpus / f"data/{part}/wav.scp")]
        assert len(rows) == number and rows == sorted(rows)
        assert all((corpus / path).exists() for _, path in rows)
    trials = [line.split() for line in lines(corpus / "data/eval/trials")]
    utt2spk = dict(line.split() for line in lines(corpus / "data/eval/utt2spk"))
    assert sum(kind == "target" for *_, kind in trials) == 3
    for left, right, kind in trials:
        assert (utt2spk[left] == utt2spk[right]) == (kind == "target")


def test_the_seed_decides_whatever_the_number_of_jobs(corpus, tmp_path):
    assert make(tmp_path / "again", nj=1).returncode == 0
    assert make(tmp_path / "other", seed=6).returncode == 0
    one, again, other = (
        [p.read_bytes() for p in waves(f)]
        for f in (corpus, tmp_path / "again", tmp_path / "other")
    )
    assert one == again
    assert all(a != b for a, b in zip(one, other, strict=True))


def test_a_finished_corpus_is_kept_and_another_is_not_overwritten(corpus):
    before = [p.stat().st_mtime_ns for p in waves(corpus)]
    assert make(corpus).returncode == 0
    assert before == [p.stat().st_mtime_ns for p in waves(corpus)]
    done = make(corpus, seed=7)
    assert done.returncode == 1 and "remove it, or name another" in done.stderr


def test_sizes_are_checked(tmp_path):
    done = run("make_speech.py", "--eval-speakers", 1, tmp_path / "x")
    assert done.returncode == 1
    assert "--eval-speakers must be at least 2, got 1" in done.stderr
    assert not (tmp_path / "x").exists()


def test_voices_that_do_not_differ_are_noticed(monkeypatch):
    monkeypatch.syspath_prepend(str(LOCAL))
    import make_speech

    from dataset.errors import InputError

    one, two = (
        make_speech.Speaker(name, 1, 2, Path(name)) for name in ("train1", "train2")
    )
    make_speech.check_distinct([(one, "a"), (two, "b")])
    with pytest.raises(InputError, match="voices of train1 and train2 are the same"):
        make_speech.check_distinct([(one, "a"), (two, "a")])


def test_noise(tmp_path):
    assert run("make_noise.py", tmp_path / "one").returncode == 0
    assert run("make_noise.py", tmp_path / "two").returncode == 0
    one, two = waves(tmp_path / "one"), waves(tmp_path / "two")
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    rows = [line.split() for line in lines(tmp_path / "one/noise/wav.scp")]
    assert all(len(samples(path)) == 160000 for _, path in rows)
    for line in lines(tmp_path / "one/rir_list"):
        response = abs(samples(line.split()[-1]).astype(int))
        assert response.argmax() < 1000
