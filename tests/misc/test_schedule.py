"""Learning rates as pure functions: bounds, warm-up, the recorded ones."""

import dataclasses
import math

import pytest
import toy

from misc.params import Params
from misc.schedule import (
    epoch_rates,
    halving_rates,
    reason_to_stop,
    start_rates,
    step_rate,
)

COSINE = {"learning_rate_schedule": "cosine", "final_learning_rate": 0.001}
EXPONENTIAL = COSINE | {"learning_rate_schedule": "exponential"}
CYCLIC = COSINE | {"learning_rate_schedule": "cyclic", "cycle_steps": 4}


def load(tmp_path, **changes):
    """Two epochs of five steps, rate 0.01."""
    return Params.from_json(str(toy.write_config(tmp_path / "c.json", **changes)))


def rates_of(params):
    return [step_rate(params, step, 0.01) for step in range(11)]


def test_schedules(tmp_path):
    cosine = rates_of(load(tmp_path, **COSINE))
    assert [cosine[0], cosine[10]] == pytest.approx([0.01, 0.001])
    for step in range(11):
        up = math.cos(math.pi * step / 10)
        assert cosine[step] == pytest.approx(0.0055 + 0.0045 * up)
    exponential = rates_of(load(tmp_path, **EXPONENTIAL))
    assert exponential[0] == 0.01 and exponential[10] == pytest.approx(0.001)
    ratios = [b / a for a, b in zip(exponential, exponential[1:], strict=False)]
    assert ratios == pytest.approx([0.1**0.1] * 10)
    cyclic = rates_of(load(tmp_path, **CYCLIC))
    expected = [0.001, 0.0055, 0.01, 0.0055, 0.001, 0.0055, 0.01]
    assert cyclic[:7] == pytest.approx(expected)
    assert rates_of(load(tmp_path)) == [0.01] * 11


@pytest.mark.parametrize("keys", [{}, COSINE, EXPONENTIAL, CYCLIC])
def test_warm_up_goes_with_each(tmp_path, keys):
    plain = rates_of(load(tmp_path, **keys))
    warm = rates_of(load(tmp_path, warmup_steps=4, **keys))
    factors = [w / p for w, p in zip(warm, plain, strict=True)]
    assert factors == pytest.approx([0.25, 0.5, 0.75] + [1] * 8)


def test_halving_and_warm_up(tmp_path):
    """Eight decimals of a rate in the warm-up must not become the rate after it."""
    keys = {"reduce_lr_epochs": 1, "num_epochs": 9, "learning_rate": 0.01 / 3}
    params = load(tmp_path, warmup_steps=12, **keys)
    losses = [5, 4, 4, 4, 4]
    rates = epoch_rates(params, losses)
    assert rates == [0.01 / 3] * 3 + [0.005 / 3] * 2 + [0.0025 / 3]
    starts = start_rates(params, rates)
    assert starts[:3] == pytest.approx([0.01 / 36, 0.06 / 36, 0.11 / 36])
    assert starts[3:] == rates[3:]
    recorded = [round(rate, 8) for rate in starts]
    assert epoch_rates(params, losses, recorded) == rates
    recorded[3] = 0.001  # the original may have come to it otherwise
    assert epoch_rates(params, losses, recorded)[3] == 0.001


def test_a_file_of_rates_is_warmed_up_too(tmp_path):
    (tmp_path / "rates").write_text("0.1\n0.05\n")
    listed = load(tmp_path, learning_rate="rates", warmup_steps=2)
    assert start_rates(listed, epoch_rates(listed, [3.0])) == [0.05, 0.05]


@pytest.mark.parametrize(
    "losses, rates, reason",
    [
        ([3, 2, 1], [1, 1, 1, 1], None),
        ([], [], None),
        ([1, 2], [1, 1, 1], None),
        ([1, 2, 3], [1, 1, 1, 1], "no better validation loss since epoch 0"),
        ([3, 2, 1], [1, 1, 1, 1e-9], "the learning rate fell below 1e-05"),
        ([3, 2], [1, 1, 1, 1e-9], None),
    ],
)
def test_when_a_training_ends(tmp_path, losses, rates, reason):
    params = load(tmp_path, early_stop_epochs=2)
    assert reason_to_stop(params, losses, rates) == reason
    listed = dataclasses.replace(params, learning_rate="rates")
    assert reason_to_stop(listed, losses, rates) is None
    planned = load(tmp_path, **COSINE)
    assert reason_to_stop(planned, losses, rates) is None


@pytest.mark.parametrize(
    "losses, rates",
    [  # what the original's script did with these losses
        ([5, 6, 6, 6, 6, 6], [4, 4, 4, 2, 2, 1, 1]),
        ([5, 4, 3, 2], [4, 4, 4, 4, 4]),
    ],
)
def test_halving(losses, rates):
    assert halving_rates(4, losses, patience=2) == rates


def test_recorded_rates_win_unless_they_are_the_same_in_eight_decimals():
    third = 0.01 / 3
    recorded = [0.00333333, 0.00333333, 0.002]
    rates = halving_rates(third, [5, 6, 6, 6, 6], 2, recorded)
    assert rates == [third, third, 0.002, 0.001, 0.001, 0.0005]
