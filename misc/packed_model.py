"""A model folder in one file, to be passed on; and out of it, whoever it came from.

The file is a zip archive of these members and no others:

    nnet/config.json            the configuration, without what only training needs
    nnet/feature_dim, nnet/num_speakers
    nnet/model-N.keras          one checkpoint
    nnet/front_end/*.conf       how its features are made, if the folder says
    verifier/*                  how its scores are made, if the folder says
    README.md, LICENSE          of the model, if there
    manifest.json               misc/manifest.py, and size and SHA-256 of all others

What comes from a stranger is data: only these names are taken, each once, each a plain
file without compression (so none is larger than the archive), and they are written
below a new folder that gets its name when all is checked. The checksums find damage,
not forgery: who changes a member can change the manifest.

The light form stays behind. It is made of the checkpoint in seconds, and one that came
along might be another network than the checkpoint's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import re
import shutil
import stat
import struct
import zipfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from dataset import front_end_conf as conf
from dataset.errors import InputError
from dataset.front_end import read_wave_options
from dataset.kaldi_stream import located
from dataset.options import read_config
from misc import manifest
from misc.augmentation_keys import AugmentationKeys
from misc.backend import verifier
from misc.backend.calibration import read_calibration
from misc.params import Params
from misc.run_dir import RunDir
from misc.whole_files import temporary_name, write_whole

KIND, VERSION = "tf-kaldi-speaker model", 1

CONFIG = "nnet/config.json"
_NUMBERS = ("nnet/feature_dim", "nnet/num_speakers")
_MODEL = re.compile(r"nnet/model-(0|[1-9][0-9]{0,14})\.keras")
_SCORING = (
    verifier.EMBEDDING_CONF,
    verifier.MEAN,
    verifier.TRANSFORM,
    verifier.PLDA,
    verifier.CALIBRATION,
)
_OPTIONAL = (
    *(f"nnet/front_end/{name}" for name in conf.NAMES),
    *(f"{verifier.FOLDER}/{name}" for name in _SCORING),
    "README.md",
    "LICENSE",
)
_SMALL = 1 << 20
"""Bytes of the largest file that is read as a whole: JSON, numbers, options."""
_BLOCK = 1 << 20


def pack(run: RunDir, step: int, facts: Mapping[str, Any], path: str) -> None:
    """Writes a packed model, whole.

    Args:
        facts: for the manifest, by `manifest.model_facts`.

    Raises:
        InputError: the checkpoint is the original's, or not the one of verifier/.
        OSError: a file cannot be read or written.
    """
    if run.is_original(step):
        raise InputError(
            f"{run.path}: model-{step} is in the original's files; "
            "nnet/import_checkpoint.py makes a folder that can be packed"
        )
    _check_parts(run, step)
    names = [*_NUMBERS, f"nnet/model-{step}.keras"]
    names += [n for n in _OPTIONAL if os.path.isfile(os.path.join(run.model_dir, n))]

    def write(name: str) -> None:
        entries = {}
        with zipfile.ZipFile(name, "x") as archive:
            config = io.BytesIO(_shipped_config(run).encode())
            entries[CONFIG] = _add(archive, CONFIG, config)
            for member in names:
                with open(os.path.join(run.model_dir, member), "rb") as source:
                    entries[member] = _add(archive, member, source)
            said = {"kind": KIND, "version": VERSION, **facts, "files": entries}
            content = json.dumps(said, indent=2).encode() + b"\n"
            _add(archive, manifest.NAME, io.BytesIO(content))

    write_whole(path, write)


def _shipped_config(run: RunDir) -> str:
    """The configuration without the keys that name files, which training reads.

    They are of no use elsewhere, and a training that goes on should not be led to files
    of a stranger's choice. All but the list of rates belong to `waveform_features`.
    """
    params = run.params()
    if rates := params.learning_rate_list():
        params = dataclasses.replace(params, learning_rate=rates[0])
    without: Any = dataclasses.asdict(AugmentationKeys())
    return dataclasses.replace(params, **without).to_json()


def _add(archive: zipfile.ZipFile, name: str, source: IO[bytes]) -> dict[str, Any]:
    """Adds a member; its entry in the manifest."""
    member = zipfile.ZipInfo(name)  # of 1980: equal contents make equal archives
    member.external_attr = (stat.S_IFREG | 0o644) << 16
    digest, size = hashlib.sha256(), 0
    with archive.open(member, "w", force_zip64=True) as target:
        while block := source.read(_BLOCK):
            digest.update(block)
            size += len(block)
            target.write(block)
    return {"size": size, "sha256": digest.hexdigest()}


def unpack(path: str, model_dir: str) -> dict[str, Any]:
    """Makes a model folder of a packed model; its manifest.

    Nothing but the new folder is written, and it is whole or not there.

    Raises:
        InputError: the folder is there already; the file is damaged, or is no packed
            model, or one that asks for what it should not.
        OSError: a file cannot be read or written.
    """
    manifest.refuse_existing(model_dir)
    draft = temporary_name(model_dir.rstrip("/"))
    os.mkdir(draft)
    try:
        with located(path):
            said, step = _extract(path, draft)
            run = RunDir(draft)
            _check_model(run, step)
            run.add_checkpoint(step, keep=1)
        os.rename(draft, model_dir)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return said


def _extract(path: str, folder: str) -> tuple[dict[str, Any], int]:
    """Writes the members below the folder; the manifest, and the checkpoint's step."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked_members(archive, os.path.getsize(path))
            said = _read_manifest(archive, members)
            for name in members:
                _extract_member(archive, said["files"].get(name), name, folder)
    except (
        zipfile.BadZipFile,
        struct.error,
        ValueError,
        RuntimeError,
        OverflowError,
        EOFError,
    ) as error:
        raise InputError(f"damaged, or no packed model: {error}") from None
    [step] = [int(match[1]) for match in map(_MODEL.fullmatch, members) if match]
    return said, step


