"""From the features of utterances to their embeddings, as the original does it.

What an utterance must be, chunks of long ones, normalisation; and batches, which change
nothing but the time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError, Unusable
from dataset.front_end import NOT_FINITE, TOO_SHORT

Array = npt.NDArray[np.float32]


class Network(Protocol):
    """LightNet or KerasNetwork; with about `batch_frames` at once it is fastest."""

    batch_frames: int
    dim: int
    context: int
    node: str
    kind: str

    def __call__(self, utterances: Sequence[Array]) -> list[Array]: ...


WRONG_DIMENSION = "of another dimension"
"""With TOO_SHORT and NOT_FINITE what an utterance is that the network cannot take."""


def chunk_bounds(num_frames: int, chunk_size: int) -> list[tuple[int, int]]:
    """Half-overlapping chunks that cover an utterance; one if it is short enough.

    The last chunk is shorter than the others, as in the original.
    """
    if num_frames <= chunk_size:
        return [(0, num_frames)]
    hop = chunk_size // 2
    number = -(-(num_frames - chunk_size) // hop) + 1
    return [(i * hop, min(i * hop + chunk_size, num_frames)) for i in range(number)]


class Embedder:
    """What a network gives for utterances at its endpoint.

    After the pooling that is a vector, an embedding; before it a matrix with a row for
    each frame (`attention_weights`: for each head), computed from the whole utterance.

    Args:
        network: ready for its endpoint.
        chunk_size: frames; longer utterances are cut into half-overlapping chunks
            whose embeddings are averaged, weighted by their length.
        normalize: divide each chunk's and the final embedding by its length.
        min_frames: shorter utterances are refused.

    Attributes:
        kind: `vector` or `matrix`.

    Raises:
        InputError: chunks too short for the network; frames to be normalised.
    """

    def __init__(
        self,
        network: Network,
        chunk_size: int = 10000,
        normalize: bool = False,
        min_frames: int = 0,
    ) -> None:
        if chunk_size < 2 * network.context:
            raise InputError(
                f"chunk size {chunk_size}: at least {2 * network.context} frames"
            )
        if normalize and network.kind == "matrix":
            raise InputError(
                f"node '{network.node}' has a row a frame: nothing to normalise"
            )
        self.network, self.kind = network, network.kind
        self.chunk_size, self.normalize = chunk_size, normalize
        self.min_frames, self.batch_frames = min_frames, network.batch_frames

    def __call__(self, features: Array) -> Array:
        """The embedding, float32 [dim], of features [frames, feature_dim].

        Before the pooling: float32 [rows, channels].

        Raises:
            Unusable: as `check`.
        """
        self.check(features)
        return self._embed([features])[0]

    def check(self, features: Array) -> None:
        """Refuses what the network cannot take.

        Raises:
            Unusable: another dimension, too few frames, values not finite.
        """
        frames, dim = features.shape
        if not frames:
            raise Unusable("no frames", TOO_SHORT)
        if dim != self.network.dim:
            raise Unusable(
                f"{dim}-dimensional features; the model takes {self.network.dim}",
                WRONG_DIMENSION,
            )
        if frames < self.min_frames:
            raise Unusable(f"{frames} frames, fewer than {self.min_frames}", TOO_SHORT)
        if frames < self.network.context:
            raise Unusable(
                f"{frames} frames; the network needs {self.network.context}", TOO_SHORT
            )
        if not np.isfinite(features).all():
            raise Unusable("features that are not finite", NOT_FINITE)

    def stream(
        self, entries: Iterable[tuple[str, Array | Unusable]]
    ) -> Iterator[tuple[str, Array | Unusable]]:
        """The embedding of each utterance, or why there is none, in order.

        Args:
            entries: utterances and their features, or why there are none; read ahead
                by a batch.
        """
        waiting: list[tuple[str, Array | Unusable]] = []
        frames = 0
        for key, features in entries:
            try:
                if isinstance(features, Unusable):
                    raise features
                self.check(features)
                waiting.append((key, features))
                frames += len(features)
            except Unusable as error:
                waiting.append((key, error))
            if frames >= self.batch_frames or len(waiting) >= self.batch_frames:
                yield from self._finished(waiting)
                waiting, frames = [], 0
        yield from self._finished(waiting)

    def _finished(
        self, waiting: Sequence[tuple[str, Array | Unusable]]
    ) -> Iterator[tuple[str, Array | Unusable]]:
        good = [x for _, x in waiting if not isinstance(x, Unusable)]
        embeddings = iter(self._embed(good))
        for key, x in waiting:
            yield key, x if isinstance(x, Unusable) else next(embeddings)

    def _embed(self, utterances: Sequence[Array]) -> list[Array]:
        if self.kind == "matrix":
            return list(self._run(utterances))
        bounds = [chunk_bounds(len(x), self.chunk_size) for x in utterances]
        outputs = self._run(
            x[begin:end]
            for x, parts in zip(utterances, bounds, strict=True)
            for begin, end in parts
        )
        return [
            self._average(outputs, [end - begin for begin, end in parts])
            for parts in bounds
        ]

    def _average(self, outputs: Iterator[Array], lengths: Sequence[int]) -> Array:
        """The embedding of an utterance from those of its chunks, the next outputs."""
        chunks = [self._scaled(next(outputs).astype(np.float64)) for _ in lengths]
        embedding = np.average(chunks, axis=0, weights=lengths)
        return self._scaled(embedding).astype(np.float32)

    def _run(self, pieces: Iterable[Array]) -> Iterator[Array]:
        """What the network gives for each piece, batch after batch."""
        batch: list[Array] = []
        frames = 0
        for piece in pieces:
            if batch and frames + len(piece) > self.batch_frames:
                yield from self.network(batch)
                batch, frames = [], 0
            batch.append(np.asarray(piece, dtype=np.float32))
            frames += len(piece)
        if batch:
            yield from self.network(batch)

    def _scaled(self, embedding: np.ndarray) -> np.ndarray:
        if not self.normalize:
            return embedding
        return embedding / max(np.linalg.norm(embedding), 1e-12)
