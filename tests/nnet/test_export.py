"""export.py: each format beside the model, run by its own runtime."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

import nnet.export
import nnet.exporting
from dataset.errors import InputError
from dataset.kaldi_table import TableWriter
from dataset.wav import read_wave
from misc.params import Params
from misc.run_dir import RunDir
from model.export import FORMATS, export_module
from model.trainer import compiled_model

ROOT = Path(__file__).parents[2]
SPEECH = ROOT / "tests/data/kaldi/frontend"
INSTALLED = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            not all(map(importlib.util.find_spec, kind.packages)),
            reason=f"pip install {kind.install}",
        ),
    )
    for name, kind in FORMATS.items()
]
POOLINGS = {
    "statistics_pooling": {},
    "self_attention": {
        "att_key_input": "tdnn4_relu",
        "att_key_num_nodes": [8],
        "att_key_network_type": 2,
        "att_value_input": "tdnn5_relu",
        "att_value_num_nodes": [],
        "att_value_network_type": 2,
        "att_num_heads": 2,
        "att_split_key": False,
        "att_use_scale": True,
        "att_apply_nonlinear": True,
        "att_penalty_term": 0.0,
    },
    "ghost_vlad": {
        "vlad_num_centers": 3,
        "vlad_num_ghosts": 1,
        "vlad_key_input": "tdnn5_relu",
        "vlad_key_num_nodes": [8],
        "vlad_value_input": "tdnn5_relu",
        "vlad_value_num_nodes": [],
        "vlad_final_l2_norm": True,
    },
}
CONFS = {
    "mfcc.conf": "--num-ceps=5\n--num-mel-bins=12\n--snip-edges=false\n",
    "vad.conf": "--vad-energy-threshold=5.5\n",
    "cmvn.conf": "--cmn-window=300\n--center=true\n",
}
rng = np.random.default_rng(0)

# TensorFlow's converters and tf2onnx use what others have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A model folder `net` that was not trained, with a front end, and recordings."""
    folder = tmp_path_factory.mktemp("export")
    params = Params.from_json(str(toy.write_config(folder / "c.json")))
    run = RunDir(str(folder / "net"))
    run.create(params, 5, 7, front_end=CONFS)
    compiled_model(params, 5, 7).save(run.model_file(3))
    run.add_checkpoint(3, keep=1)
    scp = [f"s{i} {SPEECH}/s{i}.flac\n" for i in ("1", "2", "3", "3-8k")]
    (folder / "wav.scp").write_text("".join(scp))
    return folder


@pytest.fixture
def export(home, monkeypatch, caplog):
    """Runs export.py in this process; what it logged."""

    def run(*arguments):
        caplog.clear()
        caplog.set_level("INFO")
        monkeypatch.chdir(home)
        monkeypatch.setattr(sys, "argv", ["export.py", *map(str, arguments)])
        nnet.export.main()
        return caplog.text

    return run


@pytest.mark.parametrize("name", INSTALLED)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_formats(name, pooling, tmp_path):
    """One utterance and several, of any length, give what the model gives."""
    config = toy.write_config(
        tmp_path / "c.json", pooling_type=pooling, **POOLINGS[pooling]
    )
    network = compiled_model(Params.from_json(str(config)), 5, 7).node("tdnn6_dense")
    kind = FORMATS[name]
    path = str(tmp_path / (kind.file or "savedmodel"))
    kind.write(export_module(network, name), path)
    run = kind.open(path)
    for shape in ((1, 15, 5), (1, 300, 5), (3, 40, 5))[: 3 if kind.batches else 2]:
        features = rng.normal(size=shape).astype(np.float32)
        expected = np.asarray(network(features, training=False))
        np.testing.assert_allclose(
            run(features), expected, rtol=0, atol=1e-5 * abs(expected).max()
        )


@pytest.mark.parametrize("name", INSTALLED)
def test_from_recordings_to_embeddings(home, export, name):
    out = home / f"wav-{name}"
    arguments = ("--format", name, "--input", "wav", "--licence", "CC BY 4.0")
    said = export(*arguments, "--check", "scp:wav.scp", "net", out)
    assert "s3-8k: 8000 Hz" in said and "3 utterances" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["check"]["largest_relative_difference"] < 1e-5
    assert manifest["check"]["utterances"] == 3 and manifest["dimension"] == 512
    assert manifest["input"]["sampling_frequency"] == 16000
    assert manifest["front_end"]["mfcc"]["num_ceps"] == 5
    assert manifest["licence"] == "CC BY 4.0" and manifest["node"] == "tdnn6_dense"
    run = FORMATS[name].open(str(out / FORMATS[name].file))
    samples = read_wave(SPEECH / "s1.flac").samples[0].astype(np.float32)
    assert run(samples).shape == (512,)


def test_from_features(export, tmp_path):
    with TableWriter(f"ark:{tmp_path}/f.ark", "matrix") as writer:
        for i, frames in enumerate((90, 3, 200)):
            writer.write(f"u{i}", rng.normal(size=(frames, 5)).astype(np.float32))
    out = tmp_path / "saved"
    said = export(
        "--node", "tdnn5_relu", "--check", f"ark:{tmp_path}/f.ark", "net", out
    )
    assert "u1: 3 frames" in said and "2 utterances" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["input"]["shape"] == ["utterances", "frames", 5]
    assert manifest["input"]["least_frames"] == 15
    with pytest.raises(InputError, match="there already"):
        export("net", out)


def test_what_is_refused(home, export, tmp_path, monkeypatch):
    """Nothing is left of it."""
    monkeypatch.setattr(nnet.exporting, "BOUND", 0)
    with pytest.raises(InputError, match="differs from the model by .*nothing is"):
        export("net", tmp_path / "x")
    monkeypatch.undo()
    shutil.copytree(home / "net", tmp_path / "net")
    shutil.rmtree(tmp_path / "net/nnet/front_end")
    with pytest.raises(InputError, match="add_front_end"):
        export("--input", "wav", tmp_path / "net", tmp_path / "x")
    monkeypatch.setitem(
        FORMATS, "onnx", FORMATS["onnx"]._replace(packages=("no_such_package",))
    )
    with pytest.raises(InputError, match="pip install tf2onnx onnxruntime"):
        export("--format", "onnx", "net", tmp_path / "x")
    with pytest.raises(InputError, match="no endpoint"):
        export("--node", "nowhere", "net", tmp_path / "x")
    assert [path.name for path in tmp_path.iterdir()] == ["net"]
