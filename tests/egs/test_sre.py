"""The recipe egs/sre/v1 on miniatures of its corpora: lists, stages, tables."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import make_miniature
import pytest
import soundfile

RECIPE = Path(__file__).parents[2] / "egs/sre/v1"
BIN = RECIPE.parents[2] / "misc/kaldi/bin"
SRE16_SYSTEMS = ["cosine", "cosine_as_norm", "lda_cosine", "plda", "plda_adapted"]


def run(conf, *options, program="run.sh"):
    environment = {k: v for k, v in os.environ.items() if k != "KALDI_ROOT"}
    return subprocess.run(
        [f"./{program}", "--config", str(conf), *map(str, options)],
        cwd=RECIPE,
        capture_output=True,
        text=True,
        env=environment,
    )


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sre")
    make_miniature.sre(folder)
    return folder


@pytest.fixture(scope="module")
def done(corpora):
    result = run(corpora / "classic.conf")
    assert result.returncode == 0, result.stdout + result.stderr
    return corpora / "classic", result


def lines(path):
    return path.read_text().splitlines()


def table(path):
    return [line.split() for line in lines(path)]


def scores(path):
    return {tuple(row[:2]): float(row[2]) for row in table(path)}


def test_lists_of_the_training_corpora(done):
    folder, _ = done
    counts = {p.name: len(lines(p / "wav.scp")) for p in folder.glob("data/corpora/*")}
    assert counts.pop("sre08") == 16  # a model and a target trial of each speaker
    assert len(counts) == 11 and set(counts.values()) == {8}
    entries = dict(
        line.split(None, 1) for line in lines(folder / "data/swbd_sre/wav.scp")
    )
    ldc = folder.parent / "ldc"
    for key, channel, path in [
        ("1002-sre04-t001-b", 2, "LDC2006S44/r93_5_1/train/data/t001.sph"),
        ("1008_SRE08_f2107_B", 2, "LDC2011S08/data/f2107.sph"),
        ("sw_4004_sw_10002_2", 2, "LDC98S75/swb2_1/data/sw_10002.sph"),
        ("sw_4003_sw_14002_1", 1, "LDC99S79/DISC2/data/sw_14002.sph"),
        ("sw_4008_sw_30004_2", 2, "LDC2002S06/swb2_3/data/sw_30004.sph"),
        ("sw_4001-swbdc_sw_40001_1", 1, "LDC2001S13/data/sw_40001.sph"),
    ]:
        assert entries[key] == f"sph2pipe -f wav -p -c {channel} {ldc / path} |"
    genders = dict(table(folder / "data/swbd_sre/spk2gender"))
    assert genders["1001"] == "m" and genders["sw_4001"] == "f" and len(genders) == 16


def test_lists_of_the_evaluations(done):
    folder, _ = done
    data = folder / "data"
    for name in ("sre10_coreext_c5", "sre10_10s"):
        assert len(lines(data / f"{name}_enrol/utt2spk")) == 6
        trials = table(data / f"{name}_test/trials")
        assert len(trials) == 72 == 6 * len(lines(data / f"{name}_test/utt2spk"))
        assert [kind for *_, kind in trials].count("target") == 12
    assert len(lines(data / "sre16_enrol/utt2spk")) == 12
    assert len(lines(data / "sre16_enrol/spk2utt")) == 6
    every = lines(data / "sre16_test/trials")
    tagalog, cantonese = (
        lines(data / f"sre16_test/trials_{language}") for language in ("tgl", "yue")
    )
    assert sorted(tagalog + cantonese) == sorted(every) and len(tagalog) == 18
    parts = lines(data / "sre16_test/trial_parts")
    assert len(parts) == 36 and set(parts) == {
        f"{part}-{language}"
        for part in ("3-N-female", "1-N-male")
        for language in ("tgl", "yue")
    }
    assert len(lines(data / "sre16_major/wav.scp")) == 16
    assert len(lines(data / "sre16_minor/wav.scp")) == 4


def test_stages_leave_what_they_say(done):
    folder, _ = done
    data, model = folder / "data", folder / "exp/classic"
    frames = dict(table(data / "swbd_sre/utt2num_frames"))
    assert len(frames) == 104
    for utterance, count in frames.items():  # two corpora are Shorten-compressed
        short = "sre06-t02" in utterance and "t020" not in utterance
        short |= "_sw_1000" in utterance
        assert int(count) == (250 if short else 400), utterance
    assert len(lines(data / "swbd_sre_combined/feats.scp")) == 304
    kinds = {row[0].rpartition("-")[2] for row in table(data / "swbd_sre_aug/utt2spk")}
    assert kinds == {"reverb", "noise", "music", "babble"}
    assert {row[1] for row in table(data / "sre_combined/utt2spk")} == {
        str(1001 + i) for i in range(8)
    }
    train, valid = (lines(data / f"{n}/utt2spk") for n in ("softmax_train", "valid"))
    assert sorted(train + valid) == lines(data / "train_able/utt2spk")
    originals = {
        re.sub("-(reverb|noise|music|babble)$", "", v.split()[0]) for v in valid
    }
    assert len(originals) == 4 * 2
    assert len(lines(data / "softmax_train/spklist")) == 16
    assert len(lines(model / "nnet/valid_loss")) == 2
    assert dict(table(model / "sre16_enrol/num_utts.ark"))["1001_sre16"] == "3"
    assert (model / "sre_combined/transform.mat").is_file()


def test_scores_and_tables(done):
    folder, result = done
    data, model = folder / "data", folder / "exp/classic"
    for test, systems in {
        "sre10_coreext_c5": ["cosine", "lda_cosine", "plda"],
        "sre10_10s": ["cosine", "lda_cosine", "plda"],
        "sre16": SRE16_SYSTEMS,
    }.items():
        trials = {tuple(row[:2]) for row in table(data / f"{test}_test/trials")}
        for system in systems:
            assert scores(model / "scores" / test / system).keys() == trials
        shown = lines(model / test / "results.txt")
        assert len(shown) == 1 + len(systems) and "minDCF(SRE10)" in shown[0]
        rates = [float(re.split("  +", line)[1]) for line in shown[1:]]
        assert all(rate < 45 for rate in rates)
    pooled, adapted = (
        scores(model / "scores/sre16" / name) for name in ("plda", "plda_adapted")
    )
    assert pooled != adapted
    cantonese = scores(model / "scores/sre16_yue/plda_adapted")
    assert len(cantonese) == 18 and cantonese.items() <= adapted.items()
    costs = [re.split("  +", line) for line in lines(model / "sre16/equalized.txt")]
    assert costs[0] == ["system", "minCprimary", "actCprimary"]
    assert [row[0] for row in costs[1:]] == sorted(SRE16_SYSTEMS)
    assert all(0 <= float(row[1]) <= 1 for row in costs[1:])
    assert [row[0] for row in costs if row[2] == "-"] == sorted(SRE16_SYSTEMS)[:3]
    everything = (model / "results.txt").read_text()
    assert (model / "sre16/equalized.txt").read_text() in everything
    for name in ("sre10_coreext_c5", "sre10_10s", "sre16", "sre16_tgl", "sre16_yue"):
        assert f"{name}\n" in everything
        assert (model / name / "report/report.html").is_file()
        assert (model / name / "results.txt").read_text() in result.stdout


def test_a_second_run_redoes_nothing(done):
    folder, _ = done
    before = (folder / "exp/classic/results.txt").stat().st_mtime_ns
    result = run(folder.parent / "classic.conf")
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count(": done before (") == 12
    assert (folder / "exp/classic/results.txt").stat().st_mtime_ns == before


def test_the_modern_track(corpora):
    result = run(corpora / "modern.conf", program="run_modern.sh")
    assert result.returncode == 0, result.stdout + result.stderr
    data, exp = corpora / "modern/data", corpora / "modern/exp"
    sources = dict(line.split(None, 1) for line in lines(data / "swbd_sre/wav.scp"))
    sounds = {k: v.removeprefix("flac -dcs ")[:-2] for k, v in sources.items()}
    assert len(sounds) == 40 and len(lines(data / "swbd_sre/vad.scp")) == 40
    for path in sounds.values():
        assert soundfile.info(path).samplerate == 8000
    assert soundfile.info(sounds["sw_4001_sw_10001_1"]).frames == 20000
    for name in ("musan_noise", "musan_speech", "rirs/smallroom"):
        for line in lines(data / name / "wav.scp"):
            assert soundfile.info(line.split()[3]).samplerate == 8000
    speakers = len(lines(data / "softmax_train/spklist"))
    assert speakers == 8  # those of Switchboard have one recording each
    assert len(lines(exp / "modern/nnet/valid_loss")) == 2
    tuned = exp / "tuned"
    used = json.loads((tuned / "nnet/config.json").read_text())
    assert used["augment_noise_lists"] == [f"{data}/musan_noise"]
    assert used["augment_reverb_lists"][1] == f"{data}/rirs/mediumroom/wav.scp"
    dims = subprocess.run(
        [BIN / "feat-to-dim", f"scp:{data}/sre/feats.scp", "-"],
        capture_output=True,
        text=True,
    )
    assert dims.stdout.strip() == "80"
    assert len(lines(tuned / "sre/xvector.scp")) == 32
    for file in ("sre/plda", "sre16_major/plda_adapted", "sre16_enrol/spk_xvector.scp"):
        assert (tuned / file).is_file()
    shown = lines(tuned / "sre16_yue/results.txt")
    assert len(shown) == 1 + len(SRE16_SYSTEMS)
    assert "sre16_tgl" in (tuned / "results.txt").read_text()


@pytest.mark.parametrize(
    "options, message",
    [
        (["--musan", "/nowhere"], "--musan: no such file or folder: '/nowhere'"),
        (["--ldc", ""], "--ldc: no such file or folder: ''"),
        (["--sre16-unlabelled", ""], "--sre16-unlabelled: no such file or folder: ''"),
        (["--sre10", "", "--sre16", ""], "nothing to evaluate"),
        (["--sre", "sre04 mixer6"], "Mixer 6 has speakers of SRE 2010"),
    ],
)
def test_what_is_missing_is_told(corpora, tmp_path, options, message):
    options = ["--data", tmp_path, "--stop-stage", 0, *options]
    result = run(corpora / "classic.conf", *options)
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert message in result.stderr


def prepare(program, *arguments):
    environment = os.environ | {"PYTHONPATH": str(RECIPE.parents[2])}
    return subprocess.run(
        [sys.executable, RECIPE / "local" / program, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment,
    )


def test_mixer6(corpora, tmp_path):
    result = prepare("prepare_corpus.py", corpora / "ldc", "mixer6", tmp_path)
    assert result.returncode == 0, result.stderr
    assert lines(tmp_path / "utt2spk") == [
        "120001_MX6_4001_A 120001",
        "120002_MX6_4001_B 120002",
    ]
    assert lines(tmp_path / "spk2gender") == ["120001 f", "120002 m"]


@pytest.mark.parametrize(
    "corpus, file, change, message",
    [
        ("sre04", "speaker_list", ("t001 A", "t001 C"), "t001: expected a side A or B"),
        ("sre04", "speaker_list", ("sre2004", "sre04"), "no recording of sre2004"),
        (
            "sre04",
            "speaker_list",
            ("f sre2004", "f"),
            "speaker_list:2: expected 5 fields",
        ),
        (
            "swbd2_phase2",
            "LDC99S79/DISC1/doc/callinfo.tbl",
            ("sw_14001,A,555\n", ""),
            "expected two lines for each of the 4 calls",
        ),
        (
            "swbd_cellular1",
            "LDC2001S13/docs/swb_callstats.tbl",
            ("4001,4002,F", "4001,4002,X"),
            "sw_40001: expected a gender F or M, got 'X'",
        ),
        (
            "swbd2_phase3",
            "LDC2002S06/docs/callstat.tbl",
            ("30", "39"),
            "none of the listed recordings is there (4 are missing)",
        ),
    ],
)
def test_lists_that_cannot_be_used(corpora, tmp_path, corpus, file, change, message):
    ldc = tmp_path / "ldc"
    ldc.mkdir()
    for path in (corpora / "ldc").iterdir():
        (ldc / path.name).symlink_to(path)
    part = Path(file).parts[0]
    (ldc / part).unlink()
    copy = shutil.copytree if (corpora / "ldc" / part).is_dir() else shutil.copy
    copy(corpora / "ldc" / part, ldc / part)
    (ldc / file).write_text((ldc / file).read_text().replace(*change))
    options = ["--speaker-list", ldc / "speaker_list"]
    result = prepare("prepare_corpus.py", *options, ldc, corpus, tmp_path / "data")
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "data").exists()


def test_what_is_missing_of_a_corpus_is_told(corpora, tmp_path):
    sre16 = shutil.copytree(corpora / "sre16", tmp_path / "sre16")
    (sre16 / "data/test/v0010.sph").unlink()
    (sre16 / "data/enrollment/e010.sph").unlink()  # the only one of model 1002
    result = prepare("prepare_sre16.py", "eval", sre16, tmp_path)
    assert result.returncode == 0, result.stderr
    assert "left out, as there is no v0010.sph" in result.stderr
    assert "left out, as there is no e010.sph" in result.stderr
    assert "trials: 8 trials are left out: no sound file" in result.stderr
    assert len(lines(tmp_path / "sre16_test/trials")) == 36 - 8
    (sre16 / "metadata/calls.tsv").write_text("call_id\tlanguage_id\n5011\tceb\n")
    result = prepare("prepare_sre16.py", "eval", sre16, tmp_path)
    assert result.returncode == 1
    assert "expected the language tgl or yue" in result.stderr.splitlines()[-1]
