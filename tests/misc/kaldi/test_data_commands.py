"""utils/*.sh and utils/data/*.sh as programs."""

import os
from pathlib import Path

import numpy as np
import pytest

from dataset.wav import write_wave

UTILS = Path(__file__).parents[3] / "misc/kaldi/utils"


@pytest.fixture
def folder(tmp_path):
    """Three speakers with four utterances each."""
    train = tmp_path / "train"
    train.mkdir()
    utts = [(f"{spk}-{n}", spk) for spk in "abc" for n in range(4)]
    files = {
        "utt2spk": "".join(f"{u} {s}\n" for u, s in utts),
        "wav.scp": "".join(f"{u} {u}.wav\n" for u, _ in utts),
        "feats.scp": "".join(f"{u} feats.ark:{n}\n" for n, (u, _) in enumerate(utts)),
        "utt2num_frames": "".join(f"{u} {20 - n}\n" for n, (u, _) in enumerate(utts)),
    }
    for name, text in files.items():
        (train / name).write_text(text)
    return tmp_path


def ids(path):
    return [line.split()[0] for line in path.read_text().splitlines()]


def test_fix_then_validate(run, folder):
    (folder / "train/feats.scp").write_text("b-1 x\na-1 y\n")
    done = run(f"{UTILS}/fix_data_dir.sh train")
    assert "feats.scp lacks 10 utterances (first: a-0)" in done.stderr
    assert "train: kept 2 of 12 utterances" in done.stderr
    assert ids(folder / "train/wav.scp") == ["a-1", "b-1"]
    run(f"{UTILS}/validate_data_dir.sh --no-text train")
    done = run(f"{UTILS}/validate_data_dir.sh train", status=1)
    assert "no such file train/text; --no-text if so meant" in done.stderr


def test_copy(run, folder):
    options = "--utt-suffix -x --spk-prefix p- --validate-opts ''"
    run(f"{UTILS}/copy_data_dir.sh {options} train copy")
    assert ids(folder / "copy/spk2utt") == ["p-a", "p-b", "p-c"]
    assert (folder / "copy/utt2uniq").read_text().startswith("a-0-x a-0\n")


def test_a_copy_is_validated(run, folder):
    """As Kaldi does: a recipe with `set -e` stops where the data are not right."""
    (folder / "train/vad.scp").write_text("a-0 v.ark:0\n")
    copy = f"{UTILS}/copy_data_dir.sh"
    done = run(f"{copy} train copy", status=1)
    assert "copy/vad.scp lacks 11 of 12 entries, the first is a-1" in done.stderr
    run("rm train/vad.scp train/wav.scp")
    assert "no such file copy/wav.scp" in run(f"{copy} train copy", 1).stderr
    run(f"{copy} --validate-opts '--no-wav --non-print' train copy")
    done = run(f"{copy} --validate-opts --no-what train copy", status=1)
    assert "--no-what" in done.stderr


def test_combine(run, folder):
    run(f"{UTILS}/copy_data_dir.sh --utt-suffix -x train copy; rm copy/feats.scp")
    done = run(f"{UTILS}/combine_data.sh both train copy")
    assert "feats.scp is left out: not all directories have it" in done.stderr
    assert "both: 24 utterances of 3 speakers" in done.stderr
    assert ids(folder / "both/utt2spk")[:2] == ["a-0", "a-0-x"]


@pytest.mark.parametrize(
    "options, number, expected",
    [
        ("--first", "3", "a-0 a-1 a-2"),
        ("--last", "2", "c-2 c-3"),
        ("--shortest", "2", "c-2 c-3"),
        ("--per-spk", "1", "a-0 b-0 c-0"),
        ("", "3", None),
        ("--speakers", "5", None),
    ],
)
def test_subset_by_number(run, folder, options, number, expected):
    run(f"{UTILS}/subset_data_dir.sh {options} train {number} part")
    found = ids(folder / "part/utt2spk")
    if expected:
        assert found == expected.split()
    elif options:
        assert len(found) == 8  # two whole speakers
    else:
        assert len(found) == 3 and len({utt[0] for utt in found}) > 1
    assert ids(folder / "part/feats.scp") == found


@pytest.mark.parametrize(
    "option, words, expected",
    [
        ("--utt-list", "b-1 a-0 nobody", "a-0 b-1"),
        ("--spk-list", "c", "c-0 c-1 c-2 c-3"),
        ("--utt-list-exclude", "a-0 a-1 a-2 a-3 b-0 b-1 b-2 b-3 c-0", "c-1 c-2 c-3"),
        ("--spk-list-exclude", "a b", "c-0 c-1 c-2 c-3"),
    ],
)
def test_subset_by_list(run, folder, option, words, expected):
    (folder / "list").write_text("".join(f"{word}\n" for word in words.split()))
    done = run(f"{UTILS}/subset_data_dir.sh {option} list train part")
    assert ids(folder / "part/utt2spk") == expected.split()
    unknown = "list: 1 of 3 ids are not in the data directory (first: nobody)"
    assert (unknown in done.stderr) == ("nobody" in words)


