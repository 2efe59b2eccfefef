"""nnet/eval.py: from scores or embeddings and trials to the table and the report."""

import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parents[2] / "nnet/eval.py"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Trials, two systems' scores, embeddings whose cosine the first system is."""
    folder = tmp_path_factory.mktemp("eval")
    rng = np.random.default_rng(0)
    names = [f"s{i}-u{k}" for i in range(10) for k in range(3)]
    means = np.repeat(rng.normal(size=(10, 12)), 3, axis=0)
    vectors = means + 0.8 * rng.normal(size=means.shape)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    files = {name: [] for name in ("trials", "cosine", "plda", "utt2spk", "utt2cond")}
    for i, a in enumerate(names):
        files["utt2spk"].append(f"{a} {a[:2]}")
        files["utt2cond"].append(f"{a} {'phone' if a.endswith('0') else 'mic'}")
        for k in range(i + 1, len(names)):
            b = names[k]
            same = "target" if a[:2] == b[:2] else "nontarget"
            files["trials"].append(f"{a} {b} {same}")
            score = unit[i] @ unit[k]
            files["cosine"].append(f"{a} {b} {score:.9g}")
            files["plda"].append(f"{a} {b} {8 * score - 4 + rng.normal():.6g}")
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    table = zip(names, vectors, strict=True)
    (folder / "x.ark").write_text(
        "".join(f"{n}  [ {' '.join(map(str, v))} ]\n" for n, v in table)
    )
    return folder


def run(home, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, PROGRAM, *map(str, arguments)],
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


def rows(done):
    return [re.split(r"  +", line) for line in done.stdout.splitlines()]


class Page(html.parser.HTMLParser):
    """What a browser would be asked to do."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.open, self.text = [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [v for k, v in attrs if k in ("src", "href")]
        if tag not in ("meta", "img", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_table_and_no_files_unless_asked(home):
    before = sorted(os.listdir(home))
    done = run(home, "trials", "cosine", "back end=plda")
    head, first, second = rows(done)
    assert head[:4] == ["system", "EER %", "minDCF(p=0.01)", "minDCF(p=0.001)"]
    assert [first[0], second[0]] == ["cosine", "back end"]
    assert 0 < float(first[1]) < 50
    assert sorted(os.listdir(home)) == before


def test_embeddings_are_scored_by_the_cosine(home):
    done = run(home, "trials", "cosine", "ark:x.ark")
    _, first, second = rows(done)
    assert second[0] == "x.ark" and first[1:] == second[1:]
    other = run(home, "--enrol", "ark:x.ark", "trials", "x=ark:x.ark")
    assert rows(other)[1][1:] == first[1:]


def test_the_report_stands_alone(home, tmp_path):
    options = ["--utt2spk", "utt2spk", "--utt2cond", "utt2cond", "--llr", "LLR <1>"]
    systems = ["cosine", "LLR <1>=plda", "LLR (1)=plda"]
    command = ["--output-dir", tmp_path / "a/report", *options, "trials", *systems]
    run(home, *command)
    stems = ["det", "scores_cosine", "scores_LLR_1", "scores_LLR_1_2"]
    assert sorted(os.listdir(tmp_path / "a/report")) == sorted(
        ["report.html", *(f"{s}.{suffix}" for s in stems for suffix in ("png", "svg"))]
    )
    text = (tmp_path / "a/report/report.html").read_text()
    page = Page(text)
    assert not page.open
    assert page.tags.count("img") == 4
    assert all(link.startswith(("data:image/svg+xml", "#")) for link in page.links)
    assert not {"script", "link", "iframe"} & set(page.tags)
    for link in page.links:
        assert link[0] != "#" or f'id="{link[1:]}"' in text
    for words in ("LLR <1>", "mic / phone", "405 nontarget", "Cllr", "10 speakers"):
        assert words in page.text
    run(home, *command)
    assert (tmp_path / "a/report/report.html").read_text() == text  # repeatable


def test_points_by_name_and_scale(home):
    done = run(home, "--point", "sre08", "--point", "sre08-detware", "trials", "cosine")
    _, row = rows(done)
    assert float(row[2]) == pytest.approx(10 * float(row[3]), abs=1e-3)


def test_missing_trials_are_counted_listed_and_limited(home, tmp_path):
    lines = (home / "cosine").read_text().splitlines()
    (tmp_path / "fewer").write_text("\n".join(lines[5:]) + "\n")
    done = run(home, "trials", tmp_path / "fewer", status=1)
    assert "5 of 435 trials have no score: s0-u0 s0-u1; " in done.stderr
    assert "--max-missing 0.01" in done.stderr
    assert len(rows(done)) == 2
    run(home, "--max-missing", 0.02, "trials", tmp_path / "fewer")
    (tmp_path / "x.ark").write_text(
        "".join((home / "x.ark").read_text().splitlines(True)[1:])
    )
    done = run(home, "trials", f"x=ark:{tmp_path / 'x.ark'}", status=1)
    assert "29 of 435 trials have no score" in done.stderr


@pytest.mark.parametrize(
    "changed, arguments, message",
    [
        ({}, ["trials", "nothing"], "nothing"),
        ({}, ["trials", "a=cosine", "a=plda"], "Two systems are called 'a'"),
        ({}, ["--llr", "b", "trials", "a=cosine"], "--llr b: no such system"),
        ({}, ["--point", "sre80", "trials", "a=cosine"], "sre08"),
        ({}, ["--utt2spk", "x.ark", "trials", "a=cosine"], "x.ark:1"),
        ({"cosine": "s0-u0 s0-u1 nan\n"}, ["trials", "cosine"], "number as score"),
        ({"cosine": "s0-u0 s0-u1\n"}, ["trials", "cosine"], "cosine:1"),
        ({"cosine": "s0-u0 zz 1\n"}, ["trials", "cosine"], "s0-u0 zz"),
        ({"cosine": ""}, ["trials", "cosine"], "No score"),
        ({"trials": "s0-u0 s0-u1 target\n"}, ["trials", "ark:x.ark"], "nontarget"),
        ({"trials": "a b target\na b target\n"}, ["trials", "cosine"], "comes twice"),
        ({"trials": ""}, ["trials", "cosine"], "No trial"),
        ({"x.ark": "s0-u0 [ 1 nan ]\n"}, ["trials", "ark:x.ark"], "NaN or infinity"),
    ],
)
def test_what_cannot_be_judged_is_refused(home, tmp_path, changed, arguments, message):
    for name in ("trials", "cosine", "plda", "x.ark"):
        (tmp_path / name).write_text(changed.get(name, (home / name).read_text()))
    done = run(tmp_path, "--output-dir", "report", *arguments, status=1)
    assert message in done.stderr and done.stdout == ""
    assert not (tmp_path / "report").exists()


def test_a_folder_that_cannot_be_made_is_named(home, tmp_path):
    (tmp_path / "report").write_text("a file where the folder should be")
    done = run(home, "--output-dir", tmp_path / "report", "trials", "cosine", status=1)
    assert "report" in done.stderr.splitlines()[-1]
