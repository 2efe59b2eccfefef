"""From the features of one utterance to its embedding."""

from __future__ import annotations

import keras
import numpy as np

from dataset.errors import InputError
from misc.run_dir import RunDir
from model.trainer import load_model


def chunk_bounds(num_frames: int, chunk_size: int) -> list[tuple[int, int]]:
    """Half-overlapping chunks that cover an utterance; one if it is short enough.

    The last chunk is shorter than the others, as in the original.
    """
    if num_frames <= chunk_size:
        return [(0, num_frames)]
    hop = chunk_size // 2
    number = -(-(num_frames - chunk_size) // hop) + 1
    return [(i * hop, min(i * hop + chunk_size, num_frames)) for i in range(number)]


class UtteranceEmbedder:
    """What a model gives for an utterance at one of its endpoints.

    After the pooling that is a vector, an embedding; before it a matrix with a row for
    each frame (`attention_weights`: for each head), computed from the whole utterance.

    Args:
        model_dir: the folder of a run, ours or the original's.
        node: an endpoint of the network; empty: the configuration's embedding_node.
        checkpoint: `last`, `-1` (best validation loss) or a number of steps.
        chunk_size: frames; longer utterances are cut into half-overlapping chunks
            whose embeddings are averaged, weighted by their length.
        normalize: divide each chunk's and the final embedding by its length.

    Attributes:
        kind: `vector` or `matrix`.

    Raises:
        InputError: no such model, checkpoint or endpoint; frames to be normalised.
    """

    def __init__(
        self,
        model_dir: str,
        node: str = "",
        checkpoint: str = "last",
        chunk_size: int = 10000,
        normalize: bool = False,
    ) -> None:
        model = load_model(RunDir(model_dir), checkpoint).in_float32()
        self.dim, self.context = model.feature_dim, model.context
        if chunk_size < 2 * self.context:
            raise InputError(
                f"chunk size {chunk_size}: at least {2 * self.context} frames"
            )
        self.chunk_size = chunk_size
        self.normalize = normalize
        self._node: keras.Model = model.node(node or model.params.embedding_node)
        shape = self._node.output.shape
        self.kind = "vector" if len(shape) == 2 else "matrix"
        if shape[0] is not None:
            raise InputError(f"node '{self._node.name}' does not depend on the input")
        if normalize and self.kind == "matrix":
            raise InputError(
                f"node '{self._node.name}' has a row a frame: nothing to normalise"
            )

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """The embedding, float32 [dim], of features [frames, feature_dim].

        Before the pooling: float32 [rows, channels].

        Raises:
            InputError: a wrong dimension, too few frames, values not finite.
        """
        frames, dim = features.shape
        if dim != self.dim:
            raise InputError(f"{dim}-dimensional features; the model takes {self.dim}")
        if frames < self.context:
            raise InputError(f"{frames} frames; the network needs {self.context}")
        if not np.isfinite(features).all():
            raise InputError("features that are not finite")
        if self.kind == "matrix":
            return self._run(features)
        bounds = chunk_bounds(frames, self.chunk_size)
        chunks = [self._embed(features[begin:end]) for begin, end in bounds]
        lengths = [end - begin for begin, end in bounds]
        embedding = np.average(chunks, axis=0, weights=lengths)
        return self._scaled(embedding).astype(np.float32)

    def _embed(self, features: np.ndarray) -> np.ndarray:
        return self._scaled(self._run(features).astype(np.float64))

    def _run(self, features: np.ndarray) -> np.ndarray:
        batch = np.ascontiguousarray(features[None], dtype=np.float32)
        return np.asarray(self._node.predict_on_batch(batch))[0]

    def _scaled(self, embedding: np.ndarray) -> np.ndarray:
        if not self.normalize:
            return embedding
        return embedding / max(np.linalg.norm(embedding), 1e-12)
