"""The recipe egs/mini/v1 on a tiny set: what each stage leaves, and how it fails."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import toy

RECIPE = Path(__file__).parents[2] / "egs/mini/v1"
SIZES = "--train-speakers 12 --eval-speakers 4 --lda-dim 8 --valid-speakers 4".split()


def run(folder, *options):
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"}
    where = ["--data", folder / "data", "--exp", folder / "exp"]
    command = [
        "./run.sh",
        *where,
        *SIZES,
        "--nnet-config",
        folder / "tiny.json",
        *options,
    ]
    return subprocess.run(
        [str(x) for x in command],
        cwd=RECIPE,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mini")
    toy.write_config(
        folder / "tiny.json",
        num_nodes_frame_layers=48,
        num_nodes_pooling_layer=64,
        num_epochs=3,
        num_steps_per_epoch=20,
        num_speakers_per_batch=8,
        min_segment_len=100,
        max_segment_len=120,
        learning_rate=0.003,
        embedding_node="output",  # of 16 values: LDA needs more utterances than values
    )
    result = run(folder)
    assert result.returncode == 0, result.stdout + result.stderr
    return folder, result


def lines(path):
    return path.read_text().splitlines()


def test_it_says_which_kaldi_and_how_long(done):
    _, result = done
    assert "using the embedded commands" in result.stdout.splitlines()[0]
    for stage in range(12):
        assert f"stage {stage}:" in result.stdout
        assert f"stage {stage} took" in result.stdout


def test_stages_leave_what_they_say(done):
    folder, _ = done
    data, model = folder / "data", folder / "exp/tiny"
    assert len(lines(data / "train/feats.scp")) == 120
    assert len(lines(data / "train_combined/feats.scp")) == 480
    able = lines(data / "train_able/utt2spk")
    train, valid = (lines(data / f"{n}/utt2spk") for n in ("softmax_train", "valid"))
    assert sorted(train + valid) == able
    assert len(valid) == 4 * 4  # a recording of four speakers, with its copies
    assert len(lines(data / "softmax_train/spklist")) == 12
    assert len(lines(model / "nnet/valid_loss")) == 3
    assert len(lines(model / "eval/xvector.scp")) == 32
    for name in ("cosine", "cosine_as_norm", "lda_cosine", "plda", "plda_llr"):
        assert len(lines(model / "scores" / name)) == len(lines(data / "eval/trials"))


def test_augmentation_while_training_needs_no_copies(done, tmp_path):
    folder, _ = done
    keys = {"waveform_features": "mfcc", "waveform_config": "conf/mfcc.conf"}
    rooms = {"augment_reverb": 1, "augment_reverb_lists": ["data/noise/rir_list"]}
    noise = {"augment_noise": 1, "augment_noise_lists": ["data/noise/noise"]}
    toy.write_config(
        tmp_path / "tiny.json",
        num_epochs=1,
        min_segment_len=100,
        max_segment_len=120,
        **keys | rooms | noise,
    )
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train", "noise"):  # what stages 0 and 1 left
        shutil.copytree(folder / "data" / name, data / name)
    result = run(tmp_path, "--stage", 3, "--stop-stage", 6)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "stage 3:" not in result.stdout and "stage 4:" in result.stdout
    train, valid = (lines(data / f"{n}/utt2spk") for n in ("softmax_train", "valid"))
    assert len(train) + len(valid) <= 120 and len(valid) == 4 * 2
    config = (tmp_path / "exp/tiny/nnet/config.json").read_text()
    assert f"{data}/noise/rir_list" in config
    assert len(lines(tmp_path / "exp/tiny/nnet/valid_loss")) == 1


def test_the_table_and_the_report(done):
    folder, result = done
    table = lines(folder / "exp/tiny/results.txt")
    assert [re.split("  +", line)[0] for line in table[1:]] == [
        "cosine",
        "cosine, AS-norm",
        "LDA+cosine",
        "PLDA",
        "PLDA, calibrated on these",
    ]
    rates = [float(re.split("  +", line)[1].split()[0]) for line in table[1:]]
    assert all(0 < rate < 45 for rate in rates)
    assert "\n".join(table) in result.stdout
    report = folder / "exp/tiny/report"
    assert "PLDA, calibrated on these" in (report / "report.html").read_text()
    picture = (report / "det.png").read_bytes()
    assert picture.startswith(b"\x89PNG") and len(picture) > 10000


def test_verify_gives_nearly_the_score_of_the_recipe(done):
    """Nearly: the dither is another."""
    folder, _ = done
    enrol, test, expected = lines(folder / "exp/tiny/scores/plda")[0].split()
    wavs = dict(line.split() for line in lines(folder / "data/eval/wav.scp"))
    program = RECIPE.parents[2] / "nnet/verify.py"
    result = subprocess.run(
        [sys.executable, program, folder / "exp/tiny", wavs[enrol], wavs[test]],
        capture_output=True,
        text=True,
    )
    printed = dict(line.split(None, 1) for line in result.stdout.splitlines())
    assert float(printed["score"].split()[0]) == pytest.approx(float(expected), abs=0.3)
    assert printed["decision"].split()[0] in ("accept:", "reject:")


def test_a_failed_stage_shows_the_end_of_its_log(done):
    folder, _ = done
    toy.write_config(folder / "tiny.json", num_speakers_per_batch=500)
    result = run(folder, "--stage", 6, "--stop-stage", 6)
    assert result.returncode != 0
    shown = result.stdout + result.stderr
    assert "num_speakers_per_batch is 500, but only" in shown
    assert "train_nnet.log" in shown
    assert "stage 6 failed" in shown


def test_a_misspelt_option_is_refused(done):
    folder, _ = done
    result = run(folder, "--stgae", 6)
    assert result.returncode != 0 and "stgae" in result.stdout + result.stderr
