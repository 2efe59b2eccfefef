"""A trained network in Keras, with the interface of `misc/light/net.py`.

For a GPU, and for networks that have no light form.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from dataset.errors import InputError
from misc.run_dir import RunDir
from model.trainer import load_model


class KerasNetwork:
    """What a model gives for utterances at one of its endpoints.

    Args:
        model_dir: the folder of a run, ours or the original's.
        node: an endpoint of the network; empty: the configuration's embedding_node.
        checkpoint: `last`, `-1` (best validation loss) or a number of steps.

    Attributes: those of LightNet.

    Raises:
        InputError: no such model, checkpoint or endpoint; one that does not depend on
            the features.
    """

    def __init__(
        self, model_dir: str, node: str = "", checkpoint: str = "last"
    ) -> None:
        model = load_model(RunDir(model_dir), checkpoint).in_float32()
        self.dim, self.context = model.feature_dim, model.context
        self.node = node or model.params.embedding_node
        self._network: keras.Model = model.node(self.node)
        shape = self._network.output.shape
        if shape[0] is not None:
            raise InputError(f"node '{self.node}' does not depend on the input")
        self.kind = "vector" if len(shape) == 2 else "matrix"

    def __call__(self, utterances: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Float32 [dim] for each utterance; before the pooling [rows, channels].

        Those of one length are computed together.
        """
        places: dict[int, list[int]] = {}
        for place, features in enumerate(utterances):
            places.setdefault(len(features), []).append(place)
        results: list[np.ndarray] = [np.empty(0)] * len(utterances)
        for equal in places.values():
            batch = np.stack([utterances[i] for i in equal])
            outputs = np.asarray(self._network.predict_on_batch(batch))
            for place, output in zip(equal, outputs, strict=True):
                results[place] = output
        return results
