"""score-normalize as a program."""

import numpy as np
import pytest

from dataset.kaldi_table import TableWriter
from misc.backend.plda import Plda
from misc.backend.plda_file import write_plda

NAMES = {"enrol": 4, "test": 5, "cohort": 30}


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(0)
    tables = {}
    for name, number in NAMES.items():
        vectors = rng.normal(size=(number, 6)).astype(np.float32)
        tables[name] = vectors
        with TableWriter(f"ark:{tmp_path}/{name}.ark", "vector") as writer:
            for row, vector in enumerate(vectors):
                writer.write(f"{name[0]}{row}", vector)
    trials = [f"e{row} t{column}\n" for row in range(4) for column in range(5)]
    (tmp_path / "trials").write_text("".join(trials))
    transform = np.eye(6) + 0.1 * rng.normal(size=(6, 6))
    write_plda(tmp_path / "plda", Plda(np.zeros(6), transform, np.arange(6.0, 0, -1)))
    return tables


TABLES = "ark:enrol.ark ark:test.ark ark:cohort.ark"


def read(path):
    lines = path.read_text().splitlines()
    return np.array([float(line.split()[2]) for line in lines])


def cosines(left, right):
    left, right = (
        side.astype(float) / np.linalg.norm(side.astype(float), axis=1)[:, None]
        for side in (left, right)
    )
    return left @ right.T


def expected(method, top_n, raw, by_enrol, by_test):
    def standard(cohort):
        top = np.sort(cohort, axis=1)[:, -top_n:]
        return top.mean(axis=1), top.std(axis=1)

    (mean, deviation), (test_mean, test_deviation) = map(standard, (by_enrol, by_test))
    z = (raw - mean[:, None]) / deviation[:, None]
    t = (raw - test_mean) / test_deviation
    return {"z-norm": z, "t-norm": t}.get(method, (z + t) / 2).ravel()


@pytest.mark.parametrize(
    ("method", "top_n"),
    [("as-norm", 7), ("s-norm", 30), ("z-norm", 30), ("t-norm", 30)],
)
def test_cosines(tables, run, tmp_path, method, top_n):
    run(f"score-normalize --method={method} --top-n=7 trials {TABLES} out")
    enrol, test, cohort = tables.values()
    sides = cosines(enrol, test), cosines(enrol, cohort), cosines(test, cohort)
    found = read(tmp_path / "out")
    np.testing.assert_allclose(found, expected(method, top_n, *sides), rtol=1e-5)


def test_plda_scores_are_those_of_the_scoring_command(tables, run, tmp_path):
    """The cohort's scores too: as test of an enrolment, and as enrolment of a test."""
    run(f"score-normalize --plda=plda --top-n=7 trials {TABLES} out")

    def scores(left, right):
        for row in range(NAMES[left]):
            for column in range(NAMES[right]):
                yield f"{left[0]}{row} {right[0]}{column}\n"

    def plda(left, right):
        (tmp_path / "pairs").write_text("".join(scores(left, right)))
        run(f"ivector-plda-scoring plda ark:{left}.ark ark:{right}.ark pairs raw")
        return read(tmp_path / "raw").reshape(NAMES[left], NAMES[right])

    sides = plda("enrol", "test"), plda("enrol", "cohort"), plda("cohort", "test").T
    found = read(tmp_path / "out")
    np.testing.assert_allclose(found, expected("as-norm", 7, *sides), rtol=1e-4)


def test_trials_with_unknown_keys_are_left_out_and_counted(tables, run, tmp_path):
    run("(echo e9 t0; cat trials; echo e0 t9) > more")
    done = run(f"score-normalize --top-n=99 more {TABLES} out")
    assert "2 trials have a key without an embedding" in done.stderr
    assert "--top-n=99, but the cohort has 30 vectors" in done.stderr
    assert len(read(tmp_path / "out")) == 20
    run(f"echo e9 t9 | score-normalize - {TABLES} out", status=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--method=q-norm", "expected one of as-norm, s-norm"),
        ("--top-n=1", "--top-n must be at least 2, got 1"),
        ("--plda=plda5", "expected an embedding of dimension 5, got 6"),
    ],
)
def test_wrong_options_are_one_clear_line(tables, run, tmp_path, options, message):
    write_plda(tmp_path / "plda5", Plda(np.zeros(5), np.eye(5), np.ones(5)))
    done = run(f"score-normalize {options} trials {TABLES} out", status=255)
    assert message in done.stderr.splitlines()[-1]


def test_dimensions_must_agree(tables, run):
    run("echo 'c0 [ 1 2 3 ]' > short")
    command = "score-normalize trials ark:enrol.ark ark:test.ark ark:short out"
    done = run(command, status=255)
    assert "dimension 6, got 3" in done.stderr.splitlines()[-1]
