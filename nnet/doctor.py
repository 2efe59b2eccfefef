#!/usr/bin/env python3
"""Says before a training whether it can start, and whether it will wait for data.

Checks the configuration, the lists, a sample of the archives and the network; measures
reading and training for a few seconds; ends with advice. Exit status 1 if the training
could not start or would stop at an archive, with all the reasons that can be found.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))

from dataset.errors import InputError
from misc import loader_check
from misc.check_up import CheckUp, Lists
from misc.evaluation import format_table
from nnet import program


def parse_args() -> argparse.Namespace:
    """The lists as for train.py; those of the validation may be left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    program.add_overrides(parser)
    parser.add_argument(
        "--no-net", action="store_true", help="leave the network out: two seconds"
    )
    parser.add_argument("config", help="the JSON configuration")
    parser.add_argument("train_dir", help="data directory for training")
    parser.add_argument("train_spklist", help="lines `speaker index` of its speakers")
    parser.add_argument("valid_dir", nargs="?", help="data directory for validation")
    parser.add_argument(
        "valid_spklist", nargs="?", help="lines `speaker index`, the same indices"
    )
    args = parser.parse_args()
    if args.valid_dir and not args.valid_spklist:
        parser.error("valid_dir needs its spklist")
    return args


def main() -> int:
    """Prints what is found as it is found; the status is 1 if there are faults."""
    args = parse_args()
    check_up = CheckUp(args.config, args.set)
    train, text = check_up.read(args.train_dir, args.train_spklist)
    say(text)
    parts = [train]
    if args.valid_dir:
        valid, text = check_up.read(args.valid_dir, args.valid_spklist, training=False)
        say(text)
        check_up.validation(valid, train)
        parts.append(valid)
    say(check_up.lengths(*parts))
    say(check_up.speakers(train))
    loader = check_up.reading(train, seconds=0.4 if args.no_net else 1.5)
    device = ""
    if not args.no_net:
        step, waited, device = time_network(check_up, parts)
        if loader:
            loader = loader._replace(step=step, waited=waited)
    if loader and check_up.params:
        say(format_table(loader_check.speed_table(check_up.params, loader, device)))
        say(format_table(loader_check.memory_table(check_up.params, loader)))
        say(loader_check.waiting(check_up.params, loader))
        check_up.advice += loader_check.loader_advice(check_up.params, loader)
    say(paragraph("Advice:", check_up.advice))
    say(paragraph("The training cannot run:", check_up.faults))
    return 1 if check_up.faults else 0


def time_network(
    check_up: CheckUp, parts: list[Lists]
) -> tuple[float | None, float, str]:
    """Builds the network and trains it a little, if it can be trained.

    Where the lists have faults it is built for some number of speakers, to be checked.

    Returns:
        Seconds of a step; share of the time spent waiting for data; on what device.
    """
    train, params = parts[0], check_up.params
    if params is None:
        return None, 0.0, ""
    trainable = train.info is not None and train.dim > 0
    num_speakers = train.info.num_speakers if train.info else 2
    program.import_keras_quietly()
    from model import step_time, trainer

    program.repeatable()
    device = step_time.device_name()
    try:
        model = trainer.compiled_model(params, train.dim or 1, num_speakers)
        if trainable:
            say(step_time.describe(model))
        faults = list(trainer.segment_faults(model))
        for valid in parts[1:]:
            if valid.info:
                shortest = int(valid.info.num_frames.min())
                faults += trainer.validation_faults(model, valid.folder, shortest)
        check_up.faults += faults
        if trainable and not faults:
            with check_up.queue(train, 0) as queue:
                batches = list(itertools.islice(queue, 4))
            step = step_time.step_seconds(model, batches, seconds=2.0)
            queue = check_up.queue(train, params.num_parallel_datasets)
            waited = step_time.waited_share(model, queue, step, seconds=2.0)
            return step, waited, device
    except (InputError, RuntimeError) as error:
        check_up.blame(error)
    return None, 0.0, device


def say(text: str) -> None:
    """Prints a paragraph at once, if there is one."""
    if text:
        print(text, flush=True)


def paragraph(head: str, lines: list[str]) -> str:
    """A list of sentences under a head; nothing if there are none."""
    return "\n- ".join([head, *lines]) + "\n" if lines else ""


if __name__ == "__main__":
    sys.exit(program.main("doctor.py", main))
