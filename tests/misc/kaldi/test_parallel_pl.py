"""utils/parallel.pl, run as a program; skipped where there is no GNU parallel."""

import re
import shutil
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[3] / "misc/kaldi/utils/parallel.pl"

with_parallel = pytest.mark.skipif(
    not shutil.which("parallel"), reason="GNU parallel is not installed"
)


def output_of(path):
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


@with_parallel
def test_logs(run, tmp_path):
    (tmp_path / "path.sh").write_text("export FROM_PATH_SH=yes\n")
    done = run(
        f"{PROGRAM} JOB=2:4 exp/log/a.JOB.log echo JOB '$FROM_PATH_SH' \\| cat -"
    )
    assert done.stdout == done.stderr == ""
    for job in (2, 3, 4):
        log = tmp_path / f"exp/log/a.{job}.log"
        assert output_of(log) == [f"{job} yes"]
        comments = [line for line in log.read_text().splitlines() if line[0] == "#"]
        assert comments[0] == f"# echo {job} $FROM_PATH_SH | cat -"
        assert re.match(r"# Ended \(code 0\) at .*, elapsed time \d s", comments[-1])


@with_parallel
def test_failed_jobs_are_told(run, tmp_path):
    done = run(f"{PROGRAM} JOB=1:3 log/a.JOB.log echo JOB \\; test JOB != 2", status=1)
    assert "1 / 3 failed, log is in log/a.*.log" in done.stderr
    assert "the end of log/a.2.log:\n" in done.stderr
    assert done.stderr.endswith("\n  2\n")
    assert "# Ended (code 1)" in (tmp_path / "log/a.2.log").read_text()
    done = run(f"{PROGRAM} log/b.log false \\| cat", status=1)  # pipefail
    assert "job failed, log is in log/b.log" in done.stderr


@with_parallel
def test_a_lost_host_is_a_failure(run, tmp_path):
    (tmp_path / "log").mkdir()
    (tmp_path / "log/a.log").write_text("of an earlier run\n")
    done = run(
        "export PARALLEL='--sshlogin 1/no.such.host.invalid'; "
        f"{PROGRAM} log/a.log echo hello",
        status=1,
    )
    assert "log/a.log was not written: the job did not start" in done.stderr


@with_parallel
def test_at_most_so_many_at_once(run, tmp_path):
    run(
        f"{PROGRAM} --max-jobs-run 1 JOB=1:4 log/a.JOB.log "
        "test ! -e busy \\&\\& touch busy \\&\\& sleep 0.1 \\&\\& rm busy"
    )


def test_without_gnu_parallel_it_says_what_to_do(run, tmp_path):
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("sh", "readlink", "dirname", "basename", "python3"):
        (bare / program).symlink_to(shutil.which(program))
    done = run(f"PATH={bare} {PROGRAM} log/a.log echo hello", status=255)
    assert "GNU parallel is not on the PATH" in done.stderr
    (bare / "parallel").write_text("#!/bin/sh\nexit 1\n")
    (bare / "parallel").chmod(0o755)
    done = run(f"PATH={bare} {PROGRAM} log/a.log echo hello", status=255)
    assert "is it GNU parallel" in done.stderr
