"""From the Keras model to the light form of its network (`misc/light/net.py`).

Layers that treat frames alike are named; any other layer, such as a pooling, is looked
into: its `call`, given symbolic tensors, leaves a graph of `keras.ops`, which is
written down as it is. So there is one definition of a network, the Keras one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers

from dataset.errors import InputError
from misc.light.light_file import write_light
from misc.light.net import UNSUPPORTED, LightNet
from misc.light.ops import OPERATIONS
from misc.light.place import find_light, light_paths, remove_others
from misc.run_dir import RunDir
from model.normalization import BatchNormalization
from model.speaker_net import SpeakerNet
from model.trainer import load_model

TOLERANCE = 1e-4
"""Of the light form against Keras, relative to the largest value of an endpoint. It is
to find a mistake; how exact the light form is, the tests measure in float64."""

Weights = dict[str, np.ndarray]


class NotLight(Exception):
    """A network with something in it that has no light form; the message says what."""


def make_light(run: RunDir, step: int) -> str:
    """Writes the light form of a checkpoint, unless it is there; where it is.

    Several processes may ask at once: one makes it, the others wait.

    Raises:
        InputError: the checkpoint cannot be loaded, or nothing can be written.
    """
    with _one_at_a_time(run.path):
        if found := find_light(run, step):
            return found
        try:
            description, weights = light_form(load_model(run, str(step)).in_float32())
        except NotLight as error:
            description, weights = {UNSUPPORTED: str(error)}, {}
        paths = light_paths(run, step)
        for path in paths:
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                write_light(path, description, weights)
            except OSError:
                continue
            remove_others(run, path)
            return path
    raise InputError(f"none of these can be written: {', '.join(paths)}")


@contextlib.contextmanager
def _one_at_a_time(folder: str) -> Iterator[None]:
    """A lock; on a file system that knows none, several may be at work."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def light_form(model: SpeakerNet) -> tuple[dict[str, Any], Weights]:
    """The description and the weights of a model's network.

    It is compared with Keras at all endpoints before it is returned.

    Raises:
        NotLight: a layer or operation that is not known there, or another outcome.
    """
    export = _Export(model.network)
    description = {
        "feature_dim": model.feature_dim,
        "context": model.context,
        "embedding_node": model.params.embedding_node,
        "endpoints": export.endpoints(model.network.output),
        "steps": export.steps,
    }
    _compare(model, description, export.weights)
    return description, export.weights


class _Export:
    """Walks back from the endpoints to the features, and writes down the way forth."""

    def __init__(self, network: keras.Model) -> None:
        self.steps: list[dict[str, Any]] = []
        self.weights: Weights = {}
        self._values: dict[int, tuple[Any, int]] = {}
        self._set(network.inputs[0], 0)

    def endpoints(self, tensors: Mapping[str, keras.KerasTensor]) -> dict[str, Any]:
        """Value and rank of each; None for what does not depend on the features."""
        return {
            name: None
            if tensor.shape[0] is not None
            else {"value": self._value(tensor), "rank": len(tensor.shape)}
            for name, tensor in tensors.items()
        }

    def _set(self, tensor: Any, value: int) -> None:
        self._values[id(tensor)] = tensor, value  # kept alive: its id is its name

    def _value(self, tensor: keras.KerasTensor) -> int:
        """The number of a tensor's value; what it comes from is added if need be."""
        if id(tensor) not in self._values:
            layer, node_index, _ = tensor._keras_history
            node = layer._inbound_nodes[node_index]
            for x in node.input_tensors:
                self._value(x)
            if (step := row_step(layer)) is not None:
                op, arguments, options = step
                [source], [output] = node.input_tensors, node.output_tensors
                self._set(output, self._add(op, [source, *arguments], options))
            else:
                self._look_into(layer, node)
        return self._values[id(tensor)][1]

    def _add(
        self, op: str, arguments: Iterable[Any], options: Mapping[str, Any]
    ) -> int:
        step = {
            "op": op,
            "args": [self._encoded(x) for x in arguments],
            "options": {name: self._encoded(x) for name, x in options.items()},
        }
        self.steps.append(step)
        return len(self.steps)

    def _encoded(self, x: Any) -> Any:
        """An argument as JSON; arrays become weights."""
        if isinstance(x, keras.KerasTensor):
            return {"value": self._values[id(x)][1]}
        if isinstance(x, np.ndarray) or keras.ops.is_tensor(x):
            name = f"{len(self.weights)}"
            self.weights[name] = np.asarray(x, dtype=np.float32)
            return {"weight": name}
        if isinstance(x, keras.Variable):
            return self._encoded(keras.ops.convert_to_numpy(x))
        if isinstance(x, list):
            return [self._encoded(part) for part in x]
        if isinstance(x, tuple):
            return {"tuple": [self._encoded(part) for part in x]}
        if isinstance(x, slice):
            return {"slice": [x.start, x.stop, x.step]}
        return x

    def _look_into(self, layer: keras.Layer, node: Any) -> None:
        """Adds the operations of a layer's `call`, for a batch of one utterance."""
        symbols = []
        for x in node.input_tensors:
            symbols.append(keras.KerasTensor((1, *x.shape[1:]), x.dtype))
            self._set(symbols[-1], self._value(x))
        several = isinstance(node.arguments.args[0], (list, tuple))
        layer.add_loss = lambda loss: None  # Keras takes no symbolic ones
        try:
            outputs = layer.call(symbols if several else symbols[0])
        except Exception as error:
            raise NotLight(f"layer '{layer.name}': {error}") from None
        finally:
            del layer.add_loss
        if not isinstance(outputs, (list, tuple)):
            outputs = [outputs]
        for output, inside in zip(node.output_tensors, outputs, strict=True):
            if isinstance(inside, keras.KerasTensor):  # else a constant
                self._set(output, self._inside(inside, layer.name))

    def _inside(self, tensor: keras.KerasTensor, layer: str) -> int:
        """The number of the value of a tensor in a layer."""
        if id(tensor) not in self._values:
            operation, index, _ = tensor._keras_history
            name = type(operation).__name__
            node = operation._inbound_nodes[index]
            if name not in OPERATIONS or len(node.output_tensors) > 1:
                raise NotLight(f"layer '{layer}': keras.ops {name}")
            for x in node.input_tensors:
                self._inside(x, layer)
            options = operation.get_config() | node.arguments.kwargs
            del options["name"]
            self._set(tensor, self._add(name, node.arguments.args, options))
        return self._values[id(tensor)][1]


