"""Calibration and fusion: from scores to log-likelihood ratios.

A calibrated score is log p(trial | same speaker) - log p(trial | different speakers),
in natural logarithm. Then the threshold needs no development set: it follows from the
prior and the costs (`bayes_threshold`).

The map is affine, llr = inputs . weights + offset. Its inputs are the scores of one or
several systems (then it is a fusion) and, if wanted, quality measures of the two sides
of a trial. It is trained by prior-weighted logistic regression: N. Brümmer et al.,
"Fusion of heterogeneous speaker recognition systems in the STBU submission for the
NIST SRE 2006", IEEE Trans. Audio, Speech and Language Processing 15 (2007), section
II; the FoCal and BOSARIS toolkits. All numbers are float64.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from dataset.kaldi_io import open_or_fd

Array = npt.NDArray[np.float64]

MEASURES = ("duration", "norm")
"""The quality measures: seconds of a side, length of its embedding."""

_MAX_STEPS = 100
_SMALLEST_GAIN = 1e-14
"""The fit ends where a Newton step promises to lower the cost (in nats) by less."""
_DEPENDENT = 1e-10
"""Smallest eigenvalue of the inputs' correlation matrix that is told from zero."""


@dataclasses.dataclass(frozen=True)
class Calibration:
    """An affine map from inputs to log-likelihood ratios.

    Attributes:
        inputs: what the columns are: `score` (`score 1`, ... in a fusion), and the
            names of `quality_names`.
        weights: [inputs].
        offset: the log-likelihood ratio where all inputs are zero.
        p_target: the prior at which the fit was weighted.
        num_targets: target trials that it was trained on.
        num_nontargets: nontarget trials that it was trained on.
    """

    inputs: tuple[str, ...]
    weights: Array
    offset: float
    p_target: float
    num_targets: int
    num_nontargets: int

    @property
    def num_systems(self) -> int:
        """How many systems' scores it takes."""
        return sum(name.startswith("score") for name in self.inputs)

    def llr(self, inputs: npt.ArrayLike) -> Array:
        """Log-likelihood ratios [N] of inputs [N, len(self.inputs)].

        Raises:
            InputError: another number of columns, or numbers that are not finite.
        """
        columns = _checked(inputs)
        if columns.shape[1] != len(self.inputs):
            raise InputError(
                f"The calibration takes {len(self.inputs)} inputs "
                f"({', '.join(self.inputs)}), got {columns.shape[1]}"
            )
        llrs: Array = columns @ self.weights + self.offset
        return llrs


def score_names(num_systems: int) -> tuple[str, ...]:
    """What the scores are called among the inputs of a calibration."""
    if num_systems == 1:
        return ("score",)
    return tuple(f"score {number}" for number in range(1, num_systems + 1))


def quality_names(measure: str) -> tuple[str, str]:
    """What the two columns of `quality_inputs` are called."""
    return f"log {measure}, smaller side", f"log {measure}, larger side"


def quality_inputs(enrol: npt.ArrayLike, test: npt.ArrayLike) -> Array:
    """A quality measure of both sides of trials as two inputs: [N, 2].

    The smaller and the larger logarithm: the same whichever side is the enrolment, and
    nothing else of the two numbers is lost. Durations and lengths of embeddings are
    among the measures of J. Thienpondt et al., "Large margin fine-tuning and
    quality-aware score calibration", ICASSP 2021.

    Args:
        enrol: [N] durations, or lengths of embeddings, of the enrolments.
        test: [N] the same of the tests.

    Raises:
        InputError: a measure that is not positive and finite.
    """
    sides = np.stack([np.asarray(side, np.float64).ravel() for side in (enrol, test)])
    if not (np.isfinite(sides).all() and (sides > 0.0).all()):
        wrong = sides[~(np.isfinite(sides) & (sides > 0.0))][0]
        raise InputError(f"Quality measures must be finite and above 0, got {wrong:g}")
    return np.sort(np.log(sides), axis=0).T


