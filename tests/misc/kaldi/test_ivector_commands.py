"""The back-end commands, run as programs, through pipes and files, as recipes do."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from dataset.kaldi_io import read_mat, read_vec_flt, read_vec_flt_ark, write_mat
from dataset.kaldi_table import SequentialReader, TableWriter

ROOT = Path(__file__).parents[3]


def write_vectors(path, vectors, wspecifier="ark:{}"):
    with TableWriter(wspecifier.format(path), "vector") as writer:
        for key, vector in vectors.items():
            writer.write(key, np.asarray(vector, np.float32))


def read_vectors(path):
    return dict(read_vec_flt_ark(str(path)))


def write_lines(path, lines):
    path.write_text("".join(f"{line}\n" for line in lines))


def read_scores(path):
    lines = map(str.split, path.read_text().splitlines())
    return {(first, second): score for first, second, score in lines}


# The whole back end, against Kaldi's own.


@pytest.fixture(scope="module")
def trained(tmp_path_factory, kaldi_backend, run_in):
    """A folder with Kaldi's embeddings, and our models of them."""
    folder = tmp_path_factory.mktemp("backend")
    golden = kaldi_backend
    speakers: dict[str, list[str]] = {}
    train = {}
    for label, vector in zip(golden["train_labels"], golden["train"], strict=True):
        own = speakers.setdefault(f"tr{label:03d}", [])
        own.append(f"tr{label:03d}-u{len(own):02d}")
        train[own[-1]] = vector
    write_vectors(folder / "train.ark", train)
    write_lines(folder / "spk2utt", [" ".join([s, *u]) for s, u in speakers.items()])
    write_lines(folder / "utt2spk", [f"{u} {u[:5]}" for u in train])
    write_vectors(
        folder / "enrol.ark",
        dict(zip(golden["enrol_keys"], golden["enrol"], strict=True)),
    )
    enrolled = [
        " ".join([speaker, *golden["enrol_keys"][golden["enrol_labels"] == index]])
        for index, speaker in enumerate(golden["enrol_speakers"])
    ]
    write_lines(folder / "enrol_spk2utt", enrolled)
    write_vectors(
        folder / "test.ark", dict(zip(golden["test_keys"], golden["test"], strict=True))
    )
    write_vectors(
        folder / "adapt.ark",
        {f"ad{i:03d}": vector for i, vector in enumerate(golden["adapt"])},
    )
    columns = zip(
        golden["enrol_speakers"][golden["trial_rows"]],
        golden["test_keys"][golden["trial_columns"]],
        np.where(golden["trial_is_target"], "target", "nontarget"),
        strict=True,
    )
    write_lines(folder / "trials", [" ".join(trial) for trial in columns])
    run_in(
        folder,
        """
ivector-mean ark:train.ark mean.vec &&
ivector-compute-lda --dim=20 \
    'ark:ivector-subtract-global-mean ark:train.ark ark:- |' ark:utt2spk lda.mat &&
ivector-compute-plda ark:spk2utt 'ark:ivector-subtract-global-mean ark:train.ark ark:- |
    transform-vec lda.mat ark:- ark:- | ivector-normalize-length ark:- ark:- |' plda &&
ivector-mean ark:enrol_spk2utt ark:enrol.ark ark:spk.ark ark,t:num_utts.ark &&
for x in spk test adapt; do
  ivector-subtract-global-mean mean.vec ark:$x.ark ark:- |
    ivector-transform lda.mat ark:- ark:- | ivector-normalize-length ark:- ark:$x.proj
done""",
    )
    return folder


def test_mean_is_kaldis(trained, kaldi_backend):
    np.testing.assert_allclose(
        read_vec_flt(trained / "mean.vec"), kaldi_backend["mean"], atol=1e-6
    )
    assert (trained / "mean.vec").read_text().startswith(" [ ")


def test_speaker_means_and_counts_are_kaldis(trained, kaldi_backend):
    found = read_vectors(trained / "spk.ark")
    assert list(found) == list(kaldi_backend["enrol_speakers"])
    np.testing.assert_allclose(
        np.stack(list(found.values())), kaldi_backend["enrol_means"], atol=1e-5
    )
    with SequentialReader(f"ark:{trained}/num_utts.ark", "int") as reader:
        assert [count for _, count in reader] == list(kaldi_backend["num_utts"])


