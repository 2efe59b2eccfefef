"""A trained network in Keras, with the interface of `misc/light/net.py`.

For a GPU, and for networks that have no light form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from dataset.errors import InputError
from misc.run_dir import RunDir
from model.light_export import row_step
from model.trainer import load_model

_STRETCH = 1.25
"""Utterances of a batch are at most so many times as long as its shortest."""


class KerasNetwork:
    """What a model gives for utterances at one of its endpoints.

    Utterances are computed together as far as each frame depends on its neighbours
    alone: there, what is appended to make their lengths equal does no harm. From the
    pooling on each is computed alone.

    Args:
        model_dir: the folder of a run, ours or the original's.
        node: an endpoint of the network; empty: the configuration's embedding_node.
        checkpoint: `last`, `-1` (best validation loss) or a number of steps.

    Attributes: those of LightNet.

    Raises:
        InputError: no such model, checkpoint or endpoint; one that does not depend on
            the features.
    """

    batch_frames = 20_000

    def __init__(
        self, model_dir: str, node: str = "", checkpoint: str = "last"
    ) -> None:
        _compute_exactly()
        model = load_model(RunDir(model_dir), checkpoint).in_float32()
        self.dim, self.context = model.feature_dim, model.context
        self.node = node or model.params.embedding_node
        network = model.node(self.node)
        shape = network.output.shape
        if shape[0] is not None:
            raise InputError(f"node '{self.node}' does not depend on the input")
        self.kind = "vector" if len(shape) == 2 else "matrix"
        border = _border(network.output)
        self._frames = keras.Model(network.input, border)
        ends = len(border) == 1 and border[0] is network.output
        self._rest = None if ends else keras.Model(border, network.output)

    def __call__(self, utterances: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Float32 [dim] for each utterance; before the pooling [rows, channels]."""
        results: list[np.ndarray] = [np.empty(0)] * len(utterances)
        for batch in _alike([len(x) for x in utterances]):
            longest = max(len(utterances[i]) for i in batch)
            padded = np.zeros((len(batch), longest, self.dim), np.float32)
            for row, i in enumerate(batch):
                padded[row, : len(utterances[i])] = utterances[i]
            frames = keras.tree.flatten(self._frames(padded, training=False))
            for row, i in enumerate(batch):
                added = longest - len(utterances[i])
                own = [x[row : row + 1, : x.shape[1] - added] for x in frames]
                output = self._rest(own, training=False) if self._rest else own[0]
                results[i] = keras.ops.convert_to_numpy(output)[0]
        return results


def _compute_exactly() -> None:
    """Keeps GPUs from multiplying in TensorFloat-32, which has three digits."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)


def _border(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    """The last tensors, on the way to this one, of which each frame is its own."""
    if _is_of_frames(tensor):
        return [tensor]
    found: list[keras.KerasTensor] = []
    for x in _inputs(tensor):
        found += [y for y in _border(x) if not any(y is z for z in found)]
    return found


def _is_of_frames(tensor: keras.KerasTensor) -> bool:
    layer = tensor._keras_history.operation
    if isinstance(layer, keras.layers.InputLayer):
        return True
    of_rows = len(tensor.shape) == 3 and row_step(layer) is not None
    return of_rows and all(map(_is_of_frames, _inputs(tensor)))


def _inputs(tensor: keras.KerasTensor) -> list[keras.KerasTensor]:
    layer, node_index, _ = tensor._keras_history
    return layer._inbound_nodes[node_index].input_tensors


def _alike(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The indices of utterances of much the same length."""
    batch: list[int] = []
    for i in np.argsort(lengths, kind="stable").tolist():
        if batch and lengths[i] > _STRETCH * lengths[batch[0]]:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch
