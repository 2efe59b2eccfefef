"""Loading who says what, and refusing tables that do not fit together."""

from __future__ import annotations

import numpy as np
import pytest

from dataset.errors import InputError
from dataset.kaldi_io import write_vec_flt
from dataset.speaker_info import TextColumn, load_speaker_info, table_faults

TABLES = {
    "feats.scp": "a-1 x.ark:4\nb-1 x.ark:99\na-2 dir with space/y.ark:5\n",
    "utt2num_frames": "a-1 100\na-2 200\nb-1 300\nz-9 50\n",
    "spk2utt": "a a-1 a-2\nb b-1\n",
    "spklist": "b 2\na 0\nabsent 1\n",
}


@pytest.fixture
def load(tmp_path):
    def load_changed(raw=False, **changes):
        for name, text in TABLES.items():
            text = changes.get(name.replace(".", "_"), text)
            if isinstance(text, str):
                text = text.encode()
            if text is not None:
                (tmp_path / name).write_bytes(text)
        return load_speaker_info(str(tmp_path), str(tmp_path / "spklist"), raw)

    return load_changed


def test_columns_are_in_the_order_of_feats_scp(load):
    info = load()
    assert info.num_speakers == 3  # one of them absent
    assert list(info.utterance) == ["a-1", "b-1", "a-2"]
    assert info.rxfilename[1] == "x.ark:99"
    assert info.rxfilename[2] == "dir with space/y.ark:5"
    assert info.num_frames.tolist() == [100, 300, 200]
    assert info.label.tolist() == [0, 2, 0]
    assert (info.num_frames.dtype, info.label.dtype) == (np.int64, np.int32)


def test_other_tables_may_have_any_order_and_more(load):
    text = "z-9 50\nb-1 300\na-2 200\nx-1 7\na-1 100\n"
    info = load(utt2num_frames=text, spk2utt="b b-1\na a-2 a-1\n")
    assert info.num_frames.tolist() == [100, 300, 200]
    assert info.label.tolist() == [0, 2, 0]


def test_tabs_blanks_and_line_ends_do_not_matter(load):
    text = "a-1\tx.ark:4 \r\nb-1   x.ark:99\na-2 y.ark:5"
    info = load(feats_scp=text, spklist="a\t1\nb  0\n")
    assert [info.rxfilename[i] for i in range(3)] == ["x.ark:4", "x.ark:99", "y.ark:5"]
    assert info.label.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"feats_scp": None}, ["cannot read", "feats.scp", "No such file"]),
        ({"feats_scp": ""}, ["feats.scp is empty"]),
        ({"feats_scp": "a-1\n"}, ["feats.scp", "two fields", "'a-1'"]),
        ({"feats_scp": "a-1 x:1\n\n"}, ["feats.scp", "two fields"]),
        ({"feats_scp": b"a-1 \xff:1\n"}, ["feats.scp", "UTF-8"]),
        ({"feats_scp": "a-1 x:1\na-1 x:1\n"}, ["utterance a-1 is there twice"]),
        (
            {"feats_scp": TABLES["feats.scp"] + "c-1 x:1\nc-2 x:2\n"},
            ["2 utterances of feats.scp", "utt2num_frames", "c-1", "fix_data_dir.sh"],
        ),
        (
            {"feats_scp": "a-1 x.ark:4\n"},
            ["2 utterances of", "spk2utt", "not in feats.scp", "first is a-2"],
        ),
        ({"utt2num_frames": "a-1 100\n"}, ["2 utterances", "utt2num_frames", "b-1"]),
        ({"utt2num_frames": TABLES["utt2num_frames"] * 2}, ["a-1 is there twice"]),
        ({"utt2num_frames": "a-1 0\n"}, ["positive number of frames", "'a-1 0'"]),
        ({"utt2num_frames": "a-1 1.5\n"}, ["positive number of frames", "'a-1 1.5'"]),
        ({"spk2utt": "a a-1 a-2\n"}, ["1 utterances of feats.scp", "spk2utt", "b-1"]),
        ({"spk2utt": "a a-1 a-2\nb b-1 a-1\n"}, ["utterance a-1 is there twice"]),
        ({"spk2utt": "a a-1\na a-2\nb b-1\n"}, ["speaker a is there twice"]),
        ({"feats_scp": "\0" * 99}, ["two fields", "\\x00", "..."]),
        ({"spklist": "a 0\n"}, ["1 speakers of", "not in the spklist: b"]),
        ({"spklist": "a 0\nb 2\n"}, ["2 speakers should be 0 to 1", "1 is not among"]),
        ({"spklist": "a 0\nb 0\n"}, ["1 is not among"]),
        ({"spklist": "a 0\nb one\n"}, ["a speaker and its index", "'b one'"]),
        ({"spklist": "a 0\na 1\nb 2\n"}, ["speaker a is there twice"]),
        ({"spklist": ""}, ["spklist is empty"]),
        ({"spklist": None}, ["cannot read", "spklist"]),
    ],
)
def test_what_cannot_be_used_is_refused(load, changes, words):
    with pytest.raises(InputError) as caught:
        load(**changes)
    assert all(word in str(caught.value) for word in words), caught.value