def test_subset_that_cannot_be(run, folder):
    for arguments, words in (
        ("train 13 part", "13 utterances wanted, but train has only 12"),
        ("train x part", "expected a number of utterances, got 'x'"),
        ("--utt-list nowhere train part", "cannot read nowhere"),
        ("nowhere 3 part", "cannot read nowhere/utt2spk"),
        ("train 3 train/utt2spk/part", "Not a directory"),
        ("--frist train 3 part", "frist"),
    ):
        done = run(f"{UTILS}/subset_data_dir.sh {arguments}", status=1)
        assert words in done.stderr.splitlines()[-1]
    assert not (folder / "part").exists()


def test_split_only_when_something_changed(run, folder):
    run(f"{UTILS}/split_data.sh train 3")
    assert ids(folder / "train/split3/2/wav.scp") == ["b-0", "b-1", "b-2", "b-3"]
    before = os.stat(folder / "train/split3/1/utt2spk").st_mtime_ns
    run(f"{UTILS}/split_data.sh train 3")
    assert os.stat(folder / "train/split3/1/utt2spk").st_mtime_ns == before
    run(f"cp train/wav.scp x; mv x train/wav.scp; {UTILS}/split_data.sh train 3")
    assert os.stat(folder / "train/split3/1/utt2spk").st_mtime_ns > before
    run(f"{UTILS}/split_data.sh --per-utt train 5")
    sizes = [len(ids(folder / f"train/split5utt/{n}/utt2spk")) for n in range(1, 6)]
    assert sizes == [3, 3, 2, 2, 2]
    done = run(f"{UTILS}/split_data.sh train 4", status=1)
    assert "cannot split 3 speakers into 4 parts" in done.stderr


def test_combine_measures_what_has_no_segments(run, folder):
    other = folder / "other"
    other.mkdir()
    (other / "utt2spk").write_text("z-0 z\n")
    (other / "segments").write_text("z-0 r 0 2\n")
    (other / "wav.scp").write_text("r r.wav\n")
    run("mkdir whole; echo w w > whole/utt2spk; echo w w.wav > whole/wav.scp")
    write_wave(str(folder / "w.wav"), np.ones((1, 8000)), 16000)
    run(f"{UTILS}/combine_data.sh both other whole")
    assert (folder / "both/segments").read_text() == "w w 0 0.5\nz-0 r 0 2\n"


def test_complete_or_not(run, folder):
    done = run(f"{UTILS}/data/check_complete.sh train feats.scp")
    assert "train/feats.scp: 12 of 12 utterances" in done.stderr
    run("head -n 11 train/feats.scp >x; mv x train/feats.scp")
    done = run(f"{UTILS}/data/check_complete.sh --allow 10 train feats.scp")
    assert "lacks 1 of 12 utterances: c-3" in done.stderr
    run("head -n 9 train/feats.scp >x; mv x train/feats.scp")
    done = run(f"{UTILS}/data/check_complete.sh train feats.scp", status=1)
    assert "lacks 3 of 12 utterances: c-1 c-2 c-3; the logs say why" in done.stderr
    run(f"{UTILS}/data/check_complete.sh --allow 100 train feats.scp")
    command = f"{UTILS}/data/check_complete.sh --allow 100 train feats.scp"
    run(f": >train/feats.scp; {command}", 1)


def test_another_speed(run, folder):
    (folder / "train/wav.scp").write_text(
        "".join(f"{u} {u}.wav\n" for u in ids(folder / "train/utt2spk")[:-1])
        + "c-3 flac -dcs c.flac |\n"
    )
    seconds = "".join(f"{u} 1.8\n" for u in ids(folder / "train/utt2spk"))
    (folder / "train/utt2dur").write_text(seconds)
    run(f"{UTILS}/data/perturb_data_dir_speed.sh 0.9 train slow")
    lines = (folder / "slow/wav.scp").read_text().splitlines()
    assert lines[0] == "sp0.9-a-0 sox -t wav a-0.wav -t wav - speed 0.9 |"
    assert lines[-1] == (
        "sp0.9-c-3 flac -dcs c.flac | sox -t wav - -t wav - speed 0.9 |"
    )
    for name in ("utt2dur", "reco2dur"):
        assert (folder / "slow" / name).read_text().startswith("sp0.9-a-0 2\n")
    assert ids(folder / "slow/spk2utt") == ["sp0.9-a", "sp0.9-b", "sp0.9-c"]
    same = "perturb_data_dir_speed.sh --include-spk-prefix false 0.9 train same"
    run(f"{UTILS}/data/{same}")
    assert ids(folder / "same/spk2utt") == ["a", "b", "c"]
    assert not (folder / "slow/feats.scp").exists()
    for factor in ("1", "fast", "0"):
        done = run(f"{UTILS}/data/perturb_data_dir_speed.sh {factor} train x", status=1)
        assert f"expected a factor such as 0.9 or 1.1, got '{factor}'" in done.stderr
