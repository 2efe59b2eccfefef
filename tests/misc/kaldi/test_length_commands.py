"""utils/data/get_utt2dur.sh, get_reco2dur.sh and get_utt2num_frames.sh."""

from pathlib import Path

import numpy as np
import pytest

from dataset.kaldi_table import TableWriter
from dataset.wav import write_wave

DATA = Path(__file__).parents[3] / "misc/kaldi/utils/data"
LENGTHS = {"a": 16000, "b": 24000, "c": 4000}


@pytest.fixture
def folder(tmp_path):
    """Three recordings of 1, 1.5 and 0.25 s, each an utterance."""
    (tmp_path / "d").mkdir()
    for name, length in LENGTHS.items():
        write_wave(str(tmp_path / f"{name}.wav"), np.ones((1, length)), 16000)
    (tmp_path / "d/wav.scp").write_text("".join(f"{n} {n}.wav\n" for n in LENGTHS))
    (tmp_path / "d/utt2spk").write_text("".join(f"{n} {n}\n" for n in LENGTHS))
    return tmp_path


def test_from_recordings(run, folder):
    run(f"{DATA}/get_utt2dur.sh --nj 2 d")
    assert (folder / "d/utt2dur").read_text() == "a 1\nb 1.5\nc 0.25\n"
    done = run(f"{DATA}/get_utt2dur.sh d")
    assert "d/utt2dur is there and complete" in done.stderr
    run(f"{DATA}/get_reco2dur.sh d")
    assert (folder / "d/reco2dur").read_text() == "a 1\nb 1.5\nc 0.25\n"
    run(f"{DATA}/get_utt2num_frames.sh d")
    assert (folder / "d/utt2num_frames").read_text() == "a 98\nb 148\nc 23\n"


def test_from_segments(run, folder):
    (folder / "d/utt2spk").write_text("a-1 a\nb-1 b\n")
    (folder / "d/segments").write_text("a-1 a 0.25 0.75\nb-1 b 0 1.25\n")
    run(f"{DATA}/get_utt2dur.sh d")
    assert (folder / "d/utt2dur").read_text() == "a-1 0.5\nb-1 1.25\n"
    (folder / "d/segments").write_text("a-1 a 0.75 0.25\nb-1 b 0 1.25\n")
    done = run(f"rm d/utt2dur; {DATA}/get_utt2dur.sh d", status=1)
    assert "d/segments: a-1: expected 'recording start end'" in done.stderr


def test_from_features(run, folder):
    with TableWriter(f"ark,scp:{folder}/f.ark,{folder}/d/feats.scp", "matrix") as out:
        for name, frames in (("a", 98), ("b", 148), ("c", 23)):
            out.write(name, np.zeros((frames, 3), np.float32))
    run(f"rm d/wav.scp; {DATA}/get_utt2num_frames.sh --nj 2 d")
    assert (folder / "d/utt2num_frames").read_text() == "a 98\nb 148\nc 23\n"
    run(f"{DATA}/get_utt2dur.sh d")
    assert (folder / "d/utt2dur").read_text() == "a 0.995\nb 1.495\nc 0.245\n"
    (folder / "d/frame_shift").write_text("0.02\n")
    run(f"rm d/utt2dur; {DATA}/get_utt2dur.sh d")
    assert (folder / "d/utt2dur").read_text() == "a 1.99\nb 2.99\nc 0.49\n"
    (folder / "d/frame_shift").write_text("ten\n")
    done = run(f"rm d/utt2dur; {DATA}/get_utt2dur.sh d", status=1)
    assert "d/frame_shift: expected seconds above zero, got 'ten'" in done.stderr


def test_recordings_that_cannot_be_read(run, folder):
    (folder / "b.wav").write_bytes(b"")
    done = run(f"{DATA}/get_utt2dur.sh d", status=1)
    assert "b" in done.stderr and "Traceback" not in done.stderr
    assert not (folder / "d/utt2dur").exists()
    done = run(f"rm d/wav.scp; {DATA}/get_utt2dur.sh d", status=1)
    assert "d has no segments, wav.scp or feats.scp" in done.stderr
