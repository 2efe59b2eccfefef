"""What Kaldi's own back end computed, for all tests of ours (see tests/data/kaldi)."""

from pathlib import Path

import numpy as np
import pytest

BACKEND = Path(__file__).parents[1] / "data/kaldi/backend"


@pytest.fixture(scope="session")
def kaldi_backend() -> dict[str, np.ndarray]:
    with np.load(BACKEND / "backend.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def kaldi_backend_folder() -> Path:
    return BACKEND