SCORING = "ark:spk.proj ark:test.proj \"cut -d' ' -f1,2 trials |\""


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("plda", f"ivector-plda-scoring plda {SCORING}"),
        (
            "plda_adapt",
            "ivector-adapt-plda --within-covar-scale=0.75 --between-covar-scale=0.25 "
            "plda ark:adapt.proj plda_adapt && "
            "ivector-plda-scoring --normalize-length=true --num-utts=ark:num_utts.ark "
            f"'ivector-copy-plda --smoothing=0.0 plda_adapt - |' {SCORING}",
        ),
        (
            "plda_smooth_nonorm",
            "ivector-copy-plda --binary=false --smoothing=0.1 plda smooth.txt && "
            f"ivector-plda-scoring --normalize-length=false smooth.txt {SCORING}",
        ),
        (
            "cos",
            "ivector-compute-dot-products \"cut -d' ' -f1,2 trials |\" "
            "'ark:ivector-normalize-length --scaleup=false ark:spk.ark ark:- |' "
            "'ark:ivector-normalize-length --scaleup=false ark:test.ark ark:- |'",
        ),
    ],
)
def test_scores_are_kaldis(name, command, trained, kaldi_backend, run_in):
    run_in(trained, f"{command} scores_{name}")
    found = read_scores(trained / f"scores_{name}")
    trials = (trained / "trials").read_text().splitlines()
    assert [" ".join(keys) for keys in found] == [t.rpartition(" ")[0] for t in trials]
    np.testing.assert_allclose(
        np.array(list(found.values()), float),
        kaldi_backend[f"scores_{name}"],
        atol=1e-4,
    )


def test_eer_and_min_dcf_are_printed_as_by_kaldi(
    trained, kaldi_backend, kaldi_backend_folder, run_in
):
    printed = (kaldi_backend_folder / "metrics.txt").read_text()
    line = next(
        line for line in printed.splitlines() if line.startswith("plda_numutts")
    )
    scored = zip(
        (trained / "trials").read_text().splitlines(),
        kaldi_backend["scores_plda_numutts"],
        strict=True,
    )
    pairs = [(*trial.split(), f"{score:.7g}") for trial, score in scored]
    write_lines(trained / "golden", [f"{a} {b} {score}" for a, b, _, score in pairs])
    done = run_in(
        trained,
        "paste -d' ' golden trials | awk '{print $3, $6}' | compute-eer -",
    )
    assert done.stdout == re.search(r"EER% (\S+)", line)[1]
    assert re.search(r"Equal error rate is .*", line)[0] in done.stderr
    link = trained / "sid"
    link.symlink_to(ROOT / "misc/kaldi/sid")
    expected = re.findall(r"minDCF\S* (\S+)", line)
    options = ["--p-target 0.01", "--p-target 0.001", "--c-miss 10 --p-target=0.01"]
    starts = [f"{sys.executable} sid/compute_min_dcf.py"] * 2 + ["compute_min_dcf.py"]
    for start, option, cost in zip(starts, options, expected, strict=True):
        done = run_in(trained, f"PATH=$PWD/sid:$PATH; {start} {option} golden trials")
        assert done.stdout == f"{cost}\n"
    assert re.search(
        r"minDCF is \d\.\d{4} at threshold -?\d+\.\d{4} "
        r"\(p-target=0\.01, c-miss=10\.0,c-fa=1\)\n",
        done.stderr,
    )


# Each command by itself.


