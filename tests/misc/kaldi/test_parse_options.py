"""utils/parse_options.sh, sourced by a script as the scripts of a recipe do."""

from pathlib import Path

import pytest

PARSE = Path(__file__).parents[3] / "misc/kaldi/utils/parse_options.sh"
SCRIPT = f"""#!/usr/bin/env bash
# Does this.
#
# And that.
set -euo pipefail
# Not this.
max_jobs=4
cmd=run.pl
compress=false
name=
. {PARSE}
echo "$max_jobs/$cmd/$compress/$name/$#/$*"
"""


@pytest.fixture
def script(run, tmp_path):
    """Runs the script above with options."""
    (tmp_path / "script.sh").write_text(SCRIPT)
    return lambda options, status=0: run(f"bash script.sh {options}", status)


@pytest.mark.parametrize(
    "options, outcome",
    [
        ("", "4/run.pl/false//0/"),
        ("--max-jobs 8 a b", "8/run.pl/false//2/a b"),
        ("--max_jobs 8 a b", "8/run.pl/false//2/a b"),
        ("--cmd 'queue.pl --mem 4G' --name '' a", "4/queue.pl --mem 4G/false//1/a"),
        ("--name 'two  words' 'a b'", "4/run.pl/false/two  words/1/a b"),
        ("--name '$(date);*' a", "4/run.pl/false/$(date);*/1/a"),
        ("--compress true a", "4/run.pl/true//1/a"),
        ("--max-jobs -1 a --name b", "-1/run.pl/false//3/a --name b"),
        ("--name a -- --b", "4/run.pl/false/a/1/--b"),
        ("-", "4/run.pl/false//1/-"),
    ],
)
def test_options_set_variables(script, options, outcome):
    done = script(options)
    assert (done.stdout, done.stderr) == (outcome + "\n", "")


@pytest.mark.parametrize(
    "options, message",
    [
        ("--max-job 8 a", "no such option: --max-job"),
        ("--max.jobs 8 a", "no such option: --max.jobs"),
        ("--max-jobs=8 a", "write '--name value', not '--max-jobs=8'"),
        ("--compress yes a", "expected true or false for --compress, got 'yes'"),
        ("--max-jobs", "option --max-jobs needs a value"),
        ("--config none a", "cannot read --config file none"),
    ],
)
def test_what_is_refused_is_named(script, options, message):
    done = script(options, status=1)
    assert (done.stdout, done.stderr) == ("", f"script.sh: {message}\n")


def test_the_command_line_wins_over_the_configuration(script, tmp_path):
    (tmp_path / "a.conf").write_text("max_jobs=6\nname=conf\n")
    done = script("--max-jobs 8 --config a.conf a")
    assert done.stdout == "8/run.pl/false/conf/1/a\n"


@pytest.mark.parametrize("option", ["--help", "-h", "--name a --help"])
def test_help_is_the_comment_at_the_top(script, option):
    done = script(option)
    assert (done.stdout, done.stderr) == ("", "Does this.\n\nAnd that.\n")


def test_help_is_the_message_if_there_is_one(run, script, tmp_path):
    script("")
    message = "help_message='Usage: $0 it'\n"
    (tmp_path / "script.sh").write_text(SCRIPT.replace("name=\n", message))
    assert run("bash script.sh --help").stderr == "Usage: $0 it\n"


def test_an_empty_command_is_refused(run, script, tmp_path):
    script("")
    assert run("bash script.sh --cmd '' a", 1).stderr == "script.sh: --cmd is empty\n"
