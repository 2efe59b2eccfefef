"""The small things in Kaldi's streams: marks, words, numbers, keys.

Kaldi: src/base/io-funcs, which calls numbers "basic types".
"""

from __future__ import annotations

import ctypes
import re
import struct

from dataset.errors import InputError
from dataset.kaldi_stream import Stream, peek, read_exactly

MAX_TOKEN = 4096
"""Longer words are taken for a file that is not Kaldi's."""

_NEXT_TOKEN = re.compile(rb"\s*(\S+)\s")
_NEXT_KEY = re.compile(rb"\s*(\S+)(?:[ \t]|(?=[\r\n]))")


def read_binary_flag(stream: Stream) -> bool:
    """Whether the object that begins here is binary; reads its two-byte mark."""
    if peek(stream) != b"\0":
        return False
    mark = stream.read(2)
    if mark != b"\0B":
        raise InputError(f"expected the binary mark 0 'B', got {bytes(mark)!r}")
    return True


def write_binary_flag(stream: Stream, binary: bool) -> None:
    """Begins an object."""
    if binary:
        stream.write(b"\0B")


def read_token(stream: Stream) -> str:
    """The next word, with the white space before it and one character after it.

    Raises:
        InputError: the stream ends, or this is no text.
    """
    look_ahead = getattr(stream, "peek", None)
    if look_ahead is not None and (match := _NEXT_TOKEN.match(look_ahead(1))):
        stream.read(match.end())
        return decode_word(match[1])
    word = _read_word(stream)
    if not word:
        raise InputError("truncated: expected a token")
    if not stream.read(1):
        raise InputError(f"truncated: expected a space after token {word!r}")
    return word


def _read_word(stream: Stream) -> str:
    """The next word without the character after it; empty at the end."""
    while (byte := stream.read(1)).isspace():
        pass
    word = bytearray(byte)
    while (byte := peek(stream)) and not byte.isspace():
        word += stream.read(1)
        if len(word) > MAX_TOKEN:
            raise InputError(f"no space in {MAX_TOKEN} bytes: not a Kaldi file")
    return decode_word(bytes(word))


def decode_word(word: bytes) -> str:
    """Text from UTF-8."""
    try:
        return word.decode()
    except UnicodeDecodeError:
        raise InputError(
            f"expected a word in UTF-8, got {word[:40]!r}: not a Kaldi file, or damaged"
        ) from None


def write_token(stream: Stream, token: str) -> None:
    """A word and the space after it."""
    stream.write(token.encode() + b" ")


def expect_token(stream: Stream, token: str) -> None:
    """Reads a word that must be `token`."""
    found = read_token(stream)
    if found != token:
        raise InputError(f"expected token {token}, got '{found}'")


def read_int32(stream: Stream, binary: bool) -> int:
    """One 32-bit integer."""
    if not binary:
        return parse_int(read_token(stream))
    size, value = struct.unpack("<bi", read_exactly(stream, 5, "an integer"))
    if size != 4:
        raise InputError(f"expected a 4-byte integer, got the size mark {size}")
    return value


def write_int32(stream: Stream, value: int, binary: bool) -> None:
    """One 32-bit integer, followed by a space in text."""
    try:
        packed = struct.pack("<bi", 4, value)
    except struct.error:
        raise InputError(f"expected a 32-bit integer, got {value!r}") from None
    stream.write(packed if binary else b"%d " % value)


def read_float(stream: Stream, binary: bool) -> float:
    """One number, written in single or double precision."""
    if not binary:
        return parse_float(read_token(stream))
    size = read_exactly(stream, 1, "a number")[0]
    if size not in (4, 8):
        raise InputError(f"expected a 4- or 8-byte number, got the size mark {size}")
    data = read_exactly(stream, size, "a number")
    return struct.unpack("<f" if size == 4 else "<d", data)[0]


def write_float(
    stream: Stream, value: float, binary: bool, double: bool = False
) -> None:
    """One number, in single precision unless `double`; a space after it in text."""
    if not double:
        value = ctypes.c_float(value).value  # infinite where single precision ends
    if binary:
        stream.write(struct.pack("<bd" if double else "<bf", 8 if double else 4, value))
    else:
        stream.write(b"%.7g " % value)


def parse_int(word: str) -> int:
    """A 32-bit integer in decimal."""
    try:
        value = int(word)
        if "_" not in word and -(2**31) <= value < 2**31:
            return value
    except ValueError:
        pass
    raise InputError(f"expected a 32-bit integer, got '{word[:40]}'")


def parse_float(word: str) -> float:
    """A number in decimal, `inf` or `nan`."""
    try:
        if "_" not in word:
            return float(word)
    except ValueError:
        pass
    raise InputError(f"expected a number, got '{word[:40]}'")


def read_key(stream: Stream) -> str | None:
    """The key of the next entry of an archive; None at the end.

    The space or tab after it is read too; the end of a line is left, for a key may be
    all there is in a line of text.
    """
    look_ahead = getattr(stream, "peek", None)
    if look_ahead is not None and (match := _NEXT_KEY.match(look_ahead(1))):
        stream.read(match.end())
        return decode_word(match[1])
    key = _read_word(stream)
    if not key:
        return None
    end = peek(stream)
    if end in (b" ", b"\t"):
        stream.read(1)
    elif end not in (b"\r", b"\n"):
        raise InputError(f"expected a space after key '{key[:40]}', got {end!r}")
    return key


def read_line(stream: Stream) -> bytes:
    """The rest of the line."""
    line = stream.readline()
    if not line:
        raise InputError("truncated: expected a line of text")
    return line


def read_single_word(stream: Stream) -> str:
    """The only word in the rest of the line."""
    words = decode_word(read_line(stream)).split()
    if len(words) != 1:
        raise InputError(f"expected one number on the line, got {len(words)} words")
    return words[0]
