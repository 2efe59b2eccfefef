"""Plans of augmentation: what the pipelines of wav.scp say, and how often."""

import os
import re
import shlex
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.errors import InputError
from dataset.options import parse_options
from dataset.reverberation import ReverberateOptions
from dataset.wav import read_wave, write_wave
from misc.kaldi.augment import (
    NoisePlan,
    RoomPlan,
    Signal,
    chance,
    check_source,
    noisy,
    reverberated,
    smooth,
)

BIN = Path(__file__).parents[3] / "misc/kaldi/bin"
SECONDS = 90.0
KEYS = range(60)
LOUD = Signal("loud", "loud.wav", seconds=4.0, background=False)
MUSIC = Signal("music", "flac -dcs music.flac |", seconds=7.0)
ROOMS = [
    Signal("r1", "r1.wav", room="hall", probability=0.6),
    Signal("r2", "r2.wav", room="hall", probability=0.2),
    Signal("r3", "r3.wav", room="den", probability=0.2),
]
HUMS = [Signal("hum", "hum.wav", room="hall"), Signal("tick", "tick.wav", room="den")]


def options_of(entry):
    """The options of the last program, as our wav-reverberate reads them."""
    *_, last = entry.removesuffix("|").split(" | wav-reverberate --shift")
    words = shlex.split("--shift" + last.removeprefix("wav-reverberate --shift"))
    return parse_options(ReverberateOptions, words)[0]


def added(entry):
    """The (signal, SNR, start) that a pipeline adds."""
    options = options_of(entry)
    lists = options.additive_signals, options.snrs, options.start_times
    signals, snrs, starts = ([w for w in text.split(",") if w] for text in lists)
    return list(zip(signals, map(float, snrs), map(float, starts), strict=True))


def entries(make, plan, seconds=SECONDS, seed=0):
    return [make("a.wav", seconds, plan, chance(seed, f"u{key}")) for key in KEYS]


def test_background_noises():
    plan = NoisePlan([LOUD, MUSIC], (13, 15, 20), numbers=(1, 3))
    found = [added(entry) for entry in entries(noisy, plan)]
    assert {len(signals) for signals in found} == {1, 3}
    signals, snrs, starts = map(set, zip(*sum(found, []), strict=True))
    assert snrs == {13, 15, 20} and starts == {0}
    assert signals == {
        'wav-reverberate --duration=90 "loud.wav" - |',
        'wav-reverberate --duration=90 "flac -dcs music.flac |" - |',
    }


def test_foreground_noises_come_one_after_another():
    plan = NoisePlan(foreground=[LOUD, MUSIC], foreground_snrs=(0.5, -5), interval=1.5)
    lengths = {noise.source: noise.seconds for noise in (LOUD, MUSIC)}
    for entry in entries(noisy, plan):
        ready = 0.0
        for signal, snr, start in added(entry):
            assert start == ready < SECONDS and snr in (0.5, -5)
            ready = start + lengths[signal] + 1.5
        assert ready >= SECONDS


def test_chance_belongs_to_seed_recording_and_copy():
    numbers = [chance(*arguments).random() for arguments in ((1, "u"), (1, "u", 0))]
    assert numbers[0] == numbers[1]
    others = [(2, "u"), (1, "v"), (1, "u", 1), (1, "0 u")]
    assert numbers[0] not in [chance(*arguments).random() for arguments in others]


def test_rooms_keep_to_themselves():
    point = Signal("bird", "bird.wav", background=False)
    plan = RoomPlan(ROOMS, [point], HUMS, (5, 10), (20,))
    chosen = Counter()
    for entry in entries(reverberated, plan):
        response = options_of(entry).impulse_response
        room, hum = ("den", "tick") if response == "r3.wav" else ("hall", "hum")
        responses = ["r3.wav"] if room == "den" else ["r1.wav", "r2.wav"]
        (first, snr, start), *birds = added(entry)
        assert (snr, start) == (20, 0)
        assert first == f'wav-reverberate --duration=90 "{hum}.wav" - |'
        assert 1 <= len(birds) <= 2 * SECONDS / 60
        for signal, snr, start in birds:
            assert snr in (5, 10) and 0 <= start <= SECONDS
            assert signal in [
                f'wav-reverberate --impulse-response="{name}" "bird.wav" - |'
                for name in responses
            ]
        chosen[response] += 1
    assert chosen["r1.wav"] > chosen["r2.wav"] > 0 and chosen["r3.wav"] > 0


