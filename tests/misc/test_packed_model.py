"""Packing and unpacking: what comes back, and what strangers may try."""

import json
import os
import stat
import struct
import zipfile

import numpy as np
import pytest
import toy

from dataset.errors import InputError
from dataset.kaldi_io import write_mat, write_vec_flt
from misc.manifest import model_facts
from misc.packed_model import pack, unpack
from misc.params import Params
from misc.run_dir import RunDir

MODEL = "nnet/model-7.keras"
CONFS = {
    "mfcc.conf": "--num-ceps=5\n--num-mel-bins=12\n",
    "vad.conf": "--vad-energy-threshold=5.5\n",
    "cmvn.conf": "--cmn-window=300\n",
}
HUGE = toy.CONFIG | {"num_nodes_frame_layers": 10**12}


@pytest.fixture
def model(tmp_path):
    """A run whose checkpoint is some bytes: packing does not look into it."""
    folder = tmp_path / "model"
    run = RunDir(str(folder))
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    run.create(params, 5, 9, front_end=CONFS)
    (folder / "nnet/model-3.keras").write_bytes(b"older")
    (folder / MODEL).write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "nnet/checkpoint").write_text(
        'all_model_checkpoint_paths: "model-3"\nall_model_checkpoint_paths: "model-7"\n'
    )
    (folder / "nnet/valid_loss").write_text("0 1.0 0.1\n")
    (folder / "verifier").mkdir()
    (folder / "verifier/embedding.conf").write_text("--checkpoint=7\n")
    write_vec_flt(str(folder / "verifier/mean.vec"), np.zeros(16, np.float32))
    write_mat(str(folder / "verifier/transform.mat"), np.eye(4, 16, dtype=np.float32))
    (folder / "LICENSE").write_text("CC BY 4.0")
    (folder / "notes.txt").write_text("of no concern")
    return run


@pytest.fixture
def packed(model, tmp_path):
    return packed_as(model, tmp_path / "model.zip")


def packed_as(run, path, step=7):
    pack(run, step, model_facts(run, step, "libri", "CC BY 4.0"), str(path))
    return path


