"""How the features were made that a run's network was trained on.

`nnet/front_end` in a run's folder has the files of `dataset.front_end_conf`. Training
puts there what the data directory knows of its features; nnet/add_front_end.py adds
what is missing. Without them a folder serves for features, but not for sound files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Mapping

from dataset import front_end_conf as conf
from dataset.errors import InputError
from dataset.features import VadOptions
from dataset.front_end import (
    FrontEnd,
    feature_differences,
    read_front_end,
    read_wave_options,
)
from dataset.kaldi_table import SequentialReader
from dataset.options import read_config
from misc.params import Params
from misc.run_dir import RunDir
from misc.whole_files import write_text

_logger = logging.getLogger("front_end")


def training_conf(params: Params, data_dir: str) -> conf.Files:
    """What is known of the features of a training, for its folder.

    Raises:
        InputError: a file cannot be read.
    """
    files = conf.read_conf(conf.data_conf(data_dir))
    if params.waveform_features or all(kind in files for kind in conf.KINDS):
        # Of two kinds of features in turn, it is not known which are there now.
        files = {name: text for name, text in files.items() if name not in conf.KINDS}
    if params.waveform_features:
        text = conf.read_conf_file(params.waveform_config)
        files[f"{params.waveform_features}.conf"] = text
    if params.waveform_features or params.raw_features:
        files.pop(conf.CMVN, None)  # the loader's is the recipes'
    return files


def model_front_end(run: RunDir) -> FrontEnd:
    """The front end of a run.

    Raises:
        InputError: a file is missing (which, and how it is added), or wrong.
    """
    return _checked(run, conf.conf_paths(run.front_end))


def add_conf(run: RunDir, paths: Mapping[str, str]) -> None:
    """Copies to a run the files that it lacks.

    Args:
        paths: by their names in `dataset.front_end_conf`.

    Raises:
        InputError: the run knows better, or still lacks something; options are wrong or
            make features of another dimension. Then nothing is written.
    """
    known = conf.read_conf(run.front_end)
    files = {name: conf.read_conf_file(path) for name, path in paths.items()}
    for name, text in files.items():
        if known.get(name, text) != text:
            raise InputError(
                f"{paths[name]} is not what {run.front_end}/{name} says; if that is "
                "wrong, remove it first"
            )
    _checked(run, {**paths, **conf.conf_paths(run.front_end)})
    os.makedirs(run.front_end, exist_ok=True)
    for name, text in files.items():
        write_text(os.path.join(run.front_end, name), text)


def _checked(run: RunDir, paths: Mapping[str, str]) -> FrontEnd:
    dim = run.number("feature_dim")
    _refuse_missing(run, paths)
    front_end = read_front_end(paths)
    if front_end.dim != dim:
        [kind] = [paths[name] for name in conf.KINDS if name in paths]
        raise InputError(
            f"{kind}: {front_end.dim}-dimensional features; the model takes {dim}"
        )
    return front_end


def _refuse_missing(run: RunDir, names: Collection[str]) -> None:
    kinds = [kind for kind in conf.KINDS if kind in names]
    missing = [] if conf.VAD in names else [conf.VAD]
    if len(kinds) == 2:
        raise InputError(f"{run.front_end}: {' and '.join(kinds)}: expected one")
    if not kinds:
        missing.insert(0, " or ".join(conf.KINDS))
    if missing:
        options = "" if kinds else "--mfcc-config conf/mfcc.conf "
        options += "" if conf.VAD in names else "--vad-config conf/vad.conf "
        raise InputError(
            f"{run.front_end} has no {', no '.join(missing)}; what the features of the "
            f"training were made with is added by: nnet/add_front_end.py {options}"
            f"{run.model_dir}"
        )


def check_data(run: RunDir, data_dir: str) -> None:
    """Refuses a data directory whose raw features are not those of the training.

    Another VAD is only told of: what a frame means is the same.

    Raises:
        InputError: another dimension; or, where both sides know, another kind or other
            options; features that are normalised already.
    """
    with SequentialReader(f"scp:{data_dir}/feats.scp", "matrix") as reader:
        dim, wanted_dim = next(iter(reader))[1].shape[1], run.number("feature_dim")
    if dim != wanted_dim:
        raise InputError(
            f"{data_dir} has {dim}-dimensional features, the model takes {wanted_dim}"
        )
    wanted = conf.conf_paths(run.front_end)
    found = conf.conf_paths(conf.data_conf(data_dir))
    if conf.CMVN in found:
        raise InputError(
            f"{data_dir}: sliding CMVN has been applied ({found[conf.CMVN]}) and would "
            "be again: the raw features are wanted"
        )
    _check_kind(wanted, found)
    if conf.VAD in wanted and conf.VAD in found:
        vads = [read_config(VadOptions, paths[conf.VAD]) for paths in (wanted, found)]
        if vads[0] != vads[1]:
            _logger.warning(
                "%s is not what the training had: %s", found[conf.VAD], wanted[conf.VAD]
            )


def _check_kind(wanted: Mapping[str, str], found: Mapping[str, str]) -> None:
    kinds = [kind for kind in conf.KINDS if kind in found]
    for kind in conf.KINDS:
        if kind not in wanted or not kinds:
            continue
        if kind not in kinds:
            raise InputError(f"{found[kinds[0]]}: the model's features are {kind}'s")
        differences = feature_differences(
            read_wave_options(found[kind], kind), read_wave_options(wanted[kind], kind)
        )
        if differences:
            raise InputError(
                f"{found[kind]}: {' '.join(differences)}: not as the training had it, "
                f"{wanted[kind]}; make the features anew with that"
            )
