import os

import pytest

from dataset.errors import InputError
from dataset.text_table import (
    read_ids,
    read_table,
    read_utt2spk,
    sort_table,
    spk2utt_from,
    utt2spk_from,
    write_lines,
    write_table,
)


def written(tmp_path, content, name="utt2spk"):
    path = tmp_path / name
    path.write_bytes(content)
    return str(path)


def test_a_table_keeps_its_order_and_its_bytes(tmp_path):
    path = written(tmp_path, b"b  x y \na\t\xff\xe4\n", "wav.scp")
    assert list(read_table(path).items()) == [(b"b", b"x y"), (b"a", b"\xff\xe4")]


@pytest.mark.parametrize(
    "line, complaint",
    [
        (b"\n", "utt2spk:2: empty line"),
        (b"b\n", "utt2spk:2: no value (b)"),
        (b"a y\n", "utt2spk:2: repeated key (a)"),
        (b"b y\r\n", "utt2spk:2: line ends in CR LF (b)"),
    ],
)
def test_a_bad_line_is_named_or_mended(tmp_path, line, complaint):
    path = written(tmp_path, b"a x\n" + line + b"c z\n")
    with pytest.raises(InputError) as caught:
        read_table(path)
    assert complaint in str(caught.value)
    faults = []
    table = read_table(path, lambda *fault: faults.append(fault))
    assert len(faults) == 1 and faults[0][1] == 2
    assert table.keys() - {b"b"} == {b"a", b"c"}


def test_a_transcript_may_be_empty(tmp_path):
    assert read_table(written(tmp_path, b"a\n", "text")) == {b"a": b""}


def test_what_is_not_there(tmp_path):
    for read in (read_table, read_ids, read_utt2spk):
        with pytest.raises(InputError, match="cannot read .*nowhere: No such file"):
            read(str(tmp_path / "nowhere"))


def test_two_words_a_line(tmp_path):
    with pytest.raises(InputError, match=r"utt2spk:2: expected 'utterance speaker'"):
        read_utt2spk(written(tmp_path, b"a x\nb y z\n"))


def test_maps_turn_into_one_another():
    utt2spk = {b"a1": b"a", b"b1": b"b", b"a2": b"a"}
    spk2utt = spk2utt_from(utt2spk)
    assert spk2utt == {b"a": b"a1 a2", b"b": b"b1"}
    assert utt2spk_from(spk2utt) == utt2spk
    with pytest.raises(InputError, match="a1 belongs to two speakers, a and b"):
        utt2spk_from({b"a": b"a1", b"b": b"a1"})


def test_sorted_as_bytes():
    assert list(sort_table({b"b": b"", b"\xc3": b"", b"B": b"", b"a-": b""})) == [
        b"B",
        b"a-",
        b"b",
        b"\xc3",
    ]


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = str(tmp_path / "utt2spk")
    write_table(path, {b"a": b"x"})

    def broken():
        yield b"b y\n"
        raise OSError("the disk is full")

    with pytest.raises(InputError, match="cannot write .*utt2spk: the disk is full"):
        write_lines(path, broken())
    assert os.listdir(tmp_path) == ["utt2spk"]
    assert read_table(path) == {b"a": b"x"}


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_table(str(tmp_path / "link"), {b"a": b"1"})
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "a 1\n"
