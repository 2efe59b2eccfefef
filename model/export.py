"""A trained network as a file for other runtimes: SavedModel, ONNX, TFLite.

Input is features [N, frames, dim] after CMVN and VAD, or one recording [samples]
(`model/wave_graph.py`); the output is that of one endpoint. TFLite takes one utterance
at a time (N = 1), as its converter cannot take apart products of two unknown sizes.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from dataset.errors import InputError
from dataset.front_end import FrontEnd
from model.wave_graph import voiced_frames

OPSET = 17
"""Of ONNX: from 2022, known to all runtimes of today."""

Run = Callable[[np.ndarray], np.ndarray]


class Format(NamedTuple):
    """How an export is written and run.

    Attributes:
        file: its name in the export's folder; empty: several files, the folder itself.
        packages: what is needed besides TensorFlow, by the names that are imported.
        install: what pip calls them.
        write: (module, path) -> None.
        open: path -> what takes an input and gives the output.
        batches: whether it takes several utterances at once.
    """

    file: str
    packages: tuple[str, ...]
    install: str
    write: Callable[[Any, str], None]
    open: Callable[[str], Run]
    batches: bool = True


def check_packages(name: str) -> None:
    """Refuses a format whose packages are not installed.

    Raises:
        InputError: saying how they are installed.
    """
    packages, install = FORMATS[name].packages, FORMATS[name].install
    if not all(map(importlib.util.find_spec, packages)):
        raise InputError(f"--format {name} needs more packages: pip install {install}")
    if keras.backend.backend() != "tensorflow":
        raise InputError(
            f"exports are made by TensorFlow, not {keras.backend.backend()}: unset "
            "KERAS_BACKEND"
        )


def export_module(
    network: keras.Model, format: str, front_end: FrontEnd | None = None
) -> Any:
    """What is exported: a tf.Module with the weights and the function `embed`.

    Args:
        network: from features to one endpoint, in float32.
        format: a name in FORMATS.
        front_end: for waveforms; None: for features.

    Raises:
        InputError: the options of the front end do not fit each other.
    """
    import tensorflow as tf

    def embed(features):
        return {"embedding": network(features, training=False)}

    def embed_wave(samples):
        frames = voiced_frames(samples, front_end)
        return {"embedding": network(frames[None], training=False)[0]}

    module = tf.Module()
    module.network = network
    if front_end is None:
        shape = (None if FORMATS[format].batches else 1, *network.input.shape[1:])
        spec = tf.TensorSpec(shape, tf.float32, "features")
        module.embed = tf.function(embed, [spec])
    else:
        spec = tf.TensorSpec([None], tf.float32, "samples")
        module.embed = tf.function(embed_wave, [spec])
    return module


def _write_savedmodel(module: Any, path: str) -> None:
    import tensorflow as tf

    tf.saved_model.save(module, path, {"serving_default": module.embed})


def _open_savedmodel(path: str) -> Run:
    import tensorflow as tf

    model = tf.saved_model.load(path)

    def run(x: np.ndarray) -> np.ndarray:
        [output] = model.signatures["serving_default"](tf.constant(x)).values()
        return output.numpy()

    return run


def _write_onnx(module: Any, path: str) -> None:
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    import tf2onnx

    tf2onnx.convert.from_function(
        module.embed, module.embed.input_signature, opset=OPSET, output_path=path
    )


def _open_onnx(path: str) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [source] = session.get_inputs()
    return lambda x: session.run(None, {source.name: x})[0]


def _write_tflite(module: Any, path: str) -> None:
    import tensorflow as tf

    concrete = module.embed.get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    converter.experimental_lower_to_saved_model = False  # would leave the weights out
    content = converter.convert()
    with open(path, "wb") as stream:
        stream.write(content)


def _open_tflite(path: str) -> Run:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    [source] = interpreter.get_input_details()
    [output] = interpreter.get_output_details()

    def run(x: np.ndarray) -> np.ndarray:
        interpreter.resize_tensor_input(source["index"], x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], x)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    return run


FORMATS = {
    "savedmodel": Format("", (), "", _write_savedmodel, _open_savedmodel),
    "onnx": Format(
        "model.onnx",
        ("tf2onnx", "onnx", "onnxruntime"),
        "tf2onnx onnxruntime",
        _write_onnx,
        _open_onnx,
    ),
    "tflite": Format(
        "model.tflite",
        ("ai_edge_litert",),
        "ai-edge-litert",
        _write_tflite,
        _open_tflite,
        batches=False,
    ),
}
