"""egs/fisher/v1: data directories of folders, tables and Fisher; lists of trials."""

import re
import shutil

import numpy as np
import pytest
import soundfile
from fisher_runs import ENVIRONMENT, RATE, lines, run, table, voice, write
from m4a import write_m4a


def from_folder(folder, data, *options):
    rate = () if "--rate" in options else ("--rate", RATE)
    return run("local/make_data_from_folder.py", *rate, *options, folder, data)


def from_table(text, folder, *options, name="list.csv"):
    (folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return run(
        *("local/make_data_from_table.py", "--rate", RATE, *options),
        *(folder / name, folder / "data"),
    )


def test_a_folder_tree_with_names_that_kaldi_cannot_bear(tmp_path):
    tree, data = tmp_path / "my speech", tmp_path / "data"
    for number, speaker in enumerate(["anna b", "Jörg", "王伟", "a", "a-b", "a_b"]):
        write(tree / speaker / "monday" / "one 1.wav", voice(number, 1))
        write(tree / speaker / "two.flac", voice(number, 2))
        write(tree / speaker / "three.ogg", voice(number, 3))
    write(tree / ".trash" / "x.wav", voice(0, 1))
    (tree / "a" / "notes.txt").write_text("no sound")
    done = from_folder(tree, data)
    assert done.returncode == 0, done.stderr
    assert "18 utterances of 6 speakers" in done.stderr
    assert "18 recordings at 8000 Hz" in done.stderr
    assert "passed by, as no recordings: 1 .txt" in done.stderr
    names = {
        line.split(None, 1)[1]: line.split()[0] for line in lines(data / "spk2name")
    }
    assert names["Jörg"] == "Jorg" and names["anna b"] == "anna_b"
    assert names["王伟"] == "u738bu4f1f"
    assert re.fullmatch("a_b_[0-9a-f]{8}", names["a-b"])  # a_b has that name already
    assert "a_b" not in names
    wavs = table(data / "wav.scp")
    assert wavs["Jorg-monday-one_1"] == f"{tree}/Jörg/monday/one 1.wav"
    assert wavs["Jorg-two"] == f"flac -dcs '{tree}/Jörg/two.flac' |"
    assert wavs["a-three"] == f"sox '{tree}/a/three.ogg' -t wav - |"
    assert table(data / "utt2dur")["a-two"] == "3.000"
    checked = run("utils/validate_data_dir.sh", "--no-feats", "--no-text", data)
    assert checked.returncode == 0, checked.stderr
    read = run("wav-to-duration", f"scp:{data}/wav.scp", "ark,t:-")
    assert [round(float(x.split()[1]), 1) for x in read.stdout.splitlines()] == [3] * 18


def test_the_speaker_is_a_deeper_folder_or_what_an_expression_finds(tmp_path):
    write(tmp_path / "tree/part1/anna/1.wav", voice(0, 1))
    write(tmp_path / "tree/part2/anna/1.wav", voice(0, 2))
    write(tmp_path / "flat/x/anna_1.wav", voice(0, 1))
    deep = from_folder(tmp_path / "tree", tmp_path / "deep", "--speaker-depth", 2)
    assert deep.returncode == 0, deep.stderr
    speakers = table(tmp_path / "deep/utt2spk")
    assert speakers == {"anna-part1-1": "anna", "anna-part2-1": "anna"}
    regex = ("--speaker-regex", r"/([a-z]+)_\d")
    write(tmp_path / "flat/x/anna_2.wav", np.stack([voice(0, 2), voice(1, 2)], 1))
    regex += ("--channel", 2, "--leave-out-bad")
    assert from_folder(tmp_path / "flat", tmp_path / "data", *regex).returncode == 0
    assert table(tmp_path / "data/utt2spk") == {"anna-x-anna_2": "anna"}
    (entry,) = table(tmp_path / "data/wav.scp").values()
    assert "--input-wave-channel=1 " in entry and "anna_2.wav" in entry


def test_what_a_folder_has_that_cannot_be_used(tmp_path):
    tree, data = tmp_path / "tree", tmp_path / "data"
    write(tree / "a/fine.wav", voice(0, 1))
    write(tree / "a/twice.wav", voice(0, 2))
    write(tree / "a/twice.flac", voice(0, 2))
    write(tree / "a/cd.wav", voice(0, 3), 44100)
    write(tree / "a/low.wav", voice(0, 3), 4000)
    write(tree / "a/stereo.wav", np.stack([voice(0, 4), voice(1, 4)], 1))
    write(tree / "a/nothing.wav", np.zeros(0, np.int16))
    (tree / "a/empty.wav").touch()
    (tree / "a/text.wav").write_text("no sound at all")
    (tree / "a/no.sph").write_text("no sound at all")
    done = from_folder(tree, data)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "8 of 10 utterances cannot be used" in done.stderr
    assert not data.exists()
    expected = {
        "twice.wav": f"of the same name as {tree}/a/twice.flac",
        "cd.wav": "at 44100 Hz, not 8000 Hz: --resample brings them to it",
        "low.wav": "at 4000 Hz, below the 8000 Hz asked for",
        "stereo.wav": "in recordings of 2 channels: which one?",
        "nothing.wav": "files without samples",
        "empty.wav": "empty files",
        "text.wav": "files that are no sound",
        "no.sph": "files without a header of NIST SPHERE",
    }
    for reason in expected.values():
        assert reason in done.stderr
    done = from_folder(tree, data, "--leave-out-bad")
    assert done.returncode == 0, done.stderr
    assert list(table(data / "utt2spk")) == ["a-fine", "a-twice"]
    left_out = dict(line.split("\t") for line in lines(data / "left_out"))
    for name, reason in expected.items():
        assert left_out[f"{tree}/a/{name}"].startswith(reason)
    # Another preparation leaves nothing of this one.
    shutil.rmtree(tree)
    write(tree / "b/1.wav", voice(1, 1))
    assert from_folder(tree, data).returncode == 0
    assert not (data / "left_out").exists()
    assert list(table(data / "wav.scp")) == ["b-1"]


def test_higher_rates_are_brought_down_if_asked_for(tmp_path):
    write(tmp_path / "tree/a/1.wav", voice(0, 1), 2 * RATE)
    write(tmp_path / "tree/a/2.flac", voice(0, 1), 2 * RATE)
    done = from_folder(tmp_path / "tree", tmp_path / "data", "--resample")
    assert done.returncode == 0, done.stderr
    stored = run("shared/store_recordings.sh", tmp_path / "data", tmp_path / "stored")
    assert stored.returncode == 0 and "2 of 2 recordings stored" in stored.stdout
    for pipe in table(tmp_path / "data/wav.scp").values():
        info = soundfile.info(pipe.split()[2])
        assert (info.samplerate, info.frames) == (RATE, 1.5 * RATE)


@pytest.mark.parametrize(
    "options, words",
    [
        (("--speaker-depth", 3), "expected the speaker to be the name of folder 3"),
        (("--speaker-regex", "(x+)y"), "'(x+)y' finds no speaker in it"),
        (("--speaker-regex", "a"), "expected a group"),
        (("--speaker-regex", "(a"), "--speaker-regex '(a': "),
    ],
)
def test_speakers_that_cannot_be_found(tmp_path, options, words):
    write(tmp_path / "tree/a/1.wav", voice(0, 1))
    done = from_folder(tmp_path / "tree", tmp_path / "data", *options)
    assert done.returncode == 1 and words in done.stderr
    assert "Traceback" not in done.stderr


def test_no_folder_and_no_recordings(tmp_path):
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/a.txt").touch()
    assert "no such folder" in from_folder(tmp_path / "no", tmp_path / "data").stderr
    done = from_folder(tmp_path / "tree", tmp_path / "data")
    assert done.returncode == 1 and "no recordings" in done.stderr
    assert "1 .txt" in done.stderr


def test_a_table_with_segments_channels_and_genders(tmp_path):
    write(tmp_path / "calls/1.wav", np.stack([voice(0, 4), voice(1, 4)], 1))
    write(tmp_path / "calls/2.flac", voice(0, 5))
    text = (
        "\ufeffspeaker;path;start;end;channel;gender;remark\n"
        "Anna;calls/1.wav;0.5;1.5;1;f;said 'hello'\n"
        "Anna;calls/1.wav;1.5;3.2;A;female;\n\n"
        "Bob;calls/1.wav;;;B;m;\n"
        "Anna;calls/2.flac;;;;f;\n"
    )
    done = from_table(text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "columns that are passed by: remark" in done.stderr
    data = tmp_path / "data"
    segments = table(data / "segments")
    assert list(segments) == [
        "Anna-calls-1-1-0000050-0000150",
        "Anna-calls-1-1-0000150-0000320",
        "Anna-calls-2",
        "Bob-calls-1-2",
    ]
    ends = [segment.split()[1:] for segment in segments.values()]
    assert ends[:2] == [["0.500", "1.500"], ["1.500", "3.000"]]  # cut at the end
    assert ends[3] == ["0.000", "3.000"]
    assert table(data / "spk2gender") == {"Anna": "f", "Bob": "m"}
    assert len(table(data / "wav.scp")) == 3
    checked = run("utils/validate_data_dir.sh", "--no-feats", "--no-text", data)
    assert checked.returncode == 0, checked.stderr
    cut = run(
        "extract-segments", f"scp:{data}/wav.scp", data / "segments", "ark:/dev/null"
    )
    assert cut.returncode == 0 and "Cut 4 segments" in cut.stderr
    bob = segments["Bob-calls-1-2"].split()[0]
    stored = run("shared/store_recordings.sh", data, tmp_path / "stored")
    assert "2 of 3 recordings stored" in stored.stdout, stored.stderr
    file = table(data / "wav.scp")[bob].split()[2]
    samples, _ = soundfile.read(file, dtype="int16")
    np.testing.assert_array_equal(samples, voice(1, 4))


@pytest.mark.parametrize(
    "text, words",
    [
        ("file,speaker\na.wav,x\n", "list.csv:1: expected the names of columns"),
        ("path,speaker,path\na.wav,x,\n", "list.csv:1: the column 'path' comes twice"),
        ("path,speaker\na.wav\n", "list.csv:2: expected 2 fields, got 1"),
        ("path,speaker\na.wav,\n", "list.csv:2: no speaker"),
        ("path\tspeaker\tstart\tend\na.wav\tx\t2\t1\n", "list.csv:2: expected start"),
        ("path,speaker,start,end\na.wav,x,1,\n", "list.csv:2: expected start and end"),
        ("path,speaker,gender\na.wav,x,q\n", "list.csv:2: expected m or f"),
        ("path,speaker,channel\na.wav,x,0\n", "list.csv:2: expected a channel"),
        ("path,speaker\n", "list.csv: no recordings"),
        ('path,speaker\n"a.wav,x\n', "list.csv:2: "),
        (b"path,speaker\na.wav,J\xf6rg\n", "list.csv: expected UTF-8"),
        ("path,speaker\nno.wav,x\n", "cannot be opened: No such file"),
        ("path,speaker\na.txt,x\n", "with an extension that is not one of"),
        ("path,speaker,channel\na.wav,x,2\n", "without a channel 2"),
        ("path,speaker,start,end\na.wav,x,0,9\n", "which end after their recordings"),
        ("path,speaker\na.wav,x\na.wav,x\n", "of the same name as"),
        ("path,speaker,gender\na.wav,x,m\nb.wav,x,f\n", ":3: speaker x has the gender"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, text, words):
    write(tmp_path / "a.wav", voice(0, 1))
    write(tmp_path / "b.wav", voice(0, 2))
    shutil.copy(tmp_path / "a.wav", tmp_path / "a.txt")
    done = from_table(text, tmp_path)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


def test_m4a(tmp_path):
    (tmp_path / "tree/a").mkdir(parents=True)
    write_m4a(tmp_path / "tree/a/1.m4a", voice(0, 1, 6.0))
    done = from_folder(tmp_path / "tree", tmp_path / "data", "--rate", 16000)
    assert done.returncode == 0, done.stderr
    assert "1 recordings at 16000 Hz" in done.stderr
    read = run("wav-to-duration", f"scp:{tmp_path}/data/wav.scp", "ark,t:-")
    assert float(read.stdout.split()[1]) == pytest.approx(3, abs=0.2)
    assert float(table(tmp_path / "data/utt2dur")["a-1"]) == pytest.approx(3, abs=0.2)
    (tmp_path / "tree/a/1.m4a").write_bytes(b"no sound at all")
    done = from_folder(tmp_path / "tree", tmp_path / "data")
    assert done.returncode == 1 and "1 files that are no sound" in done.stderr


# Fisher

CALLDATA = """\
CALL_ID,DATE_TIME,TOPICID,SIG_GRADE,CNV_GRADE,APIN,ASX.DL,APHNUM,APHSET,APHTYP,\
BPIN,BSX.DL,BPHNUM,BPHSET,BPHTYP
00001,20021212_22:32:38,ENG01,3,3,2602,f.a,6400,4,2,1790,m.a,no_BPHNUM,4,3
00002,20021213_18:15:06,ENG01,4,4,1790,m.a,no_APHNUM,4,1,2602,m.o,1111,4,3
"""
TRANSCRIPT = """\
# fe_03_{}.sph
# Transcribed at the LDC

0.20 1.20 A: and i generally prefer

1.10 2.00 B: (( right ))
2.05 2.95 A: eating at home
"""


@pytest.fixture
def fisher(tmp_path):
    """Two calls in the layout of LDC2004S13 and LDC2004T19."""
    for call in ("00001", "00002"):
        sound = np.stack([voice(int(call), 0), voice(int(call), 1)], 1)
        folder = tmp_path / f"LDC2004S13/fe_03_p1_sph1/audio/{call[:3]}"
        folder.mkdir(parents=True, exist_ok=True)
        soundfile.write(
            *(folder / f"fe_03_{call}.sph", sound, RATE), "ULAW", "BIG", "NIST"
        )
        folder = tmp_path / f"LDC2004T19/fe_03_p1_tran/data/trans/{call[:3]}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"fe_03_{call}.txt").write_text(TRANSCRIPT.format(call))
    doc = tmp_path / "LDC2004T19/fe_03_p1_tran/doc"
    doc.mkdir()
    (doc / "fe_03_p1_calldata.tbl").write_text(CALLDATA)
    return tmp_path


def from_fisher(folder):
    corpora = folder / "LDC2004S13", folder / "LDC2004T19"
    return run("local/make_data_from_fisher.py", *corpora, folder / "data")


@pytest.mark.skipif(
    not shutil.which("sph2pipe", path=ENVIRONMENT["PATH"]), reason="no sph2pipe"
)
def test_fishers_calls_transcripts_and_pins(fisher):
    done = from_fisher(fisher)
    assert done.returncode == 0, done.stderr
    data = fisher / "data"
    speakers = table(data / "utt2spk")
    assert len(speakers) == 6
    assert speakers["1790m-00001-B-000110-000200"] == "1790m"
    assert speakers["1790m-00002-A-000020-000120"] == "1790m"
    # A PIN that was heard as a man and as a woman is two speakers.
    assert table(data / "spk2gender") == {"1790m": "m", "2602f": "f", "2602m": "m"}
    wavs = table(data / "wav.scp")
    assert len(wavs) == 4
    assert all(
        re.match("sph2pipe -f wav -p -c [12] ", entry) for entry in wavs.values()
    )
    checked = run("utils/validate_data_dir.sh", "--no-feats", "--no-text", data)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize(
    "name, change, words",
    [
        ("txt", lambda t: t.replace("0.20 1.20", "1.30 1.20"), ".txt:4: expected"),
        ("txt", lambda t: t.replace("A: and", "C: and"), ".txt:4: expected"),
        ("tbl", lambda t: t.replace("APIN", "PIN"), "calldata.tbl:1: no column APIN"),
        ("tbl", lambda t: t.replace("2602,f.a", ",f.a"), "calldata.tbl:2: expected a"),
        ("tbl", lambda t: t[: t.index("00002")], "call 00002 is in none of"),
    ],
)
def test_fisher_files_that_are_wrong(fisher, name, change, words):
    path = min(fisher.rglob(f"*.{name}"))
    path.write_text(change(path.read_text()))
    done = from_fisher(fisher)
    assert done.returncode == 1
    assert words in done.stderr and "Traceback" not in done.stderr


# Trials and speakers put aside


def data_dir(folder, speakers, gender=""):
    """utt2spk of the utterances of each speaker, and perhaps spk2gender."""
    folder.mkdir()
    utts = [(f"{s}-{i}", s) for s, number in speakers.items() for i in range(number)]
    (folder / "utt2spk").write_text("".join(f"{u} {s}\n" for u, s in utts))
    if gender:
        (folder / "spk2gender").write_text(
            "".join(f"{s} {g}\n" for s, g in zip(speakers, gender, strict=True))
        )
    return folder


def test_trials_are_of_other_recordings_and_of_the_same_gender(tmp_path):
    data = data_dir(tmp_path / "d", {"a": 3, "b": 4, "c": 4, "d": 3}, "mmff")
    segments = [f"{u} {u[0]}{int(u[-1]) // 2} 0 1\n" for u in table(data / "utt2spk")]
    (data / "segments").write_text("".join(segments))
    done = run("local/make_trials.py", data, data / "trials")
    assert done.returncode == 0, done.stderr
    trials = [line.split() for line in lines(data / "trials")]
    recording = table(data / "segments")
    targets = [t for t in trials if t[2] == "target"]
    assert len(targets) == 2 + 4 + 4 + 2
    for left, right, kind in trials:
        assert (left[0] == right[0]) == (kind == "target")
        assert recording[left] != recording[right]
        assert {left[0], right[0]} <= {"a", "b"} or {left[0], right[0]} <= {"c", "d"}
    pairs = {frozenset(trial[:2]) for trial in trials}
    assert len(pairs) == len(trials)
    again = run("local/make_trials.py", data, data / "again")
    assert again.returncode == 0 and lines(data / "again") == lines(data / "trials")


def test_the_number_of_trials_is_bounded(tmp_path):
    data = data_dir(tmp_path / "d", {"a": 30, "b": 30})
    sizes = ("--max-targets", 20, "--nontargets-per-target", 3)
    done = run("local/make_trials.py", *sizes, data, data / "trials")
    assert done.returncode == 0, done.stderr
    kinds = [line.split()[2] for line in lines(data / "trials")]
    assert kinds.count("target") == 20 and 40 < kinds.count("nontarget") <= 60


@pytest.mark.parametrize(
    "speakers, gender, words",
    [
        ({"a": 1, "b": 1}, "", "no targets"),
        ({"a": 2}, "", "no nontargets"),
        ({"a": 2, "b": 2}, "mf", "no nontargets"),
    ],
)
def test_no_trials(tmp_path, speakers, gender, words):
    data = data_dir(tmp_path / "d", speakers, gender)
    done = run("local/make_trials.py", data, data / "trials")
    assert done.returncode == 1 and words in done.stderr
    assert not (data / "trials").exists()


def test_speakers_are_put_aside_and_those_with_one_utterance_trained_on(tmp_path):
    sizes = {f"s{i:02}": 1 + (i >= 10) for i in range(40)}
    data = data_dir(tmp_path / "d", sizes)
    done = run("local/split_speakers.py", data, tmp_path / "split")
    assert done.returncode == 0, done.stderr
    parts = {n: lines(tmp_path / "split" / n) for n in ("train", "calibration", "eval")}
    assert [len(part) for part in parts.values()] == [32, 4, 4]
    assert sorted(sum(parts.values(), [])) == sorted(sizes)
    assert min(parts["calibration"] + parts["eval"]) >= "s10"
    few = data_dir(tmp_path / "few", dict.fromkeys("abcdefg", 3))
    done = run("local/split_speakers.py", few, tmp_path / "split")
    assert done.returncode == 1 and "there are 7 speakers" in done.stderr
