"""egs/fisher/v1: the whole recipe."""

import re
import shutil
import sys

import make_miniature
import pytest
import soundfile
from fisher_runs import RATE, ROOT, lines, run


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fisher")
    make_miniature.fisher(folder)
    return folder


@pytest.fixture(scope="module")
def speech(miniature):
    return miniature / "speech"


@pytest.fixture
def recipe(miniature):
    """Runs it with data and networks in a folder."""

    def recipe(folder, *options, track="classic"):
        conf = ("--config", miniature / f"{track}.conf")
        folders = ("--data", folder / "data", "--exp", folder / "exp")
        return run("./run.sh", *conf, *folders, *options)

    return recipe


@pytest.fixture(scope="module")
def classic(miniature):
    result = run("./run.sh", "--config", miniature / "classic.conf")
    assert result.returncode == 0, result.stdout + result.stderr
    return miniature / "classic", result


def test_classic_from_a_folder_to_the_table(classic):
    folder, result = classic
    data, model = folder / "data", folder / "exp/classic"
    assert len(lines(data / "all/utt2spk")) == 72
    assert len(lines(data / "train_all/utt2spk")) == 36
    # mp3 and ogg are decoded once; wav and flac stay where they are.
    assert len(list((data / "recordings").rglob("*.flac"))) == 6 * 2
    assert soundfile.info(next((data / "noise/audio").iterdir())).samplerate == RATE
    train, valid = (lines(data / f"{n}/utt2spk") for n in ("softmax_train", "valid"))
    assert sorted(train + valid) == lines(data / "train_able/utt2spk")
    assert len(valid) == 2 * 2 and len(lines(data / "softmax_train/spklist")) == 6
    parts = [set(lines(data / f"split/{n}")) for n in ("train", "calibration", "eval")]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 12
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


def test_a_second_run_redoes_nothing(classic, recipe):
    folder, _ = classic
    result = recipe(folder)
    assert result.returncode == 0, result.stderr
    assert "stage 11: done before" in result.stdout and "took" not in result.stdout
    other = recipe(folder, "--min-len", 100)
    assert (
        other.returncode == 1 and "min_len '150', and now it is '100'" in other.stderr
    )


def test_the_verifier_decides_on_two_recordings(classic, speech):
    folder, _ = classic
    for enrol, other in ((1, 4), (2, 5), (3, 7)):
        llrs = []
        for test in (enrol, other):
            result = run(
                *(sys.executable, ROOT / "nnet/verify.py", "--p-target", 0.5),
                *(folder / "exp/classic", speech / f"sp{enrol}/0-noise.wav"),
                speech / f"sp{test}/4-noise.wav",
            )
            assert result.returncode == 0, result.stderr
            llrs.append(float(re.search(r"llr +(\S+) \(nat", result.stdout)[1]))
            decision = "accept: llr above" if llrs[-1] > 0 else "reject: llr not above"
            assert decision in result.stdout
        assert llrs[0] > llrs[1]


def test_training_on_from_a_model_without_augmentation(
    classic, recipe, speech, tmp_path
):
    """And with a corpus for the evaluation that has nobody of the training."""
    folder, _ = classic
    for speaker in (1, 2):
        shutil.copytree(speech / f"sp{speaker}", tmp_path / f"eval/other{speaker}")
    more = ("--eval-corpus", tmp_path / "eval", "--pretrained", folder / "exp/classic")
    last = ("--augmentation", "none", "--stop-stage", 5)
    result = recipe(tmp_path, *more, *last)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "9 speakers for training, 3 for calibration, 0 for ev" in result.stdout
    assert len(lines(tmp_path / "data/eval/spk2utt")) == 2
    assert not (tmp_path / "data/recordings").exists()
    config = (tmp_path / "exp/classic/nnet/config.json").read_text()
    assert '"raw_features": true' in config and '"waveform_f' not in config
    assert "noload_var_list" in config
    shutil.copytree(speech / "sp0", tmp_path / "eval/sp0")
    result = recipe(tmp_path, *more, "--stage", 0, "--stop-stage", 0)
    assert result.returncode == 1
    assert re.search(
        "speakers of both (train|calibration) and eval: sp0;", result.stderr
    )


def test_modern_from_a_table_with_large_margin_and_cosine(recipe, speech, tmp_path):
    rows = ["path\tspeaker\tgender"]
    for path in sorted(speech.rglob("*.*")):
        rows.append(f"{path}\t{path.parent.name}\tf")
    (tmp_path / "list.tsv").write_text("\n".join(rows) + "\n")
    options = ("--corpus", tmp_path / "list.tsv", "--speeds", "1.1")
    result = recipe(tmp_path, *options, track="modern")
    assert result.returncode == 0, result.stdout + result.stderr
    model = tmp_path / "exp/modern/large_margin"
    assert "are too few for LDA and PLDA: cosine only" in result.stdout
    assert (tmp_path / "exp/modern/nnet/feature_dim").read_text() == "81\n"
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
        (("--corpus", ""), "--corpus: a folder of recordings, a table"),
        (("--track", "newest"), "--track: expected one of 'classic modern'"),
        (("--rate", 11025), "--rate 11025: make conf/11k/"),
        (("--nnet-config", "no.json"), "no.json"),
        (("--nj", "two"), "--nj: a number above zero, not 'two'"),
        (("--augmentation", "none", "--noise", "x"), "without use with --augmentation"),
        (("--corpus", "nowhere"), "nowhere: no such folder"),
        (("--corpus", ROOT / "tests/data", "--eval-speakers", 1), "expected 2 or more"),
        (("--help",), "--corpus <folder|table|data-dir>"),
    ],
)
def test_options_that_cannot_be(recipe, tmp_path, options, words):
    result = recipe(tmp_path, *options)
    assert words in result.stdout + result.stderr
    assert result.returncode == (1 if options != ("--help",) else 0)
