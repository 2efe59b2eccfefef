"""compute-cmvn-stats and apply-cmvn, run as programs, against float64 definitions."""

import numpy as np
import pytest

from dataset.kaldi_io import read_mat, read_mat_ark, write_mat
from dataset.kaldi_table import TableWriter

FEATS = {
    f"s{s}-u{u}": np.random.default_rng([s, u]).normal(s, 2, (20 + u, 3)).astype("f4")
    for s in range(2)
    for u in range(2)
}


@pytest.fixture(autouse=True)
def files(tmp_path):
    with TableWriter(f"ark:{tmp_path / 'f.ark'}", "matrix") as writer:
        for key, value in FEATS.items():
            writer.write(key, value)
    (tmp_path / "utt2spk").write_text("".join(f"{k} {k[:2]}\n" for k in FEATS))
    (tmp_path / "spk2utt").write_text("s0 s0-u0 s0-u1\ns1 s1-u0 s1-u1\n")


def read(path):
    return dict(read_mat_ark(str(path)))


def expected_stats(*parts):
    x = np.concatenate(parts).astype(np.float64)
    return np.block([[x.sum(0), len(x)], [(x**2).sum(0), 0]])


def test_stats_by_utterance_speaker_and_of_all(run, tmp_path):
    run("compute-cmvn-stats ark:f.ark ark:c.ark")
    for key, stats in read(tmp_path / "c.ark").items():
        assert stats.dtype == np.float64
        np.testing.assert_allclose(stats, expected_stats(FEATS[key]), rtol=1e-12)
    run("compute-cmvn-stats --spk2utt=ark:spk2utt ark:f.ark ark:c.ark")
    for key, stats in read(tmp_path / "c.ark").items():
        parts = [value for utt, value in FEATS.items() if utt.startswith(key)]
        np.testing.assert_allclose(stats, expected_stats(*parts), rtol=1e-12)
    run("compute-cmvn-stats ark:f.ark all.mat")
    np.testing.assert_allclose(
        read_mat(str(tmp_path / "all.mat")), expected_stats(*FEATS.values()), rtol=1e-6
    )
    assert read_mat(str(tmp_path / "all.mat")).dtype == np.float32


def test_empty_features_have_no_stats(run, tmp_path):
    with TableWriter(f"ark:{tmp_path / 'e.ark'}", "matrix") as writer:
        writer.write("a", np.zeros((0, 0)))
    done = run("cat e.ark f.ark | compute-cmvn-stats ark:- ark:c.ark")
    assert "a: empty feature matrix" in done.stderr
    assert list(read(tmp_path / "c.ark")) == list(FEATS)


def test_weights(run, tmp_path):
    with TableWriter(f"ark:{tmp_path / 'w.ark'}", "vector") as writer:
        for key, value in FEATS.items():
            if key != "s1-u1":
                writer.write(key, (np.arange(len(value)) % 2).astype("f4"))
    done = run("compute-cmvn-stats --weights=ark:w.ark ark:f.ark ark:c.ark")
    assert "s1-u1: no weights in ark:w.ark" in done.stderr
    assert "Statistics of 3 utterances; 1 failed" in done.stderr
    for key, stats in read(tmp_path / "c.ark").items():
        expected = expected_stats(FEATS[key][1::2])
        np.testing.assert_allclose(stats, expected, rtol=1e-12)


def test_normalised_by_utterance_and_by_speaker(run, tmp_path):
    run("compute-cmvn-stats ark:f.ark ark:c.ark")
    run("apply-cmvn --norm-vars=true ark:c.ark ark:f.ark ark:n.ark")
    for key, value in read(tmp_path / "n.ark").items():
        x = FEATS[key].astype(np.float64)
        np.testing.assert_allclose(value, (x - x.mean(0)) / x.std(0), atol=1e-5)
    run("apply-cmvn --reverse=true --norm-vars=true ark:c.ark ark:n.ark ark:b.ark")
    for key, value in read(tmp_path / "b.ark").items():
        np.testing.assert_allclose(value, FEATS[key], atol=1e-4)
    run(
        "compute-cmvn-stats --spk2utt=ark:spk2utt ark:f.ark ark:- |"
        " apply-cmvn --utt2spk=ark:utt2spk --skip-dims=1 ark:- ark:f.ark ark:n.ark"
    )
    normalised = read(tmp_path / "n.ark")
    both = np.concatenate([normalised["s1-u0"], normalised["s1-u1"]])
    np.testing.assert_allclose(both.mean(0)[[0, 2]], 0, atol=1e-5)
    for key, value in normalised.items():
        np.testing.assert_array_equal(value[:, 1], FEATS[key][:, 1])


def test_one_file_for_all_and_nothing(run, tmp_path):
    run("compute-cmvn-stats ark:f.ark all.mat; apply-cmvn all.mat ark:f.ark ark:n.ark")
    together = np.concatenate(list(read(tmp_path / "n.ark").values()))
    np.testing.assert_allclose(together.mean(0), 0, atol=1e-5)
    run("apply-cmvn --norm-means=false all.mat ark:f.ark ark:n.ark")
    for key, value in read(tmp_path / "n.ark").items():
        np.testing.assert_array_equal(value, FEATS[key])


def test_what_is_wrong_is_said(run, tmp_path):
    write_mat(str(tmp_path / "other.mat"), np.ones((2, 6)))
    done = run("apply-cmvn other.mat ark:f.ark ark:n.ark", 1)
    assert "s0-u0: features have 3 dimensions; the statistics are 2 x 6" in done.stderr
    write_mat(str(tmp_path / "none.mat"), np.zeros((2, 4)))
    done = run("apply-cmvn none.mat ark:f.ark ark:n.ark", 1)
    assert "statistics of 0 frames" in done.stderr
    done = run("apply-cmvn --norm-vars --norm-means=false c ark:f.ark ark:n.ark", 255)
    assert "needs --norm-means=true" in done.stderr
    run("compute-cmvn-stats ark:f.ark ark,t:c.txt")
    done = run("apply-cmvn --utt2spk=ark:utt2spk ark:c.txt ark:f.ark ark:n.ark", 1)
    assert "no entry for s0 in ark:c.txt" in done.stderr
    run("sed -i 's/\\[//' c.txt")  # the archive is broken, for whatever key
    done = run("apply-cmvn ark:c.txt ark:f.ark ark:n.ark", 255)
    assert "ERROR (apply-cmvn) ark:c.txt, key s0-u0" in done.stderr
    run("apply-cmvn x", 1)
