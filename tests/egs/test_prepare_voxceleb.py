"""VoxCeleb in each of its layouts becomes the same data directories."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "egs/voxceleb/v1/local"
META1 = """\
VoxCeleb1 ID	VGGFace1 ID	Gender	Nationality	Set
id10001	A.J._Buckley	m	Ireland	dev
id10002	A.R._Rahman	m	India	dev
id10270	Eartha_Kitt	f	USA	test
id10271	Eartha_Robinson	f	USA	test
"""
META2 = """\
VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set
id00012 ,n000012 ,m ,dev
id00017 ,n000017 ,m ,test
"""
FIRST = [
    f"{speaker}/{video}/{number}"
    for speaker in ("id10001", "id10002", "id10270", "id10271")
    for video in ("x6uYqmx31kE", "-jEAj_6SegY")
    for number in ("00001", "00012")
]
SECOND = [f"{speaker}/_raOc3-IRsw/00110" for speaker in ("id00012", "id00017")]
NAMES = {"id10001": "A.J._Buckley", "id10002": "A.R._Rahman"}
NAMES |= {"id10270": "Eartha_Kitt", "id10271": "Eartha_Robinson"}
TRIALS = """\
1 id10270/x6uYqmx31kE/00001.wav id10270/-jEAj_6SegY/00012.wav
0 id10270/x6uYqmx31kE/00001.wav id10271/x6uYqmx31kE/00001.wav
"""
OLD_TRIALS = """\
1 Eartha_Kitt/x6uYqmx31kE_0000001.wav Eartha_Kitt/-jEAj_6SegY_0000012.wav
0 Eartha_Kitt/x6uYqmx31kE_0000001.wav Eartha_Robinson/x6uYqmx31kE_0000001.wav
"""
HARD = "0 id10001/x6uYqmx31kE/00001.wav id10002/x6uYqmx31kE/00001.wav\n" + TRIALS


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")


def is_test(recording):
    return recording.startswith(("id1027", "id00017"))


def flat_name(recording):
    speaker, video, number = recording.split("/")
    return f"{NAMES[speaker]}/{video}_00{number}.wav"


LAYOUTS_1 = {
    "zip": lambda r: f"vox1_{'test' if is_test(r) else 'dev'}_wav/wav/{r}.wav",
    "kaldi": lambda r: f"{'test' if is_test(r) else 'dev'}/wav/{r}.wav",
    "merged": lambda r: f"wav/{r}.wav",
    "flac": lambda r: f"voxceleb1/{r}.flac",
    "2017": lambda r: f"voxceleb1_wav/{flat_name(r)}",
}
LAYOUTS_2 = {
    "zip": lambda r: f"{'test' if is_test(r) else 'dev'}/aac/{r}.m4a",
    "merged": lambda r: f"wav/{r}.wav",
    "flac": lambda r: f"vox2_{'test' if is_test(r) else 'dev'}/{r}.flac",
}


def make_corpora(folder, layout1="zip", layout2="zip", lists=True):
    for recording in FIRST:
        touch(folder / "V1" / LAYOUTS_1[layout1](recording))
        touch(folder / "V1/txt" / f"{recording}.txt")
    for recording in SECOND:
        touch(folder / "V2" / LAYOUTS_2[layout2](recording))
    (folder / "V1/vox1_meta.csv").write_text(META1)
    (folder / "V2/vox2_meta.csv").write_text(META2)
    if lists:
        (folder / "V1/meta").mkdir()
        (folder / "V1/meta/veri_test.txt").write_text(TRIALS)
        (folder / "V1/list_test_hard2.txt").write_text(HARD)


def prepare(folder, *options, **environment):
    return subprocess.run(
        [sys.executable, LOCAL / "prepare_voxceleb.py", *options]
        + ["--voxceleb2", folder / "V2", folder / "V1", folder / "data"],
        capture_output=True,
        text=True,
        env=dict(os.environ, PYTHONPATH=str(ROOT)) | environment,
    )


def table(path):
    return dict(line.split(None, 1) for line in path.read_text().splitlines())


def keys(recordings):
    return [recording.replace("/", "-") for recording in sorted(recordings)]


@pytest.mark.parametrize("layout1", LAYOUTS_1)
@pytest.mark.parametrize("layout2", LAYOUTS_2)
def test_every_layout(tmp_path, layout1, layout2):
    make_corpora(tmp_path, layout1, layout2)
    done = prepare(tmp_path)
    assert done.returncode == 0, done.stderr
    train = table(tmp_path / "data/train/utt2spk")
    assert list(train) == keys(SECOND + FIRST[:8])
    assert all(key.startswith(speaker) for key, speaker in train.items())
    assert len(table(tmp_path / "data/train/spk2utt")) == 4
    for key, entry in table(tmp_path / "data/train/wav.scp").items():
        path = next(word for word in entry.split() if word.startswith("/"))
        assert os.path.exists(path) and key.split("-")[0][:6] in train[key]
        assert entry.startswith("ffmpeg") == path.endswith(".m4a")
        assert entry.startswith("flac -dcs") == path.endswith(".flac")
    assert list(table(tmp_path / "data/eval/wav.scp")) == [
        "id10270--jEAj_6SegY-00012",
        "id10270-x6uYqmx31kE-00001",
        "id10271-x6uYqmx31kE-00001",
    ]
    assert (tmp_path / "data/eval/trials_o").read_text() == (
        "id10270-x6uYqmx31kE-00001 id10270--jEAj_6SegY-00012 target\n"
        "id10270-x6uYqmx31kE-00001 id10271-x6uYqmx31kE-00001 nontarget\n"
    )
    assert not (tmp_path / "data/eval/trials_h_clean").exists()
    assert "published are 1251 speakers, 153516 recordings" in done.stderr


@pytest.mark.parametrize("layout1", ["zip", "merged"])
def test_nobody_of_the_test_set_is_trained_on(tmp_path, layout1):
    """Told by the folders, or by the metadata; not by the lists alone."""
    make_corpora(tmp_path, layout1)
    (tmp_path / "V1/meta/veri_test.txt").write_text(TRIALS.splitlines()[0])
    if layout1 == "zip":
        (tmp_path / "V1/vox1_meta.csv").unlink()
    assert prepare(tmp_path).returncode == 0
    assert list(table(tmp_path / "data/train/utt2spk")) == keys(SECOND + FIRST[:8])


@pytest.mark.parametrize("layout2", LAYOUTS_2)
def test_official_protocol(tmp_path, layout2):
    make_corpora(tmp_path, layout2=layout2)
    done = prepare(tmp_path, "--protocol", "official")
    assert done.returncode == 0, done.stderr
    assert list(table(tmp_path / "data/train/utt2spk")) == keys(SECOND[:1])
    assert len((tmp_path / "data/eval/trials_h_clean").read_text().splitlines()) == 3
    assert len(table(tmp_path / "data/eval/utt2spk")) == 5
    prepare(tmp_path, "--protocol", "official", "--lists", "o")
    assert not (tmp_path / "data/eval/trials_h_clean").exists()
    assert len(table(tmp_path / "data/eval/utt2spk")) == 3


def test_the_list_of_2017_has_names(tmp_path):
    make_corpora(tmp_path, "2017", lists=False)
    (tmp_path / "V1/voxceleb1_test.txt").write_text(OLD_TRIALS)
    assert prepare(tmp_path).returncode == 0
    old = (tmp_path / "data/eval/trials_o").read_text()
    (tmp_path / "V1/veri_test.txt").write_text(TRIALS)
    assert prepare(tmp_path).returncode == 0
    assert (tmp_path / "data/eval/trials_o").read_text() == old


def test_what_is_there_twice_is_taken_once(tmp_path):
    make_corpora(tmp_path)
    touch(tmp_path / "V2/converted/dev" / f"{SECOND[0]}.wav")
    done = prepare(tmp_path)
    assert "1 recordings are there twice" in done.stderr
    assert table(tmp_path / "data/train/wav.scp")[keys(SECOND)[0]].endswith(".wav")


def test_paths_with_spaces(tmp_path):
    folder = tmp_path / "my corpora"
    make_corpora(folder)
    assert prepare(folder).returncode == 0
    entry = table(folder / "data/eval/wav.scp")["id10270-x6uYqmx31kE-00001"]
    assert entry.startswith("cat '/") and entry.endswith(".wav' |")


def test_without_voxceleb2_on_voxceleb1_alone(tmp_path):
    make_corpora(tmp_path)
    command = [sys.executable, LOCAL / "prepare_voxceleb.py", tmp_path / "V1"]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    subprocess.run([*command, tmp_path / "data"], env=environment, check=True)
    assert list(table(tmp_path / "data/train/utt2spk")) == keys(FIRST[:8])


def refused(folder, *options, **environment):
    done = prepare(folder, *options, **environment)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert not (folder / "data/train/wav.scp").exists()
    return done.stderr


def test_what_lacks_is_named(tmp_path):
    make_corpora(tmp_path)
    missing = tmp_path / "V1" / LAYOUTS_1["zip"]("id10271/x6uYqmx31kE/00001")
    missing.unlink()
    said = refused(tmp_path)
    assert "1 of the 3 recordings in the lists of trials are missing" in said
    touch(missing)
    assert "no list_test_all2.txt" in refused(
        tmp_path, "--protocol", "official", "--lists", "o e_clean"
    )
    assert "take --protocol official" in refused(tmp_path, "--lists", "h_clean")
    (tmp_path / "V1/meta/veri_test.txt").unlink()
    assert "no list of trials (veri_test.txt, veri_test2.txt" in refused(tmp_path)


def test_a_real_kaldi_needs_ffmpeg_for_m4a(tmp_path):
    make_corpora(tmp_path)
    said = refused(tmp_path, PATH="/nowhere", KALDI_ROOT="/kaldi")
    assert said.endswith("m4a: decoding m4a needs the program 'ffmpeg'\n")
    make_corpora(tmp_path / "flac", layout2="flac")
    done = prepare(tmp_path / "flac", PATH="/nowhere", KALDI_ROOT="/kaldi")
    assert done.returncode == 0


def test_unknown_speakers_and_parts(tmp_path):
    make_corpora(tmp_path, "2017", "merged")
    (tmp_path / "V2/vox2_meta.csv").unlink()
    assert "Put vox2_meta.csv into" in refused(tmp_path, "--protocol", "official")
    (tmp_path / "V1/vox1_meta.csv").write_text(META1.replace("A.R._Rahman", "X"))
    assert "no speaker 'A.R._Rahman' in" in refused(tmp_path)
    (tmp_path / "V1/vox1_meta.csv").unlink()
    assert "put vox1_meta.csv" in refused(tmp_path)


@pytest.mark.parametrize(
    "line, said",
    [
        ("1 id10270/x6uYqmx31kE/00001.wav", "veri_test.txt:1: expected '1 file file'"),
        ("1 id10270/a.wav id10270/b.wav", "expected id10270/x6uYqmx31kE/00001.wav"),
        (TRIALS + TRIALS[1:].replace(" id", "0 id", 1), "veri_test.txt:3: a target"),
    ],
)
def test_broken_lists(tmp_path, line, said):
    make_corpora(tmp_path)
    (tmp_path / "V1/meta/veri_test.txt").write_text(line)
    assert said in refused(tmp_path)
