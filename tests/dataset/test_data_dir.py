import os

import pytest

from dataset import data_dir
from dataset.data_dir import Renaming
from dataset.errors import InputError
from dataset.text_table import read_table


def make(folder, **tables):
    """A data directory: file names with '_' for '.', and their content."""
    folder.mkdir(parents=True)
    for name, content in tables.items():
        (folder / name.replace("_scp", ".scp")).write_text(content)
    return str(folder)


def content(folder, name):
    with open(os.path.join(folder, name)) as stream:
        return stream.read()


@pytest.fixture
def plain(tmp_path):
    return make(
        tmp_path / "plain",
        utt2spk="a-1 a\na-2 a\nb-1 b\n",
        wav_scp="a-1 1.wav\na-2 2.wav\nb-1 3.wav\n",
        feats_scp="a-1 f:1\na-2 f:2\nb-1 f:3\n",
        spk2gender="a f\nb m\n",
    )


@pytest.fixture
def cut(tmp_path):
    """Utterances cut out of recordings."""
    return make(
        tmp_path / "cut",
        utt2spk="a-1 a\na-2 a\nb-1 b\n",
        segments="a-1 r1 0 1.5\na-2 r1 2 3\nb-1 r2 0 4\n",
        wav_scp="r1 1.wav\nr2 2.wav\n",
        reco2dur="r1 3\nr2 4\n",
    )


def test_copy_renames_utterances_and_speakers(plain, tmp_path):
    out = str(tmp_path / "out")
    data_dir.copy(plain, out, [Renaming((b"", b"-x"), (b"p-", b""))])
    assert content(out, "utt2spk") == "a-1-x p-a\na-2-x p-a\nb-1-x p-b\n"
    assert content(out, "spk2utt") == "p-a a-1-x a-2-x\np-b b-1-x\n"
    assert content(out, "spk2gender") == "p-a f\np-b m\n"
    assert content(out, "feats.scp") == "a-1-x f:1\na-2-x f:2\nb-1-x f:3\n"
    assert content(out, "wav.scp").startswith("a-1-x 1.wav\n")
    assert content(out, "utt2uniq") == "a-1-x a-1\na-2-x a-2\nb-1-x b-1\n"


def test_a_second_copy_remembers_the_first_name(plain, tmp_path):
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    data_dir.copy(plain, one, [Renaming((b"", b"-x"))])
    data_dir.copy(one, two, [Renaming((b"", b"-y"))])
    assert content(two, "utt2uniq").startswith("a-1-x-y a-1\n")


def test_recordings_have_names_of_their_own(cut, tmp_path):
    out = str(tmp_path / "out")
    data_dir.copy(cut, out, [Renaming((b"x-", b""), (b"", b""), (b"x-", b""))])
    assert content(out, "segments").startswith("x-a-1 x-r1 0 1.5\n")
    assert content(out, "wav.scp") == "x-r1 1.wav\nx-r2 2.wav\n"


def test_several_copies_and_changes(plain, tmp_path):
    out = str(tmp_path / "out")
    renamings = [Renaming(), Renaming((b"c1-", b""), copy=1)]
    changes = {
        "wav.scp": lambda key, value, renaming: b"%d:%b" % (renaming.copy, value),
        "feats.scp": None,
    }
    data_dir.copy(plain, out, renamings, changes)
    assert not os.path.exists(os.path.join(out, "feats.scp"))
    table = read_table(os.path.join(out, "wav.scp"))
    assert len(table) == 6
    assert table[b"a-1"] == b"0:1.wav" and table[b"c1-a-1"] == b"1:1.wav"


def test_subset_takes_only_the_recordings_needed(cut, tmp_path):
    out = str(tmp_path / "out")
    assert data_dir.subset(cut, out, {b"a-2", b"nobody"}) == 1
    assert content(out, "segments") == "a-2 r1 2 3\n"
    assert content(out, "wav.scp") == "r1 1.wav\n"
    assert content(out, "spk2utt") == "a a-2\n"
    with pytest.raises(InputError, match="none of the utterances"):
        data_dir.subset(cut, out, {b"nobody"})


def test_combine(plain, tmp_path):
    other = make(
        tmp_path / "other",
        utt2spk="A-1 A\na-1-n a\n",
        wav_scp="A-1 4.wav\na-1-n 5.wav\n",
        utt2uniq="A-1 A-1\na-1-n a-1\n",
    )
    out = str(tmp_path / "out")
    notes = data_dir.combine(out, [plain, other])
    assert [note.split(" is left out")[0] for note in notes] == [
        "feats.scp",
        "spk2gender",
    ]
    assert list(read_table(f"{out}/utt2spk")) == [
        b"A-1",
        b"a-1",
        b"a-1-n",
        b"a-2",
        b"b-1",
    ]
    assert content(out, "spk2utt") == "A A-1\na a-1 a-1-n a-2\nb b-1\n"
    assert read_table(f"{out}/utt2uniq")[b"a-2"] == b"a-2"


