"""egs/shared/store_recordings.sh: what lies behind pipes becomes FLAC files."""

import os

import numpy as np
import pytest
import soundfile
from fisher_runs import RATE, lines, run, table, voice, write


@pytest.fixture
def data(tmp_path):
    """A wave file, the same behind a pipe that cannot be read in parts."""
    write(tmp_path / "a.wav", voice(1, 1))
    write(tmp_path / "b.wav", voice(1, 2))
    folder = tmp_path / "data"
    folder.mkdir()
    pipe = f"sox {tmp_path}/b.wav -t wav -r {RATE} - |"
    (folder / "wav.scp").write_text(f"a {tmp_path}/a.wav\nb {pipe}\n")
    return folder


def store(data, *options):
    return run("shared/store_recordings.sh", *options, data, data.parent / "stored")


def add_bad(data, wanted):
    """Recordings, of which the first cannot be decoded."""
    rows = lines(data / "wav.scp")
    bad = f"bad sox {data}/none.wav -t wav -r {RATE} - |"
    rows = [rows[0], bad, *(f"c{i:02d} {rows[0].split()[1]}" for i in range(wanted))]
    (data / "wav.scp").write_text("\n".join(rows) + "\n")


def test_pipes_are_stored_and_files_stay(data, tmp_path):
    before = (data / "wav.scp").read_text()
    done = store(data)
    assert done.returncode == 0, done.stderr
    assert "1 of 2 recordings stored, 0 left out" in done.stdout
    entries = table(data / "wav.scp")
    assert entries["a"] == f"{tmp_path}/a.wav"
    program, options, file, end = entries["b"].split()  # as a real Kaldi reads it
    assert (program, options, end) == ("flac", "-dcs", "|")
    samples, rate = soundfile.read(file, dtype="int16")
    assert rate == RATE
    np.testing.assert_array_equal(samples, voice(1, 2))
    assert (data / "wav.scp.pipes").read_text() == before
    again = store(data)
    assert "0 of 2 recordings stored, 0 left out" in again.stdout
    assert (data / "wav.scp.pipes").read_text() == before


def test_files_of_an_interrupted_run_are_used(data):
    before = (data / "wav.scp").read_text()
    assert store(data).returncode == 0
    file = table(data / "wav.scp")["b"].split()[2]
    os.utime(file, (1, 1))
    (data / "wav.scp").write_text(before)
    assert store(data, "--nj", 1).returncode == 0
    assert os.stat(file).st_mtime == 1


def test_what_cannot_be_decoded_is_refused_or_left_out(data):
    add_bad(data, 20)
    before = (data / "wav.scp").read_text()
    done = store(data, "--leave-out-bad", "false")
    assert done.returncode == 1 and (data / "wav.scp").read_text() == before
    assert "bad is left out" in done.stderr and "1 of 22 recordings" in done.stderr
    done = store(data)
    assert done.returncode == 0 and "0 of 22 recordings stored, 1 left" in done.stdout
    assert "bad" not in table(data / "wav.scp")


def test_many_that_cannot_be_decoded_are_an_error(data):
    add_bad(data, 3)
    done = store(data)
    assert done.returncode == 1 and "1 of 5 recordings" in done.stderr


def test_an_empty_list(data):
    (data / "wav.scp").write_text("")
    assert "no recordings in" in store(data).stderr


def test_recordings_of_two_channels(data, tmp_path):
    write(tmp_path / "b.wav", np.stack([voice(0, 4), voice(1, 4)], 1))
    done = store(data, "--leave-out-bad", "false")
    assert done.returncode == 1 and "2 channels, expected one" in done.stderr
