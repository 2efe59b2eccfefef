"""Queues over recordings: one stream for any number of workers, copies, faults."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from toy_sounds import MFCC, make_speech, write_recordings, write_sound

from dataset.augmentation import Additions, Augmentation, Rooms
from dataset.data_loader import KaldiDataRandomQueue, KaldiDataSeqQueue
from dataset.errors import InputError
from dataset.masks import Masks
from dataset.sound_reader import Sound
from dataset.speaker_info import load_speaker_info, table_faults
from dataset.waveform_reader import WaveformOptions

PLAIN = WaveformOptions(MFCC)
SPEEDS = (Fraction(9, 10), Fraction(11, 10))
RANDOM = {"num_speakers": 4, "num_segments": 2, "min_len": 20, "max_len": 40, "seed": 3}
SEQUENTIAL = {"batch_size": 5, "min_len": 20, "max_len": 40, "seed": 3}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_recordings(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def augmented(tmp_path_factory, data):
    """Every kind of augmentation, and copies at other speeds."""
    folder = tmp_path_factory.mktemp("noises")
    noises = [
        Sound(str(i), write_sound(folder / f"{i}.wav", make_speech(0.7, i, pause=0)))
        for i in range(3)
    ]
    response = np.append(30000, make_speech(0.1, 7) * np.exp(-np.arange(800) / 99))
    room = Sound("room", write_sound(folder / "room.flac", response))
    kinds = [
        Rooms(1.0, [[room]]),
        Additions(1.0, [noises[:2], noises[2:]], (15.0, 0.0), interval=0.2),
        Additions(1.0, [noises], (20.0, 13.0), numbers=(2, 3)),
    ]
    return WaveformOptions(MFCC, Augmentation(1.0, kinds), SPEEDS)


def take(queue, number):
    return list(itertools.islice(queue, number))


def same(one, other):
    return len(one) == len(other) and all(
        np.array_equal(x, u) and np.array_equal(y, v)
        for (x, y), (u, v) in zip(one, other, strict=True)
    )


@pytest.fixture(scope="module")
def stream(data, augmented):
    masks = Masks((5,), (3,))
    queue = KaldiDataRandomQueue(
        *data, num_parallel=0, waveforms=augmented, masks=masks, **RANDOM
    )
    return take(queue, 12)


@pytest.mark.parametrize(("num_parallel", "start"), [(1, 0), (2, 5), (8, 0)])
def test_stream_is_the_same_for_workers_and_resume(
    data, augmented, stream, num_parallel, start
):
    masks = Masks((5,), (3,))
    with KaldiDataRandomQueue(
        *data,
        num_parallel=num_parallel,
        waveforms=augmented,
        masks=masks,
        start_step=start,
        **RANDOM,
    ) as queue:
        assert (queue.dim, queue.num_total_speakers) == (10, 12)
        assert same(take(queue, 12 - start), stream[start:])


def test_segments_of_one_utterance_differ_each_time(data, augmented):
    seen = {}
    options = {"num_speakers": 1, "num_segments": 6, "min_len": 30, "max_len": 30}
    queue = KaldiDataRandomQueue(*data, num_parallel=0, waveforms=augmented, **options)
    for features, _ in take(queue, 4):
        for row in features:
            assert np.isfinite(row).all()
            assert seen.setdefault(row.tobytes(), True)
    assert len(seen) == 24


def test_validation_is_plain(data):
    passes = []
    for workers in (0, 2):
        queue = KaldiDataSeqQueue(
            *data, num_parallel=workers, waveforms=PLAIN, **SEQUENTIAL
        )
        with queue:
            passes += list(queue), list(queue)
    assert all(same(passes[0], other) for other in passes[1:])
    labels = np.concatenate([y for _, y in passes[0]])
    assert labels.tolist() == np.repeat(np.arange(4), 3).tolist()


def test_masks_of_stored_features_leave_the_archive_alone(data, tmp_path):
    from dataset.kaldi_io import write_mat

    scp = ""
    with open(tmp_path / "feats.ark", "wb") as ark:
        for name in ("s0_0", "s0_1", "s0_2"):
            scp += f"{name} {ark.name}:{ark.tell() + len(name) + 1}\n"
            write_mat(ark, np.ones((50, 6), np.float32), key=name)
    (tmp_path / "feats.scp").write_text(scp)
    (tmp_path / "utt2num_frames").write_text("s0_0 50\ns0_1 50\ns0_2 50\n")
    (tmp_path / "spk2utt").write_text("s0 s0_0 s0_1 s0_2\n")
    (tmp_path / "spklist").write_text("s0 0\n")
    options = {"num_speakers": 1, "num_segments": 3, "min_len": 40, "max_len": 40}
    for workers in (0, 1):
        with KaldiDataRandomQueue(
            str(tmp_path),
            str(tmp_path / "spklist"),
            num_parallel=workers,
            masks=Masks((10, 10), (2,)),
            **options,
        ) as queue:
            batches = np.concatenate([x for x, _ in take(queue, 10)])
        assert set(np.unique(batches)) == {0, 1}
        assert (batches == 1).all(axis=(1, 2)).sum() < 5
        assert (batches == 1).mean() > 0.5
    with pytest.raises(InputError, match="'frequency_masks': a mask of 6 can hide all"):
        KaldiDataRandomQueue(
            str(tmp_path), str(tmp_path / "spklist"), masks=Masks((), (6,)), **options
        )


# Copies at other speeds.


def test_copies_are_new_speakers(data):
    plain = load_speaker_info(*data, waveforms=True)
    info = load_speaker_info(*data, waveforms=True, speeds=SPEEDS)
    assert (plain.num_speakers, info.num_speakers) == (4, 12)
    assert len(info.utterance) == 12
    expected = np.concatenate([plain.label, plain.label + 4, plain.label + 8])
    assert np.array_equal(info.label, expected)
    assert np.array_equal(info.num_frames[:12], plain.num_frames)
    for row in range(36):
        segment = info.segment(row, 0)
        assert segment.utterance == plain.utterance[row % 12]
        assert segment.speed == (1, *SPEEDS)[row // 12]
        voiced = segment.vad.at_speed(segment.speed).voiced_rows()
        assert info.num_frames[row] == len(voiced)


def test_whole_copies_can_be_read(data, augmented):
    """Up to the last voiced frame that the tables promise."""
    info = load_speaker_info(*data, waveforms=True, speeds=SPEEDS)
    plain = WaveformOptions(MFCC, speeds=SPEEDS)
    for length in np.unique(info.num_frames)[::5]:
        queue = KaldiDataRandomQueue(
            *data,
            num_parallel=0,
            waveforms=plain,
            num_speakers=1,
            min_len=int(length),
            max_len=int(length),
        )
        ((features, _),) = take(queue, 1)
        assert features.shape == (1, length, 10)


# Tables.


def test_segments_of_recordings(tmp_path, data):
    data = write_recordings(tmp_path, segments=True)
    info = load_speaker_info(*data, waveforms=True)
    assert info.utterance[0] == "s0_0"
    assert info.segment(0, 3).times == (0.1, 0.9)
    queue = KaldiDataSeqQueue(*data, num_parallel=0, waveforms=PLAIN, **SEQUENTIAL)
    assert sum(len(labels) for _, labels in queue) == 12


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("segments", "s0_1_rec", "other", "recording other is not in .*wav.scp"),
        ("segments", "0.1 0.9", "0.9 0.1", "expected a recording, its start and end"),
        ("segments", "0.1 0.9", "0.1 0.9 1", "expected a recording, its start and end"),
        ("segments", "s0_1 ", "s0_0 ", "segments: utterance s0_0 is there twice"),
        ("wav.scp", "s0_1_rec", "s0_0_rec", "recording s0_0_rec is there twice"),
        ("utt2num_frames", "s0_0", "s9_9", "of segments are not in .*utt2num_frames"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, name, old, new, words):
    data = write_recordings(tmp_path, num_speakers=1, segments=True)
    path = tmp_path / name
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=words):
        load_speaker_info(*data, waveforms=True)
    faults, _, _ = table_faults(*data, waveforms=True)
    assert len(faults) == 1


@pytest.mark.parametrize("workers", [0, 1])
def test_recording_gone_or_cut_is_told_of_at_its_batch(tmp_path, workers):
    data = write_recordings(tmp_path, num_speakers=2)
    sequential = SEQUENTIAL | {"batch_size": 3}
    queue, other, tolerant = (
        KaldiDataSeqQueue(*data, workers, waveforms=PLAIN, **sequential),
        KaldiDataSeqQueue(*data, workers, waveforms=PLAIN, **sequential),
        KaldiDataRandomQueue(
            *data,
            workers,
            waveforms=PLAIN,
            max_bad_segments=0.1,
            num_speakers=2,
            min_len=20,
            max_len=40,
        ),
    )
    (tmp_path / "s0_1.flac").unlink()
    with pytest.raises(InputError, match=r"utterance s0_1 .*No such file"), queue:
        queue.fetch()
    (tmp_path / "s0_1.flac").write_bytes((tmp_path / "s0_0.wav").read_bytes())
    with pytest.raises(InputError, match="utterance s0_1 .*VAD decisions"), other:
        other.fetch()
    with tolerant:
        take(tolerant, 10)
        assert tolerant.bad.num_bad > 0


def test_a_look_at_the_recordings_before_the_start(tmp_path):
    data = write_recordings(tmp_path, num_speakers=2)
    (tmp_path / "s0_1.flac").unlink()
    with pytest.raises(InputError, match=r"utterance s0_1 .*No such file"):
        KaldiDataSeqQueue(*data, waveforms=PLAIN, **SEQUENTIAL)
