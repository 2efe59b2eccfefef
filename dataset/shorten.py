"""Decoding of Shorten, the compression inside NIST SPHERE files from the LDC.

The method: Robinson, "SHORTEN: simple lossless and near-lossless waveform compression",
CUED/F-INFENG/TR.156, 1994. What a stream looks like is known from public decoders
(LDC's sph2pipe, FFmpeg's shorten.c), whose facts, not code, are used here. Neither
soundfile nor FFmpeg reads mu-law speech, which nearly all telephone corpora are.

A stream is a row of numbers, each of a unary part (zeros, then a one) and some plain
bits; blocks of 256 samples or so are such numbers, the residuals of a predictor. Only
the steps from number to number are taken one at a time; the rest is done by block.
"""

from __future__ import annotations

import functools
from collections import deque

import numpy as np

from dataset.errors import InputError

MAGIC = b"ajkg"
_VERSIONS = (1, 2)

_DIFF0, _DIFF1, _DIFF2, _DIFF3, _QUIT, _BLOCK_SIZE, _SHIFT, _LPC, _ZERO = range(9)
_AU1, _S8, _U8, _S16HL, _U16HL, _S16LH, _U16LH, _, _AU2 = range(9)
_MEANS = {_AU1: 0, _S8: 0, _U8: 128, _S16HL: 0, _S16LH: 0, _AU2: 0}
_MEANS |= {_U16HL: 32768, _U16LH: 32768}
_SIXTEEN_BITS = (_S16HL, _S16LH)
_MULAW = (_AU1, _AU2)

_MOST_CHANNELS, _LONGEST_BLOCK, _MOST_PREDICTORS, _MOST_MEANS = 8, 1 << 16, 64, 256
_WRAP = 3
_LPC_BITS = 5


def decode_shorten(content: bytes, limit: int) -> tuple[np.ndarray, bool]:
    """Decompresses a Shorten stream.

    Args:
        content: the stream, beginning with `MAGIC`.
        limit: samples of a channel after which the rest is not looked at.

    Returns:
        int64 [channels, n], n <= limit; and whether they are bytes of mu-law. Samples
        of other types are integers, as they were.

    Raises:
        InputError: the stream is damaged or cut short, or of another version.
    """
    version = content[4] if len(content) > 4 else 0
    if content[:4] != MAGIC or version not in _VERSIONS:
        raise InputError(
            f"expected Shorten data of version 1 or 2, got {content[:5]!r}"
        )
    bits = _Bits(content[5:])
    header = _Header(bits)
    channels = [_Channel(header, version) for _ in range(header.num_channels)]
    size, turn, length = header.block_size, 0, 0
    while length < limit and (function := bits.number(2)) != _QUIT:
        if function == _BLOCK_SIZE:
            size = bits.long_number()
            _check("block size", size, 1, _LONGEST_BLOCK)
        elif function == _SHIFT:
            shift = bits.number(2)
            _check("shift", shift, 0, 12 if header.is_mulaw else 31)
            for channel in channels:
                channel.shift = shift
        elif function in (_DIFF0, _DIFF1, _DIFF2, _DIFF3, _LPC, _ZERO):
            channels[turn].read_block(bits, function, size)
            turn = (turn + 1) % len(channels)
            length += size if turn == 0 else 0
        else:
            raise InputError(f"damaged Shorten data: no function {function}")
    shortest = min(sum(map(len, channel.blocks)) for channel in channels)
    samples = [
        np.concatenate([*channel.blocks, np.zeros(0, np.int64)])[: min(shortest, limit)]
        for channel in channels
    ]
    return np.stack(samples), header.is_mulaw


