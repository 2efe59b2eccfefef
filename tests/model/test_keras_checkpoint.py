"""A checkpoint gives arrays and nothing else, whatever is in its file."""

import io
import json
import os
import zipfile

import h5py
import numpy as np
import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from misc.run_dir import RunDir
from model.keras_checkpoint import WEIGHTS, load_weights
from model.trainer import compiled_model, load_model

ARRAY = "head/output_layer/vars/0"


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """The folder's configuration, the model, and the members of its file."""
    folder = tmp_path_factory.mktemp("checkpoint")
    params = Params.from_json(str(toy.write_config(folder / "c.json")))
    model = compiled_model(params, 5, 7)
    model.optimizer.iterations.assign(11)
    model.save(folder / "m.keras")
    with zipfile.ZipFile(folder / "m.keras") as archive:
        return params, model, {n: archive.read(n) for n in archive.namelist()}


@pytest.fixture
def run(parts, tmp_path):
    run = RunDir(str(tmp_path / "net"))
    run.create(parts[0], 5, 7)
    run.add_checkpoint(3, keep=1)
    return run


def write(run, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(run.model_file(3), "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def changed(members, change):
    """The members with a changed HDF5 file."""
    stream = io.BytesIO(members[WEIGHTS])
    with h5py.File(stream, "r+") as file:
        change(file)
    return members | {WEIGHTS: stream.getvalue()}


def test_the_whole_state_comes_back(run, parts):
    _, model, members = parts
    write(run, members)
    again = load_model(run)
    for old, new in zip(
        model.variables + model.optimizer.variables,
        again.variables + again.optimizer.variables,
        strict=True,
    ):
        np.testing.assert_array_equal(old, new)


def test_no_configuration_of_a_file_is_looked_at(run, parts, tmp_path):
    """Neither Lambda layers nor names of modules and functions."""
    _, model, members = parts
    evil = {
        "module": "builtins",
        "class_name": "exec",
        "config": {"source": f"open({str(tmp_path / 'evil')!r}, 'w')"},
    }
    function = {"class_name": "function", "config": "system", "module": "os"}
    layer = {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"function": function, "arguments": {"command": "touch evil"}},
        "build_config": {"input_shape": [None, 5]},
    }
    for config in (evil, layer):
        others = {"../../evil": b"evil", "assets/../../../evil": b"evil"}
        write(run, members | others | {"config.json": json.dumps(config)})
        again = load_model(run)
        np.testing.assert_array_equal(again.head.weights[0], model.head.weights[0])
    assert not [p for p in tmp_path.rglob("*") if "evil" in p.name]


def replaced(make):
    """A change that puts another entry in place of an array."""

    def change(file):
        shape = file[ARRAY].shape
        del file[ARRAY]
        make(file, shape)

    return change


def external_storage(file, shape):
    size = 4 * int(np.prod(shape))
    file.create_dataset(ARRAY, shape, "f4", external=[("/etc/passwd", 0, size)])


def virtual(file, shape):
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("/etc/other.h5", "x", shape)
    file.create_virtual_dataset(ARRAY, layout)


def external_link(file, shape):
    file[ARRAY] = h5py.ExternalLink("/etc/other.h5", "/x")


def soft_link(file, shape):
    file[ARRAY] = h5py.SoftLink("/optimizer/vars/2")


def huge(file, shape):
    file.create_dataset(ARRAY, (1 << 20, 1 << 20), "f4")


def compressed(file, shape):
    file.create_dataset(ARRAY, data=np.zeros((4000, 4000), "f4"), compression="gzip")


def objects(file, shape):
    file.create_dataset(ARRAY, data=["a", "b"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    "make",
    [external_storage, virtual, external_link, soft_link, huge, compressed, objects],
)
def test_arrays_that_do_not_lie_in_the_file(run, parts, make):
    write(run, changed(parts[2], replaced(make)))
    with pytest.raises(InputError, match=f"model-3.keras.*{ARRAY} is"):
        load_weights(parts[1], run.model_file(3))


def test_another_network(run, parts):
    def one_more(file):
        file["layers/functional/layers/dense_9/vars/0"] = np.zeros(3, "f4")

    def another_shape(file):
        del file[ARRAY]
        file[ARRAY] = np.zeros((3, 3), "f4")

    write(run, changed(parts[2], one_more))
    with pytest.raises(InputError, match=r"weights, but config\.json describes"):
        load_weights(parts[1], run.model_file(3))
    write(run, changed(parts[2], another_shape))
    with pytest.raises(InputError, match=r"model-3\.keras: cannot be loaded"):
        load_weights(parts[1], run.model_file(3))


def test_damaged_files(run, parts):
    members = parts[2]
    write(run, members, zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="compressed"):
        load_weights(parts[1], run.model_file(3))
    write(run, {"config.json": b"{}"})
    with pytest.raises(InputError, match="cannot be loaded"):
        load_weights(parts[1], run.model_file(3))
    for weights in (b"", members[WEIGHTS][:1000], os.urandom(5000)):
        write(run, members | {WEIGHTS: weights})
        with pytest.raises(InputError, match="cannot be loaded"):
            load_weights(parts[1], run.model_file(3))
