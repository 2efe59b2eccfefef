"""The learning rate of each step, as a function of the configuration and the past.

    rate(step) = warm-up(step) * what `learning_rate_schedule` says

The warm-up is min(1, (step + 1) / warmup_steps). With r the `learning_rate`, f the
`final_learning_rate`, t the share of all steps that is done:

    halving      r, halved after each `reduce_lr_epochs` without a better validation
                 loss; or a rate of each epoch from a file
    cosine       f + (r - f) (1 + cos(pi t)) / 2       (Loshchilov, Hutter 2017, eq. 5)
    exponential  r (f / r)^t
    cyclic       in each `cycle_steps` straight up from f to r and down (Smith 2017)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from misc.params import Params


def epoch_rates(
    params: Params, losses: Sequence[float], recorded: Sequence[float] = ()
) -> list[float]:
    """The rates, before the warm-up, of the epochs so far and of the next one at least.

    Args:
        losses: the validation loss of each finished epoch.
        recorded: rates as `start_rates` gives them, of runs that may have come to them
            otherwise; they win.

    Raises:
        InputError: a file of rates that cannot be used.
    """
    listed = params.learning_rate_list()
    if listed is not None:
        return listed
    first = float(params.learning_rate)
    if params.learning_rate_schedule != "halving":
        return [first] * (len(losses) + 1)
    known = [
        None if _warm_up(params, epoch * params.num_steps_per_epoch) < 1 else rate
        for epoch, rate in enumerate(recorded)
    ]
    return halving_rates(first, losses, params.reduce_lr_epochs, known)


def halving_rates(
    first: float,
    losses: Sequence[float],
    patience: int,
    recorded: Sequence[float | None] = (),
) -> list[float]:
    """Learning rates of the epochs so far and of the next, from the validation losses.

    The original's rule: after `patience` epochs without a better loss the rate is
    halved, and the count goes on two epochs later. Rates that are recorded, with eight
    decimals, win where they differ: the original may have come to them otherwise.
    """

    def at(epoch: int, rate: float) -> float:
        known = recorded[epoch] if epoch < len(recorded) else None
        return rate if known is None or abs(known - rate) <= 1e-8 else known

    rates, best, best_epoch = [at(0, first)], float("inf"), 0
    for epoch, loss in enumerate(losses):
        rate = rates[-1]
        if loss < best:
            best, best_epoch = loss, epoch
        elif epoch - best_epoch >= patience:
            rate /= 2
            best_epoch += 2
        rates.append(at(epoch + 1, rate))
    return rates


def start_rates(params: Params, rates: Sequence[float]) -> list[float]:
    """The rate of the first step of each epoch, where `rates` are of `epoch_rates`."""
    starts = (epoch * params.num_steps_per_epoch for epoch in range(len(rates)))
    return [step_rate(params, s, rate) for s, rate in zip(starts, rates, strict=True)]


def reason_to_stop(
    params: Params, losses: Sequence[float], rates: Sequence[float]
) -> str | None:
    """Why a training ends before `num_epochs`; None: it goes on.

    Asked after each epoch, and before a run goes on: so it ends where it would have.
    Rates that are planned are followed to their end.

    Args:
        losses: the validation loss of each finished epoch, as `valid_loss` has it.
        rates: of `epoch_rates`.
    """
    planned = isinstance(params.learning_rate, str)
    if planned or params.learning_rate_schedule != "halving" or not losses:
        return None
    if rates[len(losses)] < params.min_learning_rate - 1e-12:
        return f"the learning rate fell below {params.min_learning_rate}"
    best = losses.index(min(losses))
    if len(losses) - 1 - best >= params.early_stop_epochs:
        return f"no better validation loss since epoch {best}"
    return None


def step_rate(params: Params, step: int, epoch_rate: float) -> float:
    """The rate of a step, counted from 0, by its epoch's rate of `epoch_rates`."""
    return _warm_up(params, step) * _scheduled(params, step, epoch_rate)


def _warm_up(params: Params, step: int) -> float:
    return min(1.0, (step + 1) / max(params.warmup_steps, 1))


def _scheduled(params: Params, step: int, high: float) -> float:
    schedule, low = params.learning_rate_schedule, params.final_learning_rate
    done = step / (params.num_epochs * params.num_steps_per_epoch)
    if schedule == "cosine":
        return low + (high - low) * (1 + math.cos(math.pi * done)) / 2
    if schedule == "exponential":
        return high * (low / high) ** done
    if schedule == "cyclic":
        phase = step % params.cycle_steps / params.cycle_steps
        return low + (high - low) * (1 - abs(1 - 2 * phase))
    return high
