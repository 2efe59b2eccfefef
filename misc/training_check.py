"""What a data directory gives to a training.

What there is in a data directory, what the sampler's rules leave out of it, and the
advice that follows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from misc.evaluation import Table, named_rows
from misc.params import Params

FRAMES_PER_HOUR = 360_000
"""At Kaldi's usual shift of 10 ms."""

QUANTILES = {
    "shortest": 0.0,
    "1 %": 0.01,
    "10 %": 0.1,
    "median": 0.5,
    "90 %": 0.9,
    "99 %": 0.99,
    "longest": 1.0,
}

_MUCH_LOST = 0.02
"""The share from which on something lost is worth a word."""


class Share(NamedTuple):
    """A part of a data directory."""

    speakers: int
    utterances: int
    frames: int


class Losses(NamedTuple):
    """What each rule of `dataset.sampler.RandomSampler` costs.

    Attributes:
        present: what the directory has.
        never: utterances shorter than the shortest segment, and speakers with no other.
        sometimes: utterances too short for the longest segment, those of `never` left
            out, and the speakers that no batch of the longest segments has, likewise.
    """

    present: Share
    never: Share
    sometimes: Share


def sampling_losses(
    num_frames: np.ndarray, labels: np.ndarray, min_len: int, max_len: int
) -> Losses:
    """Counts by rule; num_frames and labels are int [utterances]."""
    longest = np.zeros(int(labels.max(initial=-1)) + 1, np.int64)
    np.maximum.at(longest, labels, num_frames)
    present = np.zeros(len(longest), bool)
    present[labels] = True

    def share(low: int, high: float) -> Share:
        speakers = present & (longest >= low) & (longest < high)
        utterances = (num_frames >= low) & (num_frames < high)
        return Share(
            int(speakers.sum()),
            int(utterances.sum()),
            int(num_frames[utterances].sum(dtype=np.int64)),
        )

    return Losses(share(0, np.inf), share(0, min_len), share(min_len, max_len))


def speaker_table(
    data_dir: str, num_classes: int, losses: Losses, params: Params
) -> Table:
    """Classes, speakers and utterances, and what the sampler leaves out of them."""
    classes = "classes of the spklist"
    if params.augment_speeds:
        classes += f", at {len(params.augment_speeds) + 1} speeds"
    rows = {
        classes: (num_classes, "", ""),
        "there": _counts(losses.present),
        f"shorter than min_segment_len = {params.min_segment_len}: never drawn":
            _counts(losses.never),
        f"shorter than max_segment_len = {params.max_segment_len}: not in all batches":
            _counts(losses.sometimes),
    }  # fmt: skip
    return named_rows([data_dir, "speakers", "utterances", "hours"], rows)


def length_table(lengths: dict[str, np.ndarray]) -> Table:
    """Quantiles of the utterances' frames, by directory."""
    rows = {
        name: tuple(
            f"{value:.0f}" for value in np.quantile(frames, list(QUANTILES.values()))
        )
        for name, frames in lengths.items()
    }
    return named_rows(["frames", *QUANTILES], rows)


def data_advice(losses: Losses, num_classes: int, params: Params) -> list[str]:
    """What to change in the lists or in the lengths of segments."""
    advice = []
    absent = num_classes - losses.present.speakers
    if absent:
        advice.append(
            f"{absent} classes of the spklist have no utterance here: they cost weights"
            " and are never trained; make the spklist from this directory, unless the "
            "other speakers come later"
        )
    if losses.never.speakers:
        advice.append(
            f"{losses.never.speakers} speakers have no utterance of min_segment_len = "
            f"{params.min_segment_len} frames and are never trained: lower it, or take "
            "them out of the lists"
        )
    if losses.never.frames > _MUCH_LOST * losses.present.frames:
        lost = 100 * losses.never.frames / losses.present.frames
        advice.append(
            f"{lost:.0f} % of the speech is in utterances shorter than min_segment_len "
            f"= {params.min_segment_len}: shorter segments would use it"
        )
    rare = losses.sometimes.speakers / max(1, losses.present.speakers)
    if rare > _MUCH_LOST:
        advice.append(
            f"{100 * rare:.0f} % of the speakers are missing from the batches of long "
            f"segments: lower max_segment_len = {params.max_segment_len}"
        )
    return advice


def _counts(share: Share) -> tuple[int, int, str]:
    return share.speakers, share.utterances, f"{share.frames / FRAMES_PER_HOUR:.1f}"
