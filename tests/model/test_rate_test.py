"""The learning-rate range test on tiny data."""

import numpy as np
import pytest
import toy

from misc.params import Params
from misc.rate_test import tried_rate
from model.rate_test import RateTest

MARGIN = {
    "loss_func": "additive_margin_softmax",
    "amsoftmax_m": 0.3,
    "amsoftmax_lambda_min": 0.0,
    "amsoftmax_lambda_base": 1000.0,
    "amsoftmax_lambda_gamma": 10.0,
    "amsoftmax_lambda_power": 3.0,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    toy.write_data_dir(folder / "train")
    toy.write_data_dir(folder / "valid", seed=9)
    return folder


def lists(data):
    spklist = str(data / "train/spklist")
    return str(data / "train"), spklist, str(data / "valid"), spklist


def rows(folder):
    lines = (folder / "learning_rate_tuning").read_text().splitlines()
    return np.array([[float(word) for word in line.split()] for line in lines])


def params(folder, **changes):
    return Params.from_json(str(toy.write_config(folder / "c.json", **changes)))


def test_rates_grow_until_the_loss_does(data, tmp_path):
    """The run that is in the folder stays as it is."""
    kept = tmp_path / "nnet/model-5.keras"
    kept.parent.mkdir()
    kept.write_text("a model")
    test = RateTest(params(tmp_path, optimizer="momentum", momentum=0.9), str(tmp_path))
    test.test_rates(*lists(data), 2)
    steps, rates, losses = rows(tmp_path).T
    np.testing.assert_array_equal(steps, 2 * np.arange(len(steps)))
    expected = [tried_rate(i) for i in range(len(rates))]
    np.testing.assert_allclose(rates, expected, atol=6e-9)
    assert 20 < len(rates) < 100  # it was ended by the divergence
    assert losses[-1] > max(4 * losses.min(), losses[0])
    assert losses.min() < 0.8 * losses[0]
    assert (tmp_path / "learning_rate_tuning.png").read_bytes().startswith(b"\x89PNG")
    assert kept.read_text() == "a model" and len(list(kept.parent.iterdir())) == 1


def test_a_nan_ends_the_test_with_what_there_is(data, tmp_path, monkeypatch):
    """Rates so high at once that the loss is NaN in the first steps."""
    monkeypatch.setattr("model.rate_test.tried_rate", lambda i: 10.0 ** (9 * i - 3))
    RateTest(params(tmp_path, optimizer="sgd"), str(tmp_path)).test_rates(
        *lists(data), 3
    )
    found = rows(tmp_path)
    assert 1 <= len(found) <= 5 and np.isfinite(found).all()


def test_the_margin_stays_that_of_the_first_step(data, tmp_path):
    """lambda = 1000 (1 + 10 step)^-3 would make a margin within two steps.

    With rates that change nothing the loss is that without a margin.
    """
    losses = {}
    for name, m in (("with", 0.3), ("without", 0.0)):
        folder = tmp_path / name
        folder.mkdir()
        test = RateTest(params(folder, **MARGIN | {"amsoftmax_m": m}), str(folder))
        test.test_rates(*lists(data), 1)
        losses[name] = rows(folder)[:10, 2]
    np.testing.assert_allclose(losses["with"], losses["without"], rtol=2e-3)


def test_from_the_weights_of_another_model(data, tmp_path):
    toy.train(data, tmp_path / "trained", num_epochs=4)
    start = {}
    for name, pretrained in (("new", None), ("tuned", str(tmp_path / "trained"))):
        folder = tmp_path / name
        folder.mkdir()
        RateTest(params(folder), str(folder)).test_rates(*lists(data), 1, pretrained)
        start[name] = rows(folder)[:5, 2].mean()
    assert start["tuned"] < 0.8 * start["new"]
