import io

import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend.plda import Plda
from misc.backend.plda_file import read_plda, write_plda


@pytest.fixture
def model():
    rng = np.random.default_rng(0)
    return Plda(rng.normal(size=3), rng.normal(size=(3, 3)), np.array([3.0, 2.0, 0.0]))


def test_text_is_written_as_kaldi_does(kaldi_backend_folder, tmp_path):
    for name in ("plda.txt", "plda_smooth0.1.txt"):
        golden = kaldi_backend_folder / name
        write_plda(tmp_path / "copy", read_plda(golden), binary=False)
        assert (tmp_path / "copy").read_bytes() == golden.read_bytes()


def test_binary_keeps_every_bit(model, tmp_path):
    write_plda(tmp_path / "plda", model)
    found = read_plda(str(tmp_path / "plda"))
    for name in ("mean", "transform", "psi"):
        np.testing.assert_array_equal(getattr(found, name), getattr(model, name))
    data = (tmp_path / "plda").read_bytes()
    assert data.startswith(b"\0B<Plda> DV \4\3\0\0\0")
    assert data.endswith(b"</Plda> ")
    assert len(data) == 2 + 7 + 2 * (3 + 5 + 24) + 3 + 10 + 72 + 8


def test_the_other_readers_of_kaldis_format_agree(model, tmp_path):
    kaldi_native_io = pytest.importorskip("kaldi_native_io")
    write_plda(tmp_path / "plda", model)
    data = (tmp_path / "plda").read_bytes()
    vector = tmp_path / "mean"
    vector.write_bytes(b"\0B" + data[9 : 9 + 3 + 5 + 24])
    found = kaldi_native_io.DoubleVector.read(str(vector)).numpy()
    np.testing.assert_array_equal(found, model.mean)


def test_single_precision_is_read(model):
    stream = io.BytesIO()
    write_plda(stream, model)
    single = io.BytesIO(
        b"\0B<Plda> FV \4\1\0\0\0"
        + np.float32(2).tobytes()
        + b"FM \4\1\0\0\0\4\1\0\0\0"
        + np.float32(3).tobytes()
        + b"FV \4\1\0\0\0"
        + np.float32(4).tobytes()
        + b"</Plda> "
    )
    found = read_plda(single)
    assert (found.mean, found.transform, found.psi) == (2.0, 3.0, 4.0)
    assert found.psi.dtype == np.float64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"<Nnet> ", "<Plda>"),
        (b"<Plda>  [ 1 2 ]\n [\n  1 0 \n  0 1 ]\n", "expected"),
        (b"<Plda>  [ 1 2 ]\n [\n  1 0 ]\n [ 1 1 ]\n</Plda> ", "one dimension.*1, 2"),
        (b"<Plda>  [ 1 ]\n [\n  nan ]\n [ 1 ]\n</Plda> ", "not finite"),
        (b"<Plda>  [ 1 ]\n [\n  1 ]\n [ 1 ]\n<Plda> ", "</Plda>"),
    ],
)
def test_what_is_no_model_is_refused(text, message, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(text)
    with pytest.raises(InputError, match=f"(?s)model.*{message}"):
        read_plda(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"):
        read_plda(tmp_path / "nowhere")