def test_speaker_means_leave_out_and_count_what_is_missing(run, tmp_path):
    write_vectors(tmp_path / "x", {"a1": [1, 2], "a2": [3, 4], "b1": [5, 6]})
    write_lines(tmp_path / "spk2utt", ["A a1 a2 a3", "C c1", "B b1"])
    done = run("ivector-mean ark:spk2utt ark:x ark,t:- ark,t:n")
    assert done.stdout == "A  [ 2 3 ]\nB  [ 5 6 ]\n"
    assert (tmp_path / "n").read_text().split() == ["A", "2", "B", "1"]
    for text in ("utterance a3 of speaker A", "utterance c1", "Leaving out speaker C"):
        assert text in done.stderr
    assert "3 utterances of 2 speakers; 2 utterances had no vector, 1 sp" in done.stderr
    write_lines(tmp_path / "spk2utt", ["C c1"])
    run("ivector-mean ark:spk2utt ark:x ark:means", status=1)
    write_lines(tmp_path / "spk2utt", ["C"])
    done = run("ivector-mean ark:spk2utt ark:x ark:means", status=255)
    assert "Speaker C: expected utterances" in done.stderr


def test_global_mean_is_in_double_precision(run, tmp_path):
    write_vectors(tmp_path / "x", {"a": [1, 2], "b": [2, 2], "c": [2, 3]})
    run("ivector-mean --binary=true ark:x mean")
    mean = read_vec_flt(tmp_path / "mean")
    assert mean.dtype == np.float64
    np.testing.assert_allclose(mean, [5 / 3, 7 / 3], rtol=1e-15)
    write_vectors(tmp_path / "x", {"a": [1, 2], "b": [2, 2, 3]})
    done = run("ivector-mean ark:x other", status=255)
    assert "Utterance b: expected an embedding of dimension 2, got 3" in done.stderr
    (tmp_path / "empty").write_bytes(b"")
    done = run("ivector-mean ark:empty other", status=255)
    assert "No vector to average in ark:empty" in done.stderr
    assert not (tmp_path / "other").exists()


def test_normalize_length(run, tmp_path):
    write_vectors(tmp_path / "x", {"a": [3, 4], "zero": [0, 0]})
    done = run("ivector-normalize-length --scaleup=false ark:x ark,t:-")
    assert done.stdout == "a  [ 0.6 0.8 ]\nzero  [ 0 0 ]\n"
    assert "WARNING (ivector-normalize-length) Utterance zero" in done.stderr
    assert "Wrote 2 vectors" in done.stderr
    done = run("ivector-normalize-length --normalize=false ark:x ark,t:-")
    assert done.stdout.startswith("a  [ 3 4 ]\n")
    run("ivector-normalize-length ark:/dev/null ark:-", status=1)


def test_subtract_global_mean(run, tmp_path):
    write_vectors(tmp_path / "x", {"a": [1, 2], "b": [3, 6]})
    done = run("ivector-subtract-global-mean ark:x ark,t:-")
    assert done.stdout == "a  [ -1 -2 ]\nb  [ 1 2 ]\n"
    done = run("ivector-subtract-global-mean --subtract-mean=false ark:x ark,t:-")
    assert done.stdout == "a  [ 1 2 ]\nb  [ 3 6 ]\n"
    (tmp_path / "mean").write_text(" [ 1 1 ]\n")
    done = run("ivector-subtract-global-mean mean ark:x ark,t:-")
    assert done.stdout == "a  [ 0 1 ]\nb  [ 2 5 ]\n"
    (tmp_path / "mean").write_text(" [ 1 1 1 ]\n")
    done = run("ivector-subtract-global-mean mean ark:x ark,t:-", status=255)
    assert "Utterance a: expected an embedding of dimension 3, got 2" in done.stderr


def test_transform_vec_is_linear_or_affine(run, tmp_path):
    write_vectors(tmp_path / "x", {"a": [1, 2]})
    write_mat(tmp_path / "linear", np.array([[1.0, 1.0], [0.0, 2.0], [3.0, 0.0]]))
    write_mat(tmp_path / "affine", np.array([[1.0, 1.0, 10.0]]))
    assert run("transform-vec linear ark:x ark,t:-").stdout == "a  [ 3 4 3 ]\n"
    assert run("transform-vec affine ark:x ark,t:-").stdout == "a  [ 13 ]\n"
    write_mat(tmp_path / "wide", np.ones((2, 4)))
    done = run("transform-vec wide ark:x ark,t:-", status=255)
    assert "Utterance a: a transform of 4 columns" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "ivector-normalize-length",
        "ivector-subtract-global-mean",
        "ivector-subtract-global-mean mean",
        "transform-vec matrix",
    ],
)
def test_an_embedding_with_nan_ends_it(command, run, tmp_path):
    write_lines(tmp_path / "mean", [" [ 1 2 ]"])
    write_lines(tmp_path / "matrix", [" [ 1 2 ]"])
    write_lines(tmp_path / "x", ["a  [ 1 2 ]", "b  [ nan 1 ]"])
    done = run(f"{command} ark:x ark:/dev/null", status=255)
    assert "Utterance b: the embedding holds NaN" in done.stderr


