"""From wav files and a model folder to a decision: make_verifier.py and verify.py.

The network is trained on noise, of which nothing is asked here but that verify.py
computes with it what the recipes' commands do.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

from dataset.front_end import read_front_end
from dataset.kaldi_io import read_vec_flt_ark, write_mat, write_vec_flt
from dataset.wav import read_wave, write_wave
from misc.backend.calibration import (
    Calibration,
    quality_names,
    read_calibration,
    write_calibration,
)
from misc.backend.lda import fit_lda
from misc.backend.plda import diagonalise, em_steps, plda_stats
from misc.backend.plda_file import write_plda
from misc.embedder import Embedder
from misc.model_front_end import add_conf, model_front_end
from misc.params import Params
from misc.run_dir import RunDir
from model.trainer import Trainer
from nnet.networks import open_network
from nnet.verify import recording_features

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests/data/kaldi/frontend"
CONF = "--num-ceps=5 \n--num-mel-bins=12\n--snip-edges=false\n"
CMVN = "--norm-vars=false --center=true --cmn-window=300"


@pytest.fixture(scope="module")
def environment():
    path = f"{ROOT / 'misc/kaldi/bin'}:{Path(sys.executable).parent}"
    path += f":{os.environ['PATH']}"
    return dict(os.environ, LC_ALL="C", PATH=path, OMP_NUM_THREADS="1")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model folder `net`, the recipe's files, and sound files."""
    folder = tmp_path_factory.mktemp("verify")
    toy.write_data_dir(folder / "train")
    config = toy.write_config(folder / "c.json", num_epochs=1, embedding_node="output")
    params = Params.from_json(str(config))
    train, spklist = str(folder / "train"), str(folder / "train/spklist")
    Trainer(params, str(folder / "net")).train(train, spklist, train, spklist)
    (folder / "mfcc.conf").write_text(CONF + "--dither=0\n")
    (folder / "vad.conf").write_text("--vad-energy-threshold=5.5\n")
    paths = {name: str(folder / name) for name in ("mfcc.conf", "vad.conf")}
    add_conf(RunDir(str(folder / "net")), paths)
    for number in (1, 2, 3):
        wave = read_wave(SPEECH / f"s{number}.flac")
        write_wave(str(folder / f"s{number}.wav"), wave.samples, wave.rate)
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(30), 4)
    vectors = rng.normal(size=(30, 16))[labels] + rng.normal(size=(120, 16))
    write_vec_flt(str(folder / "mean.vec"), vectors.mean(axis=0).astype(np.float32))
    write_mat(str(folder / "lda.mat"), fit_lda(vectors, labels, 8).astype(np.float32))
    stats = plda_stats(rng.normal(size=(30, 8))[labels] + vectors[:, :8], labels)
    [*_, covariances] = em_steps(stats, 3)
    write_plda(folder / "plda", diagonalise(stats.mean, covariances))
    return folder


BACK_END = ("--mean", "mean.vec", "--transform", "lda.mat", "--plda", "plda")


