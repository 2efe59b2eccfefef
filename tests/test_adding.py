"""docs/adding.md works as it stands: its code runs, trains, is saved and loads."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import toy

from misc.params import Params
from model.light_export import light_form
from model.pooling import POOLINGS
from model.speaker_net import LOSSES, NETWORKS, SpeakerNet

PAGE = (Path(__file__).parents[1] / "docs/adding.md").read_text()
ADDED = {
    "network_type": "small_tdnn",
    "pooling_type": "mean_pooling",
    "loss_func": "smooth_softmax",
}


@pytest.fixture
def tables(monkeypatch):
    """The tables with what the page adds; as before afterwards."""
    for table in (NETWORKS, POOLINGS, LOSSES):
        for name in ADDED.values():
            monkeypatch.delitem(table, name, raising=False)
            monkeypatch.setitem(table, name, None)
            del table[name]
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.S):
        exec(compile(block, "docs/adding.md", "exec"), {"__name__": "added"})


@pytest.mark.parametrize("key", [*ADDED, "all"])
def test_the_page(tables, tmp_path, key):
    changes = ADDED if key == "all" else {key: ADDED[key]}
    path = toy.write_config(tmp_path / "c.json", **changes)
    net = SpeakerNet(Params.from_json(str(path)), 5, 4)
    net.compile(optimizer="adam")
    x = np.random.default_rng(0).normal(size=(4, 20, 5)).astype(np.float32)
    before = float(net.train_on_batch(x, np.arange(4))[0])
    for _ in range(20):
        after = float(net.train_on_batch(x, np.arange(4))[0])
    assert after < before
    net.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(x), net(x))
    light_form(net)  # raises if it has none
