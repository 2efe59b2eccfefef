"""The commands that make features, run as programs, as steps/make_mfcc.sh does."""

import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataset.kaldi_io import read_mat_ark, read_vec_flt_ark
from dataset.kaldi_table import TableWriter
from dataset.wav import read_wave, write_wave

FRONTEND = Path(__file__).parents[2] / "data/kaldi/frontend"
MFCC_CONF = """\
--num-mel-bins=30
--num-ceps=30
--high-freq=7600  # of 8000
--snip-edges=false
"""
VAD_CONF = """\
--vad-energy-threshold=5.5
--vad-energy-mean-scale=0.5
--vad-proportion-threshold=0.12
--vad-frames-context=2
"""


@pytest.fixture(scope="session")
def kaldi():
    with np.load(FRONTEND / "s3.npz") as arrays:
        return dict(arrays)


@pytest.fixture(autouse=True)
def configs(tmp_path):
    (tmp_path / "mfcc.conf").write_text(MFCC_CONF)
    (tmp_path / "vad.conf").write_text(VAD_CONF)


def write_scp(folder, *lines):
    (folder / "wav.scp").write_text("".join(f"{line}\n" for line in lines))


def read_feats(folder, name="feats.ark"):
    return dict(read_mat_ark(str(folder / name)))


def write_noise(path, seconds=0.5, rate=16000, channels=1):
    rng = np.random.default_rng(0)
    write_wave(path, rng.normal(0, 1000, (channels, int(seconds * rate))), rate)


def test_the_front_end_of_a_recipe(run, tmp_path, kaldi):
    flac = FRONTEND / "s3.flac"
    write_scp(tmp_path, f"s3 flac -c -d -s {flac} |", f"s3-again {flac}")
    run(
        "compute-mfcc-feats --verbose=2 --dither=0 --write-utt2dur=ark,t:utt2dur"
        " --config=mfcc.conf scp,p:wav.scp ark:- |"
        " copy-feats --write-num-frames=ark,t:utt2num_frames ark:- ark:feats.ark"
    )
    feats = read_feats(tmp_path)
    np.testing.assert_allclose(feats["s3"], kaldi["mfcc"], atol=1e-3)
    np.testing.assert_array_equal(feats["s3"], feats["s3-again"])
    assert (tmp_path / "utt2dur").read_text() == "s3 3.6 \ns3-again 3.6 \n"
    assert (tmp_path / "utt2num_frames").read_text() == "s3 360 \ns3-again 360 \n"

    run("compute-vad --config=vad.conf ark:feats.ark ark:vad.ark")
    vad = dict(read_vec_flt_ark(str(tmp_path / "vad.ark")))
    np.testing.assert_array_equal(vad["s3"], kaldi["vad"])

    run(
        "apply-cmvn-sliding --norm-vars=false --center=true --cmn-window=300"
        " ark:feats.ark ark:- | select-voiced-frames ark:- ark:vad.ark ark:nosil.ark;"
        "apply-cmvn-sliding --center=true --cmn-window=300 ark:feats.ark ark:cmvn.ark"
    )
    normalised = read_feats(tmp_path, "cmvn.ark")["s3"]
    np.testing.assert_allclose(normalised[::10], kaldi["cmvn_centred"], atol=1e-3)
    np.testing.assert_array_equal(
        read_feats(tmp_path, "nosil.ark")["s3"], normalised[kaldi["vad"] == 1]
    )


def test_fbank(run, tmp_path, kaldi):
    write_scp(tmp_path, f"s3 {FRONTEND / 's3.flac'}")
    run(
        "compute-fbank-feats --dither=0 --num-mel-bins=80 --high-freq=7600"
        " scp:wav.scp ark:feats.ark"
    )
    fbank = read_feats(tmp_path)["s3"]
    np.testing.assert_allclose(fbank[::10], kaldi["fbank"], atol=2e-3)


def test_dither_belongs_to_the_utterance(run, tmp_path):
    """The same features in any order and any number of jobs; others for a seed."""
    write_noise(tmp_path / "a.wav")
    command = "compute-mfcc-feats {} 'scp:printf \"{}\" |' ark:feats.ark"
    features = []
    for options, lines in [
        ("", "a a.wav\\nb a.wav\\n"),
        ("", "b a.wav\\na a.wav\\n"),
        ("", "b a.wav\\n"),
        ("--seed=1", "b a.wav\\n"),
    ]:
        run(command.format(options, lines))
        features.append(read_feats(tmp_path))
    np.testing.assert_array_equal(features[0]["a"], features[1]["a"])
    np.testing.assert_array_equal(features[0]["b"], features[1]["b"])
    np.testing.assert_array_equal(features[0]["b"], features[2]["b"])
    assert (features[0]["a"] != features[0]["b"]).any()
    assert (features[0]["b"] != features[3]["b"]).any()


