"""utils/run.pl: runs jobs on this machine, each with a log of its own.

The command line, the logs and the exit status are those of Kaldi's run.pl; jobs run in
process groups of their own, which are ended with us.
"""

from __future__ import annotations

import collections
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import ClassVar

from dataset.errors import InputError
from misc.kaldi.command import command

_WORD = re.compile(r"\S+", re.ASCII)
_RANGE = re.compile(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?")
_TAIL = 10
_LINE_SECONDS = 30.0


@dataclass(frozen=True)
class OwnOptions:
    """run.pl reads its command line itself: what comes after the log is not ours."""

    reads_command_line: ClassVar = True


@dataclass(frozen=True)
class Plan:
    """What is to be run: `name` in log and words stands for first..last."""

    name: str
    first: int
    last: int
    log: str
    words: tuple[str, ...]
    max_jobs: int | None
    """How many at once; None if that was not said."""
    gpu: bool = False
    """Whether each job wants a GPU of its own."""

    @property
    def jobs(self) -> range:
        return range(self.first, self.last + 1)

    def log_of(self, job: int) -> str:
        return self.log.replace(self.name, str(job)) if self.name else self.log

    def command_of(self, job: int) -> str:
        line = shell_line(self.words)
        return line.replace(self.name, str(job)) if self.name else line


def shell_line(words: Sequence[str]) -> str:
    """Words as a line for bash, which are quoted as by Kaldi's run.pl.

    A word without spaces is left to the shell: `|`, `2>&1`, `$[JOB-1]`. One with spaces
    stays one word; its `$` is the shell's, too, unless it holds double quotes.
    """
    return " ".join(map(_quoted, words))


def in_bash(line: str) -> str:
    """Lines for bash that run a job's line and set `status`.

    A command that fails in the middle of a pipeline fails the job, unless it was only
    that the one after it had read enough (SIGPIPE: 141). In Kaldi only the last counts.
    """
    return (
        f"(\nset -o pipefail\n{line}\n)\nstatus=$?\n[ $status -ne 141 ] || status=0\n"
    )


def _quoted(word: str) -> str:
    if _WORD.fullmatch(word):
        return word
    return shlex.quote(word) if '"' in word else f'"{word}"'


def parse(argv: Sequence[str]) -> Plan:
    """Reads run.pl's command line.

    Raises:
        InputError: it is not one.
    """
    words = collections.deque(argv)
    name, first, last, limit, gpu = "", 1, 1, 0, False
    while words:
        found = _RANGE.fullmatch(words[0])
        if words[0].startswith("-"):
            option = words.popleft()
            value = words.popleft() if words and option != "-V" else ""
            if option in ("--max-jobs-run", "-tc"):
                number = _positive(option, value)
                limit = min(limit or number, number)  # as Kaldi: the smallest counts
            elif option == "--gpu":
                gpu = value not in ("", "0", "false")
            elif option == "-pe" and words:  # -pe smp 5
                words.popleft()
        elif found and not name:
            name, first = found[1], _positive(words[0], found[2])
            last = _positive(words.popleft(), found[3] or found[2])
        else:
            break
    if len(words) < 2:
        raise InputError("expected a log file and a command; see utils/run.pl --help")
    log, *rest = words
    if last < first:
        raise InputError(f"{name}={first}:{last}: the last job comes before the first")
    if last > first and name not in log:
        raise InputError(
            f"{last - first + 1} jobs would share the log {log}: put {name} in its name"
        )
    return Plan(name, first, last, log, tuple(rest), limit or None, gpu)


def _positive(option: str, value: str) -> int:
    if not value.isdigit() or int(value) == 0:
        raise InputError(f"{option}: expected a number above zero, got '{value}'")
    return int(value)


def _at_once(plan: Plan) -> int:
    """As many jobs at once as there are processors; a few more rather than a rest.

    Jobs that want a GPU: as many as there are GPUs, at least one.
    """
    jobs = len(plan.jobs)
    if plan.gpu:
        return max(1, _gpus())
    affinity = getattr(os, "sched_getaffinity", None)
    processors = len(affinity(0)) if affinity else os.cpu_count() or 1
    return jobs if jobs < 1.4 * processors else processors


def _gpus() -> int:
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True).stdout
    except OSError:
        return 0
    return sum(line.startswith(b"GPU ") for line in listed.splitlines())


class Jobs:
    """The jobs that run, and the end of them."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, job: int) -> bool:
        """Runs one job to its end; says whether it went well."""
        log, command_line = self._plan.log_of(job), self._plan.command_of(job)
        started = time.time()
        _begin(log, command_line)
        with open(log, "ab") as stream:
            process = self._start(command_line, stream)
            if process is None:
                return False
            status = process.wait()
        with self._lock:
            self._running.discard(process)
        code = f"code {status}" if status >= 0 else f"code 0; signal {-status}"
        seconds = round(time.time() - started)
        with open(log, "a") as text:
            text.write(
                f"# Accounting: time={seconds} threads=1\n"
                f"# Ended ({code}) at {_date()}, elapsed time {seconds} seconds\n"
            )
        return status == 0

    def _start(self, line: str, log: object) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self._stopped:
                return None
            process = subprocess.Popen(
                ["bash", "-c", in_bash(line) + "exit $status\n"],
                stdin=subprocess.DEVNULL,
                stdout=log,  # type: ignore[call-overload]
                stderr=subprocess.STDOUT,
                start_new_session=True,
                close_fds=False,  # a recipe's lock is the job's, too
            )
            self._running.add(process)
            return process

    def stop(self) -> None:
        """Ends what runs, with all that it started; nothing is started any more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in running:
                try:
                    os.killpg(process.pid, number)
                except (ProcessLookupError, PermissionError):
                    continue
            deadline = time.time() + 5
            while time.time() < deadline and any(p.poll() is None for p in running):
                time.sleep(0.05)


