"""What nnet/export.py does, once Keras is imported."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from dataset.errors import InputError, Unusable
from dataset.front_end import FrontEnd
from dataset.kaldi_table import SequentialReader
from dataset.wav import Wave
from misc import manifest
from misc.embedder import Embedder, Network
from misc.model_front_end import model_front_end
from misc.run_dir import RunDir
from model.export import FORMATS, check_packages, export_module
from model.trainer import load_model
from nnet.networks import open_network

BOUND = 1e-4
"""Of an export against the model, relative to an embedding's largest value. float32
differs by 1e-6 from one runtime to another (seen: at most 3e-6); a mistake, such as a
frame more or another endpoint, by 1e-3 and more."""

_logger = logging.getLogger("export")

Utterances = Iterator[tuple[str, np.ndarray, np.ndarray]]
"""Key, what the export is given, and the features [frames, dim] that it stands for."""


def export(args: argparse.Namespace, folder: str) -> dict[str, Any]:
    """Fills a folder by the arguments of nnet/export.py; its manifest.

    Raises:
        InputError: the model cannot be used, a package is missing, or the export
            differs from the model.
    """
    check_packages(args.format)
    run = RunDir(args.model_dir)
    step = run.choose_checkpoint(args.checkpoint)
    facts = manifest.model_facts(run, step, args.training_data, args.licence)
    front_end = _front_end(run) if args.input == "wav" else None
    reference = open_network(args.model_dir, args.node, str(step))
    network = load_model(run, str(step)).in_float32().node(reference.node)
    kind = FORMATS[args.format]
    path = os.path.join(folder, kind.file)
    kind.write(export_module(network, args.format, front_end), path)
    difference, number = _compare(
        kind.open(path),
        reference,
        _recordings(args.check, front_end)
        if front_end
        else _features(args.check, reference),
        batched=front_end is None,
    )
    return {
        "format": args.format,
        "file": kind.file or None,
        "input": _input_facts(reference, front_end, kind.batches),
        "node": reference.node,
        "dimension": network.output.shape[-1],
        **facts,
        "check": {
            "utterances": number,
            "real": bool(args.check),
            "largest_relative_difference": difference,
            "bound": BOUND,
        },
    }


def _front_end(run: RunDir) -> FrontEnd:
    """That of the model folder, without what changes from one call to the next."""
    front_end = model_front_end(run)
    waves = dataclasses.replace(front_end.waves, dither=0.0)
    return dataclasses.replace(front_end, waves=waves, compress=False)


def _input_facts(
    network: Network, front_end: FrontEnd | None, batches: bool
) -> dict[str, Any]:
    if front_end:
        return {
            "name": "samples",
            "shape": ["samples"],
            "dtype": "float32",
            "sampling_frequency": front_end.waves.sample_frequency,
            "scale": "16-bit integers",
            "left_out": ["dither", "compression of features"],
        }
    return {
        "name": "features",
        "shape": ["utterances" if batches else 1, "frames", network.dim],
        "dtype": "float32",
        "least_frames": network.context,
    }


def _features(rspecifier: str, network: Network) -> Utterances:
    if rspecifier:
        with SequentialReader(rspecifier, "matrix") as reader:
            for key, features in reader:
                yield key, features, features
        return
    rng = np.random.default_rng(0)
    for extra in (0, 1, 38, 300, 1000):
        shape = (network.context + extra, network.dim)
        features = rng.normal(size=shape).astype(np.float32)
        yield f"noise of {len(features)} frames", features, features


def _recordings(rspecifier: str, front_end: FrontEnd) -> Utterances:
    rate = front_end.waves.sample_frequency
    for key, wave in _waves(rspecifier, rate):
        if wave.rate != rate:
            _logger.warning("%s: %g Hz, not %g: left out", key, wave.rate, rate)
            continue
        try:
            features = front_end.voiced_frames(key, wave)
        except InputError as error:
            _logger.warning("%s: %s: left out", key, error)
            continue
        channel = max(front_end.waves.channel, 0)
        yield key, wave.samples[channel].astype(np.float32), features


def _waves(rspecifier: str, rate: float) -> Iterator[tuple[str, Wave]]:
    if rspecifier:
        with SequentialReader(rspecifier, "wave") as reader:
            yield from reader
        return
    rng = np.random.default_rng(0)
    for seconds in (2.0, 3.3, 7.1):  # noise that swells twice a second, as speech does
        time = np.arange(int(seconds * rate)) / rate
        loudness = 2000 * np.sin(2 * np.pi * time) ** 2 + 5
        samples = (rng.normal(size=len(time)) * loudness).astype(np.float32)
        yield f"noise of {seconds} s", Wave(samples[None], int(rate))


def _compare(
    run: Callable[[np.ndarray], np.ndarray],
    network: Network,
    utterances: Utterances,
    batched: bool,
) -> tuple[float, int]:
    """The largest relative difference, and of how many utterances.

    Raises:
        InputError: it is above the bound; no utterance can be used.
    """
    embed = Embedder(network, chunk_size=sys.maxsize)
    worst, number = 0.0, 0
    for key, given, features in utterances:
        try:
            expected = embed(features)
        except Unusable as error:
            _logger.warning("%s: %s: left out", key, error)
            continue
        output = run(given[None])[0] if batched else run(given)
        difference = _difference(output, expected)
        if not difference < BOUND:
            raise InputError(
                f"{key}: the export differs from the model by {difference:.1e} of the "
                f"largest value, at most {BOUND:g} is accepted: nothing is written"
            )
        worst, number = max(worst, difference), number + 1
    if not number:
        raise InputError("--check: no utterance that the model takes")
    _logger.info(
        "largest relative difference to the model, %d utterances: %.1e", number, worst
    )
    return worst, number


def _difference(output: np.ndarray, expected: np.ndarray) -> float:
    if output.shape != expected.shape:
        return float("inf")
    largest = max(float(np.abs(expected).max()), 1e-12)
    return float(np.abs(output - expected).max()) / largest
