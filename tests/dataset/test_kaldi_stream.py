"""Files, offsets, pipes and standard streams."""

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dataset.errors import InputError
from dataset.kaldi_stream import open_or_fd, peek, read_exactly, split_offset

ROOT = Path(__file__).parents[2]


def test_split_offset():
    assert split_offset("a/b.ark:123") == ("a/b.ark", 123)
    assert split_offset("a:b.ark") == ("a:b.ark", 0)
    assert split_offset(":12") == (":12", 0)
    assert split_offset("a.ark:" + "9" * 30)[1] == 0


def test_file_and_offset(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"0123456789")
    for name, expected in ((path, b"0123456789"), (f"{path}:4", b"456789")):
        with open_or_fd(name) as stream:
            assert stream.read() == expected


def test_table_prefix_is_dropped_as_in_the_package_kaldi_io(tmp_path):
    with open_or_fd(f"ark,t:{tmp_path}/x", "wb") as stream:
        stream.write(b"abc")
    with open_or_fd(f"ark:{tmp_path}/x") as stream:
        assert stream.read() == b"abc"


def test_open_stream_is_passed_on_and_left_open():
    stream = io.BytesIO(b"abc")
    with open_or_fd(stream) as same:
        assert same is stream
    assert stream.read() == b"abc"


def test_missing_file():
    with pytest.raises(InputError, match="cannot open /no/such: No such file"):
        with open_or_fd("/no/such"):
            pass


@pytest.mark.parametrize(
    "name, mode", [("| cat", "rb"), ("cat |", "wb"), ("| cat |", "rb")]
)
def test_pipes_the_wrong_way_round(name, mode):
    with pytest.raises(InputError, match="expected .*command.* got"):
        with open_or_fd(name, mode):
            pass


def test_pipes_both_ways(tmp_path):
    with open_or_fd(f"| tr a-z A-Z > {tmp_path}/x", "wb") as stream:
        stream.write(b"abc")
    with open_or_fd(f"cat {tmp_path}/x |") as stream:
        assert stream.read() == b"ABC"


@pytest.mark.parametrize("data", ["", "abc"])
def test_failing_input_command_is_no_short_file(data):
    with pytest.raises(InputError, match="'printf .*exit 3' failed with status 3"):
        with open_or_fd(f"printf '{data}'; exit 3 |") as stream:
            assert stream.read() == data.encode()


def test_failed_command_is_the_error_to_report():
    with pytest.raises(InputError, match="failed with status 1"):
        with open_or_fd("printf abc; false |") as stream:
            read_exactly(stream, 10, "numbers")


@pytest.mark.parametrize("command", ["yes |", "yes | cat; exit $? |"])
def test_command_stopped_before_its_end_is_fine(caplog, command):
    with open_or_fd(command) as stream:
        assert stream.read(2) == b"y\n"
    assert not caplog.records


def test_failure_after_what_was_read_is_a_warning(caplog):
    with caplog.at_level(logging.WARNING):
        with open_or_fd("printf abc; exit 3 |") as stream:
            assert stream.read(3) == b"abc"
    assert "failed with status 3" in caplog.text


@pytest.mark.parametrize(
    "command, message",
    [
        ("cat > /dev/null; exit 2", "failed with status 2"),
        ("exit 4", "failed with status 4"),
        ("head -c 3 > /dev/null", "did not read all"),
        ("kill -9 $$", "was killed by signal 9"),
    ],
)
def test_failing_output_command(command, message):
    with pytest.raises(InputError, match=message):
        with open_or_fd(f"| {command}", "wb") as stream:
            for _ in range(50):
                stream.write(bytes(1 << 16))


def test_whole_file_or_none(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError):
        with open_or_fd(path, "wb") as stream:
            stream.write(b"new")
            raise RuntimeError
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["x"]
    with open_or_fd(path, "wb", whole=False) as stream:
        stream.write(b"new")
        stream.flush()
        assert path.read_bytes() == b"new"


def test_link_and_named_pipe_stay_what_they_are(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with open_or_fd(tmp_path / "link", "wb") as stream:
        stream.write(b"abc")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"abc"
    os.mkfifo(tmp_path / "fifo")
    with subprocess.Popen(["cat", tmp_path / "fifo"], stdout=subprocess.PIPE) as reader:
        with open_or_fd(tmp_path / "fifo", "wb") as stream:
            stream.write(b"abc")
        assert reader.communicate()[0] == b"abc"
    assert (tmp_path / "fifo").is_fifo()


@pytest.mark.parametrize("name", ["/no/such/folder/x", "x.ark:12"])
def test_what_cannot_be_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"cannot write .*{name}"):
        with open_or_fd(name, "wb"):
            pass
    assert not os.listdir(tmp_path)


def test_standard_streams():
    code = (
        "from dataset.kaldi_stream import open_or_fd\n"
        "with open_or_fd('-') as a, open_or_fd('-', 'wb') as b:\n"
        "    b.write(a.read()[::-1])\n"
        "import os; os.write(1, b'|')\n"
        "with open_or_fd('-', 'wb') as b: b.write(b'!')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        input=b"abc",
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    assert (result.stdout, result.stderr) == (b"cba|!", b"")


def test_devices_are_written_in_place(tmp_path):
    code = (
        "import os; from dataset.kaldi_stream import open_or_fd\n"
        "with open_or_fd('/dev/stdout', 'wb') as stream: stream.write(b'abc')\n"
        "os.write(1, b'ABCdef')"
    )
    with open(tmp_path / "x", "wb") as output:
        subprocess.run(
            [sys.executable, "-c", code], stdout=output, cwd=ROOT, check=True
        )
    assert (tmp_path / "x").read_bytes() == b"ABCdef"
    assert os.listdir(tmp_path) == ["x"]


def test_peek_leaves_the_byte():
    for stream in (io.BytesIO(b"ab"), io.BufferedReader(io.BytesIO(b"ab"))):
        assert (peek(stream), stream.read(2), peek(stream)) == (b"a", b"ab", b"")


def test_lying_size_takes_no_memory():
    with pytest.raises(InputError, match="expected 1099511627776 bytes.*got 100"):
        read_exactly(io.BytesIO(bytes(100)), 1 << 40, "a matrix")