def _checked_members(
    archive: zipfile.ZipFile, archive_size: int
) -> dict[str, zipfile.ZipInfo]:
    """The members by name.

    Raises:
        InputError: for one that does not belong there, or is missing.
    """
    members: dict[str, zipfile.ZipInfo] = {}
    for member in archive.infolist():
        name = member.orig_filename
        if not _is_known(name):
            raise InputError(f"{ascii(name)} is no part of a packed model")
        if name in members:
            raise InputError(f"{name} is there twice")
        kind = stat.S_IFMT(member.external_attr >> 16)
        stored = member.compress_type == zipfile.ZIP_STORED
        if kind not in (0, stat.S_IFREG) or member.flag_bits & 1 or not stored:
            raise InputError(f"{name} is not a plain file without compression")
        if member.file_size > _SMALL and name.endswith((".json", ".conf", *_NUMBERS)):
            raise InputError(f"{name}: {member.file_size} bytes, at most {_SMALL}")
        members[name] = member
    if sum(member.file_size for member in members.values()) > archive_size:
        raise InputError(f"its members are to be larger than its {archive_size} bytes")
    needed = [name for name in (CONFIG, *_NUMBERS) if name not in members]
    models = sum(1 for name in members if _MODEL.fullmatch(name))
    if needed or models != 1:
        missing = ", ".join(needed) or "one checkpoint"
        raise InputError(f"no packed model: {missing} is missing")
    return members


def _is_known(name: str) -> bool:
    known = (manifest.NAME, CONFIG, *_NUMBERS, *_OPTIONAL)
    return name in known or _MODEL.fullmatch(name) is not None


def _read_manifest(archive: zipfile.ZipFile, members: Mapping[str, Any]) -> Any:
    if manifest.NAME not in members:
        raise InputError(f"no packed model: {manifest.NAME} is missing")
    said = json.loads(archive.read(manifest.NAME))
    if not isinstance(said, dict) or said.get("kind") != KIND:
        raise InputError(f"{manifest.NAME} is not that of a packed model")
    if said.get("version") != VERSION:
        raise InputError(
            f"a packed model of version {said.get('version')}; this program knows "
            f"version {VERSION}"
        )
    files = said.get("files")
    if not isinstance(files, dict) or files.keys() != members.keys() - {manifest.NAME}:
        raise InputError(f"{manifest.NAME} lists other files than there are")
    return said


def _extract_member(
    archive: zipfile.ZipFile, entry: Any, name: str, folder: str
) -> None:
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with archive.open(name) as source, open(path, "xb") as target:
        while block := source.read(_BLOCK):
            digest.update(block)
            size += len(block)
            target.write(block)
    if name != manifest.NAME and entry != {"size": size, "sha256": digest.hexdigest()}:
        raise InputError(f"{name} is not what {manifest.NAME} says: damaged or changed")


def _check_model(run: RunDir, step: int) -> None:
    """Reads all but the checkpoint, which is checked when it is loaded.

    Raises:
        InputError: what is not as it should be.
    """
    params = run.params()
    if isinstance(params.learning_rate, str) or params.waveform_features:
        raise InputError(f"{CONFIG} names files, which a packed model's does not")
    numbers = [run.number("feature_dim"), run.number("num_speakers")]
    if min(numbers) < 1:
        raise InputError("nnet/feature_dim, num_speakers: expected numbers above 0")
    if max(*numbers, *_widths(params)) > os.path.getsize(run.model_file(step)):
        raise InputError("a network that is larger than its checkpoint")
    _check_parts(run, step)


def _widths(params: Params) -> Iterator[int]:
    """The sizes of the layers; each has as many weights at least."""
    for name, value in dataclasses.asdict(params).items():
        if "num_nodes" in name:
            yield from value if isinstance(value, tuple) else [value or 0]


def _check_parts(run: RunDir, step: int) -> None:
    """Reads the front end and the back end, if they are there."""
    for kind, path in conf.conf_paths(run.front_end).items():
        if kind in conf.KINDS:
            waves = read_wave_options(path, kind)
            if waves.vtln_map or waves.utt2spk or waves.write_utt2dur:
                raise InputError(f"nnet/front_end/{kind} names tables")
    folder = os.path.join(run.model_dir, verifier.FOLDER)
    if not os.path.isdir(folder):
        return
    path = os.path.join(folder, verifier.EMBEDDING_CONF)
    checkpoint = read_config(verifier.EmbeddingOptions, path).checkpoint
    if checkpoint not in ("last", str(step)):
        raise InputError(
            f"{verifier.FOLDER} is of model-{checkpoint}, not of model-{step}"
        )
    verifier.read_back_end(folder)
    calibration = os.path.join(folder, verifier.CALIBRATION)
    if os.path.exists(calibration):
        read_calibration(calibration)
