"""utils/run.pl, run as a program: logs, exit status, quoting, and the end of jobs."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

RUN = Path(__file__).parents[3] / "misc/kaldi/utils/run.pl"


def lines(path):
    return path.read_text().splitlines()


def output_of(path):
    """What a job wrote: its log without the lines that are run.pl's."""
    return [line for line in lines(path) if not line.startswith("#")]


def test_log_of_a_job(run, tmp_path):
    done = run(f"{RUN} exp/log/a.log echo one two")
    command, started, mark, output, used, ended = lines(tmp_path / "exp/log/a.log")
    date = r"\w{3} \w{3} \d\d \d\d:\d\d:\d\d \S+ \d{4}"
    assert (command, mark, output) == ("# echo one two", "#", "one two")
    assert re.fullmatch(f"# Started at {date}", started)
    assert re.fullmatch(r"# Accounting: time=\d threads=1", used)
    assert re.fullmatch(
        rf"# Ended \(code 0\) at {date}, elapsed time \d seconds", ended
    )
    assert done.stdout == done.stderr == ""


@pytest.mark.parametrize(
    "jobs, numbers", [("JOB=1:3", "123"), ("JOB=4", "4"), ("n=2:3", "23")]
)
def test_numbers_of_jobs(run, tmp_path, jobs, numbers):
    name = jobs.partition("=")[0]
    run(f"{RUN} {jobs} log/a.{name}.log echo x{name}.{name}")
    logs = {path.name: output_of(path) for path in (tmp_path / "log").iterdir()}
    assert logs == {f"a.{n}.log": [f"x{n}.{n}"] for n in numbers}


@pytest.mark.parametrize(
    "words, output",
    [
        ("echo 'a  b'", "a  b"),
        (r"echo a \| tr a b", "b"),
        (r"echo a \> JOB.txt '&&' cat JOB.txt", "a"),
        (r"cat none 2\>/dev/null \; echo c", "c"),
        (r"echo \$[JOB+4] '$[ JOB + 5 ]'", "7 8"),
        ("""echo 'say "a  $HOME"'""", 'say "a  $HOME"'),
        ("""echo 'it is "Ann'"'"'s"'""", """it is "Ann's\""""),
        ("echo '' b", " b"),
        (r"echo ark:'cut -d " + '" " -f1' + " x |'", 'ark:cut -d " " -f1 x |'),
    ],
)
def test_words_are_quoted_as_by_kaldi(run, tmp_path, words, output):
    run(f"{RUN} JOB=3 a.JOB.log {words}")
    assert output_of(tmp_path / "a.3.log") == [output]


@pytest.mark.parametrize(
    "words, ended",
    [
        (r"exit 7", "code 7"),
        (r"false \| cat", "code 1"),
        (r"no-such-program", "code 127"),
        (r"kill -9 '$$'", "code 0; signal 9"),  # the shell of the job
        (r"kill -9 '$BASHPID'", "code 137"),  # a program in it
    ],
)
def test_failure_of_the_only_job(run, tmp_path, words, ended):
    done = run(f"{RUN} log/a.log {words}", status=1)
    assert f"# Ended ({ended})" in lines(tmp_path / "log/a.log")[-1]
    assert "run.pl: job failed, log is in log/a.log\n" in done.stderr
    assert "JOB" not in done.stderr


def test_failure_of_one_of_many_shows_the_end_of_its_log(run):
    done = run(
        rf"{RUN} JOB=1:3 a.JOB.log echo JOB \; seq 101 112 \; test JOB != 2", status=1
    )
    failed, end, *shown = done.stderr.splitlines()
    assert failed == "run.pl: 1 / 3 failed, log is in a.*.log"
    assert end == "run.pl: the end of a.2.log:"
    assert shown == [f"  {number}" for number in range(103, 113)]


def test_a_forgotten_range(run):
    done = run(f"{RUN} a.JOB.log false", status=1)
    assert "is JOB=1:<n> missing?" in done.stderr


def test_options_of_queue_pl(run, tmp_path):
    options = "--mem 4G --gpu 1 -l ram=1G -V -pe smp 5 --config conf/queue.conf"
    run(f"{RUN} {options} JOB=1:2 --num-threads 3 a.JOB.log echo -n JOB")
    assert output_of(tmp_path / "a.2.log")[0].startswith("2")