def write_bad_files(folder):
    """Files with all kinds of faults, and the lines of a wav.scp for them."""
    write_noise(folder / "good.wav")
    write_noise(folder / "low.wav", rate=8000)
    write_noise(folder / "short.wav", seconds=0.004)
    content = (folder / "good.wav").read_bytes()
    (folder / "empty.wav").write_bytes(b"")
    (folder / "no_samples.wav").write_bytes(content[:40] + b"\0\0\0\0")
    (folder / "text.wav").write_text("This is no sound at all.")
    names = ["none", "low", "short", "empty", "no_samples", "text", "good"]
    lines = [f"utt-{name} {name}.wav" for name in names]
    return [*lines, "utt-pipe cat none.wav |", "utt-shell cat < none.wav |"]


def test_bad_files_cost_only_themselves(run, tmp_path):
    write_scp(tmp_path, *write_bad_files(tmp_path))
    done = run("compute-mfcc-feats --config=mfcc.conf scp,p:wav.scp ark:feats.ark")
    feats = read_feats(tmp_path)
    assert list(feats) == ["utt-short", "utt-good"] and not len(feats["utt-short"])
    warnings = [line for line in done.stderr.splitlines() if "WARNING" in line]
    assert len(warnings) == 8
    for name, reason in [
        ("none", "No such file"),
        ("low", "expected a sampling frequency of 16000 Hz, got 8000 Hz"),
        ("short", "0.004 s is too short for a frame"),
        ("empty", "found nothing"),
        ("no_samples", "no samples"),
        ("text", "expected a sound file"),
        ("pipe", "'cat none.wav |': "),
        ("shell", "failed with status 1"),
    ]:
        assert any(f"utt-{name}: " in w and reason in w for w in warnings), name


def test_without_option_p_a_bad_file_is_the_end(run, tmp_path):
    write_noise(tmp_path / "good.wav")
    write_scp(tmp_path, "a good.wav", "b none.wav", "c good.wav")
    done = run("compute-mfcc-feats scp:wav.scp ark:feats.ark", status=255)
    assert "ERROR (compute-mfcc-feats) scp:wav.scp, key b: " in done.stderr


def test_nothing_done_is_a_failure(run, tmp_path):
    write_scp(tmp_path, "a none.wav")
    run("compute-mfcc-feats scp,p:wav.scp ark:feats.ark", status=1)


def test_truncated_file_is_used_with_a_warning(run, tmp_path):
    write_noise(tmp_path / "a.wav")
    content = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(content[:-8000])
    write_scp(tmp_path, "cut cut.wav")
    done = run("compute-mfcc-feats scp,p:wav.scp ark:feats.ark")
    assert "cut.wav: expected 16000 bytes of samples, got 8000" in done.stderr
    assert len(read_feats(tmp_path)["cut"]) == 23


def test_channels(run, tmp_path):
    write_noise(tmp_path / "stereo.wav", channels=2)
    wave = read_wave(tmp_path / "stereo.wav")
    write_wave(tmp_path / "right.wav", wave.samples[1], 16000)
    write_scp(tmp_path, "stereo stereo.wav", "mono right.wav")
    command = "compute-mfcc-feats --dither=0 {} scp:wav.scp ark:feats.ark"
    done = run(command.format(""))
    assert "WARNING (compute-mfcc-feats) stereo: 2 channels; the first" in done.stderr
    left = read_feats(tmp_path)
    done = run(command.format("--channel=1"))
    assert "mono: 1 channels, but --channel=1; no output for it" in done.stderr
    assert "Done 1 out of 2 utterances" in done.stderr
    right = read_feats(tmp_path)
    assert list(right) == ["stereo"]
    np.testing.assert_array_equal(right["stereo"], left["mono"])
    assert (right["stereo"] != left["stereo"]).any()


@pytest.mark.parametrize("subtype", ["PCM_24", "FLOAT"])
def test_other_sample_formats(run, tmp_path, subtype):
    write_noise(tmp_path / "a.wav")
    samples = read_wave(tmp_path / "a.wav").samples.T / 32768
    soundfile.write(tmp_path / "b.wav", samples, 16000, subtype)
    write_scp(tmp_path, "a a.wav", "b b.wav")
    run("compute-mfcc-feats --dither=0 scp:wav.scp ark:feats.ark")
    feats = read_feats(tmp_path)
    np.testing.assert_allclose(feats["a"], feats["b"], atol=1e-4)


