"""steps/data/augment_data_dir.py and reverberate_data_dir.py, run as programs."""

import shlex
from pathlib import Path

import numpy as np
import pytest

from dataset.wav import read_wave, write_wave

KALDI = Path(__file__).parents[3] / "misc/kaldi"
AUGMENT = f"{KALDI}/steps/data/augment_data_dir.py"
REVERBERATE = f"{KALDI}/steps/data/reverberate_data_dir.py"
NOISY = f"{AUGMENT} --fg-noise-dir noise --bg-noise-dir noise --num-bg-noises 1:2"
IN_ROOM = f"{REVERBERATE} --rir-set-parameters rir_list"
RATE = 8000


def write(path, *lines):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def read(path):
    """A table of a data directory."""
    return dict(line.split(None, 1) for line in path.read_text().splitlines())


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def data(tmp_path):
    """Four utterances of two speakers, two noises and a room."""
    rng = np.random.default_rng(0)
    for name, size in {"u": 6000, "n1": 2400, "n2": 800}.items():
        write_wave(tmp_path / f"{name}.wav", rng.normal(0, 1000, size), RATE)
    room = 8000 * np.exp(-np.arange(400) / 40) * rng.normal(size=400)
    write_wave(tmp_path / "room.wav", room, RATE)
    keys = [f"s{speaker}-u{number}" for speaker in "12" for number in "12"]
    write(tmp_path / "data/wav.scp", *[f"{key} cat u.wav |" for key in keys[:3]])
    with open(tmp_path / "data/wav.scp", "a") as stream:
        stream.write("s2-u2 u.wav\n")
    write(tmp_path / "data/reco2dur", *[f"{key} 0.75" for key in keys])
    write(tmp_path / "data/utt2spk", *[f"{key} {key[:2]}" for key in keys])
    write(tmp_path / "data/vad.scp", *[f"{key} vad.ark:1" for key in keys])
    write(tmp_path / "data/feats.scp", *[f"{key} feats.ark:1" for key in keys])
    write(tmp_path / "noise/wav.scp", "n1 n1.wav", "n2 cat n2.wav |")
    write(tmp_path / "noise/reco2dur", "n1 0.3", "n2 0.1")
    write(tmp_path / "noise/utt2spk", "n1 n1", "n2 n2")
    write(tmp_path / "rir_list", "--rir-id r --room-id a room.wav")
    write(
        tmp_path / "noise_list",
        "--noise-id n1 --noise-type isotropic --room-linkage a n1.wav",
        "--noise-id n2 --noise-type point-source --bg-fg-type foreground n2.wav",
    )
    return tmp_path


def test_noisy_copies_keep_speakers_and_get_a_suffix(run, data):
    done = run(f"{NOISY} --utt-suffix noise data out")
    assert "LOG (augment_data_dir.py) out: 4 utterances from data" in done.stderr
    tables = {"utt2spk", "spk2utt", "wav.scp", "vad.scp", "utt2uniq"}
    assert set(contents(data / "out")) == tables
    assert read(data / "out/utt2spk")["s2-u1-noise"] == "s2"
    assert read(data / "out/utt2uniq")["s2-u1-noise"] == "s2-u1"
    assert read(data / "out/spk2utt")["s2"] == "s2-u1-noise s2-u2-noise"
    assert read(data / "out/vad.scp")["s1-u1-noise"] == "vad.ark:1"
    assert len(read(data / "out/wav.scp")) == 4


def test_recordings_of_segments_are_renamed(run, data):
    write(data / "data/wav.scp", "rec u.wav")  # whose length is to be measured
    lines = [f"{key} rec 0.1 0.5" for key in read(data / "data/utt2spk")]
    write(data / "data/segments", *lines)
    run(f"{NOISY} data out")
    assert list(read(data / "out/wav.scp")) == ["rec-aug"]
    assert read(data / "out/segments")["s1-u1-aug"] == "rec-aug 0.1 0.5"


