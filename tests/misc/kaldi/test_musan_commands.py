"""make_musan.sh, run as a program, on a corpus of empty files."""

from pathlib import Path

import pytest

KALDI = Path(__file__).parents[3] / "misc/kaldi"


@pytest.fixture(autouse=True)
def corpus(tmp_path):
    (tmp_path / "steps").symlink_to(KALDI / "steps")
    for name in ("speech/us/s2", "speech/us/s1", "noise/free/n1", "music/a/m1"):
        path = tmp_path / f"musan/{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "musan/music/a/m2.wav").touch()
    (tmp_path / "musan/music/a/ANNOTATIONS").write_text(
        "m1 jazz Y someone\nm2 rock N other\nm3 folk N third\n"
    )


COMMAND = "steps/data/make_musan.sh"


def keys(path):
    return [line.split()[0] for line in path.read_text().splitlines()]


def test_directories(run, tmp_path):
    done = run(f"{COMMAND} --sampling-rate 16000 musan data")
    assert keys(tmp_path / "data/musan_speech/wav.scp") == ["s1", "s2"]
    assert keys(tmp_path / "data/musan_music/utt2spk") == ["m1", "m2"]
    assert keys(tmp_path / "data/musan/spk2utt") == ["m1", "m2", "n1", "s1", "s2"]
    noise = (tmp_path / "data/musan_noise/wav.scp").read_text()
    assert noise == "n1 musan/noise/free/n1.wav\n"
    assert "m3 has no wav file" in done.stderr
    assert "5 recordings; 1 that are annotated were missing" in done.stderr


def test_another_rate_without_vocals(run, tmp_path):
    run(f"{COMMAND} --sampling-rate 8000 --use-vocals false musan data")
    music = (tmp_path / "data/musan_music/wav.scp").read_text()
    assert music == "m2 sox -t wav musan/music/a/m2.wav -r 8000 -t wav - |\n"


def test_another_folder_is_refused(run, tmp_path):
    done = run(f"{COMMAND} musan/music data", 1)
    assert "musan/music/speech is missing: is musan/music the MUSAN" in done.stderr
