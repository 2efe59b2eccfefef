"""Commands that cut, join and copy matrices, run as programs."""

import numpy as np
import pytest

from dataset.kaldi_io import read_mat, read_mat_ark
from dataset.kaldi_table import TableWriter

RNG = np.random.default_rng(0)
FEATS = {f"utt{i}": RNG.uniform(0.1, 3, (i, 4)).astype("f4") for i in (3, 20, 7)}


@pytest.fixture(autouse=True)
def files(tmp_path):
    for name, change in (("f", 0), ("longer", 2)):
        with TableWriter(f"ark:{tmp_path / name}.ark", "matrix") as writer:
            for key, value in FEATS.items():
                writer.write(key, np.pad(value, ((0, change), (0, 0))))


def read(path):
    return dict(read_mat_ark(str(path)))


@pytest.mark.parametrize(
    "options, function",
    [
        ("", lambda x: x),
        ("--scale=2.5", lambda x: 2.5 * x),
        ("--apply-log=true", np.log),
        ("--apply-exp=true --scale=-1", lambda x: np.exp(-x)),
        ("--apply-power=0.5", np.sqrt),
        (
            "--apply-softmax-per-row=true",
            lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True),
        ),
    ],
)
def test_copy_matrix(run, tmp_path, options, function):
    run(f"copy-matrix {options} ark:f.ark ark,t:- | copy-matrix ark:- ark:g.ark")
    for key, value in read(tmp_path / "g.ark").items():
        expected = function(FEATS[key].astype(np.float64))
        np.testing.assert_allclose(value, expected, rtol=1e-4)


def test_copy_matrix_of_one_file(run, tmp_path):
    done = run("echo '[ 1 2', '3 4 ]' | tr , '\\n' | copy-matrix --binary=false - -")
    assert done.stdout.split() == ["[", "1", "2", "3", "4", "]"]
    done = run("echo '[ 1 -1 ]' | copy-matrix --binary=false --apply-log=true - -")
    assert done.stdout.split() == ["[", "0", "-46.0517", "]"]
    done = run("echo '[ 4 -1 ]' | copy-matrix --apply-power=0.5 - x.mat")
    assert "--apply-power=0.5: 1 are NaN or infinite" in done.stderr
    np.testing.assert_array_equal(read_mat(str(tmp_path / "x.mat")), [[2, np.nan]])


def test_select_feats(run, tmp_path):
    run("select-feats 3,0-1,2-1 ark:f.ark ark:g.ark")
    for key, value in read(tmp_path / "g.ark").items():
        np.testing.assert_array_equal(value, FEATS[key][:, [3, 0, 1, 2, 1]])
    run("select-feats 0 ark:/dev/null ark:g.ark")
    done = run("select-feats 2-4 ark:f.ark ark:g.ark", 1)
    assert "utt3: 4 dimensions, but 4 is selected" in done.stderr
    for wrong in ("a", "1,", "-1"):
        done = run(f"select-feats -- {wrong} ark:f.ark ark:g.ark", 255)
        assert f"selection {wrong}: " in done.stderr


def test_paste_feats(run, tmp_path):
    run("paste-feats ark:f.ark ark:f.ark ark:f.ark ark:g.ark")
    for key, value in read(tmp_path / "g.ark").items():
        np.testing.assert_array_equal(value, np.hstack([FEATS[key]] * 3))
    done = run("paste-feats ark:f.ark ark:longer.ark ark:g.ark", 255)
    assert "utt3: lengths 3, 5 differ by more than --length-tolerance=0" in done.stderr
    run("paste-feats --length-tolerance=2 ark:f.ark ark:longer.ark ark:g.ark")
    for key, value in read(tmp_path / "g.ark").items():
        np.testing.assert_array_equal(value, np.hstack([FEATS[key]] * 2))
    run("subset-feats --n=1 ark:f.ark ark:one.ark")
    done = run("paste-feats ark:f.ark ark:one.ark ark:g.ark")
    assert "utt20: not in ark:one.ark" in done.stderr
    assert "of 1 utterances; 2 failed" in done.stderr
    run("copy-matrix ark:one.ark ark,scp:o.ark,o.scp")
    run("paste-feats $(cut -d' ' -f2 o.scp) $(cut -d' ' -f2 o.scp) two.mat")
    assert read_mat(str(tmp_path / "two.mat")).shape == (3, 8)
    run("copy-matrix ark:longer.ark ark,scp:l.ark,l.scp")
    pair = "$(cut -d' ' -f2 o.scp) $(head -1 l.scp | cut -d' ' -f2)"
    assert "lengths 3, 5" in run(f"paste-feats {pair} three.mat", 1).stderr


def test_subset_feats(run, tmp_path):
    (tmp_path / "keys").write_text("utt20\nutt99\n")
    for options, keys in (
        ("--n=2", ["utt3", "utt20"]),
        ("", ["utt3", "utt20", "utt7"]),
        ("--include=keys", ["utt20"]),
        ("--exclude=keys", ["utt3", "utt7"]),
        ("'--include=echo utt3 |'", ["utt3"]),
    ):
        run(f"subset-feats {options} ark:f.ark ark:g.ark")
        assert list(read(tmp_path / "g.ark")) == keys
    done = run("subset-feats --include=nothere ark:f.ark ark:g.ark", 255)
    assert "nothere: No such file" in done.stderr
    for wrong in ("--include=keys --exclude=keys", "--include=keys --n=2", "--n=0"):
        run(f"subset-feats {wrong} ark:f.ark ark:g.ark", 255)
    run("subset-feats ark:/dev/null ark:g.ark")
    run("subset-feats --include=/dev/null ark:f.ark ark:g.ark", 1)
