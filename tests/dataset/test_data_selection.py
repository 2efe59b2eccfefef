import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset.data_selection import (
    even_parts,
    per_speaker,
    speaker_parts,
    spread,
    whole_speakers,
)
from dataset.errors import InputError


def utt2spk(*counts):
    """Speakers a, b, c ... with so many utterances."""
    names = [chr(ord("a") + n) for n in range(len(counts))]
    return {
        f"{name}{n}".encode(): name.encode()
        for name, count in zip(names, counts, strict=True)
        for n in range(count)
    }


@given(st.integers(1, 60), st.integers(1, 60))
def test_even_parts(length, number):
    items = list(range(length))
    if number > length:
        with pytest.raises(InputError, match=f"split {length} lines into {number}"):
            even_parts(items, number)
        return
    parts = even_parts(items, number)
    assert [item for part in parts for item in part] == items
    sizes = [len(part) for part in parts]
    assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


@given(st.lists(st.integers(1, 9), min_size=1, max_size=20), st.integers(1, 20))
def test_no_speaker_is_in_two_parts(counts, number):
    speakers = utt2spk(*counts)
    if number > len(counts):
        with pytest.raises(InputError, match="speakers into"):
            speaker_parts(speakers, number)
        return
    parts = speaker_parts(speakers, number)
    assert len(parts) == number and all(parts)
    assert sorted(utt for part in parts for utt in part) == sorted(speakers)
    owners = [{speakers[utt] for utt in part} for part in parts]
    assert sum(map(len, owners)) == len(counts)


def test_parts_are_about_equal():
    parts = speaker_parts(utt2spk(*[5] * 20), 4)
    assert [len(part) for part in parts] == [25] * 4
    assert [len(part) for part in speaker_parts(utt2spk(90, 2, 2, 2, 4), 2)] == [90, 10]


@pytest.mark.parametrize(
    "counts, expected",
    [
        ((15, 1, 9, 2, 5, 3, 15, 1, 2, 9), "ab cde fg hij"),
        ((5, 9, 15, 9, 9, 1, 2, 3, 5, 1, 1, 9, 15), "abc def ghijkl m"),
        ((3, 3, 3, 2, 15, 9, 9, 2, 2, 1, 15, 15, 1), "abcd e fgh ijk lm"),
    ],
)
def test_speakers_are_handed_on_as_by_kaldi(counts, expected):
    parts = speaker_parts(utt2spk(*counts), len(expected.split()))
    found = ["".join(sorted({utt.decode()[0] for utt in part})) for part in parts]
    assert found == expected.split()


@given(st.integers(1, 100), st.integers(1, 100))
def test_spread(length, number):
    items = list(range(length))
    if number > length:
        with pytest.raises(InputError, match="wanted, but there are"):
            spread(items, number)
        return
    chosen = spread(items, number)
    assert len(chosen) == number and chosen == sorted(set(chosen))
    half = sum(item < length // 2 for item in chosen)
    assert half in (number // 2, number - (length - length // 2), length // 2) or (
        abs(half - number / 2) <= 1
    )


def test_so_many_of_each_speaker():
    chosen = per_speaker(utt2spk(1, 2, 10), 3)
    assert chosen == [b"a0", b"b0", b"b1", b"c0", b"c3", b"c6"]


def test_whole_speakers():
    speakers = utt2spk(3, 3, 3, 3)
    chosen = whole_speakers(speakers, 5)
    assert len(chosen) == 6 and len({speakers[utt] for utt in chosen}) == 2
    assert len(whole_speakers(speakers, 100)) == 12