def test_combine_makes_segments_of_whole_recordings(cut, plain, tmp_path):
    out = str(tmp_path / "out")
    whole = make(tmp_path / "whole", utt2spk="z-1 z\n", wav_scp="z-1 z.wav\n")
    with pytest.raises(InputError, match="whole/utt2dur is needed"):
        data_dir.combine(out, [cut, whole])
    (tmp_path / "whole/utt2dur").write_text("z-1 2.5\n")
    data_dir.combine(out, [cut, whole])
    assert content(out, "segments").endswith("z-1 z-1 0 2.5\n")
    assert content(out, "wav.scp") == "r1 1.wav\nr2 2.wav\nz-1 z.wav\n"


def test_combine_refuses_one_key_with_two_values(plain, tmp_path):
    other = make(tmp_path / "other", utt2spk="a-1 a\n", wav_scp="a-1 9.wav\n")
    with pytest.raises(InputError, match="other/wav.scp: a-1 has another value"):
        data_dir.combine(str(tmp_path / "out"), [plain, other])


def test_combine_takes_one_of_two_values_of_a_speaker(plain, tmp_path):
    other = make(tmp_path / "other", utt2spk="a-9 a\n", wav_scp="a-9 9.wav\n")
    (tmp_path / "other/cmvn.scp").write_text("a c.ark:1\n")
    for table in ("a c.ark:0\nb c.ark:5\n", "a c.ark:2\nb c.ark:5\n"):
        with open(f"{plain}/cmvn.scp", "w") as stream:
            stream.write(table)
        out = str(tmp_path / "out")
        notes = data_dir.combine(out, [plain, other])
        assert any(
            "cmvn.scp: 1 speakers with two values (first: a)" in n for n in notes
        )
        smaller = min(table.split()[1], "c.ark:1")
        assert content(out, "cmvn.scp") == f"a {smaller}\nb c.ark:5\n"


def test_frame_shift_goes_with_the_features(plain, tmp_path):
    other = make(tmp_path / "other", utt2spk="z-1 z\n", feats_scp="z-1 f:9\n")
    for folder in (plain, other):
        with open(f"{folder}/frame_shift", "w") as stream:
            stream.write("0.020\n")
    out = str(tmp_path / "out")
    data_dir.combine(out, [plain, other])
    assert content(out, "frame_shift") == "0.020\n"
    data_dir.subset(plain, out, {b"a-1"})
    assert content(out, "frame_shift") == "0.020\n"
    data_dir.copy(plain, out, [data_dir.Renaming()], {"feats.scp": None})
    assert not os.path.exists(f"{out}/frame_shift")
    with open(f"{other}/frame_shift", "w") as stream:
        stream.write("0.01\n")
    with pytest.raises(InputError, match="0.020 in .*, 0.01 in .*other"):
        data_dir.combine(out, [plain, other])


def test_split(cut):
    destination = cut + "/split2"
    for _ in range(2):  # the second time over the first
        data_dir.split(cut, [[b"a-1", b"a-2"], [b"b-1"]], destination)
    assert content(destination, "1/segments") == "a-1 r1 0 1.5\na-2 r1 2 3\n"
    assert content(destination, "1/wav.scp") == "r1 1.wav\n"
    assert content(destination, "2/spk2utt") == "b b-1\n"
    assert sorted(os.listdir(cut)) == [
        "reco2dur",
        "segments",
        "split2",
        "utt2spk",
        "wav.scp",
    ]


def test_places_that_cannot_be(plain, tmp_path):
    with pytest.raises(InputError, match="the same directory"):
        data_dir.copy(plain, plain + "/", [Renaming()])
    with pytest.raises(InputError, match="cannot read .*utt2spk: No such file"):
        data_dir.subset(str(tmp_path / "nowhere"), str(tmp_path / "out"), {b"a"})
    empty = make(tmp_path / "empty", utt2spk="")
    with pytest.raises(InputError, match="empty/utt2spk is empty"):
        data_dir.copy(empty, str(tmp_path / "out"), [Renaming()])
    with pytest.raises(OSError, match="Not a directory"):
        data_dir.copy(plain, plain + "/utt2spk/out", [Renaming()])


def test_tables_of_an_earlier_copy_do_not_stay(plain, cut, tmp_path):
    out = str(tmp_path / "out")
    data_dir.copy(cut, out, [Renaming()])
    data_dir.copy(plain, out, [Renaming()])
    assert not os.path.exists(out + "/segments")