class _Bits:
    """The numbers of a stream: a byte holds one bit, so that `bytes.find` steps."""

    def __init__(self, content: bytes) -> None:
        self._array = np.unpackbits(np.frombuffer(content, np.uint8))
        self._bits = self._array.tobytes()
        self._position = 0

    def number(self, num_bits: int) -> int:
        """The next number, zero or more, with `num_bits` plain bits."""
        return int(self.numbers(1, num_bits)[0])

    def signed(self, num_bits: int) -> int:
        """The next number that may be negative."""
        return int(_signed(self.numbers(1, num_bits + 1))[0])

    def long_number(self) -> int:
        """A number that is preceded by its number of plain bits."""
        num_bits = self.number(2)
        _check("number of bits", num_bits, 0, 32)
        return self.number(num_bits)

    def residuals(self, count: int, num_bits: int) -> np.ndarray:
        """int64 [count] that may be negative."""
        return _signed(self.numbers(count, num_bits + 1))

    def numbers(self, count: int, num_bits: int) -> np.ndarray:
        """int64 [count]: the next numbers, with `num_bits` plain bits each."""
        find, position, step = self._bits.find, self._position, num_bits + 1
        ends = [position]
        append = ends.append
        for _ in range(count):
            position = find(b"\x01", position) + step
            append(position)
        if position > len(self._bits) or step - 1 in ends[1:]:
            # `find` gives -1 where there is no one; stepping on from there goes astray
            raise InputError("the Shorten data is cut short or damaged")
        self._position = position
        stops = np.array(ends, np.int64)
        values = np.diff(stops) - step
        for bit in range(num_bits, 0, -1):
            values = values * 2 + self._array[stops[1:] - bit]
        return values


def _signed(numbers: np.ndarray) -> np.ndarray:
    """0, 1, 2, 3, ... stand for 0, -1, 1, -2, ..."""
    return (numbers >> 1) ^ -(numbers & 1)


class _Header:
    """What precedes the blocks."""

    def __init__(self, bits: _Bits) -> None:
        self.kind = bits.long_number()
        if self.kind not in _MEANS:
            raise InputError(f"Shorten data of type {self.kind} cannot be read")
        self.num_channels = bits.long_number()
        self.block_size = bits.long_number()
        self.num_predictors = bits.long_number()
        self.num_means = bits.long_number()
        num_skipped = bits.long_number()
        _check("number of channels", self.num_channels, 1, _MOST_CHANNELS)
        _check("block size", self.block_size, 1, _LONGEST_BLOCK)
        _check("number of predictors", self.num_predictors, 0, _MOST_PREDICTORS)
        _check("number of means", self.num_means, 0, _MOST_MEANS)
        bits.numbers(num_skipped, 7)

    @property
    def is_mulaw(self) -> bool:
        """Whether samples are mu-law, by their place in the order of values."""
        return self.kind in _MULAW


