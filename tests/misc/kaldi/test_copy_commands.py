"""Copying and counting, run as programs."""

import numpy as np
import pytest

from dataset.htk import HtkFeatures, write_htk
from dataset.kaldi_io import read_mat, read_mat_ark, read_vec_flt, read_vec_flt_ark
from dataset.kaldi_table import TableWriter


@pytest.fixture
def feats(tmp_path):
    rng = np.random.default_rng(0)
    values = {f"utt{i}": rng.normal(0, 5, (i, 4)).astype("f4") for i in (3, 20)}
    with TableWriter(f"ark:{tmp_path / 'feats.ark'}", "matrix") as writer:
        for key, value in values.items():
            writer.write(key, value)
    return values


def test_copy_feats_keeps_the_values(run, tmp_path, feats):
    run("copy-feats ark:feats.ark ark,t:- | copy-feats ark,t:- ark,scp:b.ark,b.scp")
    for key, value in read_mat_ark(str(tmp_path / "b.ark")):
        np.testing.assert_allclose(value, feats[key], rtol=1e-5)
    assert len((tmp_path / "b.scp").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    "options, tokens",
    [
        ("", [b"FM ", b"FM "]),
        ("--compress=true", [b"CM2", b"CM "]),  # few frames take two bytes
        ("--compress=true --compression-method=2", [b"CM ", b"CM "]),
        ("--compress=true --compression-method=5", [b"CM3", b"CM3"]),
        ("--compress=false --compression-method=5", [b"FM ", b"FM "]),
    ],
)
def test_copy_feats_compresses(run, tmp_path, feats, options, tokens):
    run(f"copy-feats {options} ark:feats.ark ark:b.ark")
    content = (tmp_path / "b.ark").read_bytes()
    found = [content.index(f"{key} \0B".encode()) + len(key) + 3 for key in feats]
    assert [content[i : i + 3] for i in found] == tokens


def test_copy_feats_writes_frame_counts(run, tmp_path, feats):
    done = run("copy-feats --write-num-frames=ark,t:- ark:feats.ark ark:b.ark")
    assert done.stdout.split() == ["utt3", "3", "utt20", "20"]
    assert "Copied 2 feature matrices; 0 failed" in done.stderr


def test_one_matrix_or_vector(run, tmp_path, feats):
    run("copy-feats --binary=false feats.ark:5 a.mat; copy-feats a.mat b.mat")
    assert (tmp_path / "a.mat").read_text().lstrip().startswith("[")
    np.testing.assert_allclose(
        read_mat(str(tmp_path / "b.mat")), feats["utt3"], rtol=1e-5
    )
    run("echo '[ 1 2 3 ]' | copy-vector --binary=true - a.vec")
    assert (tmp_path / "a.vec").read_bytes().startswith(b"\0BFV ")
    np.testing.assert_array_equal(read_vec_flt(str(tmp_path / "a.vec")), [1, 2, 3])


def test_copy_vector(run, tmp_path):
    run("printf 'a [ 1 2 ]\\nb [ 3 ]\\n' | copy-vector ark:- ark,scp:v.ark,v.scp")
    vectors = dict(read_vec_flt_ark(str(tmp_path / "v.ark")))
    np.testing.assert_array_equal(vectors["a"], [1, 2])
    assert (tmp_path / "v.scp").read_text() == "a v.ark:2\nb v.ark:22\n"


def test_sizes(run, feats):
    assert run("feat-to-len ark:feats.ark").stdout == "23\n"
    assert run("feat-to-len ark:feats.ark ark,t:-").stdout == "utt3 3 \nutt20 20 \n"
    assert run("feat-to-dim ark:feats.ark -").stdout == "4\n"
    assert run("feat-to-dim ark:feats.ark ark,t:-").stdout == "utt3 4 \nutt20 4 \n"


def test_nothing_to_copy_is_a_failure(run, tmp_path):
    (tmp_path / "none.ark").write_bytes(b"")
    run("copy-feats ark:none.ark ark:b.ark", status=1)
    run("copy-vector ark:none.ark ark:b.ark", status=1)
    run("feat-to-len ark:none.ark ark,t:-")
    done = run("feat-to-dim ark:none.ark -", status=255)
    assert "ark:none.ark: there are no features" in done.stderr


@pytest.mark.parametrize(
    "options, expected",
    [
        ("--change-dim=3", "v [ 1 2 3 ]"),
        ("--change_dim=6 --scale=0.5", "v [ 0.5 1 1.5 2 0 0 ]"),
        ("--scale=-1", "v [ -1 -2 -3 -4 ]"),
    ],
)
def test_changed_vectors(run, options, expected):
    done = run(f"echo 'v [ 1 2 3 4 ]' | copy-vector {options} ark:- ark,t:-")
    assert done.stdout.split() == expected.split()
    vector = "echo '[ 1 2 3 4 ]'"
    done = run(f"{vector} | copy-vector --binary=false {options} - -")
    assert done.stdout.split() == expected.split()[1:]


def test_single_htk_file(run, tmp_path):
    frames = np.arange(6, dtype=np.float32).reshape(2, 3)
    with open(tmp_path / "a.htk", "wb") as stream:
        write_htk(stream, HtkFeatures(frames, 10.0, 6))
    run("copy-feats --htk-in=true a.htk a.mat")
    np.testing.assert_array_equal(read_mat(str(tmp_path / "a.mat")), frames)


@pytest.mark.parametrize(
    "command",
    [
        "copy-feats ark:feats.ark x.mat",
        "copy-feats x.mat ark:y.ark",
        "copy-vector x.vec ark:y.ark",
        "copy-matrix x.mat ark:y.ark",
        "wav-copy x.wav ark:y.ark",
        "copy-feats --compress=true x.mat y.mat",
        "copy-feats --write-num-frames=ark,t:n x.mat y.mat",
    ],
)
def test_tables_and_files_do_not_mix(run, feats, tmp_path, command):
    assert " need" in run(command, 255).stderr.replace("expected two tables", " need")
    assert not (tmp_path / "y.ark").exists()


@pytest.mark.parametrize("name", ["copy-feats", "copy-vector", "feat-to-dim"])
def test_usage(run, name):
    done = run(name, status=1)
    assert f"Usage: {name}" in done.stderr and "e.g.:" in done.stderr
