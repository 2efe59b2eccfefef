"""NIST SPHERE files for tests, as the LDC ships them: plain or Shorten-compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dataset.shorten import _mulaw_by_place, decode_mulaw

DIFF0, DIFF1, DIFF2, DIFF3, QUIT, BLOCK_SIZE, SHIFT, LPC, ZERO = range(9)


def encode_mulaw(samples: np.ndarray) -> np.ndarray:
    """The mu-law bytes nearest to samples in 16-bit scale."""
    codes = np.array([c for c in range(256) if c != 0x7F])
    values = decode_mulaw(codes)
    order = np.argsort(values)
    between = (values[order][1:] + values[order][:-1]) / 2
    return codes[order][np.searchsorted(between, samples)].astype(np.uint8)


def write_sphere(
    path: Path,
    samples: np.ndarray,
    rate: int = 8000,
    coding: str = "ulaw",
    shorten: bool = False,
    byte_format: str = "10",
) -> Path:
    """Samples int16 [channels, n] as a SPHERE file."""
    width = 1 if coding == "ulaw" else 2
    data = encode_mulaw(samples) if coding == "ulaw" else samples
    fields = {
        "channel_count": len(data),
        "sample_count": data.shape[1],
        "sample_rate": rate,
        "sample_n_bytes": width,
        "sample_byte_format": "1" if width == 1 else byte_format,
        "sample_sig_bits": 8 * width,
        "sample_coding": coding + (",embedded-shorten-v2.00" if shorten else ""),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sphere_header(fields) + _body(data, shorten, byte_format))
    return path


def sphere_header(fields: dict[str, int | str]) -> bytes:
    """1024 bytes."""
    lines = ["NIST_1A", "   1024"]
    for name, value in fields.items():
        kind = "-i" if isinstance(value, int) else f"-s{len(value)}"
        lines.append(f"{name} {kind} {value}")
    return ("\n".join([*lines, "end_head"]) + "\n").encode().ljust(1024)


def _body(data: np.ndarray, shorten: bool, byte_format: str) -> bytes:
    if not shorten:
        order = {"10": ">i2", "01": "<i2"}[byte_format]
        return data.T.astype(data.dtype if data.dtype == np.uint8 else order).tobytes()
    if data.dtype == np.uint8:
        return shorten_stream(mulaw_places(data), kind=8)
    return shorten_stream(data, kind=3)


def mulaw_places(codes: np.ndarray, shift: int = 0) -> np.ndarray:
    """Where the second mu-law type of Shorten puts bytes."""
    place = {int(code): i - 128 for i, code in enumerate(_mulaw_by_place(shift))}
    place |= {code: p - 1 for code, p in place.items() if p < 0}
    place[0x7F] = -1
    return np.vectorize(place.__getitem__)(codes)


class Writer:
    """Bits of a Shorten stream."""

    def __init__(self) -> None:
        self.bits: list[str] = []

    def number(self, value: int, num_bits: int) -> None:
        plain = format(value & ((1 << num_bits) - 1), f"0{num_bits}b")
        self.bits.append("0" * (value >> num_bits) + "1" + (plain if num_bits else ""))

    def signed(self, value: int, num_bits: int) -> None:
        self.number(2 * value if value >= 0 else -2 * value - 1, num_bits + 1)

    def long_number(self, value: int) -> None:
        num_bits = value.bit_length()
        self.number(num_bits, 2)
        self.number(value, num_bits)

    def bytes(self) -> bytes:
        bits = "".join(self.bits)
        bits += "0" * (-len(bits) % 32)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def shorten_stream(
    samples: np.ndarray,
    kind: int,
    block_size: int = 256,
    num_means: int = 4,
    lpc: tuple[int, ...] = (),
    functions: tuple[int, ...] = (DIFF0, DIFF1, DIFF2, DIFF3),
    shift: int = 0,
    version: int = 2,
) -> bytes:
    """Shorten's coder, sample by sample; the functions are taken in turn."""
    writer = Writer()
    for value in (kind, len(samples), block_size, len(lpc), num_means, 0):
        writer.long_number(value)
    if shift:
        writer.number(SHIFT, 2)
        writer.number(shift, 2)
    length, turn = samples.shape[1], 0
    means = [[0] * max(num_means, 1) for _ in samples]
    for start in range(0, length, block_size):
        size = min(block_size, length - start)
        if size != block_size:
            writer.number(BLOCK_SIZE, 2)
            writer.long_number(size)
        for channel, row in enumerate(samples):
            values = [int(v) for v in row[: start + size]]
            values = [0] * 64 + values
            block = values[-size:]
            function = functions[turn % len(functions)] if any(block) else ZERO
            _write_block(
                writer, values, size, function, means[channel], num_means, lpc, shift,
                version,
            )  # fmt: skip
            turn += 1
    writer.number(QUIT, 2)
    return b"ajkg" + bytes([version]) + writer.bytes()


def _write_block(
    writer: Writer,
    values: list[int],
    size: int,
    function: int,
    means: list[int],
    num_means: int,
    lpc: tuple[int, ...],
    shift: int,
    version: int,
) -> None:
    half = (len(means) // 2, size // 2) if version > 1 else (0, 0)
    offset = int((sum(means) + half[0]) / len(means)) if num_means else 0
    if version > 1 and num_means and shift:
        offset = (offset >> (shift - 1)) >> 1
    residuals = []
    for i in range(len(values) - size, len(values)):
        x, a, b, c = values[i], values[i - 1], values[i - 2], values[i - 3]
        if function == LPC:
            total = 32 if version > 1 else 0
            for j, weight in enumerate(lpc):
                total += weight * (values[i - j - 1] - offset)
            residuals.append(x - offset - (total >> 5))
        else:
            guess = (offset, a, 2 * a - b, 3 * (a - b) + c)
            residuals.append(x - guess[function] if function != ZERO else 0)
    writer.number(function, 2)
    if function != ZERO:
        num_bits = max(int(np.mean(np.abs(residuals)) + 1).bit_length() - 1, 0)
        writer.number(num_bits, 3)
        if function == LPC:
            writer.number(len(lpc), 2)
            for weight in lpc:
                writer.signed(weight, 5)
        for residual in residuals:
            writer.signed(residual, num_bits)
    if num_means:
        mean = int((sum(values[-size:]) + half[1]) / size)
        means[:] = [*means[1:], mean << shift if version > 1 else mean]
