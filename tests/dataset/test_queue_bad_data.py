"""The queues: bad data are named, and replaced where that is allowed."""

from __future__ import annotations

import numpy as np
import pytest
from queue_data import RANDOM, SEQUENTIAL, same, take, workers, write_data

from dataset import archive_check
from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from dataset.kaldi_io import read_vec_flt_scp, write_vec_flt
from dataset.sampler import DurationSampler, RandomSampler
from dataset.speaker_info import load_speaker_info

NAN = np.zeros((90, 4), np.float32)
NAN[:, 2] = np.nan


@pytest.fixture
def unseen(monkeypatch):
    """Only the first utterance is looked at at the start, as if there were millions."""
    monkeypatch.setattr(archive_check, "_FEW_SEGMENTS", 0)


@pytest.mark.parametrize("num_parallel", [0, 2])
@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (NAN, ["frame 0", "NaN or infinite"]),
        (np.zeros((90, 3), np.float32), ["dimension 4", "got 3"]),
        (np.zeros((10, 4), np.float32), ["cannot read frames 0 to", "utt2num_frames"]),
    ],
)
def test_bad_segment_names_the_utterance_at_its_batch(
    tmp_path, unseen, num_parallel, matrix, words
):
    data = write_data(tmp_path, s3_2=matrix)
    queue = KaldiDataSeqQueue(**data, num_parallel=num_parallel, **SEQUENTIAL)
    batches = []
    with pytest.raises(InputError) as caught, queue:
        for batch in queue:
            batches.append(batch)
    assert len(batches) == 2  # s3_2 is utterance 17, in the third batch of six
    for word in ["utterance s3_2", str(tmp_path / "feats.ark"), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [
        (NAN[:4], ["4 frames of features, but", "VAD decisions"]),
        (np.zeros((0, 0), np.float32), ["0 frames of features", "utt2num_frames"]),
    ],
)
def test_raw_features_that_are_not_as_long_as_their_vad(
    tmp_path, unseen, matrix, words
):
    data = write_data(tmp_path, raw=True, s3_2=matrix)
    with pytest.raises(InputError, match="utterance s3_2") as caught:
        list(KaldiDataSeqQueue(**data, num_parallel=0, **SEQUENTIAL))
    for word in [str(tmp_path / "feats.ark"), *words]:
        assert word in str(caught.value)


def test_bad_frame_of_raw_features_is_named(tmp_path, unseen):
    num_frames = load_speaker_info(**write_data(tmp_path, raw=True)).vad[17].num_frames
    matrix = np.zeros((num_frames, 4), np.float32)
    matrix[5, 3] = np.inf
    data = write_data(tmp_path, raw=True, s3_2=matrix)
    with pytest.raises(InputError, match=r"utterance s3_2: frame 5 of .*feats.ark"):
        list(KaldiDataSeqQueue(**data, num_parallel=0, **SEQUENTIAL))


def test_utterances_without_a_voiced_frame_are_left_out(tmp_path, caplog):
    data = write_data(tmp_path, raw=True)
    vectors = dict(read_vec_flt_scp(tmp_path / "vad.scp"))
    with open(tmp_path / "vad.ark", "wb") as stream:  # the same size: the same places
        for name, vector in vectors.items():
            unvoiced = name in ("s0_0", "s3_2")
            write_vec_flt(stream, vector * (not unvoiced), key=name)
    queue = KaldiDataSeqQueue(**data, num_parallel=0, **SEQUENTIAL)
    assert queue.num_utterances_left_out == 2 and queue.shortest > 0
    assert "2 of 40 utterances have no voiced frame" in caplog.text
    labels = np.concatenate([y for _, y in queue])
    assert np.bincount(labels).tolist() == [4, 5, 5, 4, 5, 5, 5, 5]
    assert KaldiDataRandomQueue(**data, **RANDOM).num_utterances_left_out == 2
    assert "2 of 40 utterances are shorter than" in caplog.text


def test_failure_is_told_again_and_leaves_no_worker(tmp_path, unseen):
    data = write_data(tmp_path, s0_1=NAN)
    queue = KaldiDataSeqQueue(**data, num_parallel=2, **SEQUENTIAL)
    queue.start()
    processes = workers(queue)
    for _ in range(2):
        with pytest.raises(InputError, match="s0_1"):
            queue.fetch()
    assert all(process.returncode is not None for process in processes)
    queue.stop()


