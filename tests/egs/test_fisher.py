"""egs/fisher/v1: the whole recipe."""

import os
import re
import shutil
import sys

import pytest
import soundfile
import toy
from fisher_runs import RATE, RECIPE, ROOT, lines, run, voice, write

TINY = {
    "num_nodes_frame_layers": 48,
    "num_nodes_pooling_layer": 64,
    "feature_norm": True,
    "feature_scaling_factor": 20,
    "num_epochs": 2,
    "num_steps_per_epoch": 20,
    "num_speakers_per_batch": 8,
    "min_segment_len": 100,
    "max_segment_len": 400,
    "learning_rate": 0.003,
}


def recipe(folder, *options):
    return run(
        *("./run.sh", "--nj", 2, "--rate", RATE),
        *("--data", folder / "data", "--exp", folder / "exp"),
        *("--min-num-utts", 4, "--eval-speakers", 2, "--calibration-speakers", 2),
        *options,
    )


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Ten speakers, of six recordings each, in four formats.

    The sixth is of nobody's voice: trials that a threshold separates cannot be
    calibrated on. Speakers and days are named like copies are.
    """
    folder = tmp_path_factory.mktemp("speech")
    for speaker in range(10):
        for i in range(6):
            kind = ("wav", "flac", "mp3", "ogg")[i % 4]
            sound = voice(speaker if i < 5 else 99, 10 * speaker + i)
            write(folder / f"sp{speaker}/{i}-noise.{kind}", sound)
    return folder


@pytest.fixture(scope="module")
def classic(speech, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classic")
    # The embedding has 12 values: LDA and PLDA need more utterances than values.
    changes = {"embedding_node": "output", "num_nodes_last_layer": 12}
    toy.write_config(folder / "tiny.json", **TINY | changes)
    options = ("--corpus", speech, "--nnet-config", folder / "tiny.json")
    result = recipe(folder, *options)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, options, result


def test_classic_from_a_folder_to_the_table(classic):
    folder, _, result = classic
    data, model = folder / "data", folder / "exp/tiny"
    assert len(lines(data / "all/utt2spk")) == 60
    assert len(lines(data / "train_all/utt2spk")) == 36
    # mp3 and ogg are decoded once; wav and flac stay where they are.
    assert len(list((data / "recordings").rglob("*.flac"))) == 6 * 2
    assert soundfile.info(next((data / "noise/audio").iterdir())).samplerate == RATE
    train, valid = (lines(data / f"{n}/utt2spk") for n in ("softmax_train", "valid"))
    assert sorted(train + valid) == lines(data / "train_able/utt2spk")
    assert len(valid) == 2 * 2 and len(lines(data / "softmax_train/spklist")) == 6
    parts = [set(lines(data / f"split/{n}")) for n in ("train", "calibration", "eval")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 10
    fitted = re.search(
        r"num_speakers_per_batch=6 .*max_segment_len=(\d+)", result.stdout
    )
    assert fitted and 200 < int(fitted[1]) <= 300  # of recordings of 3 s
    config = (model / "nnet/config.json").read_text()
    assert '"waveform_features": "mfcc"' in config and "rir_list" in config
    for name in ("calibration", "eval"):
        trials = lines(data / name / "trials")
        assert len(trials) > 60
        for system in ("cosine", "cosine_as_norm", "lda_cosine", "plda"):
            assert len(lines(model / "scores" / name / system)) == len(trials)
    rows = [re.split("  +", line) for line in lines(model / "results.txt")]
    assert [row[0] for row in rows[1:]] == [
        *("cosine", "cosine, AS-norm", "LDA+cosine", "PLDA", "PLDA, calibrated")
    ]
    assert 0 < float(rows[1][1].split()[0]) < 30  # of the cosine
    assert (model / "report/report.html").exists()


def test_a_second_run_redoes_nothing(classic):
    folder, options, _ = classic
    result = recipe(folder, *options)
    assert result.returncode == 0, result.stderr
    assert "stage 11: done before" in result.stdout and "took" not in result.stdout
    other = recipe(folder, *options, "--min-len", 100)
    assert (
        other.returncode == 1 and "min_len '150', and now it is '100'" in other.stderr
    )


def test_the_verifier_decides_on_two_recordings(classic, speech):
    folder, _, _ = classic
    for enrol, test, decision in ((1, 1, "accept"), (1, 4, "reject")):
        result = run(
            *(sys.executable, ROOT / "nnet/verify.py", "--p-target", 0.5),
            *(folder / "exp/tiny", speech / f"sp{enrol}/0-noise.wav"),
            speech / f"sp{test}/4-noise.wav",
        )
        assert result.returncode == 0, result.stderr
        assert re.search(r"decision\s+(accept|reject): llr", result.stdout)
        assert f"{decision}: llr" in result.stdout


def test_training_on_from_a_model_without_augmentation(classic, speech, tmp_path):
    """And with a corpus for the evaluation that has nobody of the training."""
    folder, options, _ = classic
    for speaker in (1, 2):
        shutil.copytree(speech / f"sp{speaker}", tmp_path / f"eval/other{speaker}")
    more = ("--eval-corpus", tmp_path / "eval", "--pretrained", folder / "exp/tiny")
    last = ("--augmentation", "none", "--stop-stage", 5)
    result = recipe(tmp_path, *options, *more, *last)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "8 speakers for training, 2 for calibration, 0 for ev" in result.stdout
    assert len(lines(tmp_path / "data/eval/spk2utt")) == 2
    assert not (tmp_path / "data/recordings").exists()
    config = (tmp_path / "exp/tiny/nnet/config.json").read_text()
    assert '"raw_features": true' in config and '"waveform_f' not in config
    assert "noload_var_list" in config
    shutil.copytree(speech / "sp0", tmp_path / "eval/sp0")
    result = recipe(tmp_path, *options, *more, "--stage", 0, "--stop-stage", 0)
    assert result.returncode == 1
    assert re.search(
        "speakers of both (train|calibration) and eval: sp0;", result.stderr
    )


def test_modern_from_a_table_with_large_margin_and_cosine(speech, tmp_path):
    rows = ["path\tspeaker\tgender"]
    for path in sorted(speech.rglob("*.*")):
        rows.append(f"{path}\t{path.parent.name}\tf")
    (tmp_path / "list.tsv").write_text("\n".join(rows) + "\n")
    loss = {"loss_func": "additive_angular_margin_softmax", "arcsoftmax_m": 0.1}
    loss |= {f"arcsoftmax_lambda_{x}": 0 for x in ("min", "base", "gamma", "power")}
    toy.write_config(tmp_path / "tiny.json", **TINY | loss, time_masks=[5])
    larger = loss | {"arcsoftmax_m": 0.3, "num_epochs": 1}
    toy.write_config(tmp_path / "lm.json", **TINY | larger)
    result = recipe(
        *(tmp_path, "--track", "modern", "--corpus", tmp_path / "list.tsv"),
        *("--nnet-config", tmp_path / "tiny.json", "--speeds", "1.1"),
        *("--large-margin-config", tmp_path / "lm.json"),
    )
    assert result.returncode == 0, result.stdout + result.stderr
    model = tmp_path / "exp/tiny/large_margin"
    assert "are too few for LDA and PLDA: cosine only" in result.stdout
    assert (tmp_path / "exp/tiny/nnet/feature_dim").read_text() == "41\n"
    assert "of the same gender" in result.stdout
    names = [re.split("  +", line)[0] for line in lines(model / "results.txt")[1:]]
    assert names == ["cosine", "cosine, AS-norm", "cosine, calibrated"]
    decided = run(
        *(sys.executable, ROOT / "nnet/verify.py", model),
        *(speech / "sp1/0-noise.wav", speech / "sp1/4-noise.wav"),
    )
    assert decided.returncode == 0 and "decision" in decided.stdout, decided.stderr


@pytest.mark.parametrize(
    "options, words",
    [
        ((), "--corpus: a folder of recordings, a table"),
        (("--track", "newest"), "--track: expected one of 'classic modern'"),
        (("--rate", 11025), "--rate 11025: make conf/11k/"),
        (("--nnet-config", "no.json"), "--nnet-config: no such file: no.json"),
        (("--augmentation", "none", "--noise", "x"), "without use with --augmentation"),
        (("--corpus", "nowhere"), "nowhere: no such folder"),
        (("--corpus", ROOT / "tests/data", "--eval-speakers", 1), "expected 2 or more"),
        (("--help",), "--corpus <folder|table|data-dir>"),
    ],
)
def test_options_that_cannot_be(tmp_path, options, words):
    corpus = () if not options or "--corpus" in options else ("--corpus", tmp_path)
    result = recipe(tmp_path, *corpus, *options)
    assert words in result.stdout + result.stderr
    assert result.returncode == (1 if options != ("--help",) else 0)


@pytest.mark.parametrize("script", sorted(RECIPE.glob("local/*_*.py")), ids=str)
def test_scripts_tell_their_use(script):
    if not os.access(script, os.X_OK):
        pytest.skip("a module")
    done = run(script, "--help")
    assert done.returncode == 0 and "usage:" in done.stdout
