"""egs/shared/recipe.sh: which stages run, by their marks; settings; estimates."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = """\
#!/usr/bin/env bash
set -euo pipefail
stage= stop_stage= nj=2 data=data net=net.json corpus=a fail= hours=
help_message="Usage: run.sh"
. shared/recipe.sh
marks_in "$data"
settings corpus conf/mfcc.conf
if begin 0 "data"; then echo 0 >>trace; fi
if begin 1 "features"; then
  [ -z "$hours" ] || estimate "$hours" 11 100 "$data/mfcc"
  echo 1 >>trace
  [ "$fail" != 1 ]
fi
marks_in "$(basename "$net" .json)"
settings net
if begin 2 "training"; then
  go_on=false
  ! resumable config || go_on=true
  sleep 0.05 # the clock of files has steps of some milliseconds
  touch config
  echo "2 $go_on" >>trace
  [ "$fail" != 2 ]
fi
if begin 3 "scores"; then echo 3 >>trace; fi
finish_with table
"""


@pytest.fixture
def recipe(tmp_path):
    """A folder egs/toy/v1 with four stages, each of which leaves a line in `trace`."""
    folder = tmp_path / "egs/toy/v1"
    folder.mkdir(parents=True)
    for name, target in {
        "shared": ROOT / "egs/shared",
        "cmd.sh": "shared/cmd.sh",
        "utils": ROOT / "misc/kaldi/utils",
    }.items():
        (folder / name).symlink_to(target)
    (folder / "conf").mkdir()
    (folder / "conf/mfcc.conf").write_text("--num-ceps=30")
    (folder / "path.sh").write_text("")
    (folder / "run.sh").write_text(RUN)
    (folder / "run.sh").chmod(0o755)
    for name in ("net.json", "other.json"):
        (folder / name).write_text("{}")
    return folder


def run(folder, *options):
    """The stages that were run, the output, and the exit status."""
    (folder / "trace").write_text("")
    done = subprocess.run(
        ["./run.sh", *options],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k != "KALDI_ROOT"},
        capture_output=True,
        text=True,
    )
    stages = (folder / "trace").read_text().splitlines()
    return stages, done.stdout + done.stderr, done.returncode


ALL = ["0", "1", "2 false", "3"]


def test_a_second_run_does_nothing(recipe):
    stages, output, status = run(recipe)
    assert (stages, status) == (ALL, 0)
    assert "using the embedded commands" in output and "stage 3 took" in output
    stages, output, status = run(recipe)
    assert (stages, status) == ([], 0)
    assert "stage 0: done before (data)" in output and "Results: table" in output


def test_it_goes_on_after_a_stage_that_broke(recipe):
    stages, output, status = run(recipe, "--fail", "1")
    assert stages == ["0", "1"] and status != 0 and "stage 1 failed" in output
    assert run(recipe)[0] == ["1", "2 false", "3"]


def test_a_training_that_broke_is_taken_up_again(recipe):
    assert run(recipe, "--fail", "2")[0] == ["0", "1", "2 false"]
    assert run(recipe, "--fail", "2")[0] == ["2 true"]
    stages, output, _ = run(recipe)
    assert stages == ["2 true", "3"] and "stage 2, taken up again: training" in output
    assert run(recipe, "--stage", "2")[0] == ["2 false", "3"]


def test_what_an_older_run_wrote_is_not_taken_up(recipe):
    run(recipe)
    (recipe / "net/.stages/2").rename(recipe / "net/.stages/2.begun")
    os.utime(recipe / "config", (1, 1))
    assert run(recipe)[0] == ["2 false", "3"]


def test_stage_does_it_and_what_follows_anew(recipe):
    run(recipe)
    assert run(recipe, "--stage", "1", "--stop-stage", "1")[0] == ["1"]
    assert run(recipe)[0] == ["2 false", "3"]  # made from what was there before
    assert run(recipe, "--stage", "0", "--stop-stage", "0")[0] == ["0"]
    assert run(recipe)[0] == ["1", "2 false", "3"]


def test_another_network_shares_the_data(recipe):
    run(recipe)
    assert run(recipe, "--net", "other.json")[0] == ["2 false", "3"]
    assert run(recipe)[0] == []
    run(recipe, "--stage", "1", "--stop-stage", "2")
    assert run(recipe, "--net", "other.json")[0] == ["2 false", "3"]


@pytest.mark.parametrize("options", [[], ["--stage", "2"]])
def test_other_settings_are_refused(recipe, options):
    run(recipe)
    stages, output, status = run(recipe, "--corpus", "b", *options)
    assert stages == [] and status == 1
    assert "stage 0 was done with corpus 'a', and now it is 'b': --stage 0" in output
    assert "failed" not in output
    assert run(recipe, "--corpus", "b", "--stage", "0")[0] == ALL


def test_a_file_that_is_a_setting_counts_with_its_content(recipe):
    run(recipe)
    (recipe / "net.json").write_text('{"seed": 2}')
    stages, output, status = run(recipe)
    assert stages == [] and status == 1
    assert "stage 2 was done with net 'net.json (" in output
    (recipe / "conf/mfcc.conf").write_text("--num-ceps=24")
    assert "stage 0 was done with conf/mfcc.conf 'conf/mfcc.conf (" in run(recipe)[1]


def test_stages_brought_from_elsewhere_count(recipe):
    assert run(recipe, "--stage", "2")[0] == ["2 false", "3"]


def test_local_conf_sets_options_and_the_command_line_wins(recipe):
    (recipe / "local.conf").write_text("corpus=b\nfail=1\n")
    assert run(recipe, "--fail", "2")[0] == ["0", "1", "2 false"]
    assert "corpus=b" in (recipe / "data/.stages/0").read_text().splitlines()


def test_what_does_not_fit_on_the_disk_is_refused(recipe):
    stages, output, _ = run(recipe, "--hours", "10", "--stop-stage", "1")
    assert stages == ["0", "1"]
    assert "10.0 h of sound: about 0.1 GB in data/mfcc" in output
    assert "0.1 h with 2 jobs" in output
    stages, output, status = run(recipe, "--hours", "1e12", "--stage", "1")
    assert stages == [] and status != 0
    assert "about 11000000000000 MB are needed in data/mfcc" in output
    assert "move data/mfcc to a larger disk" in output


@pytest.mark.parametrize(
    "options, said",
    [
        (["--stage", "x"], "a number, not 'x'"),
        (["data"], "options only, got 'data'"),
        (["--stgae", "1"], "no such option: --stgae"),
    ],
)
def test_wrong_options_are_refused(recipe, options, said):
    stages, output, status = run(recipe, *options)
    assert stages == [] and status == 1 and said in output


def test_two_runs_are_not_at_one_stage(recipe):
    (recipe / "data/.stages").mkdir(parents=True)
    script = "exec 9>data/.stages/lock; flock 9; echo held; read"
    held = subprocess.Popen(
        ["bash", "-c", script],
        cwd=recipe,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert held.stdout.readline() == "held\n"
        stages, output, status = run(recipe)
    finally:
        held.kill()
        held.communicate()
    assert (stages, status) == ([], 1)
    assert "stage 0: another run, or what a killed one has left, is at" in output
    assert f"work on data (processes {held.pid}): wait for it or end it" in output


def test_a_stage_after_the_last_is_refused(recipe):
    assert "--stage 4: the last stage is 3" in run(recipe, "--stage", "4")[1]


def test_names_that_are_no_options_are_told(recipe):
    (recipe / "local.conf").write_text("corpsu=b\ntrain_cmd=run.pl\nKALDI_ROOT=\n")
    (recipe / "options").write_text("ne=x.json\n")
    _, output, status = run(recipe, "--config", "options")
    assert status == 0 and output.count("warning") == 2
    assert "local.conf: 'corpsu' is no option of this script" in output
    assert "the --config file: 'ne' is no option" in output


def test_stages_before_the_one_asked_for_are_left_alone(recipe):
    """Even where an earlier one was done anew since."""
    run(recipe)
    run(recipe, "--stage", "0", "--stop-stage", "0")
    assert run(recipe, "--stage", "3", "--stop-stage", "3")[0] == ["3"]
