"""Chunks, weights, normalisation and batches around any network."""

import numpy as np
import pytest

from dataset.errors import InputError, Unusable
from dataset.front_end import NOT_FINITE, TOO_SHORT
from misc.embedder import WRONG_DIMENSION, Embedder, chunk_bounds


class Moments:
    """A network that is easily followed: the mean and the frames' square, or frames."""

    dim, context, node = 3, 4, "moments"

    def __init__(self, kind="vector", batch_frames=100):
        self.kind, self.batch_frames = kind, batch_frames
        self.batches = []

    def __call__(self, utterances):
        self.batches.append([len(x) for x in utterances])
        assert all(x.dtype == np.float32 for x in utterances)
        if self.kind == "matrix":
            return [2 * x for x in utterances]
        return [np.append(x.mean(0), len(x) ** 2).astype("f") for x in utterances]


def features(frames, dim=3):
    return np.random.default_rng(frames).normal(size=(frames, dim)).astype(np.float32)


def test_chunks_cover_the_utterance():
    assert chunk_bounds(100, 100) == [(0, 100)]
    assert chunk_bounds(101, 100) == [(0, 100), (50, 101)]
    assert chunk_bounds(250, 100) == [(0, 100), (50, 150), (100, 200), (150, 250)]
    for frames in range(1, 60):
        bounds = chunk_bounds(frames, 9)
        assert bounds[0][0] == 0 and bounds[-1][1] == frames
        assert all(
            a < c <= b for (a, b), (c, _) in zip(bounds, bounds[1:], strict=False)
        )


def test_the_average_is_weighted_by_the_chunks_length():
    x = features(70)
    plain, chunked = Embedder(Moments()), Embedder(Moments(), chunk_size=40)
    parts = [plain(x[a:b]) for a, b in [(0, 40), (20, 60), (40, 70)]]
    expected = np.average(parts, axis=0, weights=[40, 40, 30])
    np.testing.assert_allclose(chunked(x), expected, rtol=1e-6)
    assert chunked(x).dtype == np.float32


def test_normalisation_is_of_each_chunk_and_of_the_whole():
    x = features(70)
    chunked = Embedder(Moments(), chunk_size=40, normalize=True)(x)
    parts = [Moments()([x[a:b]])[0] for a, b in [(0, 40), (20, 60), (40, 70)]]
    unit = [p / np.linalg.norm(p) for p in parts]
    expected = np.average(unit, axis=0, weights=[40, 40, 30])
    np.testing.assert_allclose(chunked, expected / np.linalg.norm(expected), rtol=1e-6)


def test_frames_are_not_cut():
    x = features(70)
    network = Moments("matrix")
    np.testing.assert_array_equal(Embedder(network, chunk_size=40)(x), 2 * x)
    assert network.batches == [[70]]
    with pytest.raises(InputError, match="nothing to normalise"):
        Embedder(Moments("matrix"), normalize=True)
    with pytest.raises(InputError, match="chunk size 7: at least 8 frames"):
        Embedder(Moments(), chunk_size=7)


@pytest.mark.parametrize(
    "bad, kind, words",
    [
        (features(20, 2), WRONG_DIMENSION, "2-dimensional features; the model takes 3"),
        (features(9), TOO_SHORT, "9 frames, fewer than 10"),
        (features(0), TOO_SHORT, "no frames"),
        (np.zeros((0, 0), np.float32), TOO_SHORT, "no frames"),
        (np.full((20, 3), np.inf, np.float32), NOT_FINITE, "not finite"),
    ],
)
def test_what_is_refused(bad, kind, words):
    with pytest.raises(Unusable, match=words) as error:
        Embedder(Moments(), min_frames=10)(bad)
    assert error.value.kind == kind
    with pytest.raises(Unusable, match="3 frames; the network needs 4"):
        Embedder(Moments())(features(3))


def test_a_stream_keeps_the_order():
    """Good and bad, short and in chunks; batches of about so many frames."""
    lengths = [5, 2, 30, 200, 7, 3, 6, 100, 5]
    network = Moments(batch_frames=60)
    embedder = Embedder(network, chunk_size=50)
    entries = [(str(i), features(n)) for i, n in enumerate(lengths)]
    found = list(embedder.stream(iter(entries)))
    assert [key for key, _ in found] == [key for key, _ in entries]
    assert all(sum(batch) <= 60 or len(batch) == 1 for batch in network.batches)
    for (_, got), (_, x) in zip(found, entries, strict=True):
        if len(x) < 4:
            assert isinstance(got, Unusable)
        else:
            np.testing.assert_array_equal(got, Embedder(Moments(), 50)(x))


def test_a_stream_does_not_read_far_ahead():
    network, read = Moments(batch_frames=50), []

    def entries():
        for i in range(1000):
            read.append(i)
            yield str(i), features(10)

    stream = Embedder(network).stream(entries())
    next(stream)
    assert len(read) == 5
