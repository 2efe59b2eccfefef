"""logistic-regression-train, -eval and -copy as programs."""

import numpy as np
import pytest

from misc.backend.logistic_regression import train_logistic_regression
from misc.backend.logistic_regression_file import read_logistic_regression


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [18, 8, 4])
    vectors = rng.normal(size=(3, 4))[labels] + rng.normal(size=(30, 4))
    lines = [
        f"u{n} [ {' '.join(f'{x:.9g}' for x in row)} ]\n"
        for n, row in enumerate(vectors)
    ]
    (tmp_path / "vectors").write_text("".join(lines))
    classes = [f"u{n} {label}\n" for n, label in enumerate(labels)]
    (tmp_path / "classes").write_text("".join(classes))
    return vectors, labels


TRAIN = "logistic-regression-train"
EVAL = "logistic-regression-eval"


def numbers(path):
    lines = path.read_text().replace("[", "").replace("]", "").splitlines()
    return [line.split()[0] for line in lines], np.array(
        [[float(word) for word in line.split()[1:]] for line in lines]
    )


def test_train_and_both_ways_to_evaluate(data, run, tmp_path):
    vectors, labels = data
    options = "--max-steps=50 --normalizer=0.01 --mix-up=5 --power=0.2"
    done = run(f"{TRAIN} {options} ark:vectors ark:classes model")
    assert "Retrieved 30 vectors with 0 missing. There were 3 class" in done.stderr
    expected = train_logistic_regression(vectors, labels, 50, 0.01, 5, 0.2)
    found = read_logistic_regression(str(tmp_path / "model"))
    np.testing.assert_allclose(found.weights, expected.weights, rtol=1e-2, atol=1e-2)
    logs = found.log_posteriors(vectors)
    run(f"{EVAL} model ark:vectors ark,t:out && {EVAL} --apply-log=false model"
        " ark:vectors ark,t:posteriors")  # fmt: skip
    keys, written = numbers(tmp_path / "out")
    assert keys == [f"u{n}" for n in range(30)]
    np.testing.assert_allclose(written, logs, rtol=1e-5, atol=1e-6)
    posteriors = numbers(tmp_path / "posteriors")[1]
    np.testing.assert_allclose(posteriors, np.exp(logs), rtol=1e-5, atol=1e-6)
    run(f"(cat classes; echo u9 1; echo x 0) | {EVAL} model ark:- ark:vectors scores")
    keys, scores = numbers(tmp_path / "scores")
    assert keys[-1] == "u9" and len(keys) == 31
    asked = [*labels, 1]
    np.testing.assert_array_equal(scores[:, 0], asked)
    rows = [*range(30), 9]
    np.testing.assert_allclose(scores[:, 1], logs[rows, asked], rtol=1e-5, atol=1e-6)


def test_copy_changes_form_and_priors(data, run, tmp_path):
    run(f"{TRAIN} --binary=false ark:vectors ark:classes model")
    assert (tmp_path / "model").read_bytes().startswith(b"<LogisticRegression> <w")
    run("logistic-regression-copy model binary")
    assert (tmp_path / "binary").read_bytes().startswith(b"\0B<LogisticRegression>")
    run("logistic-regression-copy --binary=false binary text && cmp model text")
    run("echo ' [ 1 2 4 ]' | logistic-regression-copy --scale-priors=- model scaled")
    change = read_logistic_regression(str(tmp_path / "scaled")).weights
    change = change - read_logistic_regression(str(tmp_path / "model")).weights
    np.testing.assert_allclose(change[:, -1], np.log([1, 2, 4]), atol=1e-6)
    np.testing.assert_allclose(change[:, :-1], 0, atol=1e-6)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (f"sed s/2$/3/ classes | {TRAIN} ark:vectors ark:- out", "none of class 2"),
        (f"grep 0$ classes | {TRAIN} ark:vectors ark:- out", "got none of class 1"),
        (f"echo x 0 | {TRAIN} ark:vectors ark:- out", "No key of ark:- has a vector"),
        (f"(cat vectors; echo 'x [ 1 ]') > v; (cat classes; echo x 1) |"
         f" {TRAIN} ark:v ark:- out", "expected an embedding of dimension 4, got 1"),
        (f"echo 'x [ 1 ]' | {EVAL} model ark:- ark:out", "of dimension 4, got 1"),
        (f"echo u0 3 | {EVAL} model ark:- ark:vectors out", "classes from 0 to 2"),
        (f"{EVAL} vectors ark:vectors ark:out", "token <LogisticRegression>"),
        ("echo ' [ 1 2 ]' | logistic-regression-copy --scale-priors=- model out",
         "Expected 3 scales above 0"),
    ],
)  # fmt: skip
def test_faults_are_one_clear_line(data, run, command, message):
    run(f"{TRAIN} ark:vectors ark:classes model")
    done = run(command, status=255)
    assert message in done.stderr.splitlines()[-1]
