import os

import pytest

from dataset.data_dir_check import fix, validate
from dataset.errors import InputError

GOOD = {
    "utt2spk": "a-1 a\na-2 a\nb-1 b\n",
    "spk2utt": "a a-1 a-2\nb b-1\n",
    "wav.scp": "a-1 1.wav\na-2 2.wav\nb-1 3.wav\n",
    "feats.scp": "a-1 f:1\na-2 f:2\nb-1 f:3\n",
    "text": "a-1 one\na-2 two words\nb-1\n",
    "utt2num_frames": "a-1 100\na-2 50\nb-1 1\n",
}
CUT = {
    "utt2spk": "a-1 a\na-2 a\nb-1 b\n",
    "spk2utt": "a a-1 a-2\nb b-1\n",
    "segments": "a-1 r1 0 1.5\na-2 r1 2 3\nb-1 r2 0 -1\n",
    "wav.scp": "r1 1.wav\nr2 2.wav\n",
}


@pytest.fixture
def make(tmp_path):
    def write(tables, **changes):
        for name, content in (tables | changes).items():
            path = tmp_path / name.replace("__", ".")
            path.write_bytes(
                content if isinstance(content, bytes) else content.encode()
            )
        return str(tmp_path)

    return write


def content(folder, name):
    with open(os.path.join(folder, name), "rb") as stream:
        return stream.read().decode()


def test_what_is_right_is_left_alone(make):
    folder = make(GOOD)
    before = os.stat(folder + "/wav.scp").st_mtime_ns
    assert fix(folder) == ["kept 3 of 3 utterances"]
    assert os.stat(folder + "/wav.scp").st_mtime_ns == before
    for name, text in GOOD.items():
        assert content(folder, name) == text
    assert validate(folder) == []


@pytest.mark.parametrize("name", ["wav.scp", "feats.scp", "text"])
def test_an_utterance_must_be_known_everywhere(make, name):
    lines = GOOD[name].splitlines(keepends=True)
    folder = make(GOOD, **{name: lines[0] + lines[2]})
    notes = fix(folder)
    assert f"{name} lacks 1 utterances (first: a-2)" in notes
    assert notes[-1] == "kept 2 of 3 utterances"
    assert content(folder, "utt2spk") == "a-1 a\nb-1 b\n"
    assert content(folder, "spk2utt") == "a a-1\nb b-1\n"
    assert content(folder, ".backup/utt2spk") == GOOD["utt2spk"]
    validate(folder)


@pytest.mark.parametrize(
    "name, lines", [("utt2num_frames", "a-1 0\nb-1 1\n"), ("utt2dur", "a-1 x\nb-1 1\n")]
)
def test_an_utterance_must_have_a_length(make, name, lines):
    folder = make(GOOD, **{name: lines})
    assert f"{name} lacks 2 utterances (first: a-1)" in fix(folder)
    assert content(folder, "utt2spk") == "b-1 b\n"


def test_recordings_that_nobody_needs_go(make):
    folder = make(CUT, wav__scp="r1 1.wav\nr3 3.wav\n")
    fix(folder)
    assert content(folder, "wav.scp") == "r1 1.wav\n"
    assert content(folder, "segments") == "a-1 r1 0 1.5\na-2 r1 2 3\n"


def test_lines_are_mended_and_sorted(make):
    mess = b"b-1 3.wav\r\n\na-1 1.wav\na-1 again.wav\na-2\na-2 2.wav\n"
    folder = make(GOOD, **{"wav.scp": mess})
    notes = "; ".join(fix(folder))
    assert content(folder, "wav.scp") == GOOD["wav.scp"]
    for words in (
        "1 x line ends in CR LF (first: line 1 b-1)",
        "1 x empty line (first: line 2)",
        "1 x repeated key (first: line 4 a-1)",
        "1 x no value (first: line 5 a-2)",
        "wav.scp: was not sorted",
    ):
        assert words in notes


def test_nothing_left_changes_nothing(make):
    folder = make(GOOD, feats__scp="x f:1\n")
    with pytest.raises(InputError, match="no utterance remains; feats.scp lacks 3"):
        fix(folder)
    assert content(folder, "wav.scp") == GOOD["wav.scp"]
    assert not os.path.exists(folder + "/.backup")


def test_ids_must_sort_by_speaker(make):
    folder = make({"utt2spk": "1-b b\n2-a a\n"})
    for check in (fix, lambda folder: validate(folder, [])):
        with pytest.raises(
            InputError, match="2-a of a comes after b; make the speaker"
        ):
            check(folder)


@pytest.mark.parametrize(
    "tables, name, text, complaint",
    [
        (GOOD, "utt2spk", "", "utt2spk is empty"),
        (GOOD, "utt2spk", "a-1 a\na-1 a\n", "utt2spk:2: repeated key"),
        (GOOD, "utt2spk", "a-1 a x\n", "utt2spk:1: a-1: expected one word"),
        (GOOD, "utt2spk", "a-2 a\na-1 a\nb-1 b\n", "utt2spk:2: a-1 comes after a-2"),
        (GOOD, "spk2utt", "a a-1\nb b-1\n", "spk2utt: the utterances of a are not"),
        (GOOD, "wav.scp", "a-1 1.wav\nb-1 3.wav\n", "wav.scp lacks 1 of 3 entries"),
        (GOOD, "wav.scp", GOOD["wav.scp"] + "c x\n", "wav.scp:4: c is known nowhere"),
        (GOOD, "wav.scp", "a-1 ~/1.wav\n", "wav.scp:1: a-1: '~' is not expanded"),
        (GOOD, "utt2num_frames", "a-1 0\n", "utt2num_frames:1: a-1: expected a whole"),
        (GOOD, "text", b"a-1 \xff\n", "text:1: a-1: not UTF-8"),
        (GOOD, "text", "a-1 x </s>\n", "text:1: a-1: the word </s>"),
        (CUT, "segments", "a-1 r1 2 1\n", "segments:1: a-1: expected 'recording start"),
        (CUT, "wav.scp", "r1 1.wav\n", "wav.scp lacks 1 of 2 entries"),
    ],
)
def test_validation_names_file_and_line(make, tables, name, text, complaint):
    folder = make(tables, **{name: text})
    with pytest.raises(InputError) as caught:
        validate(folder, [])
    assert complaint in str(caught.value)


def test_what_must_be_there(make):
    folder = make(CUT)
    with pytest.raises(InputError, match=r"no such file .*feats.scp; --no-feats if so"):
        validate(folder, ["feats.scp"])
    os.remove(folder + "/wav.scp")
    with pytest.raises(InputError, match="has segments, but no wav.scp"):
        validate(folder, [])


def test_one_speaker_is_worth_a_warning(make):
    folder = make({"utt2spk": "a-1 a\na-2 a\n", "spk2utt": "a a-1 a-2\n"})
    assert "only one speaker" in validate(folder, [])[0]
