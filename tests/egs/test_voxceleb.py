"""The recipe egs/voxceleb/v1 on miniatures of its corpora: both tracks, to tables."""

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import make_miniature
import pytest
from voxceleb_corpus import HAS_M4A

RECIPE = Path(__file__).parents[2] / "egs/voxceleb/v1"
CONF = Path(__file__).parents[2] / "nnet_conf/voxceleb"


def start(words, output=subprocess.PIPE):
    return subprocess.Popen(
        words,
        cwd=RECIPE,
        env={k: v for k, v in os.environ.items() if k != "KALDI_ROOT"},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(words, status=0):
    """What a run says."""
    process = start(words)
    output, _ = process.communicate()
    assert (process.returncode == 0) == (status == 0), output
    return output


def run_and_kill(words, log, reached):
    """Kills a run, and all that it started, as soon as `reached()` is true."""
    with open(log, "w") as stream:
        process = start(words, stream)
        while not reached():
            assert process.poll() is None, log.read_text()
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for jobs in Path("/proc").glob("[0-9]*/cmdline"):  # which outlive their run.pl
        with contextlib.suppress(OSError):
            if str(log.parent).encode() in jobs.read_bytes():
                os.kill(int(jobs.parent.name), signal.SIGKILL)


def lines(path):
    return path.read_text().splitlines()


def stages(output):
    """The stages that were run."""
    return [int(n) for n in re.findall(r"^\d\d:\d\d:\d\d stage (\d+)", output, re.M)]


def table(path):
    """EER by system."""
    rows = [re.split("  +", line) for line in lines(path)[1:]]
    return {row[0]: float(row[1].split()[0]) for row in rows}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("corpora")
    make_miniature.voxceleb(folder)
    return folder


@pytest.fixture(scope="module")
def classic(corpora):
    """run.sh, killed at the features and again at the network; then to its end.

    The network has attention.
    """
    folder = corpora / "classic"
    words = ["./run.sh", "--config", str(corpora / "classic.conf")]
    log = corpora / "log"
    run_and_kill(words, log, lambda: "stage 3" in log.read_text())
    first = log.read_text()
    run_and_kill(words, log, (folder / "exp/classic/nnet/config.json").exists)
    return folder, words, [first, log.read_text(), run(words)]


def test_it_goes_on_where_it_was_killed(classic):
    _, words, (first, second, third) = classic
    assert stages(first) == [0, 1, 2, 3]
    assert stages(second) == [3, 4, 5, 6, 7] and "stage 2: done before" in second
    assert stages(third) == [7, 8, 9, 10, 11]
    assert "stage 7, taken up again" in third
    fourth = run(words)
    assert stages(fourth) == [] and "stage 11: done before" in fourth
    assert "All stages were done before" in fourth


def test_data(classic):
    folder, _, (first, *_) = classic
    data = folder / "data"
    assert "published are 1251 speakers, 153516 recordings: is it whole?" in first
    speakers = [line.split()[0] for line in lines(data / "train/spk2utt")]
    # VoxCeleb2 with its test set, and VoxCeleb1 without the speakers of the trials.
    assert speakers[:2] == ["id00012", "id00013"] and speakers[10:12][0] == "id06006"
    assert speakers[12:] == ["id10001", "id10002", "id10003", "id10004"]
    assert len(lines(data / "train/wav.scp")) == 16 * 6
    pipes = sum("ffmpeg" in line for line in lines(data / "train/wav.scp"))
    assert pipes == (12 * 6 if HAS_M4A else 0)
    assert len(lines(data / "eval/utt2spk")) == 4 * 6
    assert len(lines(data / "eval/trials_o")) == 24 * 23 // 2
    assert len(lines(data / "eval/trials_o_clean")) == 24 * 23 // 2 - 2
    assert not (data / "eval/trials_e_clean").exists()
    rooms = lines(data / "rirs/smallroom/rir_list")
    assert all(os.path.exists(line.split()[-1]) for line in rooms)


def test_features_and_copies(classic):
    folder, *_ = classic
    data = folder / "data"
    keys = [line.split()[0] for line in lines(data / "train_aug/utt2spk")]
    kinds = [key.rsplit("-", 1)[1] for key in keys]
    assert all(kinds.count(k) == 96 for k in ("reverb", "noise", "music", "babble"))
    assert len(lines(data / "train/feats.scp")) == len(lines(data / "train/vad.scp"))
    assert len(lines(data / "train_aug_part/feats.scp")) == 200
    assert len(lines(data / "train_combined/feats.scp")) == 96 + 200
    assert len(lines(data / "train_no_sil/feats.scp")) == 96 + 200


def test_training_and_validation_share_no_recording(classic):
    folder, *_ = classic
    data = folder / "data"
    train, valid = (
        [line.split()[0] for line in lines(data / f"{name}/utt2spk")]
        for name in ("softmax_train", "valid")
    )
    of_copy = re.compile("-(reverb|noise|music|babble)$")
    recordings = {of_copy.sub("", key) for key in train}
    held_out = {of_copy.sub("", key) for key in valid}
    assert len(held_out) == 4 * 2 and not recordings & held_out
    assert len(lines(data / "softmax_train/spklist")) == 16


def test_embeddings_scores_and_tables(classic):
    folder, _, (*_, third) = classic
    model = folder / "exp/classic"
    assert len(lines(model / "train/xvector.scp")) == 96
    assert len(lines(model / "train/spk_xvector.scp")) == 16
    for trials in ("o", "o_clean"):
        rates = table(model / trials / "results.txt")
        assert list(rates) == ["cosine", "cosine, AS-norm", "LDA+cosine", "PLDA"]
        assert all(0 < rate < 60 for rate in rates.values())
        scores = lines(model / trials / "scores/plda")
        assert len(scores) == len(lines(folder / f"data/eval/trials_{trials}"))
        assert (model / trials / "report/det.png").stat().st_size > 10000
    assert "\n".join(lines(model / "o_clean/results.txt")) in third


def test_other_corpora_than_the_data_are_of_are_refused(classic):
    _, words, _ = classic
    output = run([*words, "--protocol", "official"], status=1)
    assert (
        "stage 0 was done with protocol 'original', and now it is 'official'" in output
    )


def test_fine_tuning_with_ring_loss_and_mhe(classic):
    folder, words, _ = classic
    name = "tdnn_amsoftmax_m0.20_linear_bn_1e-2"
    ring = json.loads((CONF / f"{name}_r0.01.json").read_text())
    added = {key: ring[key] for key in ring if "ring" in key or "load" in key}
    config = make_miniature.write_json(
        folder / "ring_mhe.json",
        f"voxceleb/{name}_tdnn4_att",
        att_key_num_nodes=[16, 16],
        aux_loss_func=["ring_loss", "mhe_loss"],
        mhe_lambda=0.01,
        num_epochs=1,
        num_steps_per_epoch=8,
        **added,
    )
    pretrained = folder / "exp/classic"
    options = ["--nnet-config", str(config), "--pretrained", str(pretrained)]
    output = run([*words, *options, "--stop-stage", "7"])
    assert stages(output) == [7]
    tuned = folder / "exp/ring_mhe_from_classic"
    assert len(lines(tuned / "nnet/valid_loss")) == 1
    assert "model-8.keras" in os.listdir(tuned / "nnet")
    assert (tuned / "log/finetune_nnet.log").exists()


@pytest.fixture(scope="module")
def modern(corpora):
    words = ["./run_modern.sh", "--config", str(corpora / "modern.conf")]
    return corpora / "modern", words, run(words)


def test_modern_track_is_of_the_dev_set_of_voxceleb2(modern):
    folder, words, output = modern
    assert stages(output) == list(range(9))
    data = folder / "data"
    assert len(lines(data / "train/spk2utt")) == 10
    assert len(lines(data / "eval/utt2spk")) == 8 * 6
    assert not (data / "train/feats.scp").exists()
    dimension = subprocess.run(
        ["bash", "-c", f". ./path.sh; feat-to-dim scp:{data}/eval/feats.scp -"],
        cwd=RECIPE,
        capture_output=True,
        text=True,
    )
    assert dimension.stdout.strip() == "81"  # 80 bands and the energy
    assert len(lines(data / "cohort/feats.scp")) == 10 * 6 - 4 * 2
    assert stages(run(words)) == []


def test_modern_track_augments_tunes_and_scores(modern):
    folder, _, output = modern
    config = json.loads((folder / "exp/modern/nnet/config.json").read_text())
    assert config["augment_babble_lists"] == [f"{folder}/data/musan_speech"]
    assert (folder / "exp/tuned/log/finetune_nnet.log").exists()
    for network in ("modern", "tuned"):
        rates = table(folder / "exp" / network / "e_clean/results.txt")
        assert list(rates) == ["cosine", "cosine, AS-norm"]
        assert all(0 < rate < 60 for rate in rates.values())


@pytest.mark.parametrize("program", ["run.sh", "run_modern.sh"])
def test_missing_corpora_are_named(program, tmp_path):
    folders = ["--data", str(tmp_path / "data"), "--exp", str(tmp_path / "exp")]
    output = run([f"./{program}", *folders], status=1)
    assert "--voxceleb1 is not given: README.md tells what is needed" in output
    assert "Usage:" in run([f"./{program}", "--help"])


def test_a_configuration_that_is_wrong_ends_the_run_before_its_first_stage(tmp_path):
    config = json.loads((CONF / "tdnn_softmax_1e-2.json").read_text())
    (tmp_path / "typo.json").write_text(json.dumps(config | {"num_epoch": 3}))
    words = [
        "./run.sh",
        "--data",
        str(tmp_path / "data"),
        "--exp",
        str(tmp_path / "exp"),
    ]
    output = run([*words, "--nnet-config", str(tmp_path / "typo.json")], status=1)
    assert "unknown key 'num_epoch'; did you mean 'num_epochs'?" in output
    assert not (tmp_path / "data").exists()
