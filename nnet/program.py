"""What the Python programs of a recipe have in common: quiet imports, errors, logs."""

from __future__ import annotations

import argparse
import dataclasses
import faulthandler
import gc
import importlib
import logging
import os
import signal
import sys
from collections.abc import Callable

from dataset.errors import InputError, WorkerDied
from misc.params import FIELDS, Params
from misc.run_dir import RunDir


def add_overrides(parser: argparse.ArgumentParser) -> None:
    """The option that changes single keys of the configuration."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key of the configuration; may be repeated",
    )


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """What training and fine-tuning are both told."""
    parser.add_argument(
        "-c", "--cont", action="store_true", help="continue the run in its folder"
    )
    parser.add_argument("--config", default="", help="the JSON configuration")
    add_overrides(parser)
    parser.add_argument(
        "--num-gpus",
        type=int,
        default=1,
        metavar="N",
        help="GPUs that share each batch (default 1; the CPU if there is none)",
    )
    _add_data(parser)


def add_rate_test_arguments(parser: argparse.ArgumentParser) -> None:
    """What the learning-rate range tests of both are told."""
    parser.add_argument("--config", required=True, help="the JSON configuration")
    add_overrides(parser)
    parser.add_argument(
        "--tune_period",
        "--tune-period",
        type=_positive,
        default=100,
        metavar="STEPS",
        help="steps with each of the 100 rates (default: %(default)s)",
    )
    _add_data(parser)


def add_pretrained_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model a fine-tuning starts from."""
    parser.add_argument(
        "--checkpoint",
        default="-1",
        help="of the pretrained model: last, -1 (best validation loss) or a step",
    )
    parser.add_argument("pretrain_model", help="the folder of the pretrained model")


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number above 0, got {text}")
    return int(text)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("train_dir", help="data directory for training")
    parser.add_argument("train_spklist", help="lines `speaker index` of its speakers")
    parser.add_argument("valid_dir", help="data directory for validation")
    parser.add_argument("valid_spklist", help="lines `speaker index`, the same indices")


def training_params(args: argparse.Namespace, model_dir: str) -> Params:
    """The configuration of a training: the folder's own if it goes on.

    What --config and --set would have changed is then logged; but for the number of
    reader processes and their stock, which suit the machine and change no batch.

    Raises:
        InputError: neither --config nor --cont; a configuration that is wrong.
    """
    if not args.cont:
        if not args.config:
            raise InputError("--config is needed, unless --cont continues a run")
        return Params.from_json(args.config, args.set)
    run = RunDir(model_dir)
    path = run.file("config.json")
    if not os.path.exists(path):
        raise InputError(f"--cont: {path} is missing, so there is no run to continue")
    params = run.params()
    given = Params.from_json(args.config or path, args.set, read_rates=False)
    if isinstance(given.learning_rate, str):  # the run has a copy of the list
        given = dataclasses.replace(given, learning_rate=params.learning_rate)
    params = dataclasses.replace(
        params,
        num_parallel_datasets=given.num_parallel_datasets,
        max_queue_size=given.max_queue_size,
    )
    changed = [name for name in FIELDS if getattr(given, name) != getattr(params, name)]
    if changed:
        logging.warning(
            "--config and --set differ from %s in %s: a run that goes on keeps its own",
            path,
            ", ".join(changed),
        )
    return params


def limit_threads(number: int) -> None:
    """Limits NumPy's products to so many threads; before NumPy is imported.

    Else each of the jobs beside one another has as many as there are cores.
    """
    for library in ("OPENBLAS", "OMP", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(number)


def import_keras_quietly() -> None:
    """Imports keras, keeping TensorFlow's start-up notes off stderr.

    Its C++ code prints some whatever TF_CPP_MIN_LOG_LEVEL says. Ctrl-C meanwhile ends
    the program at once; Python would hear of it seconds later.
    """
    # In the background of a shell it is ignored, and stays so.
    heeded = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        importlib.import_module("keras")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def repeatable() -> None:
    """Makes TensorFlow give the same numbers in each run on the same machine.

    Of a GPU's memory it takes what it needs, instead of all there is.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        tf.config.experimental.enable_op_determinism()


def use_threads(number: int) -> None:
    """Limits TensorFlow to so many threads, as jobs beside one another need."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(number)
        tf.config.threading.set_inter_op_parallelism_threads(number)


def main(name: str, function: Callable[[], int | None]) -> int:
    """Runs a program; what the user can mend is one line, with exit status 1."""
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(levelname)s ({name}) %(message)s",
        stream=sys.stderr,
    )
    for library in ("absl", "tensorflow"):
        logging.getLogger(library).setLevel(logging.ERROR)
    # A file that is cut short while mapped is a signal, SIGBUS: else a silent end.
    faulthandler.enable(all_threads=False)
    try:
        return function() or 0
    except (InputError, WorkerDied) as error:
        logging.error("%s", error)
    except BrokenPipeError:  # as of `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        logging.error("%s%s", error.strerror or error, where)
    except KeyboardInterrupt:
        logging.error("interrupted")
        return 130
    finally:
        # The interpreter ends with collections, which take seconds with TensorFlow.
        gc.freeze()
    return 1
