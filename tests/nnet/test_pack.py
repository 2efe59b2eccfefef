"""pack.py and unpack.py as users call them; what an unpacked model can do."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

from dataset.kaldi_io import write_vec_flt
from dataset.kaldi_table import SequentialReader, TableWriter
from misc.params import Params
from misc.run_dir import RunDir
from model.trainer import compiled_model

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests/data/kaldi/frontend"
CONFS = {
    "mfcc.conf": "--num-ceps=5\n--num-mel-bins=12\n--snip-edges=false\n",
    "vad.conf": "--vad-energy-threshold=5.5\n",
    "cmvn.conf": "--cmn-window=300\n--center=true\n",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model folder `net` that was not trained, with its verifier."""
    folder = tmp_path_factory.mktemp("pack")
    params = Params.from_json(str(toy.write_config(folder / "c.json")))
    run = RunDir(str(folder / "net"))
    run.create(params, 5, 7, front_end=CONFS)
    compiled_model(params, 5, 7).save(run.model_file(3))
    run.add_checkpoint(3, keep=1)
    (folder / "net/verifier").mkdir()
    (folder / "net/verifier/embedding.conf").write_text("--checkpoint=3\n")
    write_vec_flt(str(folder / "net/verifier/mean.vec"), np.ones(512, np.float32))
    return folder


@pytest.fixture
def call(home):
    def run(name, *arguments, status=0):
        done = subprocess.run(
            [sys.executable, ROOT / "nnet" / name, *map(str, arguments)],
            cwd=home,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    return run


def test_an_unpacked_model_does_what_the_folder_does(home, call):
    assert "no --licence" in call("pack.py", "net", "net.zip").stderr
    assert "'not stated'" in call("unpack.py", "net.zip", "new").stderr
    manifest = json.loads((home / "new/manifest.json").read_text())
    assert manifest["checkpoint"]["step"] == 3 and manifest["versions"]["keras"]

    with TableWriter(f"ark:{home}/f.ark", "matrix") as writer:
        features = np.random.default_rng(0).normal(size=(200, 5))
        writer.write("u", features.astype(np.float32))
    embeddings, decisions = [], []
    for folder in ("net", "new"):
        call("extract.py", folder, "ark:f.ark", f"ark:{folder}.ark")
        with SequentialReader(f"ark:{home}/{folder}.ark", "vector") as reader:
            embeddings.append(dict(reader)["u"])
        sounds = (SPEECH / "s1.flac", SPEECH / "s2.flac")
        decisions.append(call("verify.py", folder, *sounds).stdout)
    np.testing.assert_array_equal(*embeddings)
    assert decisions[0] == decisions[1].replace("new/", "net/")
    assert "score" in decisions[0]


def test_what_is_refused(home, call):
    (home / "text.zip").write_text("no archive")
    assert "text.zip: damaged" in call("unpack.py", "text.zip", "x", status=1).stderr
    assert "No such file" in call("unpack.py", "none.zip", "x", status=1).stderr
    assert "there already" in call("unpack.py", "text.zip", "net", status=1).stderr
    assert "there already" in call("pack.py", "net", "text.zip", status=1).stderr
    assert "is this a model folder" in call("pack.py", home, "y.zip", status=1).stderr
    assert not (home / "x").exists() and not (home / "y.zip").exists()
