#!/usr/bin/env python3
"""Makes a miniature of a recipe's corpora, to try the recipe on without them.

usage: tests/make_miniature.py voxceleb|sre|fisher <folder>
e.g.:  tests/make_miniature.py voxceleb /tmp/voxceleb
       cd egs/voxceleb/v1 && ./run.sh --config /tmp/voxceleb/classic.conf

Synthetic voices of a few speakers, in the folders, formats and lists of the published
corpora. classic.conf and modern.conf have the recipe's options for them, the JSON files
its configurations with few nodes and steps. The error rates mean nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import sre_corpora  # noqa: E402
import voxceleb_corpus  # noqa: E402
from fisher_runs import make_speech  # noqa: E402

FEW_NODES_AND_STEPS = {
    "num_nodes_frame_layers": 48,
    "num_nodes_pooling_layer": 64,
    "num_nodes_last_layer": 16,
    "embedding_node": "output",  # of 16 values: LDA needs more utterances than values
    "learning_rate": 0.01,
    "num_epochs": 2,
    "num_steps_per_epoch": 100,
    "num_speakers_per_batch": 8,
    "min_segment_len": 100,
    "max_segment_len": 100,
    "num_parallel_datasets": 1,
    "show_training_progress": 20,
}
GROWING_MARGIN = {
    "num_steps_per_epoch": 40,  # making features while training takes its time
    "warmup_steps": 10,
    "margin_start_step": 20,
    "margin_full_step": 60,
}
LARGE_MARGIN = {
    "num_steps_per_epoch": 30,
    "warmup_steps": 10,
    "num_epochs": 1,
    "learning_rate": 0.001,
}


def write_json(path: Path, config: str, **changes: Any) -> Path:
    """A configuration of nnet_conf/ with few nodes and steps."""
    values = json.loads((ROOT / f"nnet_conf/{config}.json").read_text())
    path.write_text(json.dumps(values | FEW_NODES_AND_STEPS | changes, indent=2) + "\n")
    return path


def write_conf(path: Path, **options: Any) -> None:
    """Options of a recipe, for its --config; the data and networks lie beside it."""
    folder = path.parent / path.stem
    options = {"data": folder / "data", "exp": folder / "exp", "nj": 2} | options
    path.write_text("".join(f'{name}="{value}"\n' for name, value in options.items()))


def voxceleb(folder: Path) -> None:
    voxceleb_corpus.make_corpora(folder)
    options = {
        "voxceleb1": folder / "VoxCeleb1",
        "voxceleb2": folder / "VoxCeleb2",
        "musan": folder / "musan",
        "rirs": folder / "RIRS_NOISES",
        "min_len": 100,
        "valid_speakers": 4,
        "valid_utts": 2,
    }
    write_conf(
        folder / "classic.conf",
        **options,
        nnet_config=write_json(
            folder / "classic.json",
            "voxceleb/tdnn_amsoftmax_m0.20_linear_bn_1e-2_tdnn4_att",
            att_key_num_nodes=[16, 16],
        ),
        min_num_utts=3,
        aug_utts=200,
        lda_dim=8,
    )
    write_modern_conf(folder, "voxceleb", **options, lists="e_clean")


def sre(folder: Path) -> None:
    sre_corpora.make_ldc(folder / "ldc")
    sre_corpora.make_sre10(folder / "sre10")
    sre_corpora.make_sre16(folder / "sre16")
    sre_corpora.make_unlabelled(folder / "unlabelled")
    sre_corpora.make_musan(folder / "musan")
    sre_corpora.make_rirs(folder / "RIRS_NOISES")
    options = {
        "ldc": folder / "ldc",
        "speaker_list": folder / "ldc/speaker_list",
        "sre10": folder / "sre10",
        "sre16": folder / "sre16",
        "sre16_unlabelled": folder / "unlabelled",
        "musan": folder / "musan",
        "rirs": folder / "RIRS_NOISES",
        "min_len": 100,
        "min_num_utts": 3,
        "valid_speakers": 4,
        "valid_utts": 2,
        "lda_dim": 6,
    }
    write_conf(
        folder / "classic.conf",
        **options,
        nnet_config=write_json(
            folder / "classic.json", "sre/tdnn_amsoftmax_m0.15_linear_bn_1e-2"
        ),
        num_augmented=200,
    )
    fewer = {"sre": "sre04 sre05_train sre08", "swbd": "swbd2_phase1", "sre10": ""}
    write_modern_conf(folder, "sre", **options | fewer)


def write_modern_conf(folder: Path, recipe: str, **options: Any) -> None:
    """That of a run_modern.sh, with its two configurations."""
    network, tuned = (
        f"{recipe}/tdnn_arcsoftmax_{name}"
        for name in ("m0.20_online", "m0.50_online_large_margin_finetune")
    )
    write_conf(
        folder / "modern.conf",
        **options,
        nnet_config=write_json(folder / "modern.json", network, **GROWING_MARGIN),
        tuning_config=write_json(folder / "tuned.json", tuned, **LARGE_MARGIN),
    )


def fisher(folder: Path) -> None:
    make_speech(folder / "speech")
    options = {
        "corpus": folder / "speech",
        "rate": 8000,
        "min_num_utts": 4,
        "eval_speakers": 3,
        "calibration_speakers": 3,
    }
    sizes = {"min_segment_len": 100, "max_segment_len": 400, "learning_rate": 0.003}
    write_conf(
        folder / "classic.conf",
        **options,
        nnet_config=write_json(
            folder / "classic.json",
            "fisher/own_classic",
            **sizes | {"num_nodes_last_layer": 12, "warmup_steps": 10},
        ),
    )
    # The embedding has more values than there are recordings: cosine only.
    sizes["embedding_node"] = "tdnn6_dense"
    write_conf(
        folder / "modern.conf",
        track="modern",
        **options,
        nnet_config=write_json(
            folder / "modern.json", "fisher/own_modern", **sizes | GROWING_MARGIN
        ),
        large_margin_config=write_json(
            folder / "tuned.json",
            "fisher/own_large_margin",
            **sizes | LARGE_MARGIN | {"learning_rate": 0.0003},
        ),
    )


MINIATURES: dict[str, Callable[[Path], None]] = {
    "voxceleb": voxceleb,
    "sre": sre,
    "fisher": fisher,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", choices=MINIATURES)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    folder = args.folder.resolve()
    if folder.exists() and any(folder.iterdir()):
        print(f"{parser.prog}: {folder} is not empty", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    MINIATURES[args.recipe](folder)
    confs = " ".join(str(path) for path in sorted(folder.glob("*.conf")))
    print(f"{folder}: for --config of egs/{args.recipe}/v1: {confs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
