"""Packaging, for `pip install -e .` into an environment of its own.

No Kaldi command is put on the PATH: they would hide a real Kaldi's.
"""

from setuptools import setup

setup(
    name="tf-kaldi-speaker",
    version="0.1.0",
    description="Speaker verification with Kaldi recipes and Keras networks",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=[
        "dataset",
        "misc",
        "misc.backend",
        "misc.kaldi",
        "misc.light",
        "model",
        "nnet",
    ],
    install_requires=[
        "tensorflow>=2.21",
        "keras>=3.12",
        "numpy",
        "scipy",
        "soundfile",
        "matplotlib",
        "tensorboard",
        "tqdm",
    ],
    extras_require={
        "speech": ["espeakng-loader"],
        "m4a": ["av"],
        "onnx": ["tf2onnx>=1.17", "onnxruntime"],
        "tflite": ["ai-edge-litert>=2"],
    },
)
