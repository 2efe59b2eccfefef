"""Shorten streams: what a sample-by-sample coder wrote comes back, damage is told."""

import numpy as np
import pytest
from toy_sphere import (
    DIFF0,
    DIFF1,
    DIFF2,
    DIFF3,
    LPC,
    encode_mulaw,
    mulaw_places,
    shorten_stream,
)

from dataset.errors import InputError
from dataset.shorten import decode_mulaw, decode_shorten


def speech(channels=1, length=1000, seed=0, scale=300.0):
    """Something that goes up and down, with silence at its end."""
    steps = np.random.default_rng(seed).normal(0, scale, (channels, length))
    samples = np.convolve(steps[0], np.ones(9), "same")[None] + steps
    samples[:, length * 2 // 3 :] = 0
    return samples.astype(np.int64)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("num_means", [0, 1, 4])
@pytest.mark.parametrize("function", [DIFF0, DIFF1, DIFF2, DIFF3, LPC])
def test_pcm_comes_back(function, num_means, version):
    samples = speech(channels=2, length=999)
    stream = shorten_stream(
        samples, 5, 100, num_means, (40, -12, 3), (function,), version=version
    )
    decoded, is_mulaw = decode_shorten(stream, 10**6)
    assert not is_mulaw
    np.testing.assert_array_equal(decoded, samples)


@pytest.mark.parametrize("shift", [1, 3, 7])
def test_shifted_pcm(shift):
    samples = speech(scale=5) + 60  # so that the means of blocks count
    stream = shorten_stream(samples, 3, shift=shift, functions=(DIFF0, LPC), lpc=(9,))
    decoded, _ = decode_shorten(stream, 10**6)
    np.testing.assert_array_equal(decoded, samples << shift)


def test_mulaw_with_both_zeros():
    codes = encode_mulaw(speech(2, 700))
    codes[:, 10:30] = 0x7F
    codes[:, 500:] = 0xFF
    decoded, is_mulaw = decode_shorten(shorten_stream(mulaw_places(codes), 8), 10**6)
    assert is_mulaw
    np.testing.assert_array_equal(decoded, codes)


@pytest.mark.parametrize("shift", range(13))
def test_shifted_mulaw_is_nearest_to_multiples(shift):
    """The values at 0, 1, 2 and -2 of a block (-1 is the negative zero)."""
    decoded, _ = decode_shorten(
        shorten_stream(np.array([[0, 1, -2, -1]]), 8, shift=shift), 4
    )
    zero, up, down, negative_zero = decode_mulaw(decoded[0])
    assert zero == negative_zero == 0 and decoded[0, 3] == 0x7F
    every = decode_mulaw(np.arange(256))
    nearest = np.abs(every + (8 << shift)).min()
    assert abs(down + (8 << shift)) == nearest
    if shift < 12:
        assert abs(up - (8 << shift)) == nearest


def test_of_two_mulaw_values_as_near_the_larger_is_taken():
    """384, the third multiple of 128, lies between 372 and 396."""
    decoded, _ = decode_shorten(shorten_stream(np.array([[3, -4]]), 8, shift=4), 2)
    assert decode_mulaw(decoded).tolist() == [[396, -396]]


def test_the_first_mulaw_type_has_one_zero():
    decoded, _ = decode_shorten(shorten_stream(np.array([[0, -1, 1, -128]]), 0), 4)
    assert decoded.tolist() == [[0xFF, 0x7E, 0xFE, 0x7F]]


def test_no_more_is_decoded_than_asked_for():
    samples = speech(length=5000)
    decoded, _ = decode_shorten(shorten_stream(samples, 3)[:4000], 300)
    np.testing.assert_array_equal(decoded, samples[:, :300])


def test_mulaw_is_g711():
    """Bytes and values of ITU-T G.711, table 2, in 16-bit scale."""
    pairs = {0x80: 32124, 0x00: -32124, 0xFF: 0, 0x7F: 0, 0x8F: 16764, 0xEF: 132}
    codes = np.array(list(pairs), np.uint8)
    assert decode_mulaw(codes).tolist() == list(pairs.values())


@pytest.mark.parametrize(
    "damage",
    [
        lambda stream: stream[:3],
        lambda stream: stream[:4] + b"\7" + stream[5:],
        lambda stream: stream[: len(stream) // 2],
        lambda stream: stream[:5],
        lambda stream: stream[:5] + b"\xff" * 100,
        lambda stream: stream[:40] + bytes(9000) + stream[90:],
    ],
)
def test_damage_is_told(damage):
    with pytest.raises(InputError, match="Shorten"):
        decode_shorten(damage(shorten_stream(speech(), 3)), 10**6)


def test_random_bytes_give_errors_only():
    rng = np.random.default_rng(1)
    for _ in range(300):
        stream = bytearray(shorten_stream(speech(length=300, seed=2), 8))
        for place in rng.integers(5, len(stream), 3):
            stream[place] = rng.integers(256)
        try:
            decoded, _ = decode_shorten(bytes(stream), 300)
        except InputError:
            continue
        assert decoded.shape[1] <= 300
