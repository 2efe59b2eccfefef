"""Files are whole or not there, and what a dead process left is taken away."""

import os
import resource
import signal
import subprocess
import sys

import pytest

from misc.whole_files import remove_temporaries, write_text, write_whole


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = str(tmp_path / "file.txt")
    write_text(path, "old")

    def fail(name):
        write_text(name, "half")
        raise OSError("disk full")

    with pytest.raises(OSError):
        write_whole(path, fail)
    assert os.listdir(tmp_path) == ["file.txt"]
    with open(path) as stream:
        assert stream.read() == "old"


def test_a_full_disk_leaves_the_old_file(tmp_path):
    path = str(tmp_path / "file")
    write_text(path, "old")
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(OSError, match=f"File too large: '{path}'"):
            write_text(path, "new" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert os.listdir(tmp_path) == ["file"]
    with open(path) as stream:
        assert stream.read() == "old"


def test_what_a_killed_process_left_is_taken_away(tmp_path):
    program = (
        "import os, signal, sys\n"
        "from misc.whole_files import write_whole\n"
        "def die(name):\n"
        "    open(name, 'w').write('half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_whole(sys.argv[1], die)\n"
    )
    for name in ("model-5.keras", "checkpoint"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)])
    (tmp_path / "nnet.tmp12").mkdir()
    (tmp_path / "events.out.tfevents.1").write_text("")
    assert len(os.listdir(tmp_path)) == 4
    remove_temporaries(str(tmp_path))
    assert os.listdir(tmp_path) == ["events.out.tfevents.1"]
