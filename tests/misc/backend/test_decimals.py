"""Decimals read and written many at once, against Python's own."""

import numpy as np
import pytest

from misc.backend.decimals import format_numbers, plain_decimals


def read(words, width=2):
    text = np.array([word.encode() for word in words], f"S{8 * width}")
    chunks = text.view(np.uint64).reshape(len(words), width)
    return plain_decimals(chunks, np.array([len(word) for word in words]))


def test_plain_numbers_are_read_to_the_last_bit():
    rng = np.random.default_rng(0)
    words = [
        f"{sign}{x:.{places}f}"
        for places in range(8)
        for sign in ("", "-")
        for x in np.abs(rng.normal(size=500)) * 10.0 ** rng.integers(-3, 5, 500)
    ]
    words += ["0", "-0", "1.", ".5", "-.25", "00012.50", "99999999", "999999999999999"]
    words += ["1234567.8", "123456789012345", "-12345678901234", "1.2345678901234"]
    words = [word for word in words if len(word) <= 16]
    numbers, known = read(words)
    assert known.all()
    expected = np.array([float(word) for word in words])
    assert (numbers == expected).all()
    assert (np.signbit(numbers) == np.signbit(expected)).all()


@pytest.mark.parametrize(
    "word",
    ["", "-", ".", "-.", "+1", "1e5", "inf", "-inf", "nan", "0x10", "1,5", "1.2.3"]
    + [
        "--1",
        "1-",
        "1_000",
        "12345678.5",
        "1234567890123456",
        "1\u00e9",
        "/",
        ":",
        "1:",
    ],
)
def test_others_are_left_to_strtod(word):
    assert not read([word.encode().decode("latin1")])[1][0]


def test_every_byte_but_a_digit_is_noticed():
    others = [chr(code) for code in range(1, 128) if chr(code) not in "0123456789.-"]
    for place in (0, 3, 7, 8, 14):
        words = ["1" * place + other + "1" * (14 - place) for other in others]
        assert not read(words)[1].any()


def test_one_chunk_is_enough():
    numbers, known = read(["-1.5", "12345678"], width=1)
    assert known.all() and numbers.tolist() == [-1.5, 12345678.0]


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
