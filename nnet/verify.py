#!/usr/bin/env python3
"""Tells whether recordings are of the same speaker.

usage: verify.py [options] <model-dir> <enrol.wav> [<enrol2.wav> ...] <test.wav>
e.g.:  verify.py --p-target 0.01 exp/xvector anna1.wav anna2.wav unknown.wav

Prints the score, its log-likelihood ratio (natural logarithm) and the decision that
costs least at the stated prior and costs. Exit status 0: decided, or no calibration is
there to decide by; 1: a recording or the model folder cannot be used, with the reason.
"""

from __future__ import annotations

import argparse
import logging
import math
import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from dataset.front_end import FrontEnd
from dataset.kaldi_stream import located
from dataset.options import read_config
from dataset.wav import read_wave
from misc.backend import verifier
from misc.backend.calibration import (
    Calibration,
    bayes_threshold,
    quality_inputs,
    quality_names,
    read_calibration,
)
from misc.backend.verifier import EmbeddingOptions, read_back_end
from misc.embedder import Embedder
from misc.model_front_end import model_front_end
from misc.run_dir import RunDir
from nnet import program
from nnet.networks import open_network

KEY = "verify"
"""Of every recording: the dither, and so the score, must not depend on its name."""


class Side(NamedTuple):
    """Recordings of one speaker: embeddings [N, dim], their length and their speech."""

    embeddings: np.ndarray
    seconds: float
    speech: float

    @property
    def norm(self) -> float:
        """The length of the mean embedding."""
        return float(np.linalg.norm(self.embeddings.mean(axis=0, dtype=np.float64)))


def parse_args() -> argparse.Namespace:
    """The recordings, and what decides."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--p-target",
        type=float,
        default=0.01,
        help="prior probability that the speakers are the same (default 0.01)",
    )
    parser.add_argument(
        "--c-miss", type=float, default=1.0, help="cost of a wrong rejection"
    )
    parser.add_argument(
        "--c-fa", type=float, default=1.0, help="cost of a wrong acceptance"
    )
    parser.add_argument(
        "--min-speech",
        type=float,
        default=1.0,
        help="seconds of speech that each recording must have (default 1)",
    )
    parser.add_argument("model_dir", help="the run's folder, with its verifier/")
    parser.add_argument("enrol", nargs="+", help="recordings of the known speaker")
    parser.add_argument("test", help="the recording in question")
    return parser.parse_args()


def main() -> None:
    """Checks everything cheap before the network is loaded."""
    args = parse_args()
    threshold = bayes_threshold(args.p_target, args.c_miss, args.c_fa)
    folder = os.path.join(args.model_dir, verifier.FOLDER)
    if not os.path.isdir(folder):
        raise InputError(f"{folder}: not there; nnet/make_verifier.py makes it")
    options = read_config(
        EmbeddingOptions, os.path.join(folder, verifier.EMBEDDING_CONF)
    )
    front_end = model_front_end(RunDir(args.model_dir))
    back_end = read_back_end(folder)
    path = os.path.join(folder, verifier.CALIBRATION)
    calibration = read_calibration(path) if os.path.exists(path) else None
    features = {
        name: recording_features(front_end, name, args.min_speech)
        for name in dict.fromkeys([*args.enrol, args.test])
    }
    embed = _embedder(args.model_dir, options)
    enrol, test = (
        _side([(name, *features[name]) for name in names], embed, front_end)
        for names in (args.enrol, [args.test])
    )
    score = back_end.score(enrol.embeddings, test.embeddings[0])
    for title, side in (("enrolment", enrol), ("test", test)):
        print(
            f"{title:10s} {side.speech:.2f} s of speech in {side.seconds:.2f} s, "
            f"{len(side.embeddings)} recording(s)"
        )
    print(f"{'score':10s} {score:.4f} ({back_end.score_name})")
    if calibration is None:
        print("decision   none: no threshold is known without a calibration; make one:")
        print(f"           calibration-train <trials> <scores> {path}")
        return
    llr = _llr(calibration, score, enrol, test)
    log_odds = llr - bayes_threshold(args.p_target)
    posterior = 0.5 * (1.0 + math.tanh(0.5 * log_odds))
    print(f"{'llr':10s} {llr:.4f} (natural logarithm)")
    print(
        f"{'posterior':10s} {posterior:.4g} that the speakers are the same, "
        f"{args.p_target:g} before"
    )
    print(
        f"{'decision':10s} {'accept' if llr > threshold else 'reject'}: llr "
        f"{'above' if llr > threshold else 'not above'} {threshold:.4f}, the threshold "
        f"at p-target {args.p_target:g}, c-miss {args.c_miss:g}, c-fa {args.c_fa:g}"
    )


def recording_features(
    front_end: FrontEnd, name: str, min_speech: float
) -> tuple[np.ndarray, float]:
    """The voiced frames [frames, dim] of a sound file, and its duration in seconds.

    Raises:
        InputError: it cannot be used; names the file.
    """
    wave = read_wave(name)
    with located(name):
        front_end.check_level(wave)
        frames = front_end.voiced_frames(KEY, wave)
        speech = len(frames) * front_end.frame_shift
        if speech < min_speech:
            raise InputError(
                f"too short: {speech:.2f} s of speech in {wave.duration:.2f} s; "
                f"--min-speech asks for {min_speech:g} s"
            )
    return frames, wave.duration


def _embedder(
    model_dir: str, options: EmbeddingOptions
) -> Callable[[np.ndarray], np.ndarray]:
    network = open_network(model_dir, options.node, options.checkpoint)
    embed = Embedder(network, options.chunk_size, options.normalize)
    if embed.kind != "vector":
        raise InputError(f"node '{options.node}' has a row a frame: no embedding")
    return embed


def _side(
    recordings: list[tuple[str, np.ndarray, float]],
    embed: Callable[[np.ndarray], np.ndarray],
    front_end: FrontEnd,
) -> Side:
    embeddings = []
    for name, frames, _ in recordings:
        with located(name):
            embeddings.append(embed(frames))
    return Side(
        np.stack(embeddings),
        sum(seconds for _, _, seconds in recordings),
        sum(len(frames) for _, frames, _ in recordings) * front_end.frame_shift,
    )


def _llr(calibration: Calibration, score: float, enrol: Side, test: Side) -> float:
    if calibration.num_systems != 1:
        raise InputError(
            f"The calibration is a fusion of {calibration.num_systems} systems: "
            "train one on the scores of this back end alone"
        )
    inputs = {"score": score}
    for measure, sides in (
        ("duration", (enrol.seconds, test.seconds)),
        ("norm", (enrol.norm, test.norm)),
    ):
        values = quality_inputs(*([side] for side in sides))[0].tolist()
        inputs |= dict(zip(quality_names(measure), values, strict=True))
    return float(calibration.llr([[inputs[name] for name in calibration.inputs]])[0])


if __name__ == "__main__":
    logging.captureWarnings(True)
    sys.exit(program.main("verify.py", main))
