"""extract.py --wav and SpeakerEmbedder beside the recipe's commands.

A data directory is made of a little speech; the network is trained on it for some
steps, so that its folder learns how the features were made as in a recipe.
"""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import toy

from dataset.errors import InputError, Unusable
from dataset.kaldi_table import SequentialReader
from dataset.wav import read_wave, write_wave
from nnet.speaker_embedder import SpeakerEmbedder

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests/data/kaldi/frontend"
MFCC = "--num-ceps=5\n--num-mel-bins=12\n--snip-edges=false\n"  # with dither
RUN = "--cmd utils/run.pl --nj 2"
FEATURES = f"""set -e
    steps/make_mfcc.sh {RUN} --mfcc-config mfcc.conf $data
    sid/compute_vad_decision.sh {RUN} --vad-config vad.conf $data"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Recordings, `data` with features, `net` trained on them, `x/xvector.scp`."""
    folder = tmp_path_factory.mktemp("wav")
    kaldi = ROOT / "misc/kaldi"
    for name in ("utils", "steps", "sid", "local"):
        (folder / name).symlink_to(kaldi / name)
    (folder / "nnet").symlink_to(ROOT / "nnet")
    (folder / "mfcc.conf").write_text(MFCC)
    (folder / "vad.conf").write_text("--vad-energy-threshold=5.5\n")
    for number in (1, 2):
        wave = read_wave(SPEECH / f"s{number}.flac")
        for part in range(4):
            piece = wave.samples[:, part * 7000 : part * 7000 + 30000]
            write_wave(folder / f"s{number}-{part}.wav", piece, wave.rate)
    data = folder / "data"
    data.mkdir()
    lines = [f"s{n}-{p} s{n}-{p}.wav\n" for n in (1, 2) for p in range(4)]
    lines[1] = f"s1-1 wav-reverberate --volume=0.5 {folder}/s1-1.wav - |\n"
    (data / "wav.scp").write_text("".join(lines))
    names = [line.split()[0] for line in lines]
    (data / "utt2spk").write_text("".join(f"{n} {n[:2]}\n" for n in names))
    (data / "spklist").write_text("s1 0\ns2 1\n")
    shell(
        folder,
        "utils/utt2spk_to_spk2utt.pl data/utt2spk >data/spk2utt; data=data",
        FEATURES,
        f"local/nnet3/xvector/prepare_feats_for_egs.sh {RUN} data train_all no_sil",
        "utils/subset_data_dir.sh --utt-list data/utt2spk train_all train",
        "cp data/spklist train/",
    )
    (folder / "valid").symlink_to("train")
    changes = {"num_speakers_per_batch": 2, "num_epochs": 1}
    toy.train(folder, folder / "net", **changes)
    shell(
        folder,
        f"nnet/run_extract_embeddings.sh {RUN} --checkpoint last net data {folder}/x",
    )
    return folder


def environment():
    path = f"{ROOT / 'misc/kaldi/bin'}:{Path(sys.executable).parent}"
    return dict(os.environ, LC_ALL="C", PATH=f"{path}:{os.environ['PATH']}")


