"""make_mfcc.sh, compute_vad_decision.sh and prepare_feats_for_egs.sh on tiny data."""

from pathlib import Path

import numpy as np
import pytest

from dataset.data_loader import KaldiDataSeqQueue
from dataset.features import (
    MfccOptions,
    SlidingCmvnOptions,
    VadOptions,
    compute_mfcc,
    energy_vad,
    select_voiced,
    sliding_cmvn,
)
from dataset.kaldi_table import SequentialReader
from dataset.options import read_config
from dataset.wav import read_wave, write_wave

ROOT = Path(__file__).parents[3]
KALDI, CONF = ROOT / "misc/kaldi", ROOT / "egs/mini/v1/conf"
FRONTEND = Path(__file__).parents[2] / "data/kaldi/frontend"
MFCC = "steps/make_mfcc.sh --cmd utils/run.pl --mfcc-config mfcc.conf"
VAD = "sid/compute_vad_decision.sh --cmd utils/run.pl --vad-config vad.conf"
PREPARE = "local/nnet3/xvector/prepare_feats_for_egs.sh --cmd utils/run.pl"
GOOD = {f"s{n}": f"flac -dcs {FRONTEND}/s{n}.flac |" for n in (1, 2, 3)}


@pytest.fixture(autouse=True)
def recipe(tmp_path):
    """A recipe's folder, with a few sound files."""
    for name in ("utils", "steps", "sid", "local"):
        (tmp_path / name).symlink_to(KALDI / name)
    config = (CONF / "mfcc.conf").read_text() + "--dither=0\n"
    (tmp_path / "mfcc.conf").write_text(config)
    (tmp_path / "vad.conf").write_text((CONF / "vad.conf").read_text())
    samples = read_wave(str(FRONTEND / "s1.flac")).samples[0]
    write_wave(tmp_path / "short.wav", samples[8000:12000], 16000)
    write_wave(tmp_path / "silent.wav", np.zeros(16000), 16000)
    whole = (tmp_path / "short.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:4044])
    (tmp_path / "header.wav").write_bytes(whole[:20])
    (tmp_path / "empty.wav").touch()


@pytest.fixture
def make_data(tmp_path):
    """Writes a data directory of recordings."""

    def write(recordings, name="data"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        lines = [f"{key} {source}\n" for key, source in sorted(recordings.items())]
        (folder / "wav.scp").write_text("".join(lines))
        speakers = "".join(f"{key} {key}\n" for key in sorted(recordings))
        for table in ("utt2spk", "spk2utt"):
            (folder / table).write_text(speakers)
        return folder

    return write


def table(path):
    lines = path.read_text().splitlines()
    return dict(line.rstrip().split(" ", 1) for line in lines)


def values(path, kind="matrix"):
    with SequentialReader(f"scp:{path}", kind) as reader:
        return dict(reader)


def warnings(log):
    return [line for line in log.read_text().splitlines() if "WARNING" in line]


def mfcc(source):
    options = read_config(MfccOptions, str(CONF / "mfcc.conf"))
    options = type(options)(**vars(options) | {"dither": 0.0})
    wave = read_wave(source)
    return compute_mfcc(wave.samples[0], wave.rate, options)


# make_mfcc.sh


def test_mfcc_of_good_data(run, make_data):
    data = make_data(GOOD)
    done = run(f"{MFCC} --nj 2 --compress false data exp/log mfcc")
    feats = values(data / "feats.scp")
    assert "data/feats.scp: 3 of 3 utterances" in done.stderr
    assert list(feats) == list(GOOD)
    for key, source in GOOD.items():
        np.testing.assert_array_equal(feats[key], mfcc(source))
    assert set(table(data / "utt2dur").values()) == {"3.6"}
    counts = {key: int(count) for key, count in table(data / "utt2num_frames").items()}
    assert counts == {key: len(value) for key, value in feats.items()}
    assert sorted(path.name for path in (data / "../exp/log").iterdir()) == [
        "make_mfcc_data.1.log",
        "make_mfcc_data.2.log",
    ]


def test_fbank_by_the_other_name(run, make_data, tmp_path):
    data = make_data(GOOD)
    (tmp_path / "fbank.conf").write_text("--num-mel-bins=40\n--dither=0\n")
    script = MFCC.replace("mfcc", "fbank")
    run(f"{script} --nj 2 --compress false data exp/log fbank")
    feats = values(data / "feats.scp")
    assert {value.shape[1] for value in feats.values()} == {40}
    assert (data / "../fbank/raw_fbank_data.2.ark").exists()
    done = run("steps/make_fbank.sh", 1)
    assert "--fbank-config <file>" in done.stderr
    assert "mfcc" not in done.stderr


def test_tables_not_asked_for_are_not_made(run, make_data):
    data = make_data(GOOD)
    run(f"{MFCC} --nj 1 --write-utt2dur false --write-utt2num-frames false data")
    assert {path.name for path in data.iterdir() if path.is_file()} == {
        "feats.scp",
        "wav.scp",
        "utt2spk",
        "spk2utt",
        "frame_shift",
    }
    assert (data / "frame_shift").read_text() == "0.01\n"
    assert (data / "conf/mfcc.conf").exists()
    assert (data / "log/make_mfcc_data.1.log").exists()
    assert (data / "data/raw_mfcc_data.1.ark").exists()


def test_warp_factors_of_speakers_are_used(run, make_data):
    data = make_data(GOOD)
    run(f"{MFCC} data")
    plain = values(data / "feats.scp")
    speakers = table(data / "spk2utt")
    (data / "spk2warp").write_text("".join(f"{name} 0.9\n" for name in speakers))
    run(f"{MFCC} data")
    warped = values(data / "feats.scp")
    assert all(np.any(plain[key] != warped[key]) for key in plain)


def test_data_that_are_not_valid_are_refused(run, make_data):
    data = make_data(GOOD)
    (data / "spk2utt").write_text("s s1\n")
    done = run(f"{MFCC} data", status=1)
    assert "ERROR (validate_data_dir.sh) data/spk2utt" in done.stderr
    assert not (data / "feats.scp").exists()


def test_more_jobs_make_the_same(run, make_data, tmp_path):
    feats = {}
    (tmp_path / "mfcc.conf").write_text((CONF / "mfcc.conf").read_text())  # with dither
    for jobs in (1, 9):
        data = make_data(GOOD, f"data{jobs}")
        run(f"{MFCC} --nj {jobs} data{jobs}")
        feats[jobs] = values(data / "feats.scp")
    assert list(feats[1]) == list(feats[9])
    for key, value in feats[1].items():
        np.testing.assert_array_equal(value, feats[9][key])


def test_bad_files_are_named_and_left_out(run, make_data):
    few = {"a": "empty.wav", "b": "none.wav", "c": "header.wav", "d": "cat no.wav |"}
    many = {f"u{number:02}": "short.wav" for number in range(74)}
    data = make_data(many | few | {"k": "cut.wav", "s1": GOOD["s1"]})  # 5 % are bad
    done = run(f"{MFCC} --nj 1 data")
    assert "data/feats.scp: 76 of 80 utterances" in done.stderr
    assert "feats.scp lacks 4 of 80 utterances: a b c d;" in done.stderr
    found = warnings(data / "log/make_mfcc_data.1.log")
    for (key, source), line in zip(few.items(), found, strict=False):
        assert f"key {key}: " in line and source in line and "left out" in line
    assert "cut.wav: expected 8000 bytes of samples, got 4000" in found[4]
    frames = table(data / "utt2num_frames")
    assert set(frames) == set(table(data / "feats.scp"))
    assert (frames["k"], frames["u00"], frames["s1"]) == ("13", "25", "360")

    data = make_data(many | few | {"k": "none.wav", "s1": GOOD["s1"]})  # 6.25 %
    done = run(f"{MFCC} --nj 1 data", status=1)
    assert "lacks 5 of 80 utterances: a b c d k; the logs say why" in done.stderr


def test_mfcc_of_segments(run, make_data):
    data = make_data({"s1": GOOD["s1"], "x": "none.wav"})
    lines = {"a": "s1 0.5 1.5", "b": "s1 1 3", "c": "x 0 1", "d": "s1 0 9"}
    text = "".join(f"{key} {value}\n" for key, value in lines.items())
    (data / "segments").write_text(text)
    (data / "utt2spk").write_text("a s\nb s\nc s\nd s\n")
    (data / "spk2utt").write_text("s a b c d\n")
    done = run(f"{MFCC} --nj 1 data", status=1)
    assert "lacks 2 of 4 utterances: c d;" in done.stderr
    assert table(data / "utt2num_frames") == {"a": "100", "b": "200"}
    found = warnings(data / "log/make_mfcc_data.1.log")
    assert any("none.wav" in line for line in found)
    assert any("segment d: 0 s to 9 s is not in recording s1" in line for line in found)


def test_nothing_done_shows_the_log(run, make_data):
    data = make_data({"a": "empty.wav"})
    done = run(f"{MFCC} data exp/log", status=1)
    assert "run.pl: job failed, log is in exp/log/make_mfcc_data.1.log" in done.stderr
    assert "key a: empty.wav: expected a sound file, found nothing" in done.stderr
    assert not (data / "feats.scp").exists()


def test_a_failed_run_leaves_no_table_of_overwritten_archives(run, make_data):
    data = make_data(GOOD)
    run(f"{MFCC} --nj 1 data; {VAD} --nj 1 data")
    before = (data / "feats.scp").read_text()
    (data / "mfcc.conf").write_text("--low-freq=9000\n")
    run("echo --vad-frames-context=-1 > vad.conf")
    run(f"{VAD} --nj 1 data", status=1)
    assert not (data / "vad.scp").exists()
    run(f"{MFCC} --mfcc-config data/mfcc.conf --nj 1 data", status=1)
    assert not (data / "feats.scp").exists()
    assert (data / ".backup/feats.scp").read_text() == before


@pytest.mark.parametrize("script", [MFCC, VAD, PREPARE])
def test_usage(run, script):
    name = script.split()[0]
    shown = run(f"{name} --help").stderr
    assert f"Usage: {name} [options]" in shown and "e.g.:" in shown and "--nj" in shown
    assert run(name, status=1).stderr == shown
    assert "no such option: --jn" in run(f"{script} --jn 3 a b c", status=1).stderr
    done = run(f"{script} --nj 0 a b c", status=1)
    assert "--nj: expected a number above zero, got '0'" in done.stderr


@pytest.mark.parametrize(
    "command, message",
    [
        (f"{MFCC} none", "no such file: none/wav.scp"),
        (f"{MFCC} --mfcc-config none data", "no such file: none"),
        (f"{MFCC} --compress 1 data", "expected true or false for --compress, got '1'"),
        (f"{MFCC} data short.wav/log", "'short.wav'"),  # mkdir's message
        (f"{MFCC} data log short.wav/mfcc", "'short.wav'"),
        (f"{VAD} data", "no such file: data/feats.scp"),
        (f"{PREPARE} data out feats", "no such file: data/feats.scp"),
    ],
)
def test_refused(run, make_data, command, message):
    make_data(GOOD)
    done = run(command, status=1)
    assert message in done.stderr.translate({0x2018: "'", 0x2019: "'"})


def test_empty_data_is_refused(run, make_data):
    make_data({})
    assert "data/utt2spk is empty" in run(f"{MFCC} data", status=1).stderr


# compute_vad_decision.sh and prepare_feats_for_egs.sh


@pytest.fixture
def with_vad(run, make_data):
    """Three utterances, the first of them silent, with features and VAD."""
    data = make_data(GOOD | {"s1": "silent.wav"})
    run(f"{MFCC} --nj 1 --compress false data && {VAD} --nj 2 data exp/log vad")
    return data


def test_vad(with_vad):
    feats, vad = values(with_vad / "feats.scp"), values(with_vad / "vad.scp", "vector")
    options = read_config(VadOptions, str(CONF / "vad.conf"))
    assert list(vad) == ["s1", "s2", "s3"]
    for key, decisions in vad.items():
        np.testing.assert_array_equal(decisions, energy_vad(feats[key], options))
    assert vad["s3"].any() and not vad["s1"].any()
    log = with_vad.parent / "exp/log/vad_data.1.log"
    [warning] = warnings(log)
    assert "s1: no frame was judged voiced" in warning
    assert "1 without a voiced frame" in log.read_text()


def test_vad_of_silence_only(run, make_data):
    make_data({"a": "silent.wav"})
    done = run(f"{MFCC} data && {VAD} data exp/log", status=1)
    assert "a: no frame was judged voiced" in done.stderr
    assert "log is in exp/log/vad_data.1.log" in done.stderr


def test_prepared_features(run, with_vad):
    done = run(f"{PREPARE} --nj 2 --compress false data out feats")
    assert "out/feats.scp: 2 of 3 utterances" in done.stderr
    assert "out/feats.scp lacks 1 of 3 utterances: s1; " in done.stderr
    out = with_vad.parent / "out"
    [warning] = warnings(out / "../feats/log/create_xvector_feats_data.1.log")
    assert "s1: " in warning and "no output for it" in warning
    feats, vad = values(with_vad / "feats.scp"), values(with_vad / "vad.scp", "vector")
    prepared = values(out / "feats.scp")
    assert list(prepared) == ["s2", "s3"]
    for key, found in prepared.items():
        normalised = sliding_cmvn(
            feats[key], SlidingCmvnOptions(center=True, cmn_window=300)
        )
        np.testing.assert_array_equal(found, select_voiced(normalised, vad[key]))
    counts = {key: int(count) for key, count in table(out / "utt2num_frames").items()}
    assert counts == {key: len(found) for key, found in prepared.items()}
    run(f"{PREPARE} --nj 2 data small small")  # a byte a number, where not told else
    sizes = [
        (out / f"../{name}/xvector_feats_data.1.ark").stat().st_size
        for name in ("small", "feats")
    ]
    assert 3 * sizes[0] < sizes[1]
    run("utils/fix_data_dir.sh out")
    assert list(table(out / "utt2spk")) == ["s2", "s3"]
    for gone in ("vad.scp", "utt2dur", "segments"):
        assert not (out / gone).exists()


def test_loader_reads_from_raw_features_what_is_prepared(run, with_vad):
    """The key `raw_features` stands for this script."""
    run(f"{PREPARE} --nj 1 --compress false data out feats")
    prepared = values(with_vad.parent / "out/feats.scp")
    spklist = with_vad.parent / "spklist"
    speakers = list(table(with_vad / "spk2utt"))
    spklist.write_text("".join(f"{name} {i}\n" for i, name in enumerate(speakers)))
    lengths = {"min_len": 10000, "max_len": 10000}  # an utterance whole
    queue = KaldiDataSeqQueue(
        str(with_vad),
        str(spklist),
        num_parallel=0,
        batch_size=1,
        raw_features=True,
        **lengths,
    )
    assert queue.num_utterances_left_out == 1  # s1, which is silent
    for found, (batch, _) in zip(prepared.values(), queue, strict=True):
        assert np.abs(batch[0] - found).max() < 2e-5  # of values up to 100


def test_prepare_below_a_file_is_refused(run, with_vad):
    assert "short.wav" in run(f"{PREPARE} data out short.wav/f", status=1).stderr
    done = run(f"{PREPARE} --nj 1 data short.wav/out feats", status=1)
    assert "short.wav" in done.stderr and "Not a directory" in done.stderr
