"""extract.py and run_extract_embeddings.sh as a recipe or a user calls them."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import toy

from dataset.kaldi_table import SequentialReader, TableWriter
from misc.light.light_file import write_light
from misc.light.net import UNSUPPORTED
from misc.light.place import light_paths
from misc.params import Params
from misc.run_dir import RunDir
from model.keras_network import KerasNetwork
from model.trainer import compiled_model

ROOT = Path(__file__).parents[2]
SHELL = "run_extract_embeddings.sh"
rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model folder `net` that was not trained, `data`, and what the scripts need."""
    folder = tmp_path_factory.mktemp("extract")
    params = Params.from_json(str(toy.write_config(folder / "c.json")))
    run = RunDir(str(folder / "net"))
    run.create(params, 5, 7)
    compiled_model(params, 5, 7).save(run.model_file(3))
    (folder / "net/nnet/checkpoint").write_text(
        'all_model_checkpoint_paths: "model-3"\n'
    )
    toy.write_data_dir(folder / "data")
    toy.write_vad(folder / "data")
    for name, target in (("utils", "misc/kaldi/utils"), ("nnet", "nnet")):
        (folder / name).symlink_to(ROOT / target)
    return folder


@pytest.fixture
def environment(home):
    path = f"{ROOT / 'misc/kaldi/bin'}:{Path(sys.executable).parent}"
    path += f":{os.environ['PATH']}:{home}/utils"
    return dict(os.environ, LC_ALL="C", PATH=path, XDG_CACHE_HOME=str(home / "cache"))


