"""Tiny data for tests: speakers whose features differ, as a Kaldi data directory."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from dataset.kaldi_table import SequentialReader, TableWriter

CONFIG = {
    "seed": 3,
    "network_type": "tdnn",
    "num_nodes_frame_layers": 16,
    "num_nodes_pooling_layer": 24,
    "num_nodes_last_layer": 16,
    "last_layer_linear": True,
    "pooling_type": "statistics_pooling",
    "batchnorm_momentum": 0.9,
    "weight_l2_regularizer": 1e-4,
    "loss_func": "softmax",
    "optimizer": "adam",
    "learning_rate": 0.01,
    "num_epochs": 2,
    "num_steps_per_epoch": 5,
    "num_speakers_per_batch": 4,
    "num_segments_per_speaker": 2,
    "min_segment_len": 20,
    "max_segment_len": 30,
    "num_parallel_datasets": 0,
}


def write_config(path: Path, **changes) -> Path:
    """CONFIG as a JSON file, with some keys changed; None removes one."""
    values = {k: v for k, v in (CONFIG | changes).items() if v is not None}
    path.write_text(json.dumps(values))
    return path


def write_data_dir(
    folder: Path, num_speakers: int = 6, num_utts: int = 4, dim: int = 5, seed: int = 0
) -> Path:
    """A data directory of float features, 40 to 60 frames, with its spklist."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    utt2spk, num_frames = [], []
    with TableWriter(f"ark,scp:{folder}/feats.ark,{folder}/feats.scp", "matrix") as out:
        for speaker in range(num_speakers):
            colour = np.random.default_rng(speaker).normal(size=dim)
            for utt in range(num_utts):
                frames = int(rng.integers(40, 61))
                name = f"s{speaker}-u{utt}"
                features = rng.normal(size=(frames, dim)) * (1 + abs(colour)) + colour
                out.write(name, features.astype(np.float32))
                utt2spk.append(f"{name} s{speaker}\n")
                num_frames.append(f"{name} {frames}\n")
    (folder / "utt2spk").write_text("".join(utt2spk))
    (folder / "utt2num_frames").write_text("".join(num_frames))
    speakers = range(num_speakers)
    utts = {s: " ".join(f"s{s}-u{u}" for u in range(num_utts)) for s in speakers}
    (folder / "spk2utt").write_text("".join(f"s{s} {utts[s]}\n" for s in speakers))
    (folder / "spklist").write_text("".join(f"s{s} {s}\n" for s in speakers))
    return folder


def write_vad(folder: Path) -> None:
    """Decisions beside a data directory's features: every fourth frame unvoiced."""
    with TableWriter(f"ark,scp:{folder}/vad.ark,{folder}/vad.scp", "vector") as out:
        for line in (folder / "utt2num_frames").read_text().splitlines():
            name, frames = line.split()
            out.write(name, (np.arange(int(frames)) % 4 > 0).astype(np.float32))


def train(data: Path, model_dir: Path, cont: bool = False, **changes) -> Path:
    """Trains on `data/train` and `data/valid` by CONFIG and changes; its `nnet/`."""
    from misc.params import Params
    from model.trainer import Trainer

    model_dir.mkdir(exist_ok=True)
    config = write_config(model_dir / "given.json", **changes)
    spklist = str(data / "train" / "spklist")
    lists = (str(data / "train"), spklist, str(data / "valid"), spklist)
    params = Params.from_json(str(config))
    Trainer(params, str(model_dir)).train(*lists, continue_training=cont)
    return model_dir / "nnet"


def scale_utterance(folder: Path, name: str, factor: float) -> None:
    """Multiplies the features of one utterance of a data directory."""
    rspecifier = f"scp:{folder}/feats.scp"
    with SequentialReader(rspecifier, "matrix") as reader:
        matrices = {key: np.array(matrix) for key, matrix in reader}
    matrices[name] *= np.float32(factor)
    with TableWriter(f"ark,scp:{folder}/feats.ark,{folder}/feats.scp", "matrix") as out:
        for key, matrix in matrices.items():
            out.write(key, matrix)