def row_step(layer: keras.Layer) -> tuple[str, list[Any], dict[str, Any]] | None:
    """The row operation that a layer is, its arguments after the first, its options.

    None: it may not treat rows alike, and has to be looked into.
    """
    describe = _ROW_LAYERS.get(type(layer))
    return describe(layer) if describe else None


def _affine(layer: layers.Dense):
    if layer.activation is not keras.activations.linear:
        return None
    return "affine", [layer.kernel, _bias(layer)], {}


def _convolution(layer: layers.Conv1D):
    plain = (
        layer.activation is keras.activations.linear
        and layer.padding == "valid"
        and layer.strides == (1,)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )
    if not plain:
        return None
    return (
        "convolution",
        [layer.kernel, _bias(layer)],
        {"dilation": layer.dilation_rate[0]},
    )


def _bias(layer: layers.Dense | layers.Conv1D):
    return layer.bias if layer.use_bias else np.zeros(layer.kernel.shape[-1])


def _scale(layer: layers.BatchNormalization):
    mean, variance = (
        keras.ops.convert_to_numpy(x).astype(np.float64)
        for x in (layer.moving_mean, layer.moving_variance)
    )
    scale = 1.0 / np.sqrt(variance + layer.epsilon)
    if layer.scale:
        scale *= keras.ops.convert_to_numpy(layer.gamma)
    shift = -mean * scale
    if layer.center:
        shift += keras.ops.convert_to_numpy(layer.beta)
    return "scale", [scale, shift], {}


def _relu(layer: layers.ReLU):
    plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
    return ("relu", [], {}) if plain else None


def _leaky_relu(layer: layers.LeakyReLU):
    return "leaky_relu", [float(layer.negative_slope)], {}


def _prelu(layer: layers.PReLU):
    if any(size != 1 for size in layer.alpha.shape[:-1]):
        return None
    return "prelu", [keras.ops.reshape(layer.alpha, (-1,))], {}


def _activation(layer: layers.Activation):
    name = getattr(layer.activation, "__name__", "")
    return (name, [], {}) if name in ("relu", "tanh") else None


def _softmax(layer: layers.Softmax):
    return ("softmax", [], {}) if layer.axis == -1 else None


_ROW_LAYERS: dict[type, Callable[[Any], Any]] = {
    layers.Dense: _affine,
    layers.Conv1D: _convolution,
    layers.BatchNormalization: _scale,
    BatchNormalization: _scale,
    layers.ReLU: _relu,
    layers.LeakyReLU: _leaky_relu,
    layers.PReLU: _prelu,
    layers.Activation: _activation,
    layers.Softmax: _softmax,
}


def _compare(
    model: SpeakerNet, description: Mapping[str, Any], weights: Weights
) -> None:
    """Holds the light form against Keras on noise, utterances of several lengths.

    At the last endpoint, which depends on nearly all others, at the configuration's,
    and at those of layers that were looked into.
    """
    rng = np.random.default_rng(0)
    lengths = [model.context + extra for extra in (0, 1, 38, 300)]
    utterances = [
        rng.normal(size=(frames, model.feature_dim)).astype(np.float32)
        for frames in lengths
    ]
    expected = [model.network(x[None], training=False) for x in utterances]
    for name, endpoint in description["endpoints"].items():
        if endpoint is None:
            continue
        op = description["steps"][endpoint["value"] - 1]["op"]
        if name not in ("output", model.params.embedding_node) and op not in OPERATIONS:
            continue
        net = LightNet(description, weights, name)
        for ours, outputs in zip(net(utterances), expected, strict=True):
            theirs = np.asarray(outputs[name])[0]
            error = abs(ours - theirs).max() / max(abs(theirs).max(), 1e-12)
            if not error < TOLERANCE:
                raise NotLight(f"'{name}' differs from Keras by {error:.1e}")
