"""How an embedded Kaldi command is declared and run: usage, logs, exit status.

Exit status as in Kaldi: 0 done, 1 wrong arguments or nothing done, 255 an error that
stopped the command (a C++ main returning -1, Perl's die); scripts of bash and Python
then end with 1.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from dataset.errors import InputError
from dataset.options import format_options, parse_options


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """For commands without options of their own."""


@dataclasses.dataclass(frozen=True)
class Command:
    """A declared command: `function(options, *arguments)` returns its exit status."""

    name: str
    usage: str
    options: type[Any]
    num_args: tuple[int, int | None]
    function: Callable[..., int | None]

    @property
    def error_status(self) -> int:
        """What it ends with when an error has stopped it."""
        return 1 if self.name.endswith((".sh", ".py")) else 255


COMMANDS: dict[str, Command] = {}


def command(
    name: str,
    usage: str,
    options: type[Any] = NoOptions,
    num_args: tuple[int, int | None] = (1, 1),
) -> Callable[[Callable[..., int | None]], Callable[..., int | None]]:
    """Registers a function as the command `name`.

    Args:
        name: the program's name, as in Kaldi.
        usage: the text above the options: what it does, `Usage:`, `e.g.:`.
        options: a dataclass of `dataset.options.option` fields.
        num_args: smallest and largest number of positional arguments; None: no limit.
    """

    def register(function: Callable[..., int | None]) -> Callable[..., int | None]:
        COMMANDS[name] = Command(name, usage, options, num_args, function)
        return function

    return register


def usage_text(declared: Command) -> str:
    """The whole text of `--help`."""
    return f"\n{declared.usage.strip()}\n\n{format_options(declared.options)}\n"


def run(declared: Command, argv: Sequence[str]) -> int:
    """Runs a command; prints errors as one line; returns the exit status."""
    _current.name = declared.name
    # As every C program: a reader that closes early ends us silently.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        options, standard, arguments = parse_options(declared.options, argv)
    except InputError as error:
        sys.stderr.write(usage_text(declared))
        log_error(str(error))
        return declared.error_status
    if standard.help:
        sys.stderr.write(usage_text(declared))
        return 0
    _current.verbose = standard.verbose
    _show_library_warnings()
    if standard.print_args:
        sys.stderr.write(shlex.join([declared.name, *argv]) + " \n")
    fewest, most = declared.num_args
    if len(arguments) < fewest or (most is not None and len(arguments) > most):
        sys.stderr.write(usage_text(declared))
        return 1
    return _guarded(declared, options, arguments)


def _guarded(declared: Command, options: Any, arguments: list[str]) -> int:
    try:
        status = declared.function(options, *arguments)
        sys.stdout.flush()
        return status or 0
    except InputError as error:
        log_error(str(error))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        log_error(f"{error.strerror or error}{where}")
    except MemoryError:
        log_error("out of memory")
    except KeyboardInterrupt:
        log_error("interrupted")
        return 130
    # The interpreter would try to flush again, and fail again (a full disk).
    _abandon_stdout()
    return declared.error_status


def _show_library_warnings() -> None:
    """What dataset/ says to the logger `kaldi` becomes lines of this command."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter(f"%(levelname)s ({_current.name}) %(message)s")
    )
    logging.getLogger("kaldi").addHandler(handler)


def _abandon_stdout() -> None:
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@dataclasses.dataclass
class _Current:
    name: str = "kaldi"
    verbose: int = 0


_current = _Current()


def log(message: str) -> None:
    """An informative line on stderr, in Kaldi's form."""
    sys.stderr.write(f"LOG ({_current.name}) {message}\n")


def warn(message: str) -> None:
    """A warning on stderr; each utterance that is left out gets one."""
    sys.stderr.write(f"WARNING ({_current.name}) {message}\n")


def verbose_log(level: int, message: str) -> None:
    """A line that is shown with `--verbose=level` or more."""
    if _current.verbose >= level:
        sys.stderr.write(f"VLOG[{level}] ({_current.name}) {message}\n")


def log_error(message: str) -> None:
    """The line that says why the command stopped."""
    sys.stderr.write(f"ERROR ({_current.name}) {message}\n")