def draw_speakers(folder, num_speakers=6, num_utts=5, dim=4):
    rng = np.random.default_rng(0)
    vectors = {
        f"s{speaker}-{number}": mean + rng.normal(size=dim)
        for speaker, mean in enumerate(rng.normal(size=(num_speakers, dim)) * 2)
        for number in range(num_utts)
    }
    write_vectors(folder / "x", vectors)
    write_lines(folder / "utt2spk", [f"{key} {key[:2]}" for key in vectors])
    speakers = sorted({key[:2] for key in vectors})
    lines = [[s, *(k for k in vectors if k[:2] == s)] for s in speakers]
    write_lines(folder / "spk2utt", map(" ".join, lines))
    return vectors


def test_lda_says_what_it_left_out_and_what_it_cannot_do(run, tmp_path):
    vectors = draw_speakers(tmp_path)
    lines = (tmp_path / "utt2spk").read_text().splitlines()
    write_lines(tmp_path / "utt2spk", lines[1:])
    done = run("ivector-compute-lda --binary=false --dim=3 ark:x ark:utt2spk lda")
    assert "Leaving out utterance s0-0: it has no speaker" in done.stderr
    assert "29 utterances of 6 speakers; left out 1" in done.stderr
    assert read_mat(tmp_path / "lda").shape == (3, 5)
    done = run("ivector-compute-lda --dim=5 ark:x ark:utt2spk other", status=255)
    assert "cannot keep 5 dimensions" in done.stderr
    assert "the largest possible is 4" in done.stderr
    assert not (tmp_path / "other").exists()
    vectors["s3-1"] = np.array([0.0, 0.0, np.nan, 0.0])
    write_vectors(tmp_path / "x", vectors)
    done = run("ivector-compute-lda --dim=3 ark:x ark:utt2spk other", status=255)
    assert "Utterance s3-1: the embedding holds NaN" in done.stderr
    run("ivector-compute-lda ark:x ark:/dev/null other", status=255)


def test_compute_plda_says_what_it_left_out_and_what_it_cannot_do(run, tmp_path):
    draw_speakers(tmp_path)
    with (tmp_path / "spk2utt").open("a") as stream:
        stream.write("ghost ghost-1\n")
    done = run("ivector-compute-plda --num-em-iters=3 ark:spk2utt ark:x plda")
    assert "No vector for utterance ghost-1" in done.stderr
    assert "Read 30 utterances of 6 speakers; 1 speakers had none" in done.stderr
    values = re.findall(r"EM iteration \d: .* (\S+)\n", done.stderr)
    assert len(values) == 3 and sorted(values, key=float) == values
    done = run(
        "ivector-compute-plda 'ark:cut -d\" \" -f1,2 spk2utt |' ark:x other", status=255
    )
    assert "6 speakers with one each" in done.stderr
    run("ivector-compute-plda --num-em-iters=-1 ark:spk2utt ark:x other", status=255)
    run("ivector-compute-plda ark:/dev/null ark:x other", status=255)
    assert not (tmp_path / "other").exists()