@pytest.fixture
def call(home, environment):
    """Runs a program of nnet/; its outcome, that must have this status."""

    def run(name, *arguments, status=0, **changes):
        command = [] if name.endswith(".sh") else [sys.executable]
        done = subprocess.run(
            [*command, f"nnet/{name}", *map(str, arguments)],
            cwd=home,
            env=environment | changes,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def vectors(rspecifier):
    with SequentialReader(rspecifier, "vector") as reader:
        return dict(reader)


def table(path):
    return [line.split() for line in path.read_text().splitlines()]


def write_features(path, matrices):
    with TableWriter(f"ark:{path}", "matrix") as writer:
        for key, matrix in matrices.items():
            writer.write(key, matrix)
    return f"ark:{path}"


def noise(frames, dim=5):
    return rng.normal(size=(frames, dim)).astype(np.float32)


def test_what_the_network_gives(home, call, tmp_path):
    """As Keras computes it; by archive, script and pipe, and without TensorFlow."""
    matrices = {f"u{i}": noise(n) for i, n in enumerate((300, 30, 1000, 31, 90))}
    ark = write_features(tmp_path / "f.ark", matrices)
    with TableWriter(f"ark,scp:{tmp_path}/g.ark,{tmp_path}/f.scp", "matrix") as writer:
        for key, matrix in matrices.items():
            writer.write(key, matrix)
    out = f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"
    call("extract.py", "net", ark, out)  # makes the light form
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('imported')\n")
    (tmp_path / "keras.py").write_text("raise SystemExit('imported')\n")
    pipe = f"ark:cat {tmp_path}/f.ark |"
    for rspecifier in (ark, f"scp:{tmp_path}/f.scp", pipe):
        done = call("extract.py", "net", rspecifier, out, PYTHONPATH=str(tmp_path))
        assert "of 5 utterances, 0 skipped; 1451 frames in" in done.stderr
        found = vectors(f"scp:{tmp_path}/x.scp")
        assert list(found) == list(matrices)
        [*expected] = KerasNetwork(str(home / "net"))(list(matrices.values()))
        for got, wanted in zip(found.values(), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    assert not list(tmp_path.glob("*.part*"))


def test_what_is_skipped_and_why(call, tmp_path):
    bad = noise(50)
    bad[7, 2] = np.nan
    matrices = {"good": noise(50), "nan": bad, "short": noise(20), "none": noise(0)}
    matrices |= {"other": noise(50, dim=4), "last": noise(26)}
    feats = write_features(tmp_path / "f.ark", matrices)
    done = call("extract.py", "net", feats, f"ark:{tmp_path}/x.ark")
    assert list(vectors(f"ark:{tmp_path}/x.ark")) == ["good", "last"]
    for words in (
        "nan: features that are not finite: skipped",
        "short: 20 frames, fewer than 25: skipped",
        "none: no frames: skipped",
        "other: 4-dimensional features; the model takes 5: skipped",
        "of 2 utterances, 4 skipped (1 not finite, 2 too short, 1 of another dim",
    ):
        assert words in done.stderr
    call("extract.py", "-m", "60", "net", feats, f"ark:{tmp_path}/y.ark", status=1)


def test_features_of_another_kind_are_an_error_at_once(call, tmp_path):
    feats = write_features(tmp_path / "f.ark", {"u": noise(50, 4), "v": noise(50, 4)})
    done = call("extract.py", "net", feats, f"ark:{tmp_path}/x.ark", status=1)
    [line] = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    assert line.endswith("u: 4-dimensional features; the model takes 5")
    assert not (tmp_path / "x.ark").exists()


def test_a_truncated_input_leaves_no_output(call, tmp_path):
    matrices = {f"u{i}": noise(400) for i in range(9)}
    feats = write_features(tmp_path / "f.ark", matrices)
    whole = (tmp_path / "f.ark").read_bytes()
    (tmp_path / "cut.ark").write_bytes(whole[:-100])
    out = f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"
    for rspecifier in (
        f"ark:{tmp_path}/cut.ark",
        f"ark:cat {tmp_path}/f.ark; exit 3 |",
        f"ark:head -c 9000 {tmp_path}/f.ark |",
    ):
        done = call("extract.py", "net", rspecifier, out, status=1)
        assert "ERROR" in done.stderr
        assert not (tmp_path / "x.ark").exists() and not (tmp_path / "x.scp").exists()
    call("extract.py", "--resume", "net", feats, out)
    assert list(vectors(f"scp:{tmp_path}/x.scp")) == list(matrices)


def test_an_interrupted_job_is_resumed(home, environment, call, tmp_path):
    """Killed in the middle; the second try keeps what is there, and only it."""
    matrices = {f"u{i}": noise(2000) for i in range(8)}
    feats = write_features(tmp_path / "f.ark", matrices)
    arguments = ["--node", "output", "net", feats]
    call("extract.py", *arguments, f"ark:{tmp_path}/expected.ark")
    slow = f"ark:head -c 200000 {tmp_path}/f.ark; sleep 60 |"
    command = [sys.executable, "nnet/extract.py", *arguments[:3], slow]
    command.append(f"ark:{tmp_path}/x.ark")
    part = tmp_path / "x.ark.part"
    job = subprocess.Popen(
        command,
        cwd=home,
        env=environment,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (part.exists() and b"u2 " in part.read_bytes()):
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGKILL)
    job.wait()
    assert not (tmp_path / "x.ark").exists()
    out = f"ark:{tmp_path}/x.ark"
    other = ("--node", "tdnn6_dense", "net", feats)
    done = call("extract.py", "--resume", *other, out, status=1)
    assert "begun with" in done.stderr and "start anew, without --resume" in done.stderr
    done = call("extract.py", "--resume", *arguments, out)
    assert "there before" in done.stderr
    assert (tmp_path / "x.ark").read_bytes() == (tmp_path / "expected.ark").read_bytes()
    assert "nothing to do" in call("extract.py", "--resume", *arguments, out).stderr
    done = call("extract.py", "--resume", *arguments, "ark:-", status=1)
    assert "--resume needs an archive" in done.stderr


def test_wrong_names(call, tmp_path):
    feats = write_features(tmp_path / "f.ark", {"u": noise(50)})
    for arguments, words in (
        (("--node", "tdnn9", "net"), "no endpoint 'tdnn9'; there are: tdnn1_conv"),
        (("--checkpoint", "4", "net"), "neither model-4.keras nor model-4.index"),
        (("-s", "20", "net"), "chunk size 20: at least 30 frames"),
        (("-n", "--node", "tdnn3_bn", "net"), "nothing to normalise"),
        (("nothing",), "is this a model folder?"),
        (("-g", "0", "net"), "no GPU 0 is found"),
    ):
        done = call("extract.py", *arguments, feats, "ark:/dev/null", status=1)
        assert words in done.stderr, words


def test_a_damaged_checkpoint_is_one_line(home, call, tmp_path):
    shutil.copytree(home / "net", tmp_path / "net")
    shutil.rmtree(tmp_path / "net/nnet/light", ignore_errors=True)
    path = tmp_path / "net/nnet/model-3.keras"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(bytes(data))
    feats = write_features(tmp_path / "f.ark", {"u": noise(50)})
    done = call("extract.py", tmp_path / "net", feats, "ark:/dev/null", status=1)
    assert "model-3.keras: cannot be loaded" in done.stderr.splitlines()[-1]


def test_many_jobs_make_the_light_form_once(home, environment, tmp_path):
    shutil.copytree(home / "net", tmp_path / "net")
    shutil.rmtree(tmp_path / "net/nnet/light", ignore_errors=True)
    feats = write_features(tmp_path / "f.ark", {"u": noise(50)})
    jobs = [
        subprocess.Popen(
            [sys.executable, "nnet/extract.py", tmp_path / "net", feats, f"ark:{out}"],
            cwd=home,
            env=environment,
            stderr=subprocess.PIPE,
        )
        for out in (tmp_path / "1", tmp_path / "2")
    ]
    for job in jobs:
        _, errors = job.communicate()
        assert job.returncode == 0, errors
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()
    assert len(os.listdir(tmp_path / "net/nnet/light")) == 1


def test_a_network_without_a_light_form_is_computed_by_keras(home, call, tmp_path):
    shutil.copytree(home / "net", tmp_path / "net")
    [path, _] = light_paths(RunDir(str(tmp_path / "net")), 3)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write_light(path, {UNSUPPORTED: "keras.ops Fancy"}, {})
    feats = write_features(tmp_path / "f.ark", {"u": noise(60), "v": noise(50)})
    for model, out in ((tmp_path / "net", "x"), ("net", "y")):
        done = call("extract.py", model, feats, f"ark:{tmp_path}/{out}")
        assert ("TensorFlow computes: keras.ops Fancy" in done.stderr) == (out == "x")
    by_keras, light = (vectors(f"ark:{tmp_path}/{out}") for out in ("x", "y"))
    for key, vector in light.items():
        np.testing.assert_allclose(by_keras[key], vector, rtol=1e-4, atol=1e-5)


def test_shell_script(home, call, tmp_path):
    """Jobs, one list in their order, speakers' means, lengths; and without VAD."""
    options = ("--cmd", "utils/run.pl", "--nj", "3", "--checkpoint", "last")
    done = call(SHELL, *options, "--normalize", "true", "net", "data", tmp_path / "x")
    assert "embeddings of 24 of 24 utterances" in done.stdout
    keys = [key for key, _ in table(home / "data/feats.scp")]
    before = vectors(f"scp:{tmp_path}/x/xvector_before_norm.scp")
    assert list(before) == keys
    assert before[keys[0]].shape == (512,)
    assert dict(table(tmp_path / "x/num_utts.ark")) == {f"s{i}": "4" for i in range(6)}
    speakers = vectors(f"scp:{tmp_path}/x/spk_xvector.scp")
    mean = np.mean([before[k] for k in keys if k.startswith("s2-")], axis=0)
    np.testing.assert_allclose(speakers["s2"], mean, rtol=1e-4, atol=1e-6)
    for vector in vectors(f"scp:{tmp_path}/x/xvector.scp").values():
        np.testing.assert_allclose(np.linalg.norm(vector), 1, rtol=1e-5)

    call("run_extract_embeddings_no_vad.sh", *options, "net", "data", tmp_path / "y")
    log = (tmp_path / "y/log/extract.1.log").read_text()
    frames = [int(number) for _, number in table(home / "data/utt2num_frames")]
    assert f"; {sum(frames[:8])} frames in" in log

    done = call(SHELL, *options, "--resume", "true", "net", "data", tmp_path / "y")
    assert "nothing to do" in (tmp_path / "y/log/extract.1.log").read_text()


def test_shell_script_refuses_other_features(home, call, tmp_path):
    toy.write_data_dir(tmp_path / "data", dim=4)
    toy.write_vad(tmp_path / "data")
    options = ("--cmd", "utils/run.pl", "--nj", "2")
    done = call(SHELL, *options, "net", tmp_path / "data", tmp_path / "x", status=1)
    assert done.stderr.splitlines()[-1].endswith(
        "has 4-dimensional features, the model takes 5"
    )
