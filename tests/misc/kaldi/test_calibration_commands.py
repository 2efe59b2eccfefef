"""calibration-train and calibration-apply as programs."""

import numpy as np
import pytest

from dataset.kaldi_table import TableWriter

KEYS = [f"u{n}" for n in range(24)]


@pytest.fixture
def folder(tmp_path):
    """Scores of two systems of all pairs, true pairs, durations and embeddings."""
    rng = np.random.default_rng(0)
    lines = {"trials": [], "a": [], "b": []}
    for i, enrol in enumerate(KEYS):
        for j, test in enumerate(KEYS[:i]):
            same = i % 4 == j % 4
            lines["trials"].append(f"{enrol} {test} {'' if same else 'non'}target\n")
            for name, scale in (("a", 0.1), ("b", 4.0)):
                score = scale * (rng.normal() + 1.5 * same)
                lines[name].append(f"{enrol} {test} {score:.9g}\n")
    lines["b"].reverse()
    lines["utt2dur"] = [f"{key} {rng.uniform(1, 9):.3f}\n" for key in KEYS]
    for name, content in lines.items():
        (tmp_path / name).write_text("".join(content))
    with TableWriter(f"ark:{tmp_path}/xvector.ark", "vector") as writer:
        for key in KEYS:
            writer.write(key, rng.normal(size=4).astype(np.float32))
    return tmp_path


def read(path):
    lines = [line.split() for line in path.read_text().splitlines()]
    return {(enrol, test): float(score) for enrol, test, score in lines}


def test_one_system(folder, run):
    done = run("calibration-train --p-target=0.5 trials a c.json")
    assert "on 60 target and 216 nontarget trials" in done.stderr
    weight = float(done.stderr.split("Weight of score: ")[1].split()[0])
    offset = float(done.stderr.split("Offset: ")[1].split(";")[0])
    run("calibration-apply c.json a llr")
    found, raw = read(folder / "llr"), read(folder / "a")
    assert list(found) == list(raw)
    for trial, score in raw.items():
        assert found[trial] == pytest.approx(
            weight * score + offset, rel=1e-4, abs=1e-5
        )
    # Symmetric in the speakers' numbers: near zero where both are as likely, 0.75 / 10.
    assert weight == pytest.approx(15, rel=0.3)


def test_fusion_with_quality_measures_through_pipes(folder, run):
    options = "--durations=ark:utt2dur --embeddings=ark:xvector.ark"
    done = run(f"cat trials | calibration-train {options} - a 'cat b |' c.json")
    for name in (
        "score 1",
        "score 2",
        "log duration, smaller side",
        "log norm, larger",
    ):
        assert f"Weight of {name}" in done.stderr
    run(f"calibration-apply {options} c.json a b llr")
    run(f"calibration-apply {options} c.json 'sort a |' b - | sort > sorted")
    assert read(folder / "llr") == read(folder / "sorted")


def test_trials_without_a_score_are_counted(folder, run):
    run("head -n 250 a > part")
    done = run("calibration-train trials part c.json")
    assert "26 of 276 trials have no score" in done.stderr


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("head -n 200 trials | calibration-train - a c.json", "76 of 276 trials of a"),
        ("calibration-train trials a 'head -n 270 b |' c.json", "6 are in one of them"),
        ("cat a a | calibration-train trials - c.json", "comes twice"),
        ("sed 1d a | sed '1s/[^ ]*$/nan/' | calibration-train trials - c.json",
         "expected a number as score, got 'nan'"),
        ("sed '1s/[^ ]*$/inf/' a | calibration-train trials - c.json", "not finite"),
        ("sed 's/nontarget/target/' trials | calibration-train - a c.json",
         "got no nontarget"),
        ("sed 1s/target/maybe/ trials | calibration-train - a c.json", "'nonmaybe'"),
        ("calibration-train trials /dev/null c.json", "No score in /dev/null"),
        ("calibration-train --p-target=1 trials a c.json", "between 0 and 1"),
        ("calibration-train --durations='ark:head -n 20 utt2dur |' trials a c.json",
         "No duration of 4 keys of the trials, such as u20"),
        ("sed '1s/ .*/ 0/' utt2dur >z; calibration-train --durations=ark:z trials a c",
         "must be finite and above 0, got 0"),
        ("calibration-apply plain.json a b llr", "scores of 1 system(s), got 2"),
        ("calibration-apply --durations=ark:utt2dur plain.json a llr",
         "trained without --durations"),
        ("calibration-apply quality.json a llr", "needs --durations"),
        ("calibration-apply trials a llr", "trials: expected a calibration"),
        ("calibration-apply nowhere a llr", "nowhere"),
    ],
)  # fmt: skip
def test_faults_are_one_clear_line(folder, run, command, message):
    run("calibration-train trials a plain.json")
    run("calibration-train --durations=ark:utt2dur trials a quality.json")
    done = run(command, status=255)
    assert message in done.stderr.splitlines()[-1]
    assert not (folder / "c.json").exists()