def test_copy_plda_changes_the_form(run, tmp_path, kaldi_backend_folder):
    golden = kaldi_backend_folder / "plda.txt"
    run(f"ivector-copy-plda {golden} - | ivector-copy-plda --binary=false - copy")
    assert (tmp_path / "copy").read_text() == golden.read_text()
    smooth = run(f"ivector-copy-plda --binary=false --smoothing=0.1 {golden} -").stdout
    expected = (kaldi_backend_folder / "plda_smooth0.1.txt").read_text()
    numbers = [
        np.array(re.findall(r"-?\d\S*", text), float) for text in (smooth, expected)
    ]
    np.testing.assert_allclose(*numbers, rtol=1e-4, atol=1e-6)
    run(f"ivector-copy-plda --simple-length-normalization {golden} same")
    (tmp_path / "cut").write_text(golden.read_text()[:1000])
    done = run("ivector-copy-plda cut other", status=255)
    assert "ERROR (ivector-copy-plda) cut: " in done.stderr
    assert not (tmp_path / "other").exists()


@pytest.fixture
def scorable(run, tmp_path):
    """A model, vectors of speakers s0 to s5 and a trial list, in the test's folder."""
    draw_speakers(tmp_path)
    run(
        "ivector-compute-plda ark:spk2utt ark:x plda && "
        "ivector-mean ark:spk2utt ark:x ark:spk ark,t:num_utts"
    )
    write_lines(tmp_path / "trials", ["s0 s0-1", "s0 s1-1", "s4 s4-0"])
    return tmp_path


def test_unknown_keys_are_named_and_counted(run, scorable):
    known = ["s0 s0-1", "s4 s4-0"]
    strangers = [f"stranger{i} s0-0" for i in range(30)]
    write_lines(
        scorable / "trials", [known[0], *strangers, "s1 nobody", "s2 nobody", known[1]]
    )
    for command, out in [
        ("ivector-plda-scoring plda ark:spk ark:x trials scores", "scores"),
        ("ivector-compute-dot-products trials ark:spk ark:x dots", "dots"),
    ]:
        done = run(command, status=1)  # more left out than scored
        assert [" ".join(key) for key in read_scores(scorable / out)] == known
        assert "No vector for stranger0 in the first table" in done.stderr
        assert done.stderr.count("WARNING") == 11
        assert "In all 31 keys were unknown" in done.stderr
        assert "Processed 2 trials, 32 had errors." in done.stderr
    write_lines(scorable / "trials", strangers)
    run("ivector-plda-scoring plda ark:spk ark:x trials scores", status=1)
    run("ivector-compute-dot-products trials ark:spk ark:x dots", status=1)


def test_a_few_unknown_keys_are_all_named(run, scorable):
    write_lines(scorable / "trials", ["s0 s0-1", "s1 nobody"])
    done = run("ivector-compute-dot-products trials ark:spk ark:x -")
    assert done.stderr.count("WARNING") == 1
    assert "No vector for nobody in the second table" in done.stderr
    vectors, speakers = read_vectors(scorable / "x"), read_vectors(scorable / "spk")
    assert done.stdout == f"s0 s0-1 {speakers['s0'] @ vectors['s0-1']:.7g}\n"


def test_numbers_of_utterances_matter(run, scorable):
    plain = run("ivector-plda-scoring plda ark:spk ark:x trials -").stdout
    command = "ivector-plda-scoring --num-utts=ark:counts plda ark:spk ark:x trials -"
    write_lines(scorable / "counts", ["s0 1", "s4 1"])
    done = run(command)
    assert done.stdout == plain
    assert "Leaving out speaker s1: no number of utterances" in done.stderr
    write_lines(scorable / "counts", ["s0 5", "s4 1"])
    changed = run(command).stdout.splitlines()
    assert changed[:2] != plain.splitlines()[:2]
    assert changed[2:] == plain.splitlines()[2:]
    write_lines(scorable / "counts", ["s0 0", "s4 1"])
    assert "speaker s0: expected at least 1" in run(command, status=255).stderr


def test_dense_scores_are_a_matrix_of_each_recording(run, scorable):
    write_lines(scorable / "reco2utt", ["r1 s0-0 s1-0 s0-1", "r2 s2-0"])
    command = "ivector-plda-scoring-dense plda ark:reco2utt ark:x"
    done = run(f"{command} ark:dense")
    with SequentialReader(f"ark:{scorable}/dense", "matrix") as reader:
        found = dict(reader)
    assert [matrix.shape for matrix in found.values()] == [(3, 3), (1, 1)]
    np.testing.assert_allclose(found["r1"], found["r1"].T, atol=1e-4)
    assert "Processed 2 recordings" in done.stderr
    write_lines(scorable / "reco2utt", ["r1 s0-0 nobody"])
    assert "no entry with key nobody" in run(f"{command} ark:-", status=255).stderr