def fit_calibration(
    names: Sequence[str],
    inputs: npt.ArrayLike,
    is_target: npt.ArrayLike,
    p_target: float = 0.01,
) -> Calibration:
    """The affine map of least prior-weighted cross-entropy (see `cross_entropy`).

    Newton's method with step halving, on standardised inputs: the cost is convex, so
    the starting point does not matter.

    Args:
        names: [inputs], see `Calibration.inputs`.
        inputs: [N, inputs].
        is_target: [N], true for target trials.
        p_target: prior of targets to weight by. Where the scores are affine
            log-likelihood ratios any gives the same map; else the fit is best for
            decisions at about this prior.

    Raises:
        InputError: one kind of trial is missing; numbers that are not finite; an input
            that is constant or a combination of others; targets and nontargets that a
            threshold separates without error, so that no finite weight is the best;
            a single system whose scores fall as targets become more likely.
    """
    columns = _checked(inputs)
    targets = np.asarray(is_target, dtype=bool)
    _check_trials(columns, targets, names)
    _check_p_target(p_target)
    mean, deviation = columns.mean(axis=0), columns.std(axis=0)
    _check_independent(columns, mean, deviation, names)
    design = np.column_stack([(columns - mean) / deviation, np.ones(len(columns))])
    solution = _minimise(design, targets, p_target)
    weights = solution[:-1] / deviation
    if sum(name.startswith("score") for name in names) == 1 and weights[0] <= 0.0:
        raise InputError(
            f"The weight of the score is {weights[0]:.3g}: higher scores go with "
            "different speakers. Are these distances, or are the labels exchanged?"
        )
    return Calibration(
        inputs=tuple(names),
        weights=weights,
        offset=float(solution[-1] - mean @ weights),
        p_target=p_target,
        num_targets=int(targets.sum()),
        num_nontargets=int((~targets).sum()),
    )


def cross_entropy(
    llrs: npt.ArrayLike, is_target: npt.ArrayLike, p_target: float = 0.5
) -> float:
    """Prior-weighted cross-entropy of log-likelihood ratios, in nats.

    P mean_targets log(1 + exp(-llr - logit P)) +
    (1 - P) mean_nontargets log(1 + exp(llr + logit P)); at P = 0.5 Cllr times log 2.
    """
    values, targets = np.asarray(llrs, np.float64), np.asarray(is_target, dtype=bool)
    _check_p_target(p_target)
    return _cost(values + _logit(p_target), targets, _weights(targets, p_target))


def bayes_threshold(p_target: float, c_miss: float = 1.0, c_fa: float = 1.0) -> float:
    """The log-likelihood ratio above which accepting costs less than rejecting.

    log(c_fa (1 - p_target) / (c_miss p_target)).

    Raises:
        InputError: a prior that is not between 0 and 1, a cost that is not above 0.
    """
    _check_p_target(p_target)
    if not (0.0 < c_miss < math.inf and 0.0 < c_fa < math.inf):
        raise InputError(f"Costs must be above 0, got c_miss={c_miss}, c_fa={c_fa}")
    return math.log(c_fa) - math.log(c_miss) - _logit(p_target)


def write_calibration(wxfilename: str, calibration: Calibration) -> None:
    """Writes a calibration as JSON."""
    values = dataclasses.asdict(calibration)
    values["weights"] = calibration.weights.tolist()
    with open_or_fd(wxfilename, "wb") as stream:
        stream.write((json.dumps(values, indent=2) + "\n").encode())


def read_calibration(rxfilename: str) -> Calibration:
    """Reads what `write_calibration` wrote.

    Raises:
        InputError: it is something else; names the file.
    """
    with open_or_fd(rxfilename) as stream:
        content = stream.read()
    try:
        values = json.loads(content)
        read = Calibration(
            tuple(str(name) for name in values["inputs"]),
            np.array(values["weights"], dtype=np.float64),
            float(values["offset"]),
            float(values["p_target"]),
            int(values["num_targets"]),
            int(values["num_nontargets"]),
        )
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"{rxfilename}: expected a calibration as calibration-train writes it "
            f"({error!r})"
        ) from None
    known = score_names(read.num_systems) + tuple(
        name for measure in MEASURES for name in quality_names(measure)
    )
    strange = [name for name in read.inputs if name not in known]
    if strange or len(set(read.inputs)) < len(read.inputs):
        raise InputError(
            f"{rxfilename}: expected each input once out of {', '.join(known)}, got "
            f"{', '.join(read.inputs)}"
        )
    numbers = np.append(read.weights, read.offset)
    if read.weights.shape != (len(read.inputs),) or not np.isfinite(numbers).all():
        raise InputError(
            f"{rxfilename}: expected a finite weight for each of the inputs "
            f"{', '.join(read.inputs)}, and a finite offset"
        )
    return read


