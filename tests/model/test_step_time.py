"""A short training with a watch."""

import time

import keras
import numpy as np
import pytest
import toy

from dataset.errors import InputError
from misc.params import Params
from misc.queues import training_queue
from model.step_time import describe, step_seconds, waited_share
from model.trainer import Feed, compiled_model


@pytest.fixture(scope="module")
def params(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "c.json"
    return Params.from_json(str(toy.write_config(path)))


@pytest.fixture
def model(params):
    return compiled_model(params, 5, 6)


def batches(value=1.0):
    return [(np.full((8, 20, 5), value, np.float32), np.arange(8) % 6)]


def test_seconds_of_a_step(model):
    begun = time.monotonic()
    step = step_seconds(model, batches(), seconds=0.2)
    assert 0 < step < time.monotonic() - begun
    assert int(model.optimizer.iterations) > 6


def test_a_loss_that_is_not_finite(model):
    with pytest.raises(InputError, match="the training loss is nan"):
        step_seconds(model, batches(np.nan), seconds=0.1)


def test_the_share_waited_is_the_queues(model, params, tmp_path, monkeypatch):
    folder = str(toy.write_data_dir(tmp_path / "data"))
    queue = training_queue(params, folder, f"{folder}/spklist")
    step = step_seconds(model, batches(), seconds=0.1)
    assert 0 < waited_share(model, queue, step, 0.2) < 0.9
    take = type(queue)._fetch

    def slow_take(self):
        time.sleep(0.2)
        return take(self)

    monkeypatch.setattr(type(queue), "_fetch", slow_take)
    share = waited_share(model, queue, 0.1, 0.5)
    assert 0.5 < share <= 1


def test_no_batch_is_taken_before_the_step_before_has_ended(model):
    """So what is spent in fetch() is lost, and no batch is, where training goes on."""
    taken, at_end = [], []

    class Source:  # as the queue, which goes on when it is iterated anew
        def __iter__(self):
            return self

        def __next__(self):
            taken.append(batches()[0])
            return taken[-1]

    class Count(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            time.sleep(0.02)
            at_end.append(len(taken))

    feed = Feed(Source(), model.feature_dim)
    for _ in range(2):
        feed.fit(model, steps_per_epoch=5, callbacks=[Count()])
    assert at_end == list(range(1, 11))


def test_an_unreadable_archive_is_named(model, params, tmp_path):
    folder = toy.write_data_dir(tmp_path / "data")
    queue = training_queue(params, str(folder), f"{folder}/spklist")
    (folder / "feats.ark").unlink()
    with pytest.raises(InputError, match="utterance s"):
        waited_share(model, queue, 0.1, 0.5)


def test_the_description(model):
    assert describe(model).startswith("tdnn: 40063 weights, 0.2 MB, and the optimizer")
