"""Names for speakers and utterances that every file and script of Kaldi can bear."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence


def speaker_names(speakers: Iterable[str]) -> dict[str, str]:
    """Safe names: letters, digits, dot and underscore only.

    Without a hyphen, or anything that sorts before it, `<speaker>-<utterance>` sorts as
    the speakers do, which Kaldi's scripts expect. Names that become alike are told
    apart by a fingerprint.
    """
    names = {speaker: safe(speaker) for speaker in sorted(speakers)}
    common = {name for name, number in Counter(names.values()).items() if number > 1}
    return {
        speaker: f"{name}_{fingerprint(speaker)}"
        if name in common and name != speaker
        else name
        for speaker, name in names.items()
    }


def utterance_names(utterances: Sequence[tuple[str, str]]) -> list[str]:
    """`<speaker>-<name>` of each pair of a safe speaker and a name, which becomes safe.

    A name that begins so already stays. Names of a speaker that become alike are told
    apart by a fingerprint; those that are alike stay so.
    """
    names = [_prefixed(speaker, safe(name, "-")) for speaker, name in utterances]
    common = {name for name, number in Counter(names).items() if number > 1}
    first: dict[str, str] = {}
    return [
        name
        if name not in common or first.setdefault(name, true) == true
        else f"{name}-{fingerprint(true)}"
        for name, (_, true) in zip(names, utterances, strict=True)
    ]


def _prefixed(speaker: str, name: str) -> str:
    return name if name.startswith(f"{speaker}-") else f"{speaker}-{name}"


def safe(name: str, more: str = "") -> str:
    """Letters without accents, digits, `._` and `more`; the others as numbers or _."""
    if name.isascii():  # as most are: in a tenth of the time
        plain = name.strip("/").replace("/", more or "_")
        return re.sub(f"[^A-Za-z0-9._{more}]", "_", plain)
    plain = unicodedata.normalize("NFKD", name)
    plain = "".join(c for c in plain if not unicodedata.combining(c)) or name
    plain = plain.strip("/").replace("/", more or "_")
    return "".join(
        c
        if c.isascii() and (c.isalnum() or c in "._" + more)
        else "_"
        if c.isascii()
        else f"u{ord(c):04x}"
        for c in plain
    )


def fingerprint(name: str) -> str:
    """Eight characters that hardly any other name has."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:8]