def members(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive_of(path, contents):
    """A zip archive of (name or ZipInfo, bytes) pairs."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents:
            archive.writestr(name, content)
    return path


def with_manifest(contents, path, **changes):
    """An archive whose manifest fits what it says of the contents."""
    import hashlib

    files = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in contents.items()
        if name != "manifest.json"
    }
    said = json.loads(contents["manifest.json"]) | {"files": files} | changes
    contents = contents | {"manifest.json": json.dumps(said).encode()}
    return archive_of(path, contents.items())


def refusal(path, tmp_path):
    """Why it is not unpacked; nothing may be left of the try."""
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(InputError) as error:
        unpack(str(path), str(tmp_path / "new"))
    assert sorted(os.listdir(tmp_path)) == before
    return str(error.value)


def test_what_comes_back(model, packed, tmp_path):
    said = unpack(str(packed), str(tmp_path / "new"))
    new = RunDir(str(tmp_path / "new"))
    assert new.choose_checkpoint() == new.choose_checkpoint("-1") == 7
    assert new.params() == model.params()
    names = [
        *(f"nnet/front_end/{name}" for name in CONFS),
        "verifier/mean.vec",
        "LICENSE",
    ]
    for name in (MODEL, "nnet/feature_dim", "verifier/transform.mat", *names):
        assert (tmp_path / "new" / name).read_bytes() == (
            tmp_path / "model" / name
        ).read_bytes()
    assert not (tmp_path / "new/notes.txt").exists()
    assert sorted(os.listdir(tmp_path / "new/nnet")) == [
        "checkpoint", "config.json", "feature_dim", "front_end", "model-7.keras",
        "num_speakers",
    ]  # fmt: skip
    assert said["training_data"] == "libri" and said["licence"] == "CC BY 4.0"
    assert said["feature_dim"] == 5 and said["checkpoint"]["step"] == 7
    assert said["front_end"]["mfcc"]["num_ceps"] == 5
    assert json.loads((tmp_path / "new/manifest.json").read_text()) == said


def test_equal_models_make_equal_files(model, packed, tmp_path):
    assert packed_as(model, tmp_path / "b.zip").read_bytes() == packed.read_bytes()


def test_files_that_training_reads_are_not_named(tmp_path):
    (tmp_path / "rates").write_text("0.1\n0.05\n")
    changes = {
        "learning_rate": str(tmp_path / "rates"),
        "waveform_features": "mfcc",
        "waveform_config": "/home/me/mfcc.conf",
        "augment_noise": 1.0,
        "augment_noise_lists": ["/home/me/noises"],
    }
    config = toy.write_config(tmp_path / "c.json", **changes)
    run = RunDir(str(tmp_path / "model"))
    run.create(Params.from_json(str(config)), 5, 9)
    (tmp_path / "model" / MODEL).write_bytes(bytes(5000))
    path = packed_as(run, tmp_path / "m.zip")
    assert not any(b"/home/me" in content for content in members(path).values())
    unpack(str(path), str(tmp_path / "new"))
    params = RunDir(str(tmp_path / "new")).params()
    assert params.learning_rate == 0.1 and params.waveform_features is None
    (tmp_path / "new").rename(tmp_path / "good")

    given = json.loads((tmp_path / "c.json").read_text())
    for name, value in (
        ("learning_rate", "/etc/passwd"),
        ("waveform_features", "mfcc"),
    ):
        config = given | {"learning_rate": 0.1, name: value}
        contents = members(path) | {"nnet/config.json": json.dumps(config).encode()}
        if name == "learning_rate":
            for key in changes.keys() - {"learning_rate"}:
                del config[key]
            contents["nnet/config.json"] = json.dumps(config).encode()
        evil = with_manifest(contents, tmp_path / "evil.zip")
        assert "names files" in refusal(evil, tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "/tmp/evil",
        "../evil",
        "nnet/../../evil",
        "nnet\\..\\evil",
        "C:/evil",
        "nnet/model-9.keras/../../../evil",
        "nnet/model-07.keras",
        "nnet/model-9.keras",
        "nnet/model-٣.keras",
        "nnet/checkpoint",
        "nnet/light/model-7-0123456789abcdef.safetensors",
        "nnet/config.json\0.txt",
        "nnet/config.json/",
        "nnet/",
        "misc/params.py",
    ],
)
def test_members_of_other_names(packed, tmp_path, name):
    member = zipfile.ZipInfo("evil")
    member.filename = name  # as it is: the constructor cuts it at a zero byte
    contents = [*members(packed).items(), (member, b"evil")]
    evil = archive_of(tmp_path / "evil.zip", contents)
    message = refusal(evil, tmp_path)
    assert "no part of a packed model" in message or "one checkpoint" in message


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_members_that_come_twice(packed, tmp_path):
    contents = [*members(packed).items(), ("LICENSE", b"another")]
    assert "is there twice" in refusal(
        archive_of(tmp_path / "e.zip", contents), tmp_path
    )


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices(packed, tmp_path, kind):
    member = zipfile.ZipInfo("README.md")
    member.external_attr = (kind | 0o777) << 16
    contents = [*members(packed).items(), (member, b"/etc/passwd")]
    assert "not a plain file" in refusal(
        archive_of(tmp_path / "e.zip", contents), tmp_path
    )


def test_bombs(packed, tmp_path):
    """Compressed members; sizes that lie; one stretch of bytes for many members."""
    bomb = zipfile.ZipInfo("README.md")
    bomb.compress_type = zipfile.ZIP_DEFLATED
    contents = [*members(packed).items(), (bomb, bytes(10_000_000))]
    path = archive_of(tmp_path / "bomb.zip", contents)
    assert "without compression" in refusal(path, tmp_path)

    contents = members(packed) | {"README.md": b"small"}
    path = with_manifest(contents, tmp_path / "lie.zip")
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"README.md"))
    data[entry + 20 : entry + 28] = struct.pack("<II", 1 << 30, 1 << 30)
    path.write_bytes(data)
    assert "larger than" in refusal(path, tmp_path)

    contents = members(packed) | {"nnet/config.json": b" " * 2_000_000 + b"{}"}
    path = with_manifest(contents, tmp_path / "long.zip")
    assert "bytes, at most" in refusal(path, tmp_path)


def test_truncated_and_altered(packed, tmp_path):
    data = packed.read_bytes()
    path = tmp_path / "cut.zip"
    for size in (0, 10, 100, len(data) // 2, len(data) - 30, len(data) - 1):
        path.write_bytes(data[:size])
        refusal(path, tmp_path)
    contents = members(packed)
    contents[MODEL] = contents[MODEL][:-1] + b"!"
    evil = archive_of(tmp_path / "evil.zip", contents.items())
    assert f"{MODEL} is not what manifest.json says" in refusal(evil, tmp_path)


def test_any_byte_may_be_wrong(packed, tmp_path):
    """Unpacking gives the same, or one line and nothing else."""
    data, rng = packed.read_bytes(), np.random.default_rng(1)
    path = tmp_path / "damaged.zip"
    good = members(packed)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] = rng.integers(256)
        path.write_bytes(damaged)
        new = tmp_path / "new"
        try:
            unpack(str(path), str(new))
        except InputError:
            assert not new.exists()
            continue
        for name, content in good.items():
            if name not in ("manifest.json", "nnet/config.json"):
                assert (new / name).read_bytes() == content
        for name in good:
            (new / name).unlink()
        new.rename(tmp_path / f"kept{rng.integers(1 << 40)}")
    assert {n.split(".")[0].rstrip("0123456789") for n in os.listdir(tmp_path)} <= {
        "c", "model", "damaged", "kept"
    }  # fmt: skip


@pytest.mark.parametrize(
    "content, message",
    [
        (b"[" * 100_000, "damaged"),
        (b'{"a": ' + b"9" * 5000 + b"}", "damaged"),
        (b"[]", "not that of"),
        (b'{"kind": "tf-kaldi-speaker model", "version": 2}', "version 2"),
        (b'{"kind": "tf-kaldi-speaker model", "version": 1, "files": [1]}', "lists"),
        (b"\xff\xfe", "damaged"),
    ],
)
def test_manifests_that_are_none(packed, tmp_path, content, message):
    contents = members(packed) | {"manifest.json": content}
    path = archive_of(tmp_path / "e.zip", contents.items())
    assert message in refusal(path, tmp_path)


@pytest.mark.parametrize(
    "name, content",
    [
        ("nnet/feature_dim", b"-5"),
        ("nnet/feature_dim", b"9" * 6000),
        ("nnet/num_speakers", b"__import__('os')"),
        ("nnet/num_speakers", b"10000000000"),
        ("nnet/config.json", json.dumps(HUGE).encode()),
        ("nnet/config.json", b"[" * 100_000),
        ("nnet/config.json", b"{}"),
        ("verifier/plda", b"\0B garbage"),
        ("nnet/front_end/mfcc.conf", b"--config=/etc/passwd\n"),
        ("nnet/front_end/mfcc.conf", b"--utt2spk=touch /tmp/evil |\n"),
        ("nnet/front_end/mfcc.conf", b"--vtln-map=touch /tmp/evil |\n"),
        ("verifier/embedding.conf", b"--checkpoint=../../x\n"),
        ("verifier/embedding.conf", b"--checkpoint=8\n"),
        ("verifier/calibration.json", b"{}"),
    ],
)
def test_members_with_bad_content(packed, tmp_path, name, content):
    contents = members(packed) | {name: content}
    refusal(with_manifest(contents, tmp_path / "evil.zip"), tmp_path)


def test_nothing_is_written_over(packed, tmp_path):
    for name, make in (
        ("file", lambda path: path.write_text("mine")),
        ("folder", lambda path: path.mkdir()),
        ("link", lambda path: path.symlink_to(tmp_path / "nowhere")),
    ):
        make(tmp_path / name)
        with pytest.raises(InputError, match="there already"):
            unpack(str(packed), str(tmp_path / name))
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


def test_what_is_not_packed(model, tmp_path):
    with pytest.raises(InputError, match="verifier is of model-7, not of model-3"):
        packed_as(model, tmp_path / "a.zip", step=3)
    for part in ("index", "data-00000-of-00001"):
        with open(model.file(f"model-4.{part}"), "wb"):
            pass
    with pytest.raises(InputError, match="import_checkpoint"):
        packed_as(model, tmp_path / "a.zip", step=4)
    assert not list(tmp_path.glob("a*"))


def test_a_checkpoint_file_stays_in_its_folder(model):
    """Its names are numbers to us, whatever path they are written with."""
    with open(model.file("checkpoint"), "w") as stream:
        stream.write('all_model_checkpoint_paths: "../../x/model-7"\n')
        stream.write('all_model_checkpoint_paths: "../../x"\n')
    assert model.checkpoints() == [7]
    assert model.model_file(model.choose_checkpoint()) == model.file("model-7.keras")
