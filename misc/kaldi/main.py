"""Dispatch: from the name a command was called by to the function that does it.

Only the module that owns the command is imported, so text filters start without NumPy.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys

if __name__ == "__main__":  # run as a file: the project's root is two folders up
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))

from misc.kaldi.command import COMMANDS, run

MODULES: dict[str, tuple[str, ...]] = {
    "misc.kaldi.feat_commands": (
        "compute-mfcc-feats",
        "compute-fbank-feats",
        "compute-vad",
        "apply-cmvn-sliding",
        "select-voiced-frames",
    ),
    "misc.kaldi.copy_commands": (
        "copy-feats",
        "copy-vector",
        "feat-to-len",
        "feat-to-dim",
    ),
    "misc.kaldi.cmvn_commands": (
        "compute-cmvn-stats",
        "apply-cmvn",
    ),
    "misc.kaldi.matrix_commands": (
        "copy-matrix",
        "select-feats",
        "paste-feats",
        "subset-feats",
    ),
    "misc.kaldi.wav_commands": (
        "extract-segments",
        "sph2pipe",
        "wav-copy",
        "wav-reverberate",
        "wav-to-duration",
    ),
    "misc.kaldi.ivector_commands": (
        "ivector-mean",
        "ivector-normalize-length",
        "ivector-subtract-global-mean",
        "ivector-transform",
        "transform-vec",
        "ivector-compute-lda",
    ),
    "misc.kaldi.plda_commands": (
        "ivector-compute-plda",
        "ivector-copy-plda",
        "ivector-adapt-plda",
    ),
    "misc.kaldi.scoring_commands": (
        "ivector-plda-scoring",
        "ivector-plda-scoring-dense",
        "ivector-compute-dot-products",
        "compute-eer",
    ),
    "misc.kaldi.logistic_commands": (
        "logistic-regression-train",
        "logistic-regression-eval",
        "logistic-regression-copy",
    ),
    "misc.kaldi.cluster_command": ("agglomerative-cluster",),
    "misc.kaldi.normalize_command": ("score-normalize",),
    "misc.kaldi.calibration_commands": (
        "calibration-train",
        "calibration-apply",
    ),
    "misc.kaldi.list_commands": (
        "filter_scp.pl",
        "utt2spk_to_spk2utt.pl",
        "spk2utt_to_utt2spk.pl",
        "apply_map.pl",
        "split_scp.pl",
        "shuffle_list.pl",
    ),
    "misc.kaldi.data_commands": (
        "fix_data_dir.sh",
        "validate_data_dir.sh",
        "copy_data_dir.sh",
        "combine_data.sh",
        "subset_data_dir.sh",
        "split_data.sh",
    ),
    "misc.kaldi.length_commands": (
        "get_utt2dur.sh",
        "get_reco2dur.sh",
        "get_utt2num_frames.sh",
    ),
    "misc.kaldi.speed_commands": ("perturb_data_dir_speed.sh",),
    "misc.kaldi.subsegment_commands": ("subsegment_data_dir.sh",),
    "misc.kaldi.musan_commands": ("make_musan.sh",),
    "misc.kaldi.complete_command": ("check_complete.sh",),
    "misc.kaldi.run_pl": ("run.pl",),
    "misc.kaldi.parallel_pl": ("parallel.pl",),
    "misc.kaldi.augment_commands": (
        "augment_data_dir.py",
        "reverberate_data_dir.py",
    ),
}
"""Which module declares which commands."""


def main(argv: list[str]) -> int:
    """Runs `argv[0]`, or `argv[1]` when called as `kaldi`."""
    name, rest = argv[0], argv[1:]
    if name == "kaldi":
        if not rest or rest[0] in ("-h", "--help"):
            sys.stderr.write(_list_commands())
            return 0 if rest else 1
        name, rest = rest[0], rest[1:]
    owner = next((module for module, names in MODULES.items() if name in names), None)
    if owner is None:
        sys.stderr.write(f"ERROR (kaldi) no such command: {name}; see kaldi --help\n")
        return 1
    importlib.import_module(owner)
    gc.set_threshold(100_000)  # tables are many objects that hold no cycles
    return run(COMMANDS[name], rest)


def _list_commands() -> str:
    lines = ["usage: kaldi COMMAND [options] ARGUMENT ...", "Commands:"]
    lines += ["  " + name for names in MODULES.values() for name in names]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