def _minimise(design: Array, targets: npt.NDArray[np.bool_], p_target: float) -> Array:
    shift, trial_weights = _logit(p_target), _weights(targets, p_target)
    solution = np.zeros(design.shape[1])
    logits = np.full(len(design), shift)
    cost = _cost(logits, targets, trial_weights)
    for _ in range(_MAX_STEPS):
        posterior = _sigmoid(logits)
        gradient = design.T @ (trial_weights * (posterior - targets))
        curvature = trial_weights * posterior * (1.0 - posterior)
        hessian = (design.T * curvature) @ design
        step = np.linalg.lstsq(hessian, gradient, rcond=None)[0]
        if gradient @ step < _SMALLEST_GAIN:
            return solution
        _check_overlap(logits, targets)
        move, scale = design @ step, 1.0
        while (
            _cost(logits - scale * move, targets, trial_weights)
            > cost - 0.25 * scale * (gradient @ step)
        ) and scale > 1e-12:
            scale /= 2.0
        solution, logits = solution - scale * step, logits - scale * move
        cost = _cost(logits, targets, trial_weights)
    raise InputError(
        f"The calibration did not settle in {_MAX_STEPS} steps (cross-entropy "
        f"{cost:.6g} nats): are there too few trials for its inputs?"
    )


def _cost(logits: Array, targets: npt.NDArray[np.bool_], trial_weights: Array) -> float:
    return float(trial_weights @ np.logaddexp(0.0, np.where(targets, -logits, logits)))


def _weights(targets: npt.NDArray[np.bool_], p_target: float) -> Array:
    """Of each trial: the prior of its kind over the number of that kind."""
    num_targets = int(targets.sum())
    return np.where(
        targets,
        p_target / num_targets,
        (1.0 - p_target) / (targets.size - num_targets),
    )


def _sigmoid(values: Array) -> Array:
    sigmoid: Array = 0.5 * (1.0 + np.tanh(0.5 * values))
    return sigmoid


def _logit(probability: float) -> float:
    return math.log(probability) - math.log1p(-probability)


def _checked(inputs: npt.ArrayLike) -> Array:
    columns = np.asarray(inputs, dtype=np.float64)
    columns = columns[:, None] if columns.ndim == 1 else columns
    finite = np.isfinite(columns).all(axis=1)
    if not finite.all():
        raise InputError(
            f"{int((~finite).sum())} of {len(columns)} trials have a score or quality "
            f"measure that is not finite, the first is trial {int(np.argmin(finite))}"
        )
    return columns


def _check_trials(
    columns: Array, targets: npt.NDArray[np.bool_], names: Sequence[str]
) -> None:
    if columns.shape != (targets.size, len(names)):
        raise InputError(
            f"Expected inputs [{targets.size}, {len(names)}] for {targets.size} labels "
            f"and {len(names)} names, got {list(columns.shape)}"
        )
    if targets.all() or not targets.any():
        kind = "nontarget" if targets.any() else "target"
        raise InputError(f"Calibration needs both kinds of trial, got no {kind}")


def _check_p_target(p_target: float) -> None:
    if not 0.0 < p_target < 1.0:
        raise InputError(f"p_target must lie between 0 and 1, got {p_target}")


def _check_independent(
    columns: Array, mean: Array, deviation: Array, names: Sequence[str]
) -> None:
    constant = deviation <= 1e-12 * np.abs(mean)
    if constant.any():
        name = names[int(np.argmax(constant))]
        raise InputError(f"The input '{name}' is the same in all trials")
    standard = (columns - mean) / deviation
    values, vectors = np.linalg.eigh(standard.T @ standard / len(columns))
    if values[0] < _DEPENDENT:
        involved = [
            name
            for name, share in zip(names, vectors[:, 0], strict=True)
            if abs(share) > 1e-3
        ]
        raise InputError(
            f"The inputs {', '.join(involved)} say the same: leave one of them out"
        )


def _check_overlap(logits: Array, targets: npt.NDArray[np.bool_]) -> None:
    if logits[targets].min() >= logits[~targets].max() > logits.min():
        raise InputError(
            "A threshold separates the targets from the nontargets without error, so "
            "that any large enough weight fits: calibrate on more, or harder, trials"
        )
