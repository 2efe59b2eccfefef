"""HTK's format: what is written comes back, what is damaged is refused."""

import io
import struct

import numpy as np
import pytest

from dataset.errors import InputError
from dataset.htk import FBANK, MFCC, WITH_C0, HtkFeatures, read_htk, write_htk

FRAMES = np.arange(6, dtype=np.float32).reshape(3, 2) / 7


def written(features):
    stream = io.BytesIO()
    write_htk(stream, features)
    return stream.getvalue()


def test_round_trip():
    content = written(HtkFeatures(FRAMES, 12.5, MFCC | WITH_C0))
    features = read_htk(io.BytesIO(content))
    np.testing.assert_array_equal(features.frames, FRAMES)
    assert features[1:] == (12.5, MFCC | WITH_C0)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ((1, 100000, 8, FBANK | 0o2000), "compressed"),
        ((1, 100000, 8, FBANK | 0o10000), "checksum"),
        ((-1, 100000, 8, FBANK), "-1 frames"),
        ((1, 100000, 6, FBANK), "6 bytes"),
        ((1 << 30, 100000, 8, FBANK), "truncated"),
    ],
)
def test_damaged(header, message):
    with pytest.raises(InputError, match=message):
        read_htk(io.BytesIO(struct.pack(">iihH", *header) + bytes(4)))


def test_what_does_not_fit():
    with pytest.raises(InputError, match="8191"):
        written(HtkFeatures(np.zeros((1, 8192), np.float32), 10, FBANK))
    with pytest.raises(InputError, match="no text form"):
        write_htk(io.BytesIO(), HtkFeatures(FRAMES, 10, FBANK), binary=False)