@pytest.mark.parametrize(
    "command", [NOISY, f"{IN_ROOM} --noise-set-parameters noise_list"]
)
def test_chance_belongs_to_seed_and_recording(run, data, command):
    run(f"{KALDI}/utils/subset_data_dir.sh data 2 part")
    for seed, source, target in (1, "data", "a"), (1, "data", "b"), (1, "part", "c"):
        run(f"{command} --random-seed {seed} {source} {target}")
    run(f"{command} --random-seed 2 data d")
    assert contents(data / "a") == contents(data / "b")
    part = read(data / "c/wav.scp").items()
    assert part and part <= read(data / "a/wav.scp").items()
    assert read(data / "a/wav.scp") != read(data / "d/wav.scp")


def options_in(entry):
    """The names of all options, those of the pipelines within it included."""
    words = [word for text in shlex.split(entry) for word in shlex.split(text)]
    return {word[2:].partition("=")[0] for word in words if word.startswith("--")}


def test_pipelines_run_here_and_in_a_shell(run, data, monkeypatch):
    run(f"{IN_ROOM} --noise-set-parameters noise_list data room")
    run(f"{NOISY} room out")
    monkeypatch.chdir(data)
    clean = read_wave("u.wav").samples
    known = "shift-output impulse-response additive-signals snrs start-times duration"
    for key in ("s1-u1-aug", "s2-u2-aug"):
        entry = read(data / "out/wav.scp")[key]
        run(f"{entry.removesuffix('|')} > out.wav")
        samples = read_wave("out.wav").samples
        assert samples.shape == clean.shape
        np.testing.assert_array_equal(read_wave(entry).samples, samples)
        assert options_in(entry) == set(known.split())  # which Kaldi's program has
        assert 300 < np.abs(samples - clean).mean() < 3000


def test_copies_in_rooms_get_a_prefix(run, data):
    run(f"{IN_ROOM} --prefix room --num-replications 2 data out")
    utt2spk = read(data / "out/utt2spk")
    assert len(utt2spk) == 8
    assert utt2spk["room1-s1-u1"] == "room1-s1" and utt2spk["room2-s1-u1"] == "room2-s1"
    assert read(data / "out/utt2uniq")["room2-s2-u1"] == "s2-u1"
    assert read(data / "out/vad.scp")["room2-s2-u1"] == "vad.ark:1"


def test_the_original_may_be_one_of_the_copies(run, data):
    done = run(f"{IN_ROOM} --include-original-data true data out")
    assert "--prefix is set to rvb, as there are several copies" in done.stderr
    wav = read(data / "out/wav.scp")
    assert len(wav) == 8 and wav["s1-u1"] == "cat u.wav |"
    assert wav["rvb1-s1-u1"].startswith("cat u.wav | wav-reverberate ")


def test_one_copy_keeps_its_ids(run, data):
    run(f"{IN_ROOM} data out")
    assert read(data / "out/utt2spk") == read(data / "data/utt2spk")
    assert not (data / "out/utt2uniq").exists()


def test_lists_have_their_share(run, data):
    other = "--rir-id q --room-id b --probability 0.0 u.wav"
    write(data / "other", other, "--rir-id p --room-id c n1.wav")
    sets = "--rir-set-parameters '0, rir_list' --rir-set-parameters '1, other'"
    run(f"{REVERBERATE} {sets} --rir-smoothing-weight 0 data out")
    wav = read(data / "out/wav.scp").values()
    assert all('--impulse-response="n1.wav"' in entry for entry in wav)


def test_another_sampling_rate_goes_through_sox(run, data, monkeypatch):
    run(f"{IN_ROOM} --source-sampling-rate 16000 data out")
    write_wave(data / "u.wav", np.arange(4000), 16000)
    monkeypatch.chdir(data)
    entry = read(data / "out/wav.scp")["s1-u1"]
    assert '--impulse-response="sox room.wav -r 16000 -t wav - |"' in entry
    assert read_wave(entry).samples.shape == (1, 4000)


RIR, NOISE = "--rir-id r --room-id a", "--noise-id n --noise-type point-source"
LISTED = f"{IN_ROOM} --noise-set-parameters noise_list"


