"""Where the light form of a checkpoint is kept, and whether it still is that one's.

A file's name has a fingerprint of the checkpoint, and of the code that reads it: what
is found under the name fits, and what does not fit is not found. The place is
`nnet/light` in the model folder or, where that cannot be written, the user's cache.
"""

from __future__ import annotations

import glob
import hashlib
import os
import re
import zipfile

from dataset.errors import InputError
from misc.run_dir import RunDir

SUFFIX = ".safetensors"
_CODE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


def light_paths(run: RunDir, step: int) -> list[str]:
    """Where the light form of a checkpoint may be, the preferred place first.

    Raises:
        InputError: the checkpoint cannot be read.
    """
    name = f"model-{step}-{fingerprint(run, step)}{SUFFIX}"
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return [
        os.path.join(run.file("light"), name),
        os.path.join(cache, "tf-kaldi-speaker", name),
    ]


def find_light(run: RunDir, step: int) -> str | None:
    """The light form of a checkpoint, if it was made."""
    return next(filter(os.path.exists, light_paths(run, step)), None)


def remove_others(run: RunDir, path: str) -> None:
    """Removes what is out of date beside a light form in the model folder.

    That is: other forms of the same checkpoint, and those of checkpoints that are gone.
    """
    folder = run.file("light")
    if os.path.dirname(path) != folder:
        return
    [_, kept] = os.path.basename(path).split("-")[:2]
    for other in glob.glob(os.path.join(glob.escape(folder), f"model-*{SUFFIX}")):
        match = re.fullmatch(r"model-(\d+)-\w+\.\w+", os.path.basename(other))
        if match and other != path:
            step = int(match[1])
            if match[1] == kept or not run.has(step):
                os.remove(other)


def fingerprint(run: RunDir, step: int) -> str:
    """Changes with the checkpoint's content, not with its time or place.

    A Keras file has checksums of its parts in it, and so have the original's files.

    Raises:
        InputError: a file is missing or damaged.
    """
    digest = hashlib.sha256()
    names = [run.file(f"model-{step}.index"), run.file("config.json")]
    try:
        if run.is_original(step):
            for name in names:
                with open(name, "rb") as stream:
                    digest.update(stream.read())
        else:
            with zipfile.ZipFile(run.model_file(step)) as archive:
                for part in archive.infolist():
                    digest.update(f"{part.filename} {part.CRC}\n".encode())
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{run.path}: model-{step}: {reason}") from None
    for folder in ("model", "misc/light"):
        for name in sorted(glob.glob(os.path.join(_CODE, folder, "*.py"))):
            with open(name, "rb") as stream:
                digest.update(stream.read())
    return digest.hexdigest()[:16]
