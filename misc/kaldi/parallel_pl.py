"""utils/parallel.pl: run.pl's jobs on other hosts, by GNU parallel over ssh.

It has run.pl's command line, logs and exit status. Which hosts, and how many jobs on
each, is said in GNU parallel's own ways: the variable PARALLEL or its configuration.
Every job is a script beside its log, as for queue.pl; the hosts must see these folders.

O. Tange, "GNU Parallel: the command-line power tool", ;login: 36 (2011).
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import tempfile

from dataset.errors import InputError
from misc.kaldi.command import command
from misc.kaldi.run_pl import OwnOptions, Plan, failure, in_bash, parse

_ENVIRONMENT = (
    "PATH",
    "LC_ALL",
    "KALDI_ROOT",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
)
"""What a job on another host needs of this process, if it is set."""


def _script(plan: Plan, job: int) -> str:
    """One job for bash: its log is that of run.pl."""
    line, log = plan.command_of(job), shlex.quote(os.path.abspath(plan.log_of(job)))
    exports = "".join(
        f"export {name}={shlex.quote(os.environ[name])}\n"
        for name in _ENVIRONMENT
        if name in os.environ
    )
    header = shlex.quote(f"# {line}")
    return f"""#!/usr/bin/env bash
{exports}cd {shlex.quote(os.getcwd())} || exit 1
exec > {log} 2>&1 < /dev/null
echo {header}
echo "# Running on $(uname -n)"
echo "# Started at $(date)"
echo "#"
if [ -f path.sh ]; then . ./path.sh; fi
SECONDS=0
{in_bash(line)}echo "# Accounting: time=$SECONDS threads=1"
echo "# Ended (code $status) at $(date), elapsed time $SECONDS seconds"
exit $status
"""


def _write_scripts(plan: Plan) -> list[str]:
    """Writes a script for each job into the folder q beside its log."""
    scripts = []
    for job in plan.jobs:
        log = os.path.abspath(plan.log_of(job))
        folder, name = os.path.split(log)
        script = os.path.join(folder, "q", os.path.splitext(name)[0] + ".sh")
        try:
            os.makedirs(os.path.dirname(script), exist_ok=True)
            if os.path.exists(log):  # of an earlier run: a lost host writes no log
                os.remove(log)
            with open(script, "w") as stream:
                stream.write(_script(plan, job))
        except OSError as error:
            raise InputError(f"cannot write {script}: {error.strerror}") from None
        scripts.append(script)
    return scripts


def _run(scripts: list[str], max_jobs: int | None) -> list[bool]:
    """Runs the scripts; says of each whether it went well."""
    limit = [] if max_jobs is None else ["--jobs", str(max_jobs)]
    with tempfile.NamedTemporaryFile("r", prefix="parallel-", suffix=".log") as joblog:
        line = ["parallel", "--joblog", joblog.name, *limit, "bash", "{}", ":::"]
        try:
            process = subprocess.Popen([*line, *scripts], stdin=subprocess.DEVNULL)
        except FileNotFoundError:
            raise InputError(
                "GNU parallel is not on the PATH: install it (package parallel), or "
                "set train_cmd to utils/run.pl in cmd.sh"
            ) from None
        try:
            status = process.wait()
        except KeyboardInterrupt:
            _stop(process)
            raise
        rows = [row.rstrip("\n").split("\t") for row in joblog][1:]
    if not rows and status:
        raise InputError(
            f"parallel ended with status {status} before any job; is it GNU parallel, "
            "and are its options (the variable PARALLEL) right?"
        )
    # Columns: number, host, start, seconds, sent, received, exit value, signal, line.
    done = {int(row[0]) for row in rows if row[6] == row[7] == "0"}
    return [number in done for number in range(1, len(scripts) + 1)]


def _stop(process: subprocess.Popen[bytes]) -> None:
    # GNU parallel starts no more jobs at the first signal and ends them at the second.
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
    process.kill()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


@command(
    "parallel.pl",
    """
Runs jobs on several hosts, as run.pl does on this one, through GNU parallel. The hosts
are named in the variable PARALLEL, and must see the same folders, for example
  export PARALLEL="--sshloginfile hosts"          # ssh: one host a line, 8/host: 8 jobs
  scontrol show hostnames > hosts                 # those of a SLURM allocation
Without it the jobs run here. Each is a script in the folder q beside its log, and reads
path.sh if there is one.

Usage: utils/parallel.pl [--max-jobs-run <n>] [JOB=<first>:<last>] <log> <command> ...
       (--max-jobs-run is for each host; other options are accepted and ignored)
 e.g.: utils/parallel.pl JOB=1:40 exp/log/foo.JOB.log cat in.JOB \\| sort \\> out.JOB
""",
    OwnOptions,
    (0, None),
)
def parallel_pl(options: OwnOptions, *argv: str) -> int:
    plan = parse(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        done = _run(_write_scripts(plan), plan.max_jobs)
    except KeyboardInterrupt:
        sys.stderr.write("parallel.pl: interrupted: the jobs have been told to end\n")
        return 130
    failed = [job for job, well in zip(plan.jobs, done, strict=True) if not well]
    if failed:
        sys.stderr.write(failure("parallel.pl", plan, failed))
    return 1 if failed else 0