class _Channel:
    """Blocks of a channel, and what the next one is predicted from."""

    def __init__(self, header: _Header, version: int) -> None:
        self._header = header
        self._rounds = version >= 2
        self._past = np.zeros(max(_WRAP, header.num_predictors), np.int64)
        mean = _MEANS[header.kind]
        self._means = deque([mean] * max(1, header.num_means), max(1, header.num_means))
        self.shift = 0
        self.blocks: list[np.ndarray] = []

    def read_block(self, bits: _Bits, function: int, size: int) -> None:
        """Reads and predicts the next `size` samples."""
        offset = self._offset()
        if function == _ZERO:
            block = np.zeros(size, np.int64)
        else:
            num_bits = bits.number(3)
            _check("number of bits", num_bits, 0, 32)
            if function == _LPC:
                block = self._predict(bits, num_bits, size, offset)
            elif function == _DIFF0:
                block = bits.residuals(size, num_bits) + offset
            else:
                block = _sum_up(bits.residuals(size, num_bits), self._past, function)
        if self._header.num_means:
            total = int(block.sum()) + (size // 2 if self._rounds else 0)
            mean = _divide(total, size)
            self._means.append(mean << self.shift if self._rounds else mean)
        self._past = np.concatenate([self._past, block])[-len(self._past) :]
        self.blocks.append(self._unshifted(block))

    def _offset(self) -> int:
        """The mean of the last blocks, as the coder knows it."""
        count = self._header.num_means
        if not count:
            return self._means[0]
        if not self._rounds:
            return _divide(sum(self._means), count)
        mean = _divide(sum(self._means) + count // 2, count)
        return (mean >> (self.shift - 1)) >> 1 if self.shift else mean

    def _predict(
        self, bits: _Bits, num_bits: int, size: int, offset: int
    ) -> np.ndarray:
        """Linear prediction, in integers that are rounded at each sample."""
        order = bits.number(2)
        _check("order", order, 0, self._header.num_predictors)
        weights = [bits.signed(_LPC_BITS) for _ in range(order)]
        weights.reverse()
        values = [
            int(value) - offset for value in self._past[len(self._past) - order :]
        ]
        start = 1 << _LPC_BITS if self._rounds else 0
        for i, residual in enumerate(bits.residuals(size, num_bits).tolist()):
            total = start
            for weight, value in zip(weights, values[i:], strict=False):
                total += weight * value
            values.append(residual + (total >> _LPC_BITS))
        return np.array(values[order:], np.int64) + offset

    def _unshifted(self, block: np.ndarray) -> np.ndarray:
        kind = self._header.kind
        if kind not in _MULAW:
            samples = block << self.shift
            if kind in _SIXTEEN_BITS and np.any(samples != samples.astype(np.int16)):
                raise InputError("damaged Shorten data: samples of more than 16 bits")
            return samples
        places = block + 128
        if kind == _AU2:  # -1 is the negative zero
            places = np.where(block < 0, places + 1, places)
        if places.min() < 0 or places.max() > 255:
            raise InputError("damaged Shorten data: no such mu-law value")
        codes = _mulaw_by_place(self.shift)[places]
        return np.where(block == -1, 0x7F, codes) if kind == _AU2 else codes


def _sum_up(residuals: np.ndarray, past: np.ndarray, order: int) -> np.ndarray:
    """Samples whose differences of this order are the residuals; past: those before."""
    known = [int(np.diff(past[-3:], n)[-1]) for n in range(order)]
    values = residuals
    for before in reversed(known):
        values = np.cumsum(values) + before
    return values


@functools.cache
def _mulaw_by_place(shift: int) -> np.ndarray:
    """uint8 [256]: mu-law bytes by their place in the order of values, 0 at [128].

    In a shifted block all values are nearest to multiples of 2^(shift + 3); bytes that
    are not are moved out to the ends, so that those that occur lie close together.
    """
    magnitudes = np.array([decode_mulaw(np.uint8(255 - i)) for i in range(128)])
    step = 8 << shift
    up = _nearest(np.arange(0, 32768, step), magnitudes)
    down = _nearest(np.arange(step, 32769, step), magnitudes)
    places = [*_aside(down)[::-1], *down[::-1]]
    codes = [127 - i for i in places] + [255 - i for i in [*up, *_aside(up)]]
    return np.array(codes, np.int64)


def _nearest(values: np.ndarray, magnitudes: np.ndarray) -> list[int]:
    """Which magnitudes are nearest to some value, ascending; of two the larger."""
    between = (magnitudes[1:] + magnitudes[:-1]) / 2
    return np.unique(np.searchsorted(between, values, side="right")).tolist()


def _aside(used: list[int]) -> list[int]:
    return sorted(set(range(128)) - set(used))


def decode_mulaw(codes: np.ndarray) -> np.ndarray:
    """Bytes of mu-law (ITU-T G.711) as int32 in 16-bit scale."""
    return _mulaw_values()[np.asarray(codes, np.uint8)]


@functools.cache
def _mulaw_values() -> np.ndarray:
    inverted = np.arange(255, -1, -1)
    mantissa = ((inverted & 15) << 3) + 132
    magnitude = (mantissa << ((inverted >> 4) & 7)) - 132
    return np.where(inverted & 128, -magnitude, magnitude).astype(np.int32)


def _divide(numerator: int, denominator: int) -> int:
    """Integer division that cuts towards zero, as in C."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def _check(what: str, value: int, lowest: int, highest: int) -> None:
    if not lowest <= value <= highest:
        raise InputError(
            f"damaged Shorten data: expected a {what} from {lowest} to {highest}, "
            f"got {value}"
        )
