"""What a configuration says of augmentation becomes what the loader takes."""

import itertools
import json
import logging
from fractions import Fraction

import numpy as np
import pytest
import toy
from toy_sounds import MFCC_CONF, RATE, augmented_config, write_recordings, write_sound

from dataset.augmentation import Additions, Rooms
from dataset.errors import InputError
from misc import augmentation
from misc.params import Params
from misc.queues import read_tables, training_queue, validation_queue
from misc.sound_lists import check_sounds, read_sounds


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A folder with recordings, noises, rooms, and the keys that use them."""
    home = tmp_path_factory.mktemp("home")
    write_recordings(home / "train", num_speakers=4)
    write_recordings(home / "valid", num_speakers=4, per_speaker=2)
    (home / "keys.json").write_text(json.dumps(augmented_config(home)))
    return home


def config(home, monkeypatch, **changes):
    """Paths are relative to the folder that programs run in."""
    monkeypatch.chdir(home)
    keys = json.loads((home / "keys.json").read_text()) | changes
    return Params.from_json(str(toy.write_config(home / "c.json", **keys)))


def lists(home, part="train"):
    return str(home / part), str(home / "train/spklist")


def test_everything_at_once(home, monkeypatch):
    params = config(home, monkeypatch)
    info = read_tables(params, *lists(home), copies=True)
    assert (info.num_speakers, info.num_listed_speakers) == (12, 4)
    waveforms = augmentation.augmented_waveforms(params, info)
    assert waveforms.dim == 10 and waveforms.speeds == (
        Fraction(9, 10),
        Fraction(11, 10),
    )
    rooms, noise, music, babble = waveforms.augmentation.kinds
    assert isinstance(rooms, Rooms) and isinstance(noise, Additions)
    assert [k.weight for k in (rooms, noise, music, babble)] == [2, 1, 0.5, 1]
    assert waveforms.augmentation.clean == 1
    assert [s.name for s in rooms.responses[0]] == ["r0", "r1", "r2"]
    assert [len(sounds) for sounds in noise.sounds] == [3, 3]
    assert (noise.interval, music.interval, babble.interval) == (1.0, None, None)
    assert babble.numbers == (3, 4, 5, 6, 7) and len(babble.sounds[0]) == 12
    with training_queue(params, *lists(home)) as queue:
        for features, labels in itertools.islice(queue, 3):
            assert np.isfinite(features).all() and features.shape[2] == 10
            assert (features == 0).any() and labels.max() < 12
        assert queue.num_total_speakers == 12
    with validation_queue(params, *lists(home, "valid")) as queue:
        for features, labels in queue:
            assert (features != 0).all() and labels.max() < 4


def test_stored_features_take_none_of_it(tmp_path):
    params = Params.from_json(str(toy.write_config(tmp_path / "c.json")))
    assert augmentation.plain_waveforms(params) is None
    assert augmentation.masks(params) is None


def test_many_voices_are_a_part_of_the_training(home, monkeypatch):
    monkeypatch.setattr(augmentation, "_MOST_VOICES", 5)
    params = config(home, monkeypatch)
    info = read_tables(params, *lists(home), copies=True)
    first, again = (
        augmentation.augmented_waveforms(params, info).augmentation.kinds[3].sounds[0]
        for _ in range(2)
    )
    assert len(set(first)) == 5 and first == again


def test_recordings_that_cannot_be_sought_are_told_of(
    home, tmp_path, monkeypatch, caplog
):
    params = config(home, monkeypatch)
    other = tmp_path / "train"
    other.mkdir()
    for name in ("vad.scp", "utt2num_frames", "spk2utt"):
        (other / name).write_text((home / "train" / name).read_text())
    scp = (home / "train/wav.scp").read_text().replace("flac -dcs", "cat <")
    (other / "wav.scp").write_text(scp)
    info = read_tables(params, str(other), lists(home)[1], copies=False)
    with caplog.at_level(logging.WARNING):
        augmentation.augmented_waveforms(params, info)
    assert "% of the recordings are decoded whole for each segment" in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected sounds, but there is none"),
        ("a {home}/0.wav\na {home}/1.wav\n", "utterance a is there twice"),
        ("a {home}/gone.wav\n", "a: no such file: .*/gone.wav"),
        ("a\n", "expected two fields or more"),
        ("--rir-id a --room-id a\n", "--rir-id <id> --room-id <room> <file>"),
        ("--room-id a {home}/0.wav\n", "--rir-id <id> --room-id <room> <file>"),
        ("--rir-id a --probability 0.5 {home}/0.wav\n", "--probability has no use"),
    ],
)
def test_wrong_lists_are_refused(home, tmp_path, text, words):
    path = tmp_path / "list"
    path.write_text(text.format(home=home))
    with pytest.raises(InputError, match=words):
        read_sounds(str(path))


def test_sounds_are_heard_before_the_start(home, tmp_path):
    silence = write_sound(tmp_path / "silence.wav", np.zeros(100))
    text = tmp_path / "text.wav"
    text.write_text("no sound")
    for path, rate, words in [
        (silence, RATE, "b is silent"),
        (silence, 16000, "sampling rate of 16000 Hz"),
        (text, RATE, "expected a sound file"),
    ]:
        (tmp_path / "wav.scp").write_text(f"a {home}/0.wav\nb {path}\n")
        sounds = read_sounds(str(tmp_path / "wav.scp"))
        with pytest.raises(InputError, match=words):
            check_sounds("list", sounds, rate)
    with pytest.raises(InputError, match="No such file"):
        read_sounds(str(tmp_path / "gone"))


def test_vtln_is_refused(home, tmp_path, monkeypatch):
    (tmp_path / "mfcc.conf").write_text(MFCC_CONF + "--vtln-warp=1.1\n")
    params = config(home, monkeypatch, waveform_config=str(tmp_path / "mfcc.conf"))
    with pytest.raises(InputError, match="VTLN"):
        augmentation.plain_waveforms(params)
