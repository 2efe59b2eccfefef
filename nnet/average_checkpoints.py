#!/usr/bin/env python3
"""Averages the weights of a run's newest checkpoints: often better than the last one.

Writes a model folder of its own, which extract.py, finetune.py and the others take; the
run stays as it is. Training ends with as many checkpoints as `keep_checkpoint_max`.
Batch normalisation's moving averages are averaged, too. With a validation set, its loss
and EER of the mean and of the newest checkpoint are shown.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from dataset.front_end_conf import read_conf
from misc.queues import validation_queue
from misc.run_dir import RunDir
from nnet import program


def parse_args() -> argparse.Namespace:
    """The run, the folder to write and a validation set, which may be left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--number", type=int, default=10, help="checkpoints, at most (default 10)"
    )
    parser.add_argument("model", help="the run's folder")
    parser.add_argument("average", help="the folder of the mean; made")
    parser.add_argument("valid_dir", nargs="?", help="data directory for validation")
    parser.add_argument("valid_spklist", nargs="?", help="lines `speaker index`")
    args = parser.parse_args()
    if args.valid_dir and not args.valid_spklist:
        parser.error("valid_dir needs its spklist")
    if args.number < 2:
        parser.error("--number: expected at least 2")
    return args


def main() -> None:
    """Loads, averages, validates, saves."""
    args = parse_args()
    run, average = RunDir(args.model), RunDir(args.average)
    if os.path.realpath(run.path) == os.path.realpath(average.path):
        raise InputError(f"{args.average}: expected another folder than the run's")
    steps = run.checkpoints()[-args.number :]
    if len(steps) < 2:
        raise InputError(f"{run.path}: {len(steps)} checkpoints, no two to average")
    program.import_keras_quietly()
    from model.averaging import average_checkpoints
    from model.callbacks import save_checkpoint, validate
    from model.trainer import load_model

    model = average_checkpoints(run, steps)
    logging.info("mean of %d checkpoints: %s", len(steps), ", ".join(map(str, steps)))
    if args.valid_dir:
        params = model.params
        with validation_queue(params, args.valid_dir, args.valid_spklist) as queue:
            for name, net in (("the newest", load_model(run)), ("the mean", model)):
                loss, eer = validate(net, queue, params)
                logging.info(
                    "%s: validation loss %.4f, EER %.2f %%", name, loss, 100 * eer
                )
    average.create(
        model.params,
        model.feature_dim,
        model.num_speakers,
        front_end=read_conf(run.front_end),
    )
    save_checkpoint(model, average, keep=1)


if __name__ == "__main__":
    sys.exit(program.main("average_checkpoints.py", main))