def test_other_rates(run, tmp_path):
    write_noise(tmp_path / "a.wav", rate=48000)
    write_scp(tmp_path, "a a.wav")
    run("compute-mfcc-feats --allow-downsample=true scp:wav.scp ark:feats.ark")
    assert read_feats(tmp_path)["a"].shape == (48, 13)
    run("compute-mfcc-feats --allow-upsample=true scp:wav.scp ark:feats.ark", status=1)


def test_durations_in_double_precision(run, tmp_path):
    write_noise(tmp_path / "a.wav", seconds=0.7)
    write_scp(tmp_path, "a a.wav")
    run("compute-mfcc-feats --write-utt2dur=ark:dur.ark scp:wav.scp ark:feats.ark")
    content = (tmp_path / "dur.ark").read_bytes()
    assert content == b"a \0B\x08" + struct.pack("<d", np.float32(0.7))


def test_warps_that_are_wrong(run, tmp_path):
    write_noise(tmp_path / "a.wav")
    write_scp(tmp_path, "a a.wav")
    (tmp_path / "warps").write_text("s 1.1\n")
    (tmp_path / "utt2spk").write_text("b s\n")
    command = "compute-mfcc-feats {} scp:wav.scp ark:feats.ark"
    done = run(command.format("--vtln-warp=1.1 --vtln-low=10"), 1)
    assert "a: a VTLN warp needs" in done.stderr
    options = "--vtln-map=ark:warps --utt2spk=ark:utt2spk"
    assert "a: no speaker in ark:utt2spk" in run(command.format(options), 255).stderr


@pytest.mark.parametrize(
    "command",
    [
        "compute-vad --vad-proportion-threshold=1",
        "compute-vad --vad-frames-context=-1",
        "apply-cmvn-sliding --cmn-window=0",
    ],
)
def test_options_that_suit_no_utterance(run, tmp_path, command):
    (tmp_path / "f.txt").write_text("a [ 1 2 ]\n")
    run(f"{command} ark:f.txt ark:out.ark", 255)
    assert not (tmp_path / "out.ark").exists()


def test_short_utterances_and_means(run, tmp_path):
    write_noise(tmp_path / "a.wav", seconds=0.2)
    write_noise(tmp_path / "b.wav", seconds=0.5)
    write_scp(tmp_path, "a a.wav", "b b.wav")
    done = run(
        "compute-mfcc-feats --min-duration=0.3 --subtract-mean=true"
        " scp:wav.scp ark:feats.ark"
    )
    assert "a: 0.2 s is less than --min-duration=0.3; no output" in done.stderr
    feats = read_feats(tmp_path)
    assert list(feats) == ["b"]
    np.testing.assert_allclose(feats["b"].mean(axis=0), 0, atol=1e-4)


def test_vtln_by_speaker(run, tmp_path):
    write_noise(tmp_path / "a.wav", seconds=0.2)
    write_scp(tmp_path, "a a.wav", "b a.wav", "c a.wav")
    (tmp_path / "utt2spk").write_text("a s1\nb s2\nc s3\n")
    (tmp_path / "warps").write_text("s1 1.0\ns2 0.9\n")
    command = "compute-mfcc-feats --dither=0 {} scp:wav.scp ark:{}.ark"
    done = run(command.format("--vtln-map=ark:warps --utt2spk=ark:utt2spk", "feats"))
    assert "c: no entry for s3 in ark:warps; no output" in done.stderr
    run(command.format("", "plain"))
    run(command.format("--vtln-warp=0.9", "warped"))
    feats = read_feats(tmp_path)
    assert list(feats) == ["a", "b"]
    np.testing.assert_array_equal(feats["a"], read_feats(tmp_path, "plain.ark")["a"])
    np.testing.assert_array_equal(feats["b"], read_feats(tmp_path, "warped.ark")["b"])
    assert np.abs(feats["a"] - feats["b"]).max() > 0.1


