import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend import text_columns
from misc.backend.text_columns import WordColumn, format_numbers, read_columns


def test_numbers_are_written_as_by_c():
    rng = np.random.default_rng(0)
    edges = [0.0, -0.0, 1e7, 1e-4, 9999999.5, 0.00009999999, 123456.75, 9.9999995]
    numbers = np.concatenate(
        [
            rng.normal(size=20_000) * 10.0 ** rng.integers(-6, 9, 20_000),
            np.round(rng.normal(size=5_000) * 100, 2),
            np.arange(-300.0, 300.0),
            [*edges, np.inf, -np.inf, 1e300, 1e-300],
        ]
    )
    text = format_numbers(numbers).ravel()
    assert text[text != 0].tobytes().decode().split() == [f"{x:.7g}" for x in numbers]


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
