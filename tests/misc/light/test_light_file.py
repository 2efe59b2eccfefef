"""The file of a light network, and where it is kept."""

import json
import os
import shutil

import numpy as np
import pytest
import toy

from dataset.errors import InputError
from misc.light.light_file import read_light, write_light
from misc.light.place import find_light, fingerprint, light_paths, remove_others
from misc.run_dir import RunDir


def test_round_trip(tmp_path):
    path = str(tmp_path / "x.safetensors")
    weights = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array(2.5, np.float32),
        "none": np.zeros((0, 4), np.float32),
    }
    write_light(path, {"steps": ["ü"]}, weights)
    description, read = read_light(path)
    assert description == {"steps": ["ü"]} and list(read) == list(weights)
    for name, array in weights.items():
        assert read[name].shape == array.shape
        np.testing.assert_array_equal(read[name], array)
    write_light(path, {}, {})
    assert read_light(path) == ({}, {})


def test_the_layout_is_that_of_safetensors(tmp_path):
    path = tmp_path / "x.safetensors"
    write_light(str(path), 1, {"a": np.ones(3, np.float32)})
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert header["a"] == {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}
    assert header["__metadata__"] == {"description": "1"}
    assert data[8 + size :] == np.ones(3, "<f4").tobytes()


def test_damage(tmp_path):
    """Cut anywhere, or lying about its sizes: an InputError, and no memory taken."""
    path = tmp_path / "x.safetensors"
    write_light(str(path), {"x": 1}, {"a": np.ones(3, np.float32)})
    whole = path.read_bytes()
    damaged = [whole[:n] for n in (0, 5, 8, 20, len(whole) - 1)]
    damaged += [(1 << 60).to_bytes(8, "little") + whole[8:]]
    damaged += [whole.replace(b"[0, 12]", b"[-8, 4]"), whole.replace(b"[3]", b"[4]")]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(InputError, match="damaged; delete it"):
            read_light(str(path))


@pytest.fixture
def run(tmp_path):
    """A folder of the original's kind: its checkpoints need no Keras to be written."""
    (tmp_path / "net/nnet").mkdir(parents=True)
    toy.write_config(tmp_path / "net/nnet/config.json")
    for step in (5, 10):
        (tmp_path / f"net/nnet/model-{step}.index").write_text(str(step))
    return RunDir(str(tmp_path / "net"))


def test_a_fingerprint_is_of_the_content(run, tmp_path):
    first = fingerprint(run, 5)
    assert first != fingerprint(run, 10)
    shutil.copytree(run.model_dir, tmp_path / "copy")
    assert fingerprint(RunDir(str(tmp_path / "copy")), 5) == first
    os.utime(run.file("model-5.index"), (0, 0))
    assert fingerprint(run, 5) == first
    with open(run.file("model-5.index"), "w") as stream:
        stream.write("6")
    assert fingerprint(run, 5) != first
    with open(run.model_file(5), "wb") as stream:
        stream.write(b"no archive")
    with pytest.raises(InputError, match="model-5"):
        fingerprint(run, 5)


def test_places(run, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_light(run, 5) is None
    first, second = light_paths(run, 5)
    assert first.startswith(run.path) and second.startswith(str(tmp_path / "cache"))
    for path in (second, first):
        os.makedirs(os.path.dirname(path))
        write_light(path, {}, {})
        assert find_light(run, 5) == path


def test_what_is_out_of_date_is_removed(run):
    [kept, _] = light_paths(run, 5)
    [other, _] = light_paths(run, 10)
    os.makedirs(os.path.dirname(kept))
    stale = kept.replace(fingerprint(run, 5), "0" * 16)
    gone = kept.replace("model-5", "model-3")
    for path in (kept, other, stale, gone):
        write_light(path, {}, {})
    remove_others(run, kept)
    assert {
        os.path.join(os.path.dirname(kept), n) for n in os.listdir(run.file("light"))
    } == {kept, other}
