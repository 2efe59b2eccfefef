"""subsegment_data_dir.sh, run as a program, on features that say their frame."""

from pathlib import Path

import numpy as np
import pytest

from dataset.kaldi_table import SequentialReader, TableWriter

KALDI = Path(__file__).parents[3] / "misc/kaldi"


@pytest.fixture(autouse=True)
def data(tmp_path):
    (tmp_path / "utils").symlink_to(KALDI / "utils")
    folder = tmp_path / "data"
    folder.mkdir()
    for name, kind in (("feats", "matrix"), ("vad", "vector")):
        specifier = f"ark,scp:{folder}/{name}.ark,{folder}/{name}.scp"
        with TableWriter(specifier, kind) as writer:
            for key, frames in (("a", 100), ("b", 50)):
                rows = np.arange(frames, dtype="f4")
                writer.write(key, rows[:, None] if kind == "matrix" else rows)
    tables = {
        "utt2spk": "a s1\nb s2\n",
        "spk2utt": "s1 a\ns2 b\n",
        "wav.scp": "a a.wav\nb b.wav\nc c.wav\n",
        "utt2num_frames": "a 100\nb 50\n",
        "utt2dur": "a 1.015\nb 0.515\n",
        "cmvn.scp": "s1 x\ns2 x\n",
    }
    for name, lines in tables.items():
        (folder / name).write_text(lines)
    (tmp_path / "parts").write_text("a-1 a 0.1 0.3\na-2 a 0.5 2\nb-1 b 0 0.02\n")
    (tmp_path / "text").write_text("a-1 one\na-2 two\nb-1 three\n")
    return folder


COMMAND = "utils/data/subsegment_data_dir.sh"


def read(path, kind):
    with SequentialReader(f"scp:{path}", kind) as reader:
        return {key: list(np.ravel(value)) for key, value in reader}


def test_features_vad_and_tables(run, tmp_path):
    run(f"{COMMAND} --segment-end-padding 0.02 data parts text new")
    new = tmp_path / "new"
    expected = {"a-1": range(10, 30), "a-2": range(50, 100), "b-1": range(2)}
    expected = {key: list(rows) for key, rows in expected.items()}
    assert read(new / "feats.scp", "matrix") == expected
    assert read(new / "vad.scp", "vector") == expected
    assert (new / "utt2num_frames").read_text() == "a-1 20\na-2 50\nb-1 2\n"
    assert (new / "segments").read_text() == "a-1 a 0.1 0.32\na-2 a 0.5 2.02\n" + (
        "b-1 b 0 0.04\n"
    )
    assert (new / "wav.scp").read_text() == "a a.wav\nb b.wav\n"
    assert (new / "utt2spk").read_text() == "a-1 s1\na-2 s1\nb-1 s2\n"
    assert (new / "text").read_text() == "a-1 one\na-2 two\nb-1 three\n"
    assert not (new / "cmvn.scp").exists() and not (new / "utt2dur").exists()


def test_parts_of_parts(run, tmp_path):
    (tmp_path / "again").write_text("a-2-1 a-2 0.1 0.2\n")
    run(f"{COMMAND} data parts new; {COMMAND} new again newer")
    assert read(tmp_path / "newer/feats.scp", "matrix") == {
        "a-2-1": list(range(60, 70))
    }
    assert (tmp_path / "newer/segments").read_text() == "a-2-1 a 0.6 0.7\n"


@pytest.mark.parametrize(
    "parts, words",
    [
        ("x a 1\n", "parts: x: expected 'utterance begin end'"),
        ("x a 2 1\n", "0 <= begin < end, got 'a 2 1'"),
        ("x z 1 2\n", "x: z is not in data/utt2spk"),
        ("x b 0.7 0.9\n", "x: frames 70 to 49 of b, which has 50"),
        ("", "parts is empty"),
    ],
)
def test_refused(run, tmp_path, parts, words):
    (tmp_path / "parts").write_text(parts)
    done = run(f"{COMMAND} data parts new", 1)
    assert words in done.stderr
    assert not (tmp_path / "new/feats.scp").exists()


def test_text_of_other_parts(run, tmp_path):
    (tmp_path / "text").write_text("a-1 one\nb-1 three\n")
    done = run(f"{COMMAND} data parts text new", 1)
    assert "a-2 is in only one of parts and text" in done.stderr


def test_frames_are_counted_if_they_are_not(run, data, tmp_path):
    (data / "utt2num_frames").unlink()
    run(f"{COMMAND} data parts new")
    assert (tmp_path / "new/utt2num_frames").read_text() == "a-1 20\na-2 50\nb-1 2\n"


@pytest.mark.parametrize(
    "name, lines, message",
    [
        ("segments", "a a 0 1\n", "data/segments lacks b; utils/fix_data_dir.sh"),
        ("segments", "a a x 1\nb b 0 1\n", "expected 'recording begin end'"),
        ("segments", "a a\nb b 0 1\n", "expected 'recording begin end', got 'a'"),
        ("utt2uniq", "a a\n", "data/utt2uniq lacks b"),
        ("feats.scp", "a a.ark:1\n", "data/feats.scp lacks b"),
    ],
)
def test_tables_that_do_not_fit(run, data, tmp_path, name, lines, message):
    (data / name).write_text(lines)
    assert message in run(f"{COMMAND} data parts new", status=1).stderr
    assert not (tmp_path / "new").exists()
