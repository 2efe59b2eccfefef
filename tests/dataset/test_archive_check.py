"""What a few reads from across the archives bring to light."""

import numpy as np
import pytest

from dataset.archive_check import (
    check_archives,
    choose_rows,
    find_archives,
    read_sample,
)
from dataset.errors import InputError
from dataset.kaldi_io import write_mat
from dataset.speaker_info import SpeakerInfo, TextColumn

NAMES = [f"u{i}" for i in range(30)]


@pytest.fixture
def stored(tmp_path):
    """Three archives of ten matrices of 20 frames, entries in no order."""
    places = {}
    for number in range(3):
        with open(tmp_path / f"{number}.ark", "wb") as ark:
            for name in NAMES[number::3]:
                offset = ark.tell() + len(name) + 1
                write_mat(ark, np.ones((20, 4), np.float32), key=name)
                places[name] = f"{ark.name}:{offset}"
    return [places[name] for name in reversed(NAMES)]


def read(stored, num_frames=20, rows=range(30), length=8, seconds=10.0):
    names, places = TextColumn(reversed(NAMES)), TextColumn(stored)
    frames = None if num_frames is None else [num_frames] * len(stored)
    return read_sample(names, places, frames, list(rows), length, 0, seconds)


def test_the_last_entry_of_each_archive_is_chosen(stored, tmp_path):
    archives = find_archives(TextColumn(stored), seed=0)
    assert archives.last_row == {f"{tmp_path}/{n}.ark": 2 - n for n in range(3)}
    assert archives.num_bytes == sum(f.stat().st_size for f in tmp_path.iterdir())
    for seed in range(5):
        rows = choose_rows(archives, 30, 6, seed)
        assert {0, 1, 2} <= set(rows) <= set(range(30))
        assert len(choose_rows(archives, 30, 2, seed)) <= 3


def test_ranges_and_pipes_have_their_place():
    places = ["x.ark:5[0:3]", "x.ark:9", "cat x |"]
    archives = find_archives(TextColumn(places), seed=0)
    assert archives.last_row == {"x.ark": 1, "cat x |": 2}
    assert archives.num_bytes == 0


def test_sound_archives(stored):
    assert read(stored) == (30, 30, 4, 0, [])
    assert read(stored, length=500).num_bad == 0
    assert read(stored, num_frames=None).num_bad == 0
    assert read(stored, seconds=-1).num_read == 1


def test_each_archive_has_a_say(stored, tmp_path):
    (tmp_path / "1.ark").unlink()
    with open(tmp_path / "2.ark", "r+b") as ark:
        ark.truncate(ark.seek(0, 2) - 5)
    sample = read(stored)
    assert (sample.num_read, sample.dim, sample.num_bad) == (30, 4, 11)
    missing = [text for text in sample.faults if "1.ark" in text]
    (short,) = (text for text in sample.faults if "2.ark" in text)
    assert len(missing) == 3 and all("cannot open" in text for text in missing)
    assert short.startswith("utterance u29: ") and "truncated" in short


def test_fewer_frames_than_stated(stored):
    sample = read(stored, num_frames=21, rows=[4])
    assert "u25: utt2num_frames says 21 frames" in sample.faults[0]
    assert read(stored, num_frames=19, rows=[4]).faults == []


def rewrite(stored, tmp_path, *names, value=1.0, dim=5, num_frames=20):
    """Puts another matrix in the place of some utterances'."""
    path = tmp_path / f"other{dim}.mat"
    write_mat(path, np.full((num_frames, dim), value, np.float32))
    for name in names:
        stored[NAMES[::-1].index(name)] = str(path)


def info_of(stored):
    names, frames = TextColumn(reversed(NAMES)), np.full(30, 20)
    return SpeakerInfo(1, names, TextColumn(stored), frames, np.zeros(30, np.int32))


def test_the_dimension_is_that_of_most(stored, tmp_path):
    rewrite(stored, tmp_path, "u29", "u3")  # u29 comes first
    sample = read(stored)
    assert (sample.dim, sample.num_bad) == (4, 2)
    assert "utterance u29: expected features of dimension 4, as" in sample.faults[0]
    assert "got 5 in" in sample.faults[1] and "other5.mat" in sample.faults[1]


def test_the_start_is_refused_or_warned(stored, tmp_path, caplog):
    assert check_archives(info_of(stored), tolerant=False) == 4
    rewrite(stored, tmp_path, "u29")
    rewrite(stored, tmp_path, "u7", value=np.nan, dim=4)
    with pytest.raises(InputError, match="utterance u29: .* dimension 4"):
        check_archives(info_of(stored), tolerant=False)
    assert not caplog.text
    assert check_archives(info_of(stored), tolerant=True) == 4
    assert "not usable: utterance u29: " in caplog.text
    assert "not usable: utterance u7: frame" in caplog.text
    for path in tmp_path.iterdir():
        path.unlink()
    for tolerant in (False, True):
        with pytest.raises(InputError, match="utterance u29: .*cannot open"):
            check_archives(info_of(stored), tolerant)