@pytest.mark.parametrize("option, most", [("--max-jobs-run 4 -tc 2", 2), ("-tc 1", 1)])
def test_jobs_at_once(run, tmp_path, option, most):
    count = r"mkdir on.JOB \; sleep 0.3 \; echo 'on.*' \| wc -w \; rmdir on.JOB"
    run(f"{RUN} {option} JOB=1:4 a.JOB.log {count}")
    at_once = [int(output_of(tmp_path / f"a.{job}.log")[0]) for job in range(1, 5)]
    assert max(at_once) == most


@pytest.mark.parametrize(
    "words, message",
    [
        ("", "expected a log file and a command"),
        ("a.log", "expected a log file and a command"),
        ("JOB=1:2 a.log true", "2 jobs would share the log a.log: put JOB in its name"),
        ("JOB=3:1 a.JOB.log true", "JOB=3:1: the last job comes before the first"),
        ("JOB=0:1 a.JOB.log true", "JOB=0:1: expected a number above zero, got '0'"),
        ("-tc x a.log true", "-tc: expected a number above zero, got 'x'"),
        ("file/a.log true", "cannot write the log file/a.log: "),
    ],
)
def test_refused(run, tmp_path, words, message):
    (tmp_path / "file").touch()
    assert message in run(f"{RUN} {words}", status=255).stderr


def test_help(run):
    assert "Usage: utils/run.pl" in run(f"{RUN} --help").stderr


def start(tmp_path, *words, before=""):
    """Starts run.pl; returns it and what its first job writes to its log."""
    command = ["bash", "-c", f'{before} exec "$@"', "-", str(RUN), *words]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    log = tmp_path / "a.1.log"
    deadline = time.monotonic() + 10
    while not (log.exists() and output_of(log)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process, output_of(log)


def is_alive(pid):
    status = subprocess.run(["ps", "-o", "stat=", "-p", pid], stdout=subprocess.PIPE)
    return status.stdout.strip()[:1] not in (b"", b"Z")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_all(tmp_path, number):
    # The job leaves a process behind that does not heed SIGTERM.
    stubborn = "( trap '' TERM; sleep 60 ) & echo $!; sleep 60".split()
    process, [pid] = start(tmp_path, "-tc", "1", "JOB=1:2", "a.JOB.log", *stubborn)
    assert is_alive(pid)
    process.send_signal(number)
    _, message = process.communicate(timeout=10)
    assert process.returncode == 130
    assert message == "run.pl: interrupted: the jobs that ran have been ended\n"
    assert "(code 0; signal 15)" in lines(tmp_path / "a.1.log")[-1]
    assert not is_alive(pid)
    assert not (tmp_path / "a.2.log").exists()


def test_a_hangup_under_nohup_is_nothing(tmp_path):
    words = ["JOB=1", "a.JOB.log", *"echo on; sleep 0.3; echo done".split()]
    process, _ = start(tmp_path, *words, before="trap '' HUP;")
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert output_of(tmp_path / "a.1.log") == ["on", "done"]


@pytest.mark.parametrize(
    "pipeline, status", [(r"yes \| head -n 1", 0), (r"false \| cat", 1)]
)
def test_a_failure_in_mid_pipeline(run, pipeline, status):
    """A writer whose reader has enough has not failed."""
    run(f"{RUN} a.log {pipeline}", status)


@pytest.mark.parametrize("gpus, at_once", [(0, "1"), (1, "1"), (2, "2")])
def test_as_many_jobs_at_once_as_gpus(run, tmp_path, gpus, at_once):
    listed = "".join(f"echo 'GPU {n}: A'\n" for n in range(gpus))
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{listed}")
    (tmp_path / "nvidia-smi").chmod(0o755)
    job = "touch run.$1; ls run.* | wc -l; sleep 0.3; rm run.$1\n"
    (tmp_path / "job.sh").write_text(job)
    run(f"PATH=$PWD:$PATH {RUN} --gpu 1 JOB=1:4 JOB.log bash job.sh JOB")
    found = {line for n in range(1, 5) for line in output_of(tmp_path / f"{n}.log")}
    assert max(found) == at_once
