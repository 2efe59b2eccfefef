"""A trained network without Keras: its layers in NumPy, from a description of them.

The description is made by `model/light_export.py` from the Keras model, and is kept
with the weights in one file (`misc/light/light_file.py`). It is a list of steps; the
first gives value 1, the next value 2, ..., value 0 being the features:

    {"op": "convolution", "args": [{"value": 0}, {"weight": "tdnn1_conv/kernel"}, ...]}

Operations in lower case treat rows alike and are done for all utterances together
(ROW_OPERATIONS); those with a capital are `keras.ops` of the same name, done for one
utterance after the other (`misc/light/ops.py`): that is how a pooling comes here from
its `call`, without being written twice. An argument is a number, a list, or one of
{"value": i}, {"weight": name}, {"tuple": [...]}, {"slice": [begin, end, step]}.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dataset.errors import InputError
from misc.light.ops import OPERATIONS, softmax
from misc.light.rows import (
    Affine,
    Array,
    Convolution,
    Pointwise,
    PointwiseLayer,
    RowLayer,
    Rows,
    Scratch,
    stack,
)
from misc.light.toom_cook import MIN_CHANNELS, WIDTHS, FastConvolution

UNSUPPORTED = "unsupported"
"""In place of a description: why the network has none."""

Step = Mapping[str, Any]
Value = Rows | list[Array]
"""Of all utterances: rows, or an array [1, ...] for each."""


def _relu(x: Array) -> None:
    np.maximum(x, np.float32(0), out=x)


def _leaky_relu(x: Array, slope: float) -> None:
    np.maximum(x, np.float32(slope) * x, out=x)


def _prelu(x: Array, alpha: Array) -> None:
    negative = np.minimum(x, np.float32(0))
    negative *= alpha
    _relu(x)
    x += negative


def _tanh(x: Array) -> None:
    np.tanh(x, out=x)


def _softmax(x: Array) -> None:
    x[...] = softmax(x)


def _scale(x: Array, scale: Array, shift: Array) -> None:
    x *= scale
    x += shift


POINTWISE: dict[str, Callable[..., None]] = {
    "relu": _relu,
    "leaky_relu": _leaky_relu,
    "prelu": _prelu,
    "tanh": _tanh,
    "softmax": _softmax,
    "scale": _scale,
}

ROW_OPERATIONS = ("affine", "convolution", *POINTWISE)


@dataclasses.dataclass
class _Instruction:
    """A step to be done: where its value goes, what it reads, and the function.

    The function of a row operation takes Rows, another's the arrays of one utterance by
    the number of the value.
    """

    target: int
    reads: list[int]
    layer: RowLayer | None = None
    operation: Callable[[Mapping[int, Array]], Any] | None = None


class LightNet:
    """From the features of utterances to one endpoint; not for two threads at once.

    Args:
        description: see above; besides the steps it has `feature_dim`, `context`,
            `endpoints` (name to value) and `embedding_node`.
        weights: float32, by name.
        node: the endpoint; empty: the embedding_node.

    Attributes:
        dim: coefficients of a frame.
        context: frames that an utterance must have.
        node: the endpoint's name.
        kind: `vector` or `matrix`: whether the endpoint is after the pooling.

    Raises:
        InputError: no such endpoint, or one that does not depend on the features; an
            operation that is not known here.
    """

    batch_frames = 3000
    """Together these are 15 % faster than one utterance after the other."""

    def __init__(
        self,
        description: Mapping[str, Any],
        weights: Mapping[str, Array],
        node: str = "",
    ) -> None:
        self.dim = int(description["feature_dim"])
        self.context = int(description["context"])
        self.node = node or description["embedding_node"]
        endpoints = description["endpoints"]
        if self.node not in endpoints:
            raise InputError(
                f"no endpoint '{self.node}'; there are: {', '.join(endpoints)}"
            )
        endpoint = endpoints[self.node]
        if endpoint is None:
            raise InputError(f"node '{self.node}' does not depend on the input")
        self._target = int(endpoint["value"])
        self.kind = "vector" if endpoint["rank"] == 2 else "matrix"
        self._weights = weights
        self._scratch = Scratch()
        self._program = self._compile(description["steps"])
        self._last_use = {
            value: i for i, step in enumerate(self._program) for value in step.reads
        }

    def __call__(self, utterances: Sequence[Array]) -> list[Array]:
        """Float32 [dim] for each utterance; before the pooling [rows, channels].

        Args:
            utterances: at least one, float32 [frames, dim] with at least `context`
                frames.
        """
        values: dict[int, Value] = {0: stack([x[None] for x in utterances])}
        for number, step in enumerate(self._program):
            if step.layer:
                x = values[step.reads[0]]
                values[step.target] = step.layer(x if isinstance(x, Rows) else stack(x))
            elif step.operation:
                reads = {i: _each(values[i]) for i in step.reads}
                values[step.target] = [
                    step.operation({i: x[j] for i, x in reads.items()})
                    for j in range(len(utterances))
                ]
            for value in step.reads:
                if self._last_use[value] == number and value != self._target:
                    values.pop(value, None)
        return [x[0] for x in _each(values[self._target])]

    def _compile(self, steps: Sequence[Step]) -> list[_Instruction]:
        """The steps that are needed; pointwise ones join what is before them."""
        needed = self._needed(steps)
        readers = {i: [j for j in needed if i in _reads(steps[j - 1])] for i in needed}
        program, joined = [], set()
        for target in needed:
            if target in joined:
                continue
            step, reads = steps[target - 1], _reads(steps[target - 1])
            if step["op"] in OPERATIONS:
                run = functools.partial(self._run, step)
                program.append(_Instruction(target, reads, operation=run))
                continue
            if step["op"] not in ROW_OPERATIONS:
                raise InputError(f"a network with the unknown operation '{step['op']}'")
            chain = [step]
            while (
                target != self._target
                and len(readers[target]) == 1
                and steps[readers[target][0] - 1]["op"] in POINTWISE
            ):
                target = readers[target][0]
                joined.add(target)
                chain.append(steps[target - 1])
            program.append(_Instruction(target, reads, layer=self._layer(chain)))
        return program

    def _needed(self, steps: Sequence[Step]) -> list[int]:
        """The values that the endpoint depends on, in order."""
        needed, open_values = set(), [self._target]
        while open_values:
            value = open_values.pop()
            if value and value not in needed:
                needed.add(value)
                open_values += _reads(steps[value - 1])
        return sorted(needed)

    def _layer(self, chain: Sequence[Step]) -> RowLayer:
        """One layer for a row operation and the pointwise ones that follow it."""
        first, *rest = chain
        if first["op"] in POINTWISE:
            return PointwiseLayer([self._pointwise(step) for step in chain])
        kernel, bias = (self._decode(arg, {}) for arg in first["args"][1:3])
        if rest and rest[0]["op"] == "scale":
            scale, shift = (self._decode(arg, {}) for arg in rest[0]["args"][1:3])
            kernel, bias = kernel * scale, bias * scale + shift
            rest = rest[1:]
        finish = [self._pointwise(step) for step in rest]
        if first["op"] == "affine":
            return Affine(kernel, bias, finish)
        dilation = first["options"]["dilation"]
        width, channels, _ = kernel.shape
        if dilation == 1 and width in WIDTHS and channels >= MIN_CHANNELS:
            return FastConvolution(kernel, bias, finish, self._scratch)
        return Convolution(kernel, bias, dilation, finish, self._scratch)

    def _pointwise(self, step: Step) -> Pointwise:
        function = POINTWISE[step["op"]]
        extra = [self._decode(arg, {}) for arg in step["args"][1:]]
        return lambda x: function(x, *extra)

    def _run(self, step: Step, values: Mapping[int, Array]) -> Any:
        args = [self._decode(arg, values) for arg in step["args"]]
        options = {k: self._decode(v, values) for k, v in step["options"].items()}
        result = OPERATIONS[step["op"]](*args, **options)
        return result.astype(np.float32) if result.dtype == np.float64 else result

    def _decode(self, arg: Any, values: Mapping[int, Array]) -> Any:
        if isinstance(arg, list):
            return [self._decode(part, values) for part in arg]
        if not isinstance(arg, dict):
            return arg
        [(kind, content)] = arg.items()
        if kind == "value":
            return values[content]
        if kind == "weight":
            return self._weights[content]
        if kind == "slice":
            return slice(*content)
        return tuple(self._decode(part, values) for part in content)


def _each(value: Value) -> list[Array]:
    return value.utterances() if isinstance(value, Rows) else value


def _reads(step: Step) -> list[int]:
    """The values among the arguments of a step."""

    def found(arg: Any) -> list[int]:
        if isinstance(arg, list):
            return [i for part in arg for i in found(part)]
        if isinstance(arg, dict):
            [(kind, content)] = arg.items()
            return [content] if kind == "value" else found(content)
        return []

    return found([step["args"], list(step["options"].values())])
