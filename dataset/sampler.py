"""Which segments make up which batch: pure functions of (seed, step), no I/O.

As nothing but the seed and the number of the batch decides, the stream is the same for
any number of worker processes, and training goes on at any step with the batch that
it would have had. A batch's generator is Philox keyed with (seed, step).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from dataset.errors import InputError

# A speaker's utterances by length are one sorted run of keys label * 2^32 + frames.
_LABEL_SHIFT = 32


class Segments(NamedTuple):
    """One batch: frames `starts[i] : starts[i] + length` of each `utterances[i]`."""

    utterances: np.ndarray  # int64 [n], indices into the arrays of the sampler
    starts: np.ndarray  # int64 [n], frames
    length: int  # frames, the same for the whole batch
    labels: np.ndarray  # int32 [n]


class Sampler(Protocol):
    """What a queue asks of a sampler."""

    max_batch_size: int
    max_len: int

    @property
    def num_batches(self) -> int | None:
        """None: endless."""

    def plan(self, step: int) -> Segments:
        """The batch number `step`, from 0."""


class RandomSampler:
    """Training batches: some speakers, some segments of each, one length per batch.

    Per batch: a length uniform in [min_len, max_len]; num_speakers speakers without
    replacement, uniform over the speakers (not the utterances) with an utterance of at
    least that length; of each, num_segments such utterances without replacement (from
    the list repeated if it is too short); a start uniform over all valid ones.
    The rows of a speaker are consecutive.

    The original wants utterances strictly longer than the segment; here one of exactly
    its length will do. Where a speaker had none, the original put in another one; here
    only speakers that have one are drawn from.

    Args:
        num_frames: int [utterances].
        labels: int [utterances], the speaker of each, below num_classes.
        num_classes: number of speakers, with or without utterances.

    Raises:
        InputError: an option is out of range, or some length could not be filled with
            num_speakers speakers.
    """

    num_batches = None

    def __init__(
        self,
        num_frames: np.ndarray,
        labels: np.ndarray,
        num_classes: int,
        num_speakers: int = 64,
        num_segments: int = 1,
        min_len: int = 200,
        max_len: int = 400,
        seed: int = 0,
    ) -> None:
        _check_at_least_one("num_speakers_per_batch", num_speakers)
        _check_at_least_one("num_segments_per_speaker", num_segments)
        _check_lengths(min_len, max_len)
        _check_seed(seed)
        self.min_len, self.max_len, self.seed = min_len, max_len, seed
        self.num_speakers, self.num_segments = num_speakers, num_segments
        self.max_batch_size = num_speakers * num_segments
        self._num_frames = np.asarray(num_frames, np.int64)
        self._sort(np.asarray(labels, np.int64), num_classes)
        self._check_speakers(num_classes)
        usable = len(self._longest) - np.searchsorted(self._longest, min_len)
        self.num_speakers_left_out = num_classes - int(usable)
        self.num_utterances_left_out = int(np.sum(self._num_frames < min_len))

    def plan(self, step: int) -> Segments:
        """The segments of batch `step`; tens of microseconds for a batch of 64."""
        rng = _generator(self.seed, step)
        length = int(rng.integers(self.min_len, self.max_len, endpoint=True))
        eligible = self._speakers[np.searchsorted(self._longest, length) :]
        speakers = self._draw_speakers(rng, eligible, length)
        first = self._first(speakers, length)
        places = self._draw_places(rng, first, self._end[speakers])
        utterances = self._order[places.ravel()]
        starts = rng.integers(0, self._num_frames[utterances] - length, endpoint=True)
        labels = np.repeat(speakers, self.num_segments).astype(np.int32)
        return Segments(utterances, starts, length, labels)

    def _draw_speakers(
        self, rng: np.random.Generator, eligible: np.ndarray, length: int
    ) -> np.ndarray:
        """num_speakers of those that have an utterance of `length` frames."""
        return rng.choice(eligible, self.num_speakers, replace=False)

    def _draw_places(
        self, rng: np.random.Generator, first: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        """[speakers, num_segments] places in `_order`, row i in first[i] : end[i]."""
        return first[:, None] + _choose(rng, end - first, self.num_segments)

    def _first(self, speakers: np.ndarray, length: int) -> np.ndarray:
        """Where the utterances of at least that length begin in `_order`."""
        return np.searchsorted(self._keys, (speakers << _LABEL_SHIFT) + length)

    def _sort(self, labels: np.ndarray, num_classes: int) -> None:
        """Orders utterances by (speaker, length) and speakers by longest utterance."""
        keys = (labels << _LABEL_SHIFT) + self._num_frames
        self._order = np.argsort(keys, kind="stable")
        self._keys = keys[self._order]
        edges = np.arange(num_classes + 1) << _LABEL_SHIFT
        bounds = np.searchsorted(self._keys, edges)
        self._end = bounds[1:]
        present = np.flatnonzero(bounds[1:] > bounds[:-1])
        longest = self._num_frames[self._order[self._end[present] - 1]]
        by_longest = np.argsort(longest, kind="stable")
        self._speakers, self._longest = present[by_longest], longest[by_longest]

    def _check_speakers(self, num_classes: int) -> None:
        present = len(self._speakers)
        if present < self.num_speakers:
            raise InputError(
                f"num_speakers_per_batch is {self.num_speakers}, but only {present} of "
                f"the {num_classes} speakers have utterances: lower it"
            )
        enough = self._longest[-self.num_speakers]
        if enough >= self.max_len:
            return
        reaching = int(np.sum(self._longest >= self.max_len))
        advice = f"lower max_segment_len to {enough} or less"
        if enough < self.min_len:
            advice += " (and min_segment_len with it)"
        if reaching:
            advice += f", or num_speakers_per_batch to {reaching} or less"
        raise InputError(
            f"only {reaching} of {present} speakers have an utterance of at least "
            f"max_segment_len = {self.max_len} frames, and a batch needs "
            f"num_speakers_per_batch = {self.num_speakers}: {advice}"
        )


class DurationSampler(RandomSampler):
    """Training batches in which who has more speech comes more often.

    As RandomSampler, but for two of its rules. Speakers come without replacement, one
    after another, each with a probability in proportion to the frames that he has in
    utterances of at least the length of the batch. Of each, num_segments utterances
    come independently of each other, in proportion to their frames: one may come
    again. With small shares and one segment of each that is: every utterance in
    proportion to its duration. A speaker of a large share is at most once in a batch,
    and so gets less than it.

    The original's multitask training drew so. Arguments as for RandomSampler.
    """

    def _sort(self, labels: np.ndarray, num_classes: int) -> None:
        super()._sort(labels, num_classes)
        # frames before each utterance of the order, and before each speaker's
        self._before = np.concatenate([[0], np.cumsum(self._num_frames[self._order])])
        self._before_speaker = self._before[np.concatenate([[0], self._end])]

    def _draw_speakers(
        self, rng: np.random.Generator, eligible: np.ndarray, length: int
    ) -> np.ndarray:
        # Whose are some frames of all, in order of appearance; those of utterances
        # that are too short do not count.
        frames = rng.integers(0, self._before[-1], 3 * self.num_speakers // 2)
        owners = np.searchsorted(self._before_speaker, frames, side="right") - 1
        owners = owners[frames >= self._before[self._first(owners, length)]]
        found, appearance = np.unique(owners, return_index=True)
        speakers = found[np.argsort(appearance)][: self.num_speakers]
        if len(speakers) == self.num_speakers:
            return speakers
        # The others as they would come if it went on: exponential clocks with rates
        # in proportion to the frames run out in such an order.
        others = np.setdiff1d(eligible, speakers, assume_unique=True)
        first = self._before[self._first(others, length)]
        times = rng.exponential(size=len(others))
        times /= self._before_speaker[others + 1] - first
        missing = self.num_speakers - len(speakers)
        return np.concatenate([speakers, others[np.argsort(times)[:missing]]])

    def _draw_places(
        self, rng: np.random.Generator, first: np.ndarray, end: np.ndarray
    ) -> np.ndarray:
        low, high = self._before[first, None], self._before[end, None]
        frames = rng.integers(low, high, (len(first), self.num_segments))
        return np.searchsorted(self._before, frames, side="right") - 1


# What `sample_by` may be, and whose rules it means.
RANDOM_SAMPLERS = {"speaker": RandomSampler, "duration": DurationSampler}


class SequentialSampler:
    """Every utterance once, a segment of each, in batches of one length.

    The length is uniform in [min_len, max_len], but at most that of the shortest
    utterance of the batch. Without shuffling, utterances come in their order and
    segments are their first frames; with it, order and starts are random, the same in
    each pass. The last batch may be smaller (the original drops it). Utterances
    without a frame are left out.

    Args:
        num_frames: int [utterances].
        labels: int [utterances].

    Raises:
        InputError: an option is out of range, or there is no utterance.
    """

    def __init__(
        self,
        num_frames: np.ndarray,
        labels: np.ndarray,
        batch_size: int = 128,
        min_len: int = 200,
        max_len: int = 400,
        shuffle: bool = False,
        seed: int = 0,
    ) -> None:
        _check_at_least_one("batch_size", batch_size)
        _check_lengths(min_len, max_len)
        _check_seed(seed)
        self.min_len, self.max_len, self.seed = min_len, max_len, seed
        self.shuffle, self.max_batch_size = shuffle, batch_size
        self._num_frames = np.asarray(num_frames, np.int64)
        self._labels = np.asarray(labels, np.int32)
        self._order = np.flatnonzero(self._num_frames)
        if not len(self._order):
            raise InputError("there are no utterances to read")
        self.num_utterances_left_out = len(self._num_frames) - len(self._order)
        self.num_batches = -(-len(self._order) // batch_size)
        self.shortest = int(self._num_frames[self._order].min())
        if shuffle:
            # The batches themselves use the steps from 0 to num_batches - 1.
            self._order = _generator(seed, self.num_batches).permutation(self._order)

    def plan(self, step: int) -> Segments:
        """The segments of batch `step` of the pass."""
        rng = _generator(self.seed, step)
        begin = step * self.max_batch_size
        utterances = self._order[begin : begin + self.max_batch_size]
        available = self._num_frames[utterances]
        length = int(rng.integers(self.min_len, self.max_len, endpoint=True))
        length = min(length, int(available.min()))
        starts = np.zeros(len(utterances), np.int64)
        if self.shuffle:
            starts = rng.integers(0, available - length, endpoint=True)
        return Segments(utterances, starts, length, self._labels[utterances])


def _generator(seed: int, step: int) -> np.random.Generator:
    key = np.array([seed, step], np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _choose(rng: np.random.Generator, counts: np.ndarray, number: int) -> np.ndarray:
    """Row i: `number` distinct integers below counts[i], uniformly (Floyd's algorithm).

    Where counts[i] < number, the integers are first repeated until there are enough.
    """
    pool = counts * -(-number // counts)
    chosen = np.empty((len(counts), number), np.int64)
    for column in range(number):
        last = pool - number + column
        drawn = rng.integers(0, last, endpoint=True)
        taken = (chosen[:, :column] == drawn[:, None]).any(axis=1)
        chosen[:, column] = np.where(taken, last, drawn)
    return chosen % counts[:, None]


def _check_at_least_one(key: str, value: int) -> None:
    if value < 1:
        raise InputError(f"{key} must be at least 1, got {value}")


def _check_lengths(min_len: int, max_len: int) -> None:
    if not 1 <= min_len <= max_len:
        raise InputError(
            "expected 1 <= min_segment_len <= max_segment_len, "
            f"got {min_len} and {max_len}"
        )


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**64:
        raise InputError(f"seed must be in [0, 2^64), got {seed}")
