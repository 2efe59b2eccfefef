"""What the Python programs of a recipe have in common: quiet imports, errors, logs."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable

from dataset.errors import InputError


def import_keras_quietly() -> None:
    """Imports keras, keeping TensorFlow's start-up notes off stderr.

    Its C++ code prints some whatever TF_CPP_MIN_LOG_LEVEL says.
    """
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


def repeatable() -> None:
    """Makes TensorFlow give the same numbers in each run on the same machine."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

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
    logging.getLogger("absl").setLevel(logging.ERROR)
    try:
        return function() or 0
    except InputError as error:
        logging.error("%s", error)
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        logging.error("%s%s", error.strerror or error, where)
    except KeyboardInterrupt:
        logging.error("interrupted")
        return 130
    return 1