def shell(folder, *commands, status=0):
    done = subprocess.run(
        ["bash", "-c", "\n".join(commands)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture
def extract(home, tmp_path):
    """Runs extract.py --wav, which cannot import TensorFlow; stderr and embeddings."""
    for name in ("tensorflow", "keras"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')\n")

    def run(*arguments, status=0):
        out = tmp_path / "out.ark"
        done = subprocess.run(
            [sys.executable, "nnet/extract.py", "--wav", *arguments, f"ark:{out}"],
            cwd=home,
            env=environment() | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
        assert "Traceback" not in done.stderr
        return done.stderr, vectors(f"ark:{out}") if out.exists() else {}

    return run


def vectors(rspecifier):
    with SequentialReader(rspecifier, "vector") as reader:
        return dict(reader)


def assert_close(found, expected):
    assert list(found) == list(expected)
    for key, vector in found.items():
        tolerance = 1e-5 * abs(expected[key]).max()
        np.testing.assert_allclose(vector, expected[key], rtol=0, atol=tolerance)


def test_training_notes_how_its_features_were_made(home):
    folder = home / "net/nnet/front_end"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "mfcc.conf": MFCC,
        "vad.conf": "--vad-energy-threshold=5.5\n",
        "copy-feats.conf": "--compress=true\n",
        "cmvn.conf": "--norm-vars=false\n--center=true\n--cmn-window=300\n",
    }


def test_embeddings_are_the_recipes(home, extract):
    """By data directory, wav.scp, table and file name; with the dither, bit for bit."""
    expected = vectors(f"scp:{home}/x/xvector.scp")
    assert len(expected) == 8
    for source in ("data", "data/wav.scp", "scp:data/wav.scp"):
        errors, found = extract("net", source)
        assert "of 8 utterances, 0 skipped" in errors
        assert_close(found, expected)
    archive = "ark:wav-copy scp:data/wav.scp ark:- |"
    assert_close(extract("net", archive)[1], expected)
    del expected["s1-1"]
    assert_close(extract("net", *(f"{key}.wav" for key in expected))[1], expected)


def test_segments_are_the_recipes(home, extract, tmp_path):
    """Also of times that pass the end a little, are too short, or are not there."""
    segments = {
        "a": "s1-0 0.1 1.6",
        "b": "s1-0 0.8 -1",
        "c": "s1-0 0.5 2.1",
        "d": "s1-0 1 1.05",
        "e": "s2-3 0 1.5",
        "f": "s2-3 5 6",
    }
    data = tmp_path / "cut"
    data.mkdir()
    (data / "wav.scp").write_text("s1-0 s1-0.wav\ns2-3 s2-3.wav\n")
    table = "".join(f"{key} {line}\n" for key, line in segments.items())
    (data / "segments").write_text(table)
    names = "".join(f"{key} {key}\n" for key in segments)
    (data / "utt2spk").write_text(names)
    (data / "spk2utt").write_text(names)
    shell(
        home,
        f"data={data}",
        FEATURES.replace("set -e\n", ""),
        "set -e; utils/fix_data_dir.sh $data",
        f"nnet/run_extract_embeddings.sh {RUN} --checkpoint last net $data {data}/x",
    )
    (data / "segments").write_text(table)
    errors, found = extract("net", str(data))
    assert list(found) == ["a", "b", "c", "e"]
    assert_close(found, vectors(f"scp:{data}/x/xvector.scp"))
    assert "of 4 utterances, 2 skipped (2 no such segment)" in errors


def test_what_cannot_be_used_is_counted_by_reason(home, extract, tmp_path):
    wave = read_wave(home / "s1-0.wav")
    write_wave(tmp_path / "silent.wav", np.zeros(32000), 16000)
    write_wave(tmp_path / "short.wav", wave.samples[:, 8000:8200], 16000)
    write_wave(tmp_path / "brief.wav", wave.samples[:, 9000:11000], 16000)
    write_wave(tmp_path / "rate.wav", wave.samples, 8000)
    write_wave(
        tmp_path / "stereo.wav", np.vstack([wave.samples, 0 * wave.samples]), 16000
    )
    whole = (home / "s1-0.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:40000])
    (tmp_path / "header.wav").write_bytes(whole[:30])
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound")
    names = "good short brief silent rate stereo cut header empty text absent dir pipe"
    sources = {name: f"{tmp_path}/{name}.wav" for name in names.split()}
    sources |= {"good": "s1-0.wav", "dir": str(tmp_path), "pipe": "cat nowhere |"}
    lines = "".join(f"{name} {source}\n" for name, source in sources.items())
    (tmp_path / "wav.scp").write_text(lines)
    errors, found = extract("net", f"{tmp_path}/wav.scp")
    assert list(found) == ["good", "stereo", "cut"]
    assert (
        "of 3 utterances, 10 skipped (2 too short, 1 without speech, 1 of ano" in errors
    )
    assert "6 not readable" in errors
    for words in (
        "brief: 13 frames, fewer than 25: skipped",
        "silent: no speech: none of 200 frames",
        "rate: expected a sampling frequency of 16000 Hz, got 8000 Hz",
        "stereo: 2 channels; the first is used",
        "cut.wav: expected 60000 bytes of samples, got 39956 (a truncated file?)",
        "header.wav: truncated RIFF file",
        "empty.wav: expected a sound file, found nothing",
        "text.wav: expected a sound file",
        "absent.wav: No such file",
        "'cat nowhere |': cannot open nowhere: No such file or directory: skipped",
    ):
        assert words in errors, f"{words}\n{errors}"
    other_dither = 0.01 * abs(found["good"]).max()
    np.testing.assert_allclose(found["stereo"], found["good"], atol=other_dither)


def test_what_is_wrong_with_all_is_an_error_at_once(home, extract, tmp_path):
    wave = read_wave(home / "s1-0.wav")
    write_wave(tmp_path / "rate.wav", wave.samples, 8000)
    shutil.copytree(home / "net", tmp_path / "net")
    shutil.copy(home / "s1-0.wav", tmp_path)
    (tmp_path / "broken.scp").write_text("a\n")
    conf = tmp_path / "net/nnet/front_end"
    for arguments, words in (
        (("net", f"{tmp_path}/rate.wav", "s1-0.wav"), "rate: expected a sampling freq"),
        (("net", "s1-0.wav", f"{tmp_path}/s1-0.wav"), "would both be utterance s1-0"),
        (("net", f"{tmp_path}/nowhere.scp"), "nowhere.scp: No such file"),
        (("net", f"{tmp_path}/broken.scp"), "expected 'key rxfilename', got 'a'"),
        (("net", "a b.wav"), "an utterance's name is one word"),
        (("nothing", "s1-0.wav"), "is this a model folder?"),
    ):
        errors, _ = extract(*arguments, status=1)
        assert words in errors, errors
        assert not list(tmp_path.glob("out.ark*"))
    for change, words in (
        (lambda: (conf / "mfcc.conf").write_text("--num-ceps=6\n"), "6-dimensional"),
        (lambda: (conf / "mfcc.conf").unlink(), "has no mfcc.conf or fbank.conf; "),
        (lambda: shutil.rmtree(conf), "no vad.conf; what the features"),
    ):
        change()
        errors, _ = extract(str(tmp_path / "net"), "s1-0.wav", status=1)
        assert words in errors and len(errors.splitlines()) == 1
    assert "nnet/add_front_end.py --mfcc-config conf/mfcc.conf --vad-config" in errors
    shell(
        home,
        "nnet/add_front_end.py --mfcc-config mfcc.conf --vad-config vad.conf "
        f"{tmp_path}/net",
    )
    _, found = extract(str(tmp_path / "net"), "s1-0.wav")
    assert_close(found, {"s1-0": vectors(f"scp:{home}/x/xvector.scp")["s1-0"]})


def test_an_interrupted_job_is_resumed(home, extract, tmp_path):
    good = "".join(f"u{i:02} s{1 + i % 2}-{i % 4}.wav\n" for i in range(30))
    (tmp_path / "wav.scp").write_text(good)
    extract("net", f"{tmp_path}/wav.scp")
    archive = (tmp_path / "out.ark").read_bytes()
    (tmp_path / "out.ark").unlink()
    (tmp_path / "wav.scp").write_text(good.replace("u25 s2-1.wav", "u25"))
    extract("net", f"{tmp_path}/wav.scp", status=1)
    assert not (tmp_path / "out.ark").exists()
    (tmp_path / "wav.scp").write_text(good)
    errors, _ = extract("--resume", "net", f"{tmp_path}/wav.scp")
    assert "of 12 utterances, 0 skipped, 18 there before" in errors
    assert (tmp_path / "out.ark").read_bytes() == archive
    (tmp_path / "out.ark").unlink()


def test_other_features_are_refused_before_anything_is_made(home, tmp_path):
    (tmp_path / "mfcc.conf").write_text(MFCC.replace("12", "15"))
    (tmp_path / "vad.conf").write_text("--vad-energy-threshold=4\n")
    shell(
        home,
        f"utils/copy_data_dir.sh data {tmp_path}/data; data={tmp_path}/data",
        FEATURES.replace(" mfcc.conf", f" {tmp_path}/mfcc.conf"),
    )
    command = f"nnet/run_extract_embeddings.sh {RUN} --checkpoint last"
    done = shell(home, f"{command} net {tmp_path}/data {tmp_path}/x", status=1)
    [line] = done.stderr.splitlines()
    assert "data/conf/mfcc.conf: --num-mel-bins=15: not as the training had it" in line
    assert os.listdir(tmp_path / "x") == ["log"]
    shell(
        home,
        f"data={tmp_path}/data",
        FEATURES.replace("vad.conf", f"{tmp_path}/vad.conf"),
    )
    done = shell(home, f"nnet/check_features.py net {tmp_path}/data")
    assert "vad.conf is not what the training had" in done.stderr
    done = shell(home, f"{command} net train_all {tmp_path}/x", status=1)
    assert "no such file: train_all/vad.scp" in done.stderr
    command = command.replace(".sh", "_no_vad.sh")
    done = shell(home, f"{command} net train_all {tmp_path}/x", status=1)
    assert "sliding CMVN has been applied (train_all/conf/cmvn.conf)" in done.stderr


def test_python(home, tmp_path):
    """A file, int16 and float samples; as extract.py, but for the dither's key."""
    shutil.copytree(home / "net", tmp_path / "net")
    (tmp_path / "net/nnet/front_end/mfcc.conf").write_text(MFCC + "--dither=0\n")
    embed = SpeakerEmbedder(str(tmp_path / "net"))
    out = f"ark:{tmp_path}/x.ark"
    shell(home, f"nnet/extract.py --wav {tmp_path}/net s1-0.wav s2-1.wav {out}")
    expected = vectors(out)
    for key, vector in expected.items():
        path = home / f"{key}.wav"
        samples = read_wave(path).samples[0]
        for arguments in (
            (path,),
            (str(path),),
            (samples.astype(np.int16), 16000),
            (samples / 32768.0, 16000),
        ):
            assert_close({key: embed(*arguments)}, {key: vector})
    assert embed.sampling_rate == 16000
    results = {}
    threads = [
        threading.Thread(
            target=lambda k=k: results.update({k: embed(home / f"{k}.wav")})
        )
        for k in expected
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_close({key: results[key] for key in expected}, expected)


def test_python_refuses_what_is_no_recording(home, tmp_path):
    embed = SpeakerEmbedder(str(home / "net"))
    speech = read_wave(home / "s1-0.wav").samples[0]
    (tmp_path / "touch |").touch()
    for arguments, words in (
        ((speech, 16000), "expected float samples from -1 to 1, got 22720; of 16"),
        ((speech.astype(np.int32), 16000), "int16 or floats, got int32"),
        ((speech[None] / 32768, 16000), "expected samples .n. of one channel"),
        ((speech / 32768,), "samples need their sampling rate"),
        ((home / "s1-0.wav", 16000), "a file has its own sampling rate"),
    ):
        with pytest.raises(InputError, match=words):
            embed(*arguments)
    for arguments, kind in (
        ((speech / 32768, 8000), "of another sampling rate or without the channel"),
        ((np.full(16000, np.nan), 16000), "not finite"),
        ((np.zeros(16000), 16000), "without speech"),
        ((np.zeros(0), 16000), "too short"),
        ((speech[9000:11000] / 32768, 16000), "too short"),
        ((tmp_path / "nowhere.wav",), "not readable"),
        ((f"touch {tmp_path}/made |",), "not readable"),
    ):
        with pytest.raises(Unusable) as error:
            embed(*arguments)
        assert error.value.kind == kind
    assert not (tmp_path / "made").exists()
