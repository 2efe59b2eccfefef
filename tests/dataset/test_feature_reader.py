"""Segments by memory map: equal to a slice of the whole, whatever the format."""

import mmap
import os
import pickle
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset import feature_reader, stored_matrix
from dataset.errors import InputError
from dataset.feature_reader import FeatureReader
from dataset.kaldi_io import open_or_fd, read_mat, write_mat

FEATS = np.random.default_rng(0).normal(0, 9, (40, 5)).astype(np.float32)
FORMATS = {
    "float": {},
    "double": {},
    "CM": {"compression_method": 2},
    "CM2": {"compression_method": 3},
    "CM3": {"compression_method": 5},
    "text": {"binary": False},
}


@pytest.fixture(params=FORMATS)
def rxfilename(request, tmp_path) -> str:
    path = tmp_path / "x.ark"
    feats = FEATS.astype(np.float64) if request.param == "double" else FEATS
    with open_or_fd(path, "wb") as stream:
        for key in ("first", "uneven-place", "last"):
            write_mat(stream, feats, key=key, **FORMATS[request.param])
            if key == "first":
                offset = stream.tell() + len("uneven-place ")
    return f"{path}:{offset}"


def test_segment_is_a_slice_of_the_whole(rxfilename):
    reader = FeatureReader()
    whole = read_mat(rxfilename).astype(np.float32)
    assert reader.shape(rxfilename) == (40, 5)
    for start, length in ((0, None), (0, 40), (7, 11), (39, 1), (40, 0), (12, None)):
        segment = reader.read(rxfilename, start, length)
        stop = None if length is None else start + length
        assert segment.dtype == np.float32 and segment.flags.c_contiguous
        assert segment.flags.writeable
        np.testing.assert_array_equal(segment, whole[start:stop])


def ignore(number):
    """Does nothing at a matrix."""


def test_many_at_a_time_are_those_of_each(rxfilename, tmp_path):
    write_mat(tmp_path / "speech", FEATS, compression_method=2)
    names = [rxfilename] * 9 + [f"{tmp_path}/speech", f"{rxfilename}[3:39]"] * 4
    reader, starts = FeatureReader(), list(range(17))
    out = np.zeros((17, 20, 5), np.float32)
    begun = []
    reader.read_many(names, starts, out, begun.append)
    expected = [reader.read(*item, 20) for item in zip(names, starts, strict=True)]
    np.testing.assert_array_equal(out, expected)
    assert set(begun) == set(range(17))
    with pytest.raises(InputError, match="frames 17 to 37 of a matrix with 5"):
        reader.read_many([names[0], f"{rxfilename}[0:4]"], [0, 17], out[:2], ignore)
    for name in (rxfilename, f"{rxfilename}[0:39,1:3]"):
        with pytest.raises(InputError, match="expected dimension 4, got"):
            reader.read_many([name], [0], np.zeros((1, 20, 4), np.float32), ignore)


