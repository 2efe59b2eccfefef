"""Decisions of a corpus in bits: whatever they are stored as."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from toy_sounds import RATE, make_speech

from dataset import vad_table
from dataset.errors import InputError
from dataset.features import (
    MfccOptions,
    VadOptions,
    compute_mfcc,
    energy_vad,
    select_voiced,
)
from dataset.kaldi_io import write_vec_flt
from dataset.resampling import faster_length, play_faster
from dataset.vad_table import Vad, VadTable

RNG = np.random.default_rng(5)
LENGTHS = [1, 7, 8, 9, 0, 64, 300, 17, 8, 1000]
VECTORS = [(RNG.random(n) < 0.6).astype(np.float32) for n in LENGTHS]


def write_archive(path, vectors=VECTORS, binary=True):
    """The entries of the table, whose keys put the vectors at any alignment."""
    entries = []
    with open(path, "wb") as stream:
        for row, vector in enumerate(vectors):
            key = f"u{row}" + "x" * (row % 4)
            offset = stream.tell() + len(key) + 1
            entries.append((row, key, f"{path}:{offset}"))
            write_vec_flt(stream, vector, key=key, binary=binary)
    return entries


def check(table, vectors=VECTORS):
    assert table.num_frames.tolist() == [len(vector) for vector in vectors]
    assert table.num_voiced.tolist() == [np.count_nonzero(v) for v in vectors]
    for row, vector in enumerate(vectors):
        found = table[row]
        assert found.num_frames == len(vector)
        assert np.array_equal(found.voiced_rows(), np.flatnonzero(vector))


@pytest.mark.parametrize("block", [1, 3, len(LENGTHS), 512])
def test_decisions_come_back_for_any_block(tmp_path, monkeypatch, block):
    monkeypatch.setattr(vad_table, "_BLOCK", block)
    entries = write_archive(tmp_path / "vad.ark")
    check(VadTable(entries, len(VECTORS)))
    check(VadTable(entries[::-1], len(VECTORS)))


def test_text_double_and_files_of_their_own(tmp_path):
    text = write_archive(tmp_path / "text.ark", binary=False)
    double = write_archive(tmp_path / "d.ark", [v.astype("f8") for v in VECTORS])
    write_vec_flt(tmp_path / "one.vec", VECTORS[6])
    entries = [text[0], *double[1:6], (6, "u6", f"{tmp_path}/one.vec"), *text[7:]]
    entries[9] = (9, "u9", f"{entries[9][2]}[0:999]")
    entries[8] = (8, "u8", f"cat {tmp_path}/eight |")
    write_vec_flt(tmp_path / "eight", VECTORS[8])
    check(VadTable(entries, len(VECTORS)))


def test_minus_zero_is_zero(tmp_path):
    vectors = [np.array([0, -0.0, 1], np.float32)]
    table = VadTable(write_archive(tmp_path / "vad.ark", vectors), 2)
    assert table[0].voiced_rows().tolist() == [2]
    assert table.num_frames.tolist() == [3, -1]


@pytest.mark.parametrize("kind", ["f4", "f8", "text"])
@pytest.mark.parametrize("value", [0.5, -1, 2, 1e-20, np.inf, np.nan])
def test_other_values_are_refused_as_by_select_voiced_frames(tmp_path, value, kind):
    vectors = [vector.copy() for vector in VECTORS]
    vectors[6][250] = value
    with pytest.raises(InputError, match="0 and 1"):
        select_voiced(np.ones((300, 2)), vectors[6])
    if kind == "f8":
        vectors = [vector.astype(kind) for vector in vectors]
    path = tmp_path / "vad.ark"
    with pytest.raises(InputError, match=r"utterance u6xx: .*0 and 1, got .*frame 250"):
        VadTable(write_archive(path, vectors, kind != "text"), len(VECTORS))


def test_unreadable_decisions_name_the_utterance(tmp_path):
    path = tmp_path / "vad.ark"
    entries = write_archive(path)
    data = path.read_bytes()
    for damaged in (data[:-1], data.replace(b"FV ", b"FM "), data[: len(data) - 4005]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match=r"utterance u\dx*: .*VAD.*vad.ark"):
            VadTable(entries[-1:], len(VECTORS))
    path.unlink()
    with pytest.raises(InputError, match=r"utterance u0: .*No such file"):
        VadTable(entries, len(VECTORS))


# Copies at other speeds.

SPEEDS = [Fraction(*pair) for pair in ((9, 10), (11, 10), (2, 1), (1, 2), (97, 100))]


@pytest.mark.parametrize("speed", SPEEDS)
def test_frames_of_a_copy_by_definition(tmp_path, speed):
    """The middle of frame j, (j + 1/2) frames from the start, is in a frame before."""
    table = VadTable(write_archive(tmp_path / "vad.ark"), len(VECTORS) + 1)
    counts = table.num_voiced_at(speed)
    assert counts[-1] == 0  # there is no vector of it
    for row, vector in enumerate(VECTORS):
        middles = [speed * Fraction(2 * j + 1, 2) for j in range(2 * len(vector) + 2)]
        voiced = [bool(vector[int(m)]) for m in middles if m < len(vector)]
        copy = table[row].at_speed(speed)
        assert copy.num_frames == len(voiced)
        assert copy.voiced_rows().tolist() == np.flatnonzero(voiced).tolist()
        assert counts[row] == sum(voiced)


@pytest.mark.parametrize("block", [1, 4])
def test_counts_of_copies_for_any_block_and_order(tmp_path, monkeypatch, block):
    entries = write_archive(tmp_path / "vad.ark")
    expected = VadTable(entries, len(VECTORS)).num_voiced_at(SPEEDS[0])
    monkeypatch.setattr(vad_table, "_BLOCK", block)
    table = VadTable(entries[::-1], len(VECTORS))
    assert np.array_equal(table.num_voiced_at(SPEEDS[0]), expected)


@pytest.mark.parametrize("speed", SPEEDS[:2])
def test_decisions_of_a_copy_are_nearly_those_made_anew(speed):
    """Of real speech 99.3 % are (benchmarks/results.md)."""
    samples = make_speech(20, seed=4)
    length = faster_length(len(samples), speed)
    faster = play_faster(lambda a, b: samples[a:b], len(samples), speed, 0, length)
    decisions = []
    for waveform in (samples, faster):
        mfcc = compute_mfcc(
            waveform, RATE, MfccOptions(sample_frequency=RATE, snip_edges=False)
        )
        decisions.append(energy_vad(mfcc, VadOptions(2.0, 0.6, 2, 0.3)) != 0)
    clean, anew = decisions
    copy = Vad(len(clean), np.packbits(clean).tobytes()).at_speed(speed)
    stretched = np.zeros(copy.num_frames, bool)
    stretched[copy.voiced_rows()] = True
    assert abs(len(anew) - len(stretched)) <= 1
    count = min(len(anew), len(stretched))
    assert 0.3 < anew.mean() < 0.95
    assert np.mean(anew[:count] == stretched[:count]) > 0.97
