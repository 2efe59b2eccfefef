"""misc/kaldi/script.py: how scripts spell options, and how their links start them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from dataset.options import option
from misc.kaldi.script import spell_out

KALDI = Path(__file__).parents[3] / "misc/kaldi"


@dataclass(frozen=True)
class Options:
    repeatable: ClassVar = ("list",)

    nj: int = option(4, "")
    f: int = option(1, "")
    per_utt: bool = option(False, "")
    utt_suffix: str = option("", "")
    list: str = option("", "")


@dataclass(frozen=True)
class RawOptions:
    reads_command_line: ClassVar = True


@pytest.mark.parametrize(
    "given, spelled",
    [
        ("--nj 8 data", "--nj=8 -- data"),
        ("--nj=8 data", "--nj=8 -- data"),
        ("-f 2 list", "--f=2 -- list"),
        ("--per-utt data 4", "--per-utt=true -- data 4"),
        ("--per_utt false data 4", "--per-utt=false -- data 4"),
        ("--utt-suffix -noise in out", "--utt-suffix=-noise -- in out"),
        ("--nj 1 --nj 2 data", "--nj=2 -- data"),
        ("--list a --list b data", "--list=a\nb -- data"),
        ("--nj 8 -- --data", "--nj=8 -- --data"),
        ("data --nj 8", "-- data --nj 8"),
        ("-", "-- -"),
        ("--nj", "--nj"),  # so that the missing value is complained of
        ("-h", "--help=true --"),
        ("--none data", "--none=true -- data"),  # so that it is refused
    ],
)
def test_spelling(given, spelled):
    assert spell_out(Options, given.split(" ")) == spelled.split(" ")


@pytest.mark.parametrize(
    "given, spelled",
    [("--help", "--help"), ("-tc 2 log a --help", "-- -tc 2 log a --help"), ("", "--")],
)
def test_a_script_may_read_its_command_line_itself(given, spelled):
    assert spell_out(RawOptions, given.split()) == spelled.split()


@pytest.mark.parametrize("script", ["filter_scp.pl", "data/get_utt2dur.sh"])
def test_help(run, script):
    done = run(f"{KALDI}/utils/{script} --help")
    assert f"Usage: {Path(script).name}" in done.stderr and "e.g.:" in done.stderr
    assert "--config" in done.stderr and done.stdout == ""


def test_too_few_arguments_show_the_usage(run):
    done = run(f"{KALDI}/utils/split_data.sh", status=1)
    assert "Usage: " in done.stderr and "split_data.sh [--per-utt]" in done.stderr


@pytest.mark.parametrize(
    "options, message",
    [
        ("--pre-utt 2 data", "Invalid option --pre-utt"),
        ("--per-utt=maybe data 2", "expected true or false, got 'maybe'"),
        ("--config none data 2", "Cannot open config file none"),
        ("--per-utt none 2", "none/utt2spk"),
    ],
)
def test_what_is_refused_is_named(run, options, message):
    done = run(f"{KALDI}/utils/split_data.sh {options}", status=1)
    assert "ERROR (split_data.sh)" in done.stderr
    assert message in done.stderr


def test_a_link_to_a_link_runs_from_anywhere(run, tmp_path):
    (tmp_path / "utils").symlink_to(KALDI / "utils")
    (tmp_path / "list").write_text("b\n")
    done = run("printf 'a 1\\nb 2\\n' | utils/filter_scp.pl list")
    assert done.stdout == "b 2\n"


def test_a_name_that_is_no_script(run, tmp_path):
    (tmp_path / "new.sh").symlink_to(KALDI / "script.sh")
    assert "no such script: new.sh" in run("./new.sh", status=1).stderr
