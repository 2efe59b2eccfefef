"""Commands on logistic regression, Kaldi's classifier of embeddings."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_io import open_or_fd, read_vec_flt
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from dataset.options import option
from misc.backend.logistic_regression import (
    scale_priors,
    train_logistic_regression,
)
from misc.backend.logistic_regression_file import (
    read_logistic_regression,
    write_logistic_regression,
)
from misc.backend.trials import check_embedding
from misc.kaldi.command import command, log, warn

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class LogisticRegressionOptions:
    max_steps: int = option(20, "Maximum steps in L-BFGS")
    mix_up: int = option(0, "Target number of mixture components to create, if above 0")
    normalizer: float = option(0.0025, "Coefficient for L2 regularization")
    power: float = option(
        0.15, "Power rule for determining the number of mixtures to create"
    )


@dataclasses.dataclass(frozen=True)
class TrainOptions(LogisticRegressionOptions):
    binary: bool = option(True, "Write output in binary mode")


@dataclasses.dataclass(frozen=True)
class EvalOptions(LogisticRegressionOptions):
    """Kaldi's eval takes the training's options too, and ignores them."""

    apply_log: bool = option(True, "If false, write posteriors, not their logarithms")


@dataclasses.dataclass(frozen=True)
class CopyOptions:
    binary: bool = option(True, "Write output in binary mode")
    scale_priors: str = option(
        "",
        "Vector of a factor for the prior of each class, such as 1 / its training one",
    )


@command(
    "logistic-regression-train",
    """
Trains a classifier of vectors by logistic regression. Classes are numbered from 0
without gaps.

Usage: logistic-regression-train [options] <vector-rspecifier> <classes-rspecifier> \\
         <model-wxfilename>
e.g.: logistic-regression-train scp:xvector.scp ark:utt2class model
""",
    TrainOptions,
    (3, 3),
)
def logistic_regression_train(
    options: TrainOptions,
    vector_rspecifier: str,
    classes_rspecifier: str,
    model_wxfilename: str,
) -> int:
    _, vectors, labels, num_failed = _labelled(vector_rspecifier, classes_rspecifier)
    log(
        f"Retrieved {len(labels)} vectors with {num_failed} missing. "
        f"There were {max(labels) + 1} class labels."
    )
    model = train_logistic_regression(
        vectors,
        labels,
        options.max_steps,
        options.normalizer,
        options.mix_up,
        options.power,
    )
    own = model.log_posteriors(vectors)[np.arange(len(labels)), labels]
    log(
        f"Mean log posterior of the right class {own.mean():.6g}, "
        f"{len(model.classes)} components"
    )
    write_logistic_regression(model_wxfilename, model, options.binary)
    return 0


@command(
    "logistic-regression-eval",
    """
Computes the logarithms of the posteriors of the classes: a vector for each utterance
(3 arguments), or of the class that a trial asks for (4 arguments; lines `utterance
class` in, `utterance class score` out).

Usage: logistic-regression-eval [options] <model-rxfilename> <vector-rspecifier> \\
         <log-posteriors-wspecifier>
   or: logistic-regression-eval [options] <model-rxfilename> <trials-rspecifier> \\
         <vector-rspecifier> <scores-wxfilename>
e.g.: logistic-regression-eval model scp:xvector.scp ark,t:posteriors
""",
    EvalOptions,
    (3, 4),
)
def logistic_regression_eval(
    options: EvalOptions, model_rxfilename: str, *tables: str
) -> int:
    model = read_logistic_regression(model_rxfilename)
    if len(tables) == 3:
        trials_rspecifier, vector_rspecifier, scores_wxfilename = tables
        keys, vectors, labels, num_failed = _labelled(
            vector_rspecifier, trials_rspecifier
        )
        scores = model.log_posteriors(vectors)
        num_classes = scores.shape[1]
        if not 0 <= min(labels) <= max(labels) < num_classes:
            raise InputError(
                f"{trials_rspecifier}: expected classes from 0 to {num_classes - 1}, "
                f"got {min(labels)} to {max(labels)}"
            )
        with open_or_fd(scores_wxfilename, "wb") as stream:
            for key, label, row in zip(keys, labels, scores, strict=True):
                score = row[label] if options.apply_log else np.exp(row[label])
                stream.write(f"{key} {label} {score:.7g}\n".encode())
        log(f"Calculated scores for {len(keys)} vectors with {num_failed} missing.")
        return 0
    vector_rspecifier, posteriors_wspecifier = tables
    num_done = 0
    with (
        SequentialReader(vector_rspecifier, "vector") as reader,
        TableWriter(posteriors_wspecifier, "vector") as writer,
    ):
        for key, vector in reader:
            check_embedding(key, vector, model.dim)
            row = model.log_posteriors(vector[None])[0]
            row = row if options.apply_log else np.exp(row)
            writer.write(key, row.astype(np.float32))
            num_done += 1
    log(f"Calculated log posteriors for {num_done} vectors.")
    return 0 if num_done else 1


@command(
    "logistic-regression-copy",
    """
Copies a logistic regression, from text to binary or back, perhaps with other priors.

Usage: logistic-regression-copy [options] <model-rxfilename> <model-wxfilename>
e.g.: echo ' [ 2.6 1.7 3.9 ]' | logistic-regression-copy --scale-priors=- model scaled
""",
    CopyOptions,
    (2, 2),
)
def logistic_regression_copy(
    options: CopyOptions, model_rxfilename: str, model_wxfilename: str
) -> int:
    model = read_logistic_regression(model_rxfilename)
    if options.scale_priors:
        model = scale_priors(model, read_vec_flt(options.scale_priors))
    write_logistic_regression(model_wxfilename, model, options.binary)
    log(f"Wrote model to {model_wxfilename}")
    return 0


def _labelled(
    vector_rspecifier: str, classes_rspecifier: str
) -> tuple[list[str], Array, list[int], int]:
    """Keys, vectors [N, dim] and classes, in the classes' order; how many failed."""
    keys: list[str] = []
    vectors: list[npt.NDArray] = []
    labels: list[int] = []
    num_failed = 0
    with (
        RandomAccessReader(vector_rspecifier, "vector") as reader,
        SequentialReader(classes_rspecifier, "int") as classes,
    ):
        for key, label in classes:
            if key not in reader:
                warn(f"No vector for utterance {key}")
                num_failed += 1
                continue
            vector = reader[key]
            check_embedding(key, vector, len(vectors[0]) if vectors else len(vector))
            keys.append(key)
            vectors.append(vector)
            labels.append(label)
    if not keys:
        raise InputError(
            f"No key of {classes_rspecifier} has a vector in {vector_rspecifier}"
        )
    return keys, np.stack(vectors).astype(np.float64), labels, num_failed