def _begin(log: str, command_line: str) -> None:
    try:
        os.makedirs(os.path.dirname(log) or ".", exist_ok=True)
        with open(log, "w") as stream:
            stream.write(f"# {command_line}\n# Started at {_date()}\n#\n")
    except OSError as error:
        raise InputError(f"cannot write the log {log}: {error.strerror}") from None


def _run_all(plan: Plan) -> list[int]:
    """Runs the jobs; returns those that failed."""
    jobs = Jobs(plan)
    _on_signals(_interrupt)
    with ThreadPoolExecutor(plan.max_jobs or _at_once(plan)) as pool:
        futures = {pool.submit(jobs.run, job): job for job in plan.jobs}
        try:
            _watch(plan, futures)
        except BaseException:
            _on_signals(signal.SIG_IGN)  # a second ^C must not leave jobs behind
            pool.shutdown(wait=False, cancel_futures=True)
            jobs.stop()
            raise
    return [job for future, job in futures.items() if not future.result()]


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _on_signals(handler: Callable[[int, object], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as it is under nohup
            signal.signal(number, handler)


def _watch(plan: Plan, futures: dict[Future[bool], int]) -> None:
    """Waits for all jobs and says on stderr how far they are."""
    terminal = sys.stderr.isatty()
    next_line = time.monotonic() + (1.0 if terminal else _LINE_SECONDS)
    waiting = set(futures)
    shown = False
    while waiting:
        timeout = max(0.0, next_line - time.monotonic())
        _, waiting = wait(waiting, timeout, FIRST_COMPLETED)
        if waiting and time.monotonic() >= next_line:
            text = _progress(plan, len(futures) - len(waiting))
            sys.stderr.write(
                f"\r\x1b[K{text[: _columns()]}" if terminal else text + "\n"
            )
            sys.stderr.flush()
            shown = True
            next_line = time.monotonic() + (1.0 if terminal else _LINE_SECONDS)
    if shown and terminal:
        sys.stderr.write("\r\x1b[K")


def _columns() -> int:
    try:
        return os.get_terminal_size(2).columns - 1
    except OSError:
        return 79


def _progress(plan: Plan, done: int) -> str:
    """Jobs done, and the newest line of the logs."""
    logs = [log for log in map(plan.log_of, plan.jobs) if os.path.isfile(log)]
    newest = max(logs, key=os.path.getmtime, default="")
    lines = _last_lines(newest) if newest else []
    line = "".join(c if c.isprintable() else " " for c in lines[-1]) if lines else ""
    return f"run.pl: {done}/{len(plan.jobs)} jobs done: {line[:150]}"


def _date() -> str:
    return time.strftime("%a %b %d %H:%M:%S %Z %Y")


def _last_lines(log: str) -> list[str]:
    """The end of a log, without the lines that are ours."""
    with open(log, "rb") as stream:
        stream.seek(max(0, os.path.getsize(log) - 16384))
        text = stream.read().decode("utf-8", "replace")
    lines = re.split(r"[\r\n]+", text)
    ours = ("# Accounting:", "# Ended (", "# Started at", "# Running on", "#\n")
    return [line for line in lines if line.strip(" #") and not line.startswith(ours)]


@command(
    "run.pl",
    """
Runs a command on this machine, its output going to a log. With JOB=1:4 it is run four
times, side by side; JOB becomes 1, 2, 3 and 4 in the command and in the log's name.
Operators of the shell are words of their own: \\| \\> \\&\\&.

Usage: utils/run.pl [--max-jobs-run <n>] [JOB=<first>:<last>] <log> <command> ...
       (other options, meant for queue.pl, are accepted and ignored)
 e.g.: utils/run.pl JOB=1:4 exp/log/foo.JOB.log cat in.JOB \\| sort \\> out.JOB
""",
    OwnOptions,
    (0, None),
)
def run_pl(options: OwnOptions, *argv: str) -> int:
    plan = parse(argv)
    try:
        failed = _run_all(plan)
    except KeyboardInterrupt:
        sys.stderr.write("run.pl: interrupted: the jobs that ran have been ended\n")
        return 130
    if not failed:
        return 0
    sys.stderr.write(failure("run.pl", plan, failed))
    return 1


def failure(program: str, plan: Plan, failed: list[int]) -> str:
    """What is said of failed jobs: where the logs are, and the end of the first."""
    first = plan.log_of(failed[0])
    if len(plan.jobs) == 1:
        text = f"{program}: job failed, log is in {first}\n"
    else:
        logs = plan.log.replace(plan.name, "*")
        text = f"{program}: {len(failed)} / {len(plan.jobs)} failed, log is in {logs}\n"
    if not plan.name and "JOB" in " ".join((plan.log, *plan.words)):
        text += f"{program}: there is a JOB in the command: is JOB=1:<n> missing?\n"
    if not os.path.exists(first):
        return f"{text}{program}: {first} was not written: the job did not start\n"
    tail = "".join(f"  {line}\n" for line in _last_lines(first)[-_TAIL:])
    return f"{text}{program}: the end of {first}:\n{tail}"