def test_a_trial_that_comes_twice_is_refused(run, scorable):
    write_lines(scorable / "trials", ["s0 s0-1", "s0 s1-1", "s0 s0-1"])
    for command in (
        "ivector-plda-scoring plda ark:spk ark:x trials scores",
        "ivector-compute-dot-products trials ark:spk ark:x scores",
    ):
        done = run(command, status=255)
        assert "trials:3: the trial s0 s0-1 comes twice" in done.stderr
        assert not (scorable / "scores").exists()


def test_scoring_refuses_what_does_not_fit(run, scorable):
    command = "ivector-plda-scoring plda ark:{} ark:x {} scores"
    write_lines(scorable / "labelled", ["s0 s0-1", "s0 s1-1 nontarget"])
    done = run(command.format("spk", "labelled"), status=255)
    assert "labelled:2: expected 'key1 key2', got 's0 s1-1 nontarget'" in done.stderr
    write_vectors(scorable / "narrow", {"s0": [1, 2]})
    done = run(command.format("narrow", "trials"), status=255)
    assert "Utterance s0: expected an embedding of dimension 4, got 2" in done.stderr
    done = run("ivector-compute-dot-products trials ark:narrow ark:x -", status=255)
    assert "Utterance s0-0: expected an embedding of dimension 2" in done.stderr
    (scorable / "twice").write_bytes((scorable / "spk").read_bytes() * 2)
    done = run(command.format("twice", "trials"), status=255)
    assert "utterance s0 comes twice" in done.stderr
    run(command.format("spk", "'false |'"), status=255)
    assert not (scorable / "scores").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1 target", "2"], "standard input:2: expected 'score target|nontarget'"),
        (["1 target", "1_0 nontarget"], "expected a number as score, got '1_0'"),
        (["1 target", "x nontarget"], "expected a number as score, got 'x'"),
        (["1 target", "nan nontarget"], "expected a number as score, got 'nan'"),
        (["1 target", "0 1"], "expected target or nontarget, got '1'"),
        (["1 target"], "at least one nontarget score"),
        ([], "at least one target score"),
    ],
)
def test_compute_eer_refuses_bad_lines(lines, message, run, tmp_path):
    write_lines(tmp_path / "scores", lines)
    assert message in run("compute-eer - < scores", status=255).stderr


def test_compute_min_dcf_refuses_bad_input(run, tmp_path):
    script = f"{sys.executable} {ROOT}/misc/kaldi/sid/compute_min_dcf.py"
    write_lines(tmp_path / "trials", ["a b target", "a c nontarget", "d d nontarget"])
    write_lines(tmp_path / "scores", ["a b 1", "a c 0"])
    assert run(f"{script} scores trials").stdout == "0.0000\n"
    done = run(f"{script} --p-target 1.5 scores trials", status=1)
    assert "p_target must lie between 0 and 1, got 1.5" in done.stderr
    write_lines(tmp_path / "scores", ["a b 1", "x y 0"])
    done = run(f"{script} scores trials", status=1)
    assert (
        "1 of 2 trials of scores are not in trials, the first is the trial x y"
        in done.stderr
    )
    write_lines(tmp_path / "trials", ["a b 1"])
    done = run(f"{script} scores trials", status=1)
    assert "trials:1: expected target or nontarget, got '1'" in done.stderr
    assert "nowhere" in run(f"{script} nowhere trials", status=1).stderr


def test_usage(run):
    done = run("ivector-plda-scoring --help")
    assert "Usage: ivector-plda-scoring" in done.stderr and "e.g.:" in done.stderr
    assert "--num-utts" in done.stderr
    assert "Usage: ivector-mean" in run("ivector-mean only-one", status=1).stderr
    done = run("ivector-transform --no-such=1 a b c", status=255)
    assert "Invalid option --no-such" in done.stderr