def test_htk_files(run, tmp_path):
    write_noise(tmp_path / "a.wav", seconds=0.2)
    write_scp(tmp_path, "a a.wav")
    (tmp_path / "htk.scp").write_text("a a.htk\n")
    run("compute-mfcc-feats --output-format=htk scp:wav.scp scp:htk.scp")
    run("compute-mfcc-feats scp:wav.scp ark:feats.ark")
    run("copy-feats --htk-in=true scp:htk.scp ark:back.ark")
    feats = read_feats(tmp_path)["a"]
    np.testing.assert_array_equal(read_feats(tmp_path, "back.ark")["a"], feats)
    content = (tmp_path / "a.htk").read_bytes()
    header = struct.unpack(">iihH", content[:12])
    assert header == (len(feats), 100000, 4 * 13, 0o106)  # 10 ms, MFCC_E
    np.testing.assert_array_equal(np.frombuffer(content[12:], ">f4"), feats.ravel())
    (tmp_path / "a.htk").write_bytes(content[:-1])
    done = run("copy-feats --htk-in=true scp:htk.scp ark:back.ark", status=255)
    assert "a.htk" in done.stderr and "truncated" in done.stderr


@pytest.mark.parametrize(
    "options",
    [
        "--num-ceps=40",
        "--window-type=none",
        "--output-format=sphinx",
        "--utt2spk=ark:none",
    ],
)
def test_wrong_options_end_it_at_once(run, tmp_path, options):
    write_scp(tmp_path, "a none.wav")
    done = run(f"compute-mfcc-feats {options} scp,p:wav.scp ark:feats.ark", status=255)
    assert options.partition("=")[0] in done.stderr.splitlines()[-1]
    assert "WARNING" not in done.stderr


@pytest.mark.parametrize(
    "name",
    [
        "compute-mfcc-feats",
        "compute-fbank-feats",
        "compute-vad",
        "apply-cmvn-sliding",
        "select-voiced-frames",
    ],
)
def test_usage(run, name):
    done = run(name, status=1)
    assert f"Usage: {name}" in done.stderr and "e.g.:" in done.stderr


# VAD, CMVN and selection: what cannot be used.


@pytest.fixture
def feats(tmp_path):
    """One good, one quiet and one empty utterance."""
    with TableWriter(f"ark:{tmp_path / 'feats.ark'}", "matrix") as writer:
        writer.write("good", np.tile(np.float32([[9, 1], [0, 2]]), (20, 1)))
        writer.write("quiet", np.zeros((5, 2), np.float32))
        writer.write("empty", np.zeros((0, 0), np.float32))


def test_vad_warns(run, tmp_path, feats):
    done = run("compute-vad ark:feats.ark ark,t:vad.txt")
    assert "empty: empty feature matrix; no output for it" in done.stderr
    assert "quiet: no frame was judged voiced\n" in done.stderr
    assert "to 2 utterances: 1 without a voiced frame; 1 failed" in done.stderr
    assert (tmp_path / "vad.txt").read_text().count("quiet") == 1
    done = run("compute-vad --omit-unvoiced-utts=true ark:feats.ark ark,t:vad.txt")
    assert "quiet: no frame was judged voiced; no output for it" in done.stderr
    assert (tmp_path / "vad.txt").read_text().split()[0] == "good"
    assert (tmp_path / "vad.txt").read_text().count("[") == 1


def test_vad_of_nothing_voiced_is_a_failure(run, feats):
    run("compute-vad --vad-energy-threshold=50 ark:feats.ark ark:vad.ark", status=1)


def test_cmvn_warns(run, tmp_path, feats):
    done = run("apply-cmvn-sliding ark:feats.ark ark:cmvn.ark")
    assert "empty: empty feature matrix" in done.stderr
    assert "Normalised 2 utterances; 1 failed" in done.stderr
    assert list(read_feats(tmp_path, "cmvn.ark")) == ["good", "quiet"]


def test_selection_warns(run, tmp_path, feats):
    with TableWriter(f"ark,scp:{tmp_path}/vad.ark,{tmp_path}/vad.scp", "vector") as w:
        w.write("good", np.ones(3, np.float32))
        w.write("quiet", np.zeros(5, np.float32))
    command = "select-voiced-frames ark:feats.ark scp,s,cs:vad.scp ark:voiced.ark"
    done = run(command, status=1)
    assert "good: 40 frames of features but 3 of VAD decisions" in done.stderr
    assert "quiet: no frame was judged voiced" in done.stderr
    assert "empty: empty feature matrix" in done.stderr
    assert "of 0 utterances; 3 failed" in done.stderr
    done = run(command.replace("scp,s,cs:vad.scp", "'ark:head -c0 feats.ark |'"), 1)
    assert "good: no VAD decisions in ark:head -c0 feats.ark |" in done.stderr
