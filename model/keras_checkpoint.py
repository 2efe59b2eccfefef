"""The weights and the optimizer out of a file `model-N.keras`, and nothing else.

Keras' own `load_model` builds what the file's configuration says, by names of classes
and modules; in its history that has run a stranger's code more than once. Here the
network is the one of the folder's config.json, and the file gives arrays. It is a zip
archive with an HDF5 file in it, both of which can ask for other files, or for more
memory than they are long: what does is refused before anything is read.
"""

from __future__ import annotations

import zipfile

import h5py
import keras

from dataset.errors import InputError

WEIGHTS = "model.weights.h5"


def load_weights(model: keras.Model, path: str) -> None:
    """Sets all variables of a compiled model, and those of its optimizer.

    Raises:
        InputError: the file is damaged or of another network; it has links, or arrays
            that do not lie in it as they are.
        FileNotFoundError: it is not there.
    """
    try:
        number = _count_arrays(path)
        if number != len(model.variables):
            raise InputError(
                f"{path}: {number} weights, but config.json describes a network with "
                f"{len(model.variables)}"
            )
        model.load_weights(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: cannot be loaded: {reason}") from None


def _count_arrays(path: str) -> int:
    """How many arrays a file has besides the optimizer's.

    Raises:
        ValueError, OSError, KeyError, BadZipFile: the file is not as we write it.
    """
    arrays: dict[str, h5py.Dataset] = {}

    def is_link(name: str, link: object) -> str | None:
        return None if isinstance(link, h5py.HardLink) else name

    def collect(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = item

    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(WEIGHTS).compress_type != zipfile.ZIP_STORED:
            raise ValueError(f"{WEIGHTS} is compressed")
        with archive.open(WEIGHTS) as stream, h5py.File(stream, "r") as file:
            if link := file.visititems_links(is_link):
                raise ValueError(f"{link} is a link to elsewhere")
            file.visititems(collect)
            for name, array in arrays.items():
                _check_stored(name, array)
    return sum(1 for name in arrays if not name.startswith("optimizer/"))


def _check_stored(name: str, array: h5py.Dataset) -> None:
    """Its bytes are in the file, one after another, as many as its shape says."""
    layout = array.id.get_create_plist()
    plain = (
        layout.get_layout() in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT)
        and not layout.get_external_count()
        and array.dtype.kind in "biuf"
        and array.id.get_storage_size() == array.nbytes
    )
    if not plain:
        raise ValueError(f"{name} is not stored as it is")