def program(home, environment, name, *arguments, status=0):
    done = subprocess.run(
        [sys.executable, ROOT / "nnet" / name, *arguments],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def make(home, environment):
    def run(*arguments, status=0):
        return program(
            home, environment, "make_verifier.py", *arguments, "net", status=status
        )

    yield run
    shutil.rmtree(home / "net/verifier", ignore_errors=True)


@pytest.fixture
def verify(home, environment):
    def run(*arguments, status=0):
        done = program(home, environment, "verify.py", *arguments, status=status)
        return done.stderr if status else parsed(done.stdout)

    return run


def parsed(text):
    """The lines of verify.py by their first word."""
    return dict(line.split(None, 1) for line in text.splitlines())


def calibration(home):
    return home / "net/verifier/calibration.json"


def recipe_score(home, environment):
    """The score of s1 and s2 against s3 by the recipes' commands."""
    wavs = "".join(f"s{n} s{n}.wav\n" for n in (1, 2, 3))
    files = {"wav.scp": wavs, "spk2utt": "both s1 s2\n", "trials": "both s3\n"}
    for name, content in files.items():
        (home / name).write_text(content)
    project = "ivector-subtract-global-mean mean.vec ark:- ark:- |"
    project += (
        " transform-vec lda.mat ark:- ark:- | ivector-normalize-length ark:- ark:-"
    )
    commands = f"""set -eo pipefail
        compute-mfcc-feats --config=mfcc.conf scp:wav.scp ark:- |
            copy-feats --compress=true ark:- ark,scp:feats.ark,feats.scp
        compute-vad --config=vad.conf scp:feats.scp ark,scp:vad.ark,vad.scp
        {ROOT}/nnet/extract.py net "ark:apply-cmvn-sliding {CMVN} scp:feats.scp ark:- |
            select-voiced-frames ark:- scp,s,cs:vad.scp ark:- |" ark:xvector.ark
        ivector-mean ark:spk2utt ark:xvector.ark ark:mean.ark ark:num_utts.ark
        ivector-plda-scoring --num-utts=ark:num_utts.ark plda \
            "ark:cat mean.ark | {project} |" "ark:cat xvector.ark | {project} |" \
            trials scores"""
    done = subprocess.run(
        ["bash", "-c", commands], cwd=home, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    return float((home / "scores").read_text().split()[2])


def test_the_score_is_the_recipes(home, environment, make, verify):
    make(*BACK_END)
    expected = recipe_score(home, environment)
    found = verify("net", "s1.wav", "s2.wav", "s3.wav")
    assert found["score"] == f"{expected:.4f} (PLDA)"
    assert found["decision"].startswith("none: no threshold is known")
    assert "llr" not in found
    assert "2 recording(s)" in found["enrolment"]


def test_the_embedding_is_the_recipes(home, environment, make):
    make(*BACK_END)
    recipe_score(home, environment)
    front_end = model_front_end(RunDir(str(home / "net")))
    embed = Embedder(open_network(str(home / "net")))
    for key, expected in read_vec_flt_ark(home / "xvector.ark"):
        frames = front_end.voiced_frames("any", read_wave(home / f"{key}.wav"))
        np.testing.assert_allclose(embed(frames), expected, rtol=1e-5, atol=1e-6)


def test_the_decision_follows_prior_and_costs(home, make, verify):
    make()
    weights = Calibration(("score",), np.array([2.0]), 1.0, 0.01, 9, 9)
    write_calibration(str(calibration(home)), weights)
    pair = ("net", "s1.wav", "s1.wav")
    found = verify("--p-target=0.1", *pair)
    assert found["score"] == "1.0000 (cosine)"
    assert found["llr"].split()[0] == "3.0000"
    odds = np.exp(3.0) / 9
    assert float(found["posterior"].split()[0]) == pytest.approx(
        odds / (1 + odds), rel=1e-3
    )
    assert found["decision"].startswith("accept: llr above 2.1972, ")
    found = verify(*pair)
    assert found["decision"].startswith("reject: llr not above 4.5951, ")
    found = verify("--c-miss=10", *pair)
    assert found["decision"].startswith("accept: llr above 2.2925, ")


def test_quality_measures_are_seconds_and_lengths(home, environment, make, verify):
    make()
    recipe_score(home, environment)
    names = ("score", *quality_names("norm"), *quality_names("duration"))
    powers = np.array([0.0, 1.0, 100.0, 1e4, 1e6])
    write_calibration(
        str(calibration(home)), Calibration(names, powers, 0.0, 0.5, 9, 9)
    )
    vectors = dict(read_vec_flt_ark(home / "xvector.ark"))
    norms = [np.linalg.norm((vectors["s1"] + vectors["s2"]) / 2.0)]
    norms.append(np.linalg.norm(vectors["s3"]))
    seconds = [read_wave(home / f"s{n}.wav").duration for n in (1, 2, 3)]
    durations = [seconds[0] + seconds[1], seconds[2]]
    logs = np.log([*sorted(norms), *sorted(durations)])
    found = verify("net", "s1.wav", "s2.wav", "s3.wav")
    assert float(found["llr"].split()[0]) == pytest.approx(logs @ powers[1:], rel=1e-5)


def test_the_name_of_a_file_does_not_matter_to_dither(home):
    (home / "dithered.conf").write_text(CONF)
    paths = {"mfcc.conf": home / "dithered.conf", "vad.conf": home / "vad.conf"}
    front_end = read_front_end(paths)
    shutil.copy(home / "s1.wav", home / "copy.wav")
    one, two = (
        recording_features(front_end, str(home / name), 0.1)[0]
        for name in ("s1.wav", "copy.wav")
    )
    np.testing.assert_array_equal(one, two)


def test_what_cannot_be_verified_is_refused_with_its_name(home, make, verify):
    make()
    wave = read_wave(home / "s1.wav")
    write_wave(str(home / "short.wav"), wave.samples[:, 8000:16000], wave.rate)
    write_wave(str(home / "silent.wav"), np.zeros(32000), wave.rate)
    clipped = np.clip(50 * wave.samples, -32768, 32767)
    write_wave(str(home / "clipped.wav"), clipped, wave.rate)
    write_wave(str(home / "rate.wav"), wave.samples, 8000)
    (home / "text.wav").write_text("no sound")
    for name, message in {
        "short": "too short: 0.",
        "silent": "silent",
        "clipped": "clipped",
        "rate": "expected a sampling frequency of 16000 Hz, got 8000 Hz",
        "text": "expected a sound file",
        "absent": "",
    }.items():
        for pair in (("s1", name), (name, "s1")):
            error = verify("net", *(f"{n}.wav" for n in pair), status=1)
            assert f"{name}.wav" in error and message in error
            assert len(error.splitlines()) == 1
    assert "score" in verify("--min-speech=0.2", "net", "short.wav", "s1.wav")


def test_a_folder_that_is_not_ready_is_refused(home, make, verify):
    pair = ("net", "s1.wav", "s2.wav")
    assert "nnet/make_verifier.py makes it" in verify(*pair, status=1)
    make()
    assert "between 0 and 1" in verify("--p-target=1", *pair, status=1)
    two = Calibration(("score 1", "score 2"), np.ones(2), 0.0, 0.5, 9, 9)
    write_calibration(str(calibration(home)), two)
    assert "a fusion of 2 systems" in verify(*pair, status=1)
    make("--node", "tdnn1_conv")
    assert "has a row a frame" in verify(*pair, status=1)


def test_make_verifier_checks_before_it_replaces(home, make):
    make(*BACK_END)
    folder = home / "net/verifier"
    write_calibration(
        str(calibration(home)), Calibration(("score",), np.ones(1), 0, 0.5, 9, 9)
    )
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for wrong, message in {
        ("--plda", "mfcc.conf"): "mfcc.conf",
        ("--plda", "plda", "--transform", "mean.vec"): "mean.vec",
        ("--mean", "nowhere"): "nowhere: No such file",
        ("--checkpoint", "7"): "7",
        ("--mean", "mean.vec", "--plda", "plda"): "takes vectors of dimension 8",
    }.items():
        done = make(*wrong, status=1)
        assert len(done.stderr.splitlines()) == 1
        assert message in done.stderr
        assert before == {path.name: path.read_bytes() for path in folder.iterdir()}
    done = make()
    assert "The calibration that was there is removed" in done.stderr
    assert [path.name for path in folder.iterdir()] == ["embedding.conf"]
    assert "--checkpoint=5\n" in (folder / "embedding.conf").read_text()
    assert not list((home / "net").glob("*.tmp*"))


def test_without_a_front_end_the_way_to_it_is_told(home, make, verify, tmp_path):
    make()
    shutil.move(home / "net/nnet/front_end", tmp_path / "front_end")
    try:
        error = verify("net", "s1.wav", "s2.wav", status=1)
        assert "add_front_end.py --mfcc-config conf/mfcc.conf --vad-config" in error
        assert "nnet/add_front_end.py" in make(status=1).stderr
    finally:
        shutil.move(tmp_path / "front_end", home / "net/nnet/front_end")


def test_calibration_train_writes_into_the_folder(home, environment, make, verify):
    make()
    rng = np.random.default_rng(1)
    trials = [(f"e{n} t{n}", n < 50) for n in range(200)]
    lines = [f"{t} {'' if same else 'non'}target\n" for t, same in trials]
    (home / "dev").write_text("".join(lines))
    scores = [f"{t} {0.2 * rng.normal() + 0.3 * same}\n" for t, same in trials]
    (home / "dev_scores").write_text("".join(scores))
    command = "calibration-train dev dev_scores net/verifier/calibration.json"
    subprocess.run(
        command.split(), cwd=home, env=environment, check=True, capture_output=True
    )
    trained = read_calibration(str(calibration(home)))
    found = verify("net", "s1.wav", "s3.wav")
    llr = float(found["llr"].split()[0])
    score = float(found["score"].split()[0])
    assert llr == pytest.approx(trained.weights[0] * score + trained.offset, abs=0.01)
    assert json.loads(calibration(home).read_text())["num_targets"] == 50
