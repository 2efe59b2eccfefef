"""NIST SPHERE files, the format of telephone corpora from the LDC.

A header of text lines `name -type value`, a multiple of 1024 bytes, then samples:
16-bit PCM of either byte order or mu-law, plain or Shorten-compressed. Other codings
(A-law) are left to soundfile.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np

from dataset import shorten
from dataset.errors import InputError

MAGIC = b"NIST_1A"
_log = logging.getLogger("kaldi")

_LONGEST_HEADER = 1 << 20
_BYTE_ORDERS = {"01": "<i2", "10": ">i2"}


class SphereHeader(NamedTuple):
    """What a header says: bytes until the samples, and how these are laid out."""

    size: int
    num_channels: int
    num_samples: int
    rate: int
    coding: str
    byte_format: str


def parse_header(content: bytes) -> SphereHeader:
    """The header of a SPHERE file.

    Raises:
        InputError: it is no such header, or lacks a field.
    """
    try:
        size = int(content[8:16])
    except ValueError:
        size = 0
    if not content.startswith(MAGIC) or not 0 < size <= _LONGEST_HEADER:
        raise InputError("expected a NIST SPHERE header")
    lines = content[16:size].decode("latin-1").split("\n")
    fields = dict(line.split()[::2] for line in lines if len(line.split()) == 3)
    try:
        channels, samples, rate = (
            int(fields[name])
            for name in ("channel_count", "sample_count", "sample_rate")
        )
    except (KeyError, ValueError):
        channels = samples = rate = 0
    if min(channels, samples, rate) < 1:
        raise InputError(
            "expected a SPHERE header with numbers above zero for channel_count, "
            f"sample_count and sample_rate, got {fields}"
        )
    coding = fields.get("sample_coding", "pcm").split(",")[0]
    byte_format = fields.get("sample_byte_format", "")
    return SphereHeader(size, channels, samples, rate, coding, byte_format)


def decode_sphere(content: bytes) -> tuple[np.ndarray, int] | None:
    """Samples of a SPHERE file, float32 [channels, n] in 16-bit scale, and the rate.

    As in sph2pipe, samples that begin as Shorten data are taken for such, whatever the
    header says, and of fewer samples than it says there is a warning. None if the
    coding is one for soundfile.

    Raises:
        InputError: header or Shorten data are damaged or cut short.
    """
    header = parse_header(content)
    body = content[header.size :]
    if body.startswith(shorten.MAGIC):
        samples, is_mulaw = shorten.decode_shorten(body, header.num_samples)
        samples = shorten.decode_mulaw(samples) if is_mulaw else samples
    elif header.coding in ("ulaw", "mu-law"):
        samples = shorten.decode_mulaw(np.frombuffer(body, np.uint8))
    elif header.coding == "pcm" and header.byte_format in _BYTE_ORDERS:
        whole = len(body) // 2 * 2
        samples = np.frombuffer(body[:whole], _BYTE_ORDERS[header.byte_format])
    else:
        return None
    if samples.ndim == 1:
        frames = min(header.num_samples, len(samples) // header.num_channels)
        samples = samples[: frames * header.num_channels]
        samples = samples.reshape(frames, header.num_channels).T
    channels, length = samples.shape
    if channels != header.num_channels:
        raise InputError(
            f"the header says {header.num_channels} channels, the samples have "
            f"{channels}"
        )
    if length < header.num_samples:
        _log.warning(
            "expected %d samples by the SPHERE header, got %d (a truncated file?); "
            "these are used",
            *(header.num_samples, length),
        )
    return np.ascontiguousarray(samples, np.float32), header.rate
