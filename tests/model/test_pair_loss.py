"""Losses of pairs: float64 loops, batches of validation, whole small trainings."""

import numpy as np
import pytest
import toy
from loss_cases import END_TO_END, ONE_OF_EACH, make_head, make_params

from dataset.errors import InputError
from misc.params import Params
from misc.run_dir import RunDir
from model.callbacks import speaker_groups
from model.pair_loss import end_to_end_loss
from model.trainer import Trainer

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 5))
Y = np.array([0, 1, 2, 0, 1, 2, 0, 1, 3, 3, 0, 2])


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_semihard_in_loops(tmp_path):
    """Schroff et al. 2015: the nearest negative beyond the positive."""
    head = make_head(make_params(tmp_path, **ONE_OF_EACH["semihard"]), 4, 5)
    distance = np.linalg.norm(X[:, None] - X[None], axis=-1)
    hinges = []
    for a in range(12):
        negatives = distance[a, Y != Y[a]]
        for p in np.flatnonzero(Y == Y[a]):
            if p != a:
                beyond = negatives[negatives > distance[a, p]]
                chosen = beyond.min() if len(beyond) else negatives.max()
                hinges.append(max(0, 0.2 + distance[a, p] - chosen))
    loss, _ = head.loss(X, Y, 0, training=True)
    assert float(loss) == pytest.approx(np.mean(hinges), rel=1e-5)


def test_angular_triplets_in_loops(tmp_path):
    keys = ONE_OF_EACH["angular all arc"]
    cosine = unit(X) @ unit(X).T
    phi = np.cos(np.arccos(np.clip(cosine, -1, 1)) + 0.3)
    phi = np.where(cosine > np.cos(np.pi - 0.3), phi, -2 - phi)
    hinges, hardest = [], []
    for a in range(12):
        positives = [p for p in range(12) if Y[p] == Y[a] and p != a]
        negatives = [n for n in range(12) if Y[n] != Y[a]]
        hinges += [cosine[a, n] - phi[a, p] for p in positives for n in negatives]
        top = cosine[a, negatives].max()
        hardest.append(max(0, top - min(phi[a, p] for p in positives)))
    hinges = [h for h in hinges if h > 0]
    for kind, expected in (("all", np.mean(hinges)), ("hard", np.mean(hardest))):
        head = make_head(make_params(tmp_path, **keys | {"triplet_type": kind}), 4, 5)
        loss, _ = head.loss(X, Y, 0, training=True)
        assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_end_to_end_with_unequal_numbers():
    """By speakers, where ours goes by utterances; the numbers differ by speaker."""
    x = unit(X)
    losses = []
    for i in range(12):
        similarity = []
        for k in range(4):
            center = x[(Y == k) & (np.arange(12) != i)].sum(0)
            similarity.append(20 * x[i] @ unit(center))
        losses.append(np.log(np.exp(similarity).sum()) - similarity[Y[i]])
    loss = end_to_end_loss(x.astype(np.float32), Y)
    assert float(loss) == pytest.approx(np.mean(losses), rel=1e-5)


def test_groups_take_each_utterance_once():
    labels = np.repeat(np.arange(7), [9, 4, 4, 4, 1, 8, 3])
    groups = speaker_groups(labels, 3, 2, seed=1)
    together = np.concatenate(groups)
    assert len(set(together)) == len(together) >= 24
    for group in groups:
        _, number = np.unique(labels[group], return_counts=True)
        assert list(number) == [2, 2, 2]
    again = speaker_groups(labels, 3, 2, seed=1)
    np.testing.assert_array_equal(together, np.concatenate(again))
    assert (np.concatenate(speaker_groups(labels, 3, 2, seed=2)) != together).any()
    with pytest.raises(InputError, match="needs 5 speakers with 4 .* are 4 such"):
        speaker_groups(labels[9:][labels[9:] != 6], 5, 4, seed=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return str(toy.write_data_dir(tmp_path_factory.mktemp("d") / "train", num_utts=6))


@pytest.mark.parametrize(
    "name",
    [
        "semihard",
        "angular all arc",
        "generalized average",
        "generalized learnable",
        "ge2e softmax",
        "ge2e contrast",
    ],
)
def test_training_learns(data, tmp_path, name):
    keys = ONE_OF_EACH[name]
    if "batch_type" in keys:
        keys = keys | END_TO_END | {"num_valid_segments_per_speaker": 3}
    if "generalized" in name:
        keys = keys | {"target_margin": 0.1, "num_segments_per_speaker": 1}
    config = {"num_segments_per_speaker": 3, "num_epochs": 6, "learning_rate": 0.003}
    path = toy.write_config(tmp_path / "c.json", **config | keys)
    params = Params.from_json(str(path))
    lists = (data, f"{data}/spklist") * 2
    Trainer(params, str(tmp_path / "run")).train(*lists)
    history = RunDir(str(tmp_path / "run")).valid_losses()
    assert history[-1][0] < history[0][0]
    assert history[-1][1] < 0.3