def test_a_background_point_noise_lasts():
    plan = RoomPlan(ROOMS[:1], [MUSIC], background_snrs=(3,))
    for entry in entries(reverberated, plan, seconds=30.0):
        [(signal, snr, start)] = added(entry)
        assert (snr, start) == (3, 0)
        assert signal == (
            'flac -dcs music.flac | wav-reverberate --impulse-response="r1.wav"'
            " --duration=30 - - |"
        )


def test_probabilities():
    never = RoomPlan(ROOMS, [MUSIC], HUMS, (1,), (1,), 0, 0, 0)
    assert set(entries(reverberated, never)) == {"a.wav"}
    half = RoomPlan(ROOMS, [MUSIC], HUMS, (1,), (3,), 0.5, 0.5, 0.5)
    found = entries(reverberated, half)
    for sign in ("=true --impulse-response", "music.flac", "hum|tick"):
        assert 15 < sum(bool(re.search(sign, entry)) for entry in found) < 45


def test_short_recordings_get_no_point_noise():
    plan = RoomPlan(ROOMS, [LOUD], foreground_snrs=(5,))
    assert not any(map(added, entries(reverberated, plan, seconds=29.0)))


def test_shift_output_is_handed_on():
    plan = RoomPlan(ROOMS, shift_output=False)
    assert not options_of(entries(reverberated, plan)[0]).shift_output


@pytest.mark.parametrize(
    "given_, weight, total, expected",
    [
        ([None, None], 0.3, 1, [0.5, 0.5]),
        ([0.5, None, None], 0, 1, [0.5, 0.25, 0.25]),
        ([0.5, None, None], 0, 0.4, [0.2, 0.1, 0.1]),
        ([0.6, None, None], 0.3, 1, [0.48 / 0.88, 0.2 / 0.88, 0.2 / 0.88]),
        ([0.9, 0.9, None], 0, 1, [0.5, 0.5, 0]),
        ([3, 1], 0.3, 1, [0.75, 0.25]),
    ],
)
def test_smooth_as_kaldi(given_, weight, total, expected):
    np.testing.assert_allclose(smooth(given_, weight, total), expected)


@given(
    st.lists(st.none() | st.floats(0.01, 1), min_size=1),
    st.floats(0, 0.9),
    st.floats(0.1, 1),
)
def test_smoothed_probabilities_sum_to_the_total(listed, weight, total):
    mixed = smooth(listed, weight, total)
    np.testing.assert_allclose(sum(mixed), total)
    assert min(mixed) >= 0


def test_probabilities_must_not_sum_to_zero():
    with pytest.raises(InputError, match="rir_list: the probabilities sum to zero"):
        smooth([0.0, 0.0], where="rir_list")


@pytest.mark.parametrize("source", ["it's.wav", 'a".wav', "a,b.wav"])
def test_what_cannot_stand_in_a_list_is_refused(tmp_path, source):
    path = str(tmp_path / source)
    write_wave(path, np.zeros(10), 16000)
    with pytest.raises(InputError, match="list:3: n1: .* must not contain"):
        check_source(Signal("n1", path), "list:3")


def test_a_noise_must_be_there_unless_it_is_a_pipe(tmp_path):
    (tmp_path / "a.ark").touch()
    check_source(Signal("n1", f"{tmp_path}/a.ark:123"), "list:3")
    check_source(Signal("n1", "cat none.wav |"), "list:3")
    with pytest.raises(InputError, match="list:3: n1: no such file: none.wav"):
        check_source(Signal("n1", "none.wav"), "list:3")


@pytest.mark.parametrize("speech", ["it's a.wav", 'a "$x".wav'])  # ours; the shell's
def test_names_with_spaces_and_quotes(tmp_path, monkeypatch, speech):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}:{os.environ['PATH']}")
    noise, room = "a noise.wav", "a room.wav"
    for name in (speech, noise, room):
        write_wave(name, 1000 * np.eye(1, 160)[0], 16000)
    hum = Signal("hum", noise, room="x")
    response = Signal("x", room, room="x")
    plan = RoomPlan([response], isotropic_noises=[hum], background_snrs=(0,))
    entry = reverberated(speech, 0.01, plan, chance(0, "u"))
    assert read_wave(entry).samples.shape == (1, 160)
