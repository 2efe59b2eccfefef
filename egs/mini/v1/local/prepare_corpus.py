#!/usr/bin/env python3
"""Brings a corpus folder into data directories: `<corpus>/data/{train,eval}`.

usage: local/prepare_corpus.py <corpus> <data>
Paths in wav.scp are relative to the corpus; they become absolute. An utterance whose
file is missing is left out, and so is a trial that names an utterance that is not
there: each with a warning that names it.
"""

from __future__ import annotations

import argparse
import logging
import os
import shlex
import sys

from dataset.errors import InputError

_logger = logging.getLogger("prepare_corpus")

Rows = list[list[str]]


def read_rows(path: str, num_fields: int) -> Rows:
    """Lines of a text table, split into num_fields; the last one keeps its spaces."""
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line.strip() for line in stream]
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    rows = []
    for number, line in enumerate(lines, 1):
        row = line.split(None, num_fields - 1)
        if len(row) != num_fields:
            raise InputError(f"{path}:{number}: expected {num_fields} fields: '{line}'")
        rows.append(row)
    return rows


def absolute(source: str, corpus: str) -> str:
    """A wav.scp entry with the files that it names made absolute.

    Raises:
        InputError: the entry names a file of audio/ or a plain file that is missing.
    """
    if not source.endswith("|"):
        path = os.path.join(corpus, source)
        if not os.path.isfile(path):
            raise InputError(f"no such file: {path}")
        return path
    words = shlex.split(source[:-1], posix=True)
    found = [word for word in words if os.path.isfile(os.path.join(corpus, word))]
    if not found:
        raise InputError(f"no file of {corpus} in the pipe '{source}'")
    known = {word: os.path.join(corpus, word) for word in found}
    operators = {"|", "<", ">", ";", "&&"}
    return (
        " ".join(
            word if word in operators else shlex.quote(known.get(word, word))
            for word in words
        )
        + " |"
    )


def prepare_set(corpus: str, name: str, data: str) -> set[str]:
    """Writes data/<name>/{wav.scp,utt2spk}; returns the utterances that are there."""
    source, target = os.path.join(corpus, "data", name), os.path.join(data, name)
    speakers = dict(read_rows(os.path.join(source, "utt2spk"), 2))
    entries, missing = {}, 0
    for utterance, entry in read_rows(os.path.join(source, "wav.scp"), 2):
        try:
            if utterance not in speakers:
                raise InputError("it has no line in utt2spk")
            entries[utterance] = absolute(entry, corpus)
        except InputError as error:
            missing += 1
            _logger.warning("%s: %s is left out: %s", source, utterance, error)
    if not entries:
        raise InputError(f"{source}: no usable utterance")
    os.makedirs(target, exist_ok=True)
    write_rows(target, "wav.scp", sorted(entries.items()))
    write_rows(target, "utt2spk", sorted((u, speakers[u]) for u in entries))
    _logger.info("%s: %d utterances, %d left out", target, len(entries), missing)
    return set(entries)


def prepare_trials(corpus: str, data: str, utterances: set[str]) -> None:
    """Writes data/eval/trials with the trials whose utterances are there."""
    path = os.path.join(corpus, "data", "eval", "trials")
    kept, dropped = [], 0
    for left, right, kind in read_rows(path, 3):
        if kind not in ("target", "nontarget"):
            raise InputError(f"{path}: '{left} {right} {kind}': target or nontarget?")
        unknown = [utt for utt in (left, right) if utt not in utterances]
        if unknown:
            dropped += 1
            if dropped <= 10:
                _logger.warning("%s: unknown utterance %s", path, ", ".join(unknown))
        else:
            kept.append((left, right, kind))
    kinds = {kind for _, _, kind in kept}
    if len(kinds) < 2:
        raise InputError(
            f"{path}: needs targets and nontargets; {len(kept)} trials left"
        )
    write_rows(os.path.join(data, "eval"), "trials", kept)
    _logger.info("%s: %d trials, %d left out", data, len(kept), dropped)


def write_rows(folder: str, name: str, rows: list[tuple[str, ...]]) -> None:
    """Writes a text table whole."""
    path = os.path.join(folder, name)
    with open(path + ".tmp", "w", encoding="utf-8") as stream:
        stream.writelines(" ".join(row) + "\n" for row in rows)
    os.replace(path + ".tmp", path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus")
    parser.add_argument("data")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    corpus = os.path.abspath(args.corpus)
    try:
        prepare_set(corpus, "train", args.data)
        prepare_trials(corpus, args.data, prepare_set(corpus, "eval", args.data))
    except InputError as error:
        _logger.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