def test_what_is_expected_is_read_all_the_same(rxfilename, tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_bytes(Path(tmp_path / "x.ark").read_bytes()[:20])
    reader = FeatureReader()
    for name in ("missing", "empty", "short:6", "short:15", "x.ark:99999999", "-"):
        reader.expect([(f"{tmp_path}/{name}", 0, 5)], ignore)
    reader.expect([("exit 3 |", 0, 5), (f"{rxfilename}[8:1]", 0, 5)], ignore)
    wanted = [(rxfilename, 30, 10), (f"{rxfilename}[3:39]", 0, 10), (rxfilename, 0, 99)]
    reader.expect(wanted, ignore)
    np.testing.assert_array_equal(
        reader.read(rxfilename, 30, 10), read_mat(rxfilename).astype(np.float32)[30:]
    )


def test_nothing_is_expected_once_no_disk_is_read():
    asked = []

    def wanted():
        asked.append(True)
        yield from ()

    reader = FeatureReader()
    for _ in range(1000):  # the thread may wait for other things, too
        asked.clear()
        with reader.watch:
            reader.expect(wanted(), ignore)
        if not asked:
            break
    else:
        pytest.fail("it asks for ever")
    with reader.watch:
        time.sleep(0.01)  # as for a page
    reader.expect(wanted(), ignore)
    assert asked


def test_bytes_that_are_fetched_are_those_that_are_read(tmp_path):
    """With a matrix so long that columns are fetched one by one, and a short one."""
    for rows in (40, 70_000):
        for method in (None, 2, 3, 5):
            path = tmp_path / "x"
            write_mat(path, np.zeros((rows, 3), np.float32), compression_method=method)
            data = bytearray(path.read_bytes())
            with open(path, "rb") as stream:
                archive = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
            matrix = stored_matrix.parse(archive, 0)
            expected = matrix.read(10, 20)
            fetched = np.zeros(len(data), bool)
            for position, size in matrix._extents(10, 20):
                assert 0 <= position <= position + size <= len(data)
                fetched[position : position + size] = True
            assert fetched.sum() <= max(300, matrix.size * (rows < 1000))
            # All other bytes could be anything.
            noise = np.where(fetched, np.frombuffer(data, np.uint8), 77)
            noise[: matrix.position] = data[: matrix.position]
            other = mmap.mmap(-1, len(data))
            other.write(noise.astype(np.uint8).tobytes())
            np.testing.assert_array_equal(
                matrix._replace(map=other).read(10, 20), expected
            )


def test_ranges(rxfilename):
    reader = FeatureReader()
    whole = read_mat(rxfilename).astype(np.float32)
    name = f"{rxfilename}[10:29,1:3]"
    assert reader.shape(name) == (20, 3)
    np.testing.assert_array_equal(reader.read(name, 5, 10), whole[15:25, 1:4])
    assert reader.shape(f"{rxfilename}[38:42]") == (2, 5)
    with pytest.raises(InputError, match="frames 15 to 25 of a matrix with 20"):
        reader.read(name, 15, 10)


@pytest.mark.parametrize("start, length", [(-1, 5), (0, 41), (41, None), (30, 11)])
def test_frames_that_are_not_there(rxfilename, start, length):
    with pytest.raises(InputError, match=f"{rxfilename}: frames {start} to"):
        FeatureReader().read(rxfilename, start, length)


def test_pickled_reader_reads(rxfilename):
    reader = FeatureReader()
    reader.read(rxfilename)
    again = pickle.loads(pickle.dumps(reader))
    assert (again.read(rxfilename, 3, 4) == reader.read(rxfilename, 3, 4)).all()


def test_pipes_and_named_pipes(tmp_path):
    write_mat(tmp_path / "x", FEATS)
    assert (FeatureReader().read(f"cat {tmp_path}/x |", 3, 4) == FEATS[3:7]).all()
    read_end, write_end = os.pipe()
    os.write(write_end, (tmp_path / "x").read_bytes())
    os.close(write_end)
    assert (FeatureReader().read(f"/dev/fd/{read_end}", 3, 4) == FEATS[3:7]).all()
    os.close(read_end)


def test_few_files_stay_open(tmp_path, monkeypatch):
    monkeypatch.setattr(feature_reader, "_MAX_MAPS", 3)
    before = len(os.listdir("/proc/self/fd"))
    reader = FeatureReader()
    for i in range(10):
        write_mat(tmp_path / f"{i}", FEATS + i)
    for _ in range(2):
        for i in range(10):
            assert (reader.read(f"{tmp_path}/{i}", 3, 4) == FEATS[3:7] + i).all()
    assert len(os.listdir("/proc/self/fd")) <= before + 3


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "cannot open"),
        (b"\0BFV \4\1\0\0\0", "expected a matrix"),
        (b"\0BCM4 ", "expected a matrix"),
        (b"\0BFM \4\1\0\0", "truncated: no whole header"),
        (b"\0BCM2 " + bytes(15), "truncated: no whole header"),
        (b"\0BFM \5\1\0\0\0\4\1\0\0\0" + bytes(9), "no matrix sizes"),
        (b"\0BFM " + struct.pack("<bibi", 4, 2, 4, 2) + bytes(15), "file ends at 30"),
        (b"\0BFM " + struct.pack("<bibi", 4, -1, 4, -1), "damaged"),
        (b"\0BFM " + struct.pack("<bibi", 4, 2**31 - 1, 4, 0), "damaged"),
        (b"\0BCM " + struct.pack("<ffii", 0, 1, 2, 2) + bytes(19), "file ends at 40"),
        (b"\0BCM " + struct.pack("<ffii", 0, 1, 2**31 - 1, 2**31 - 1), "file ends"),
        (b"[ 1 2", "expected '\\]'"),
    ],
)
def test_damaged_files(tmp_path, data, message):
    path = tmp_path / "x"
    path.write_bytes(data)
    for method in (FeatureReader().read, FeatureReader().shape):
        with pytest.raises(InputError, match=message) as info:
            method(str(path))
        assert str(info.value).startswith(f"{path}: ")


def test_offset_past_the_end_and_missing_file(tmp_path):
    write_mat(tmp_path / "x", FEATS)
    with pytest.raises(InputError, match="nothing at byte 5000"):
        FeatureReader().read(f"{tmp_path}/x:5000")
    with pytest.raises(InputError, match="/no/such:3: cannot open: No such file"):
        FeatureReader().read("/no/such:3")
    with pytest.raises(InputError, match="cannot open"):
        FeatureReader().read(str(tmp_path))


def test_wide_matrices(tmp_path):
    wide = np.random.default_rng(1).normal(size=(20, 700)).astype(np.float32)
    write_mat(tmp_path / "x", wide, compression_method=2)
    segment = FeatureReader().read(f"{tmp_path}/x", 5, 9)
    assert np.abs(segment - wide[5:14]).max() < 0.1


HEADERS = [b"\0BFM \4", b"\0BDM \4", b"\0BCM ", b"\0BCM2 ", b"\0BCM3 ", b"\1\0\0\0"]
HEADERS += [b"\4", b"\0\0\0\0", b"\2\0\0\0", b"\xff\xff\xff\x7f", bytes(40)]


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(HEADERS) | st.binary(max_size=5), max_size=9))
def test_any_bytes_are_read_or_refused(tmp_path_factory, pieces):
    path = Path(tmp_path_factory.getbasetemp()) / "fuzz"
    path.write_bytes(b"".join(pieces))
    try:
        rows, cols = FeatureReader().shape(f"{path}:0")
        segment = FeatureReader().read(f"{path}:0", rows // 2)
        assert segment.shape == (rows - rows // 2, cols)
    except InputError:
        pass
