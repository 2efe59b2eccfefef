"""The command that clusters the utterances of recordings by their scores."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np

from dataset.errors import InputError
from dataset.kaldi_stream import located
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from dataset.options import option
from misc.backend.clustering import FIRST_PASS_MAX, agglomerative_clusters
from misc.kaldi.command import command, log


@dataclasses.dataclass(frozen=True)
class ClusterOptions:
    threshold: float = option(
        0.0, "Merge clusters if their mean score is at least (cost: at most) this"
    )
    read_costs: bool = option(False, "The matrices hold costs, not similarities")
    reco2num_spk_rspecifier: str = option(
        "", "Table of the number of clusters of each recording, in place of --threshold"
    )
    max_spk_fraction: float = option(
        1.0,
        "Largest share of the utterances that a cluster gets; only with "
        "--reco2num-spk-rspecifier, and from one over the number of clusters",
    )
    first_pass_max_utterances: int = option(
        FIRST_PASS_MAX,
        "With more utterances cluster them in two passes: equal parts of at most so "
        "many, then what these leave",
    )


@command(
    "agglomerative-cluster",
    """
Clusters the utterances of each recording by a square matrix of their scores, rows in
the order of reco2utt: agglomerative, by average linkage. Writes `utterance label`.

Usage: agglomerative-cluster [options] <scores-rspecifier> <reco2utt-rspecifier> \\
         <labels-wspecifier>
e.g.: agglomerative-cluster --threshold=0.5 ark:scores.ark ark:reco2utt ark,t:labels
""",
    ClusterOptions,
    (3, 3),
)
def agglomerative_cluster(
    options: ClusterOptions,
    scores_rspecifier: str,
    reco2utt_rspecifier: str,
    labels_wspecifier: str,
) -> int:
    numbers_rspecifier = options.reco2num_spk_rspecifier
    at_once = options.first_pass_max_utterances
    num_done = 0
    with contextlib.ExitStack() as stack:
        matrices = stack.enter_context(SequentialReader(scores_rspecifier, "matrix"))
        reco2utt = stack.enter_context(
            RandomAccessReader(reco2utt_rspecifier, "tokens")
        )
        writer = stack.enter_context(TableWriter(labels_wspecifier, "int"))
        if numbers_rspecifier:
            numbers = stack.enter_context(RandomAccessReader(numbers_rspecifier, "int"))
        for recording, scores in matrices:
            with located(f"Recording {recording}"):
                utterances = reco2utt[recording]
                if len(utterances) != len(scores):
                    raise InputError(
                        f"expected scores of {len(utterances)} utterances, as in "
                        f"{reco2utt_rspecifier}, got {len(scores)}"
                    )
                costs = scores if options.read_costs else -scores
                if numbers_rspecifier:
                    number = numbers[recording]
                    share = options.max_spk_fraction
                    share = share if number * share >= 1.0 else 1.0
                    labels = agglomerative_clusters(
                        costs, np.inf, number, share, at_once
                    )
                else:
                    limit = options.threshold
                    limit = limit if options.read_costs else -limit
                    labels = agglomerative_clusters(
                        costs, limit, first_pass_max=at_once
                    )
            for utterance, label in zip(utterances, labels.tolist(), strict=True):
                writer.write(utterance, label)
            num_done += 1
    log(f"Clustered the utterances of {num_done} recordings")
    return 0 if num_done else 1