BAD = {"s3_2": NAN, "s5_0": np.zeros((90, 3), np.float32), "s6_1": NAN[:10]}


@pytest.mark.parametrize("raw", [False, True])
def test_bad_segments_are_replaced_the_same_for_any_number_of_workers(
    tmp_path, unseen, raw, caplog
):
    data = write_data(tmp_path, raw=raw, **BAD)
    options = RANDOM | {"max_bad_segments": 0.1}
    streams, counts = [], []
    for num_parallel in (0, 1, 2, 8):
        caplog.clear()
        with KaldiDataRandomQueue(**data, num_parallel=num_parallel, **options) as q:
            streams.append(take(q, 40))
            bad = q.bad
        counts.append((bad.num_read, bad.num_bad))
        *warnings, last = [record.message for record in caplog.records]
        assert len(warnings) == 3
        for name in BAD:
            (warning,) = (line for line in warnings if f"utterance {name}: " in line)
            assert warning.startswith("segment replaced: ")
        assert f"{bad.num_bad} of 320 segments, of 3 utterances" in last
    assert all(same(stream, streams[0]) for stream in streams[1:])
    assert set(counts) == {(320, counts[0][1])}
    assert counts[0][1] > 3
    assert all(np.isfinite(features).all() for features, _ in streams[0])
    with KaldiDataRandomQueue(**data, start_step=25, **options) as queue:
        assert same(take(queue, 15), streams[0][25:])


def test_only_bad_rows_are_changed(tmp_path, unseen):
    sound = write_data(tmp_path)
    plain = take(KaldiDataRandomQueue(**sound, num_parallel=0, **RANDOM), 20)
    data = write_data(tmp_path, **{"s3_2": NAN})
    info = load_speaker_info(**data)
    sampler = RandomSampler(info.num_frames, info.label, 8, **RANDOM)
    queue = KaldiDataRandomQueue(**data, num_parallel=0, max_bad_segments=0.1, **RANDOM)
    changed = 0
    batches = take(queue, 20)
    for step, (features, labels) in enumerate(batches):
        for row, utterance in enumerate(sampler.plan(step).utterances):
            bad = info.utterance[utterance] == "s3_2"
            changed += bad
            twin = row ^ 1 if bad else row  # the speaker's other segment
            assert np.array_equal(features[row], plain[step][0][twin])
        assert np.array_equal(labels, plain[step][1])
    assert queue.bad.num_bad == changed > 0
    assert same([queue.read(step) for step in range(20)], batches)
    assert queue.bad.num_bad == changed


def test_too_many_bad_segments_end_it_with_the_share(tmp_path, unseen):
    bad = {f"s{speaker}_0": NAN for speaker in range(1, 8)}
    data = write_data(tmp_path, **bad)
    options = RANDOM | {"max_bad_segments": 0.001}  # of 10000 segments: ten
    for num_parallel in (0, 2):
        queue = KaldiDataRandomQueue(**data, num_parallel=num_parallel, **options)
        with pytest.raises(InputError, match=r"1\d of \d+ segments, of \d .*s\d_0"):
            with queue:
                take(queue, 1000)
        steps = queue.step
        assert queue.worker_ids == [] and 5 < steps < 50
        with pytest.raises(InputError, match="max_bad_segments = 0.001"):
            queue.fetch()


def test_utterances_come_by_duration(data):
    info = load_speaker_info(**data)
    sampler = DurationSampler(info.num_frames, info.label, 8, **RANDOM)
    with KaldiDataRandomQueue(**data, sample_by="duration", **RANDOM) as queue:
        for step, (features, labels) in enumerate(take(queue, 5)):
            plan = sampler.plan(step)
            assert features.shape[1] == plan.length
            assert np.array_equal(labels, plan.labels)


def test_missing_archive_names_the_utterance(tmp_path):
    data = write_data(tmp_path)
    queue = KaldiDataRandomQueue(**data, **RANDOM)
    (tmp_path / "feats.ark").unlink()
    with pytest.raises(InputError, match=r"utterance s\d_\d.*feats.ark"), queue:
        queue.fetch()
