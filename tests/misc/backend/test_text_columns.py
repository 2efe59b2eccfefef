import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend import text_columns
from misc.backend.text_columns import WordColumn, read_columns


def test_what_is_written_is_read_over_many_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(text_columns, "_BLOCK", 1000)
    rng = np.random.default_rng(1)
    names = [f"{'n' * (i % 40)}{i}" for i in range(500)] + ["\u00e9t\u00e9"]
    first, second = (
        WordColumn(names, rng.integers(0, len(names), 5000).astype(np.int32))
        for _ in range(2)
    )
    scores = rng.normal(size=5000)
    path = tmp_path / "scores"
    with path.open("wb") as stream:
        text_columns.write_columns(stream, first, second, scores)
    lines = [
        f"{names[a]} {names[b]} {score:.7g}"
        for a, b, score in zip(first.codes, second.codes, scores, strict=True)
    ]
    assert path.read_text().splitlines() == lines
    *columns, found = read_columns(str(path), "key1 key2 score")
    for column, written in zip(columns, (first, second), strict=True):
        expected = [names[code] for code in written.codes]
        assert [column.words[code] for code in column.codes] == expected
        assert column.words == list(dict.fromkeys(expected))
    np.testing.assert_allclose(found, scores, rtol=1e-6)
    lines[4321] += " more"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError, match="scores:4322: expected 'key1 key2 score'"):
        read_columns(str(path), "key1 key2 score")


def test_words_that_are_no_keys_are_refused(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a b\n" + b"c" * 2000 + b" d\n")
    with pytest.raises(InputError, match="x:2: a word of 2000 bytes"):
        read_columns(str(path), "key1 key2")
    path.write_bytes(b"a \xff\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_columns(str(path), "key1 key2")


def test_any_white_space_parts_words(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b" a\tb 1.5\r\n\na  b\v2 \n c d 3e0")
    with pytest.raises(InputError, match="x:2: expected"):
        read_columns(str(path), "key1 key2 score")
    path.write_bytes(b" a\tb 1.5\r\nc  b\v2 \n c d 3e0")
    first, second, scores = read_columns(str(path), "key1 key2 score")
    assert first.words == ["a", "c"] and second.words == ["b", "d"]
    assert first.codes.tolist() == [0, 1, 1] and scores.tolist() == [1.5, 2.0, 3.0]


@pytest.mark.parametrize(
    "line", [b"a\x01 b", b"a \x1fb", b"a\0 b", b"a b c", b"a", b"a b\x02c"]
)
def test_control_characters_part_no_words(tmp_path, line):
    """Only white space does; a NUL is refused, the others are of the word."""
    path = tmp_path / "x"
    path.write_bytes(b"k l\n" + line + b"\nm n\n")
    if len(line.split()) == 2 and b"\0" not in line:
        columns = read_columns(str(path), "key1 key2")
        assert [c.words[c.codes[1]].encode() for c in columns] == line.split()
    else:
        with pytest.raises(InputError, match="x:2: expected 'key1 key2'"):
            read_columns(str(path), "key1 key2")


def test_lines_of_other_lengths_that_add_up_are_refused(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a b c\nd\ne f\n")
    with pytest.raises(InputError, match="x:1: expected 'key1 key2'"):
        read_columns(str(path), "key1 key2")


def test_words_of_any_width_are_the_same_in_every_block(tmp_path, monkeypatch):
    monkeypatch.setattr(text_columns, "_BLOCK", 10)
    path = tmp_path / "x"
    path.write_text("a b\na " + 30 * "c" + "\n" + 40 * "d" + " a\na b\n")
    first, second = read_columns(str(path), "key1 key2")
    assert first.codes.tolist() == [0, 0, 1, 0]
    assert second.codes.tolist() == [0, 1, 2, 0]