def write_vad(tmp_path, **decisions):
    lines = []
    for key, bits in decisions.items():
        key = key.replace("_", "-")
        write_vec_flt(tmp_path / f"{key}.vec", np.array(bits, np.float32))
        lines.append(f"{key} {tmp_path}/{key}.vec\n")
    (tmp_path / "vad.scp").write_text("".join(lines))


RAW = {"utt2num_frames": "a-1 2\na-2 3\nb-1 1\n"}
DECISIONS = {"b_1": [0], "a_1": [1, 1], "a_2": [1, 0, 1], "z_9": []}


def test_frames_of_raw_features_are_the_voiced_ones(load, tmp_path):
    write_vad(tmp_path, **DECISIONS)
    info = load(raw=True, **RAW)
    assert info.num_frames.tolist() == [2, 0, 2]  # a-1, b-1, a-2
    assert [len(info.vad[i].voiced_rows()) for i in range(3)] == [2, 0, 2]
    info = load(raw=False, **RAW)
    assert info.num_frames.tolist() == [2, 1, 3]
    assert info.vad is None


@pytest.mark.parametrize(
    ("decisions", "words"),
    [
        ({"b_1": [0], "a_1": [1, 1]}, ["1 utterances of feats.scp", "vad.scp", "a-2"]),
        (
            DECISIONS | {"a_2": [1, 1], "b_1": [1, 1, 1]},
            ["b-1: 1 frames in utt2num_frames, but 3 VAD", "vad.scp", "1 more"],
        ),
        ({"b_1": [0], "a_1": [0, 0], "a_2": [0, 0, 0]}, ["vad.scp", "no frame of any"]),
    ],
)
def test_decisions_that_do_not_fit_are_refused(load, tmp_path, decisions, words):
    write_vad(tmp_path, **decisions)
    with pytest.raises(InputError) as caught:
        load(raw=True, **RAW)
    assert all(word in str(caught.value) for word in words), caught.value


def test_decisions_that_are_not_there_or_twice_are_refused(load, tmp_path):
    with pytest.raises(InputError, match=r"vad\.scp is missing: .*compute_vad"):
        load(raw=True)
    write_vad(tmp_path, **DECISIONS)
    scp = tmp_path / "vad.scp"
    scp.write_text(scp.read_text() * 2)
    with pytest.raises(InputError, match=r"vad\.scp: utterance b-1 is there twice"):
        load(raw=True, **RAW)
    (tmp_path / "a-1.vec").unlink()
    scp.write_text(f"a-1 {tmp_path}/a-1.vec\n")
    with pytest.raises(InputError, match=r"utterance a-1: cannot read its VAD .*a-1"):
        load(raw=True, **RAW)


def test_text_column_holds_any_text():
    strings = ["", "plain", "ä\u4e2d", "", "x" * 100000]
    column = TextColumn(iter(strings))
    assert len(column) == 5
    assert [column[i] for i in range(5)] == strings


def test_faults_of_all_tables(load, tmp_path):
    changes = {
        "spklist": "b 2\na 0\n",
        "utt2num_frames": "a-1 100\nb-1 300\n",
        "spk2utt": "a a-1 a-2 c-1\n",
    }
    with pytest.raises(InputError):
        load(**changes)
    folder = str(tmp_path)
    faults, utterances, rxfilenames = table_faults(folder, folder + "/spklist")
    assert [fault.count("\n") for fault in faults] == [0, 0]
    assert "but 1 is not among them" in faults[0]
    assert "the first is a-2" in faults[1]
    assert list(utterances) == ["a-1", "b-1", "a-2"]
    assert rxfilenames[1] == "x.ark:99"


def test_what_a_broken_scp_lacks_is_no_fault_of_other_tables(load, tmp_path):
    with pytest.raises(InputError):
        load(feats_scp="a-1 x.ark:4\na-1 x.ark:4\n")
    faults, utterances, rxfilenames = table_faults(
        str(tmp_path), str(tmp_path / "spklist")
    )
    assert len(faults) == 1 and "a-1 is there twice" in faults[0]
    assert len(utterances) == len(rxfilenames) == 1


def test_a_sound_directory_has_no_faults(load, tmp_path):
    load()
    assert table_faults(str(tmp_path), str(tmp_path / "spklist"))[0] == []