@pytest.mark.parametrize(
    "file, line, command, message",
    [
        ("rir_list", "--rir-id r room.wav", IN_ROOM, "--room-id is missing"),
        ("rir_list", f"{RIR} none.wav", IN_ROOM, "r: no such file: none.wav"),
        ("rir_list", "", IN_ROOM, "expected options and a file, got ''"),
        ("rir_list", f"{RIR} 'room.wav", IN_ROOM, "No closing quotation"),
        (
            "rir_list",
            f"{RIR} --probability x room.wav",
            IN_ROOM,
            "from 0 to 1, got 'x'",
        ),
        ("rir_list", f"{RIR} --probability nan u.wav", IN_ROOM, "0 to 1, got 'nan'"),
        (
            "noise_list",
            "--noise-type pink n1.wav",
            LISTED,
            "is isotropic or point-source",
        ),
        ("noise_list", f"{NOISE} --bg-fg-type x n1.wav", LISTED, "or foreground: x"),
        (
            "noise_list",
            f"{NOISE} --room-linkage a n1.wav",
            LISTED,
            "--room-linkage is for",
        ),
        ("noise_list", f"{NOISE} none.wav", LISTED, "n: no such file: none.wav"),
    ],
)
def test_a_bad_line_is_named(run, data, file, line, command, message):
    with open(data / file, "a") as stream:
        stream.write(f"{line}\n")
    number = len((data / file).read_text().splitlines())
    done = run(f"{command} data out", status=1)
    assert f"{file}:{number}: " in done.stderr
    assert message in done.stderr
    assert not (data / "out").exists()


@pytest.mark.parametrize(
    "command, message",
    [
        (
            f"{AUGMENT} data out",
            "expected --fg-noise-dir or --bg-noise-dir, got neither",
        ),
        (f"{NOISY} --fg-snrs 5:x data out", "--fg-snrs: expected numbers such as"),
        (f"{NOISY} --bg-snrs nan data out", "--bg-snrs: expected numbers such as"),
        (f"{NOISY} --num-bg-noises 0:1 data out", "expected counts such as 1:2"),
        (f"{NOISY} --fg-interval -1 data out", "--fg-interval must not be below 0: -1"),
        (f"{NOISY} none out", "no such file: none/wav.scp"),
        (f"{NOISY} data data", "are the same directory: data"),
        (f"{NOISY} data u.wav/out", "Not a directory: u.wav/out"),
        (f"{AUGMENT} --bg-noise-dir none data out", "no such file: none/wav.scp"),
        (f"{REVERBERATE} data out", "--rir-set-parameters is needed"),
        (f"{REVERBERATE} --rir-set-parameters none data out", "cannot read none: "),
        (f"{REVERBERATE} --rir-set-parameters '2, rir_list' data out", "got '2'"),
        (
            f"{IN_ROOM} --num-replications 0 data out",
            "--num-replications 0: expected >=",
        ),
        (f"{IN_ROOM} --max-noises-per-minute -1 data out", "minute -1: expected >= 0"),
        (f"{IN_ROOM} --speech-rvb-probability 1.5 data out", "0 to 1, got '1.5'"),
        (f"{IN_ROOM} --rir-smoothing-weight -1 data out", "from 0 to 1, got '-1.0'"),
    ],
)
def test_refused(run, data, command, message):
    assert message in run(command, status=1).stderr
    assert not (data / "out").exists()


def test_a_missing_noise_is_named(run, data):
    write(data / "noise/wav.scp", "n1 n1.wav", "n2 none.wav")
    done = run(f"{AUGMENT} --bg-noise-dir noise data out", status=1)
    assert "noise/wav.scp: n2: no such file: none.wav" in done.stderr


@pytest.mark.parametrize("command", [AUGMENT, REVERBERATE])
def test_help(run, command):
    done = run(f"{command} --help")
    assert f"Usage: steps/data/{Path(command).name} [options]" in done.stderr
    assert "--random-seed" in done.stderr
