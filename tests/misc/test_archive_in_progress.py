"""Archives that have their names only when they are complete."""

import numpy as np
import pytest

from dataset.errors import InputError
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from misc.archive_in_progress import ArchiveInProgress, archive_files, is_complete

VECTORS = {f"u{i}": np.arange(i, dtype=np.float32) for i in range(1, 9)}


@pytest.fixture(params=["ark", "ark,t"])
def specifier(request, tmp_path):
    forms, *options = request.param.split(",")
    return ",".join([forms, "scp", *options]) + f":{tmp_path}/x.ark,{tmp_path}/x.scp"


def write(specifier, keys, **options):
    with ArchiveInProgress(specifier, "vector", **options) as archive:
        for key in keys:
            if key not in archive.keys:
                archive.write(key, VECTORS[key])


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_as_a_table_writer_writes_it(specifier, tmp_path):
    write(specifier, VECTORS)
    assert names(tmp_path) == ["x.ark", "x.scp"] and is_complete(specifier)
    ours = [(tmp_path / name).read_bytes() for name in names(tmp_path)]
    with TableWriter(specifier, "vector") as writer:
        for key, value in VECTORS.items():
            writer.write(key, value)
    assert [(tmp_path / name).read_bytes() for name in names(tmp_path)] == ours


def test_interrupted_anywhere(specifier, tmp_path):
    """Whatever was written so far, resuming gives what an unbroken job gives."""
    write(specifier, VECTORS)
    archive, script = ((tmp_path / name).read_bytes() for name in ("x.ark", "x.scp"))
    for cut in range(len(archive)):
        for name in names(tmp_path):
            (tmp_path / name).unlink()
        with pytest.raises(RuntimeError):
            with ArchiveInProgress(specifier, "vector"):
                raise RuntimeError
        assert names(tmp_path) == ["x.ark.part", "x.ark.part.made"]
        (tmp_path / "x.ark.part").write_bytes(archive[:cut])
        assert not is_complete(specifier)
        write(specifier, VECTORS, resume=True)
        assert (tmp_path / "x.ark").read_bytes() == archive, cut
        assert (tmp_path / "x.scp").read_bytes() == script, cut


def test_without_resume_it_starts_anew(specifier, tmp_path):
    (tmp_path / "x.ark.part").write_bytes(b"u1 rubbish")
    write(specifier, ["u2"])
    with SequentialReader(f"scp:{tmp_path}/x.scp", "vector") as reader:
        assert [key for key, _ in reader] == ["u2"]


def test_what_was_begun_otherwise_is_not_gone_on_with(specifier, tmp_path):
    with pytest.raises(RuntimeError):
        with ArchiveInProgress(specifier, "vector", "node a"):
            raise RuntimeError
    with pytest.raises(InputError, match="begun with node a, now it is node b"):
        ArchiveInProgress(specifier, "vector", "node b", resume=True)


def test_an_older_archive_stays_until_there_is_a_new_one(specifier, tmp_path):
    write(specifier, ["u3"])
    with pytest.raises(InputError, match="key u1 comes twice"):
        write_twice(specifier)
    with RandomAccessReader(f"scp:{tmp_path}/x.scp", "vector") as reader:
        np.testing.assert_array_equal(reader["u3"], VECTORS["u3"])


def write_twice(specifier):
    with ArchiveInProgress(specifier, "vector") as archive:
        for key in ("u1", "u1"):
            archive.write(key, VECTORS[key])


def test_which_specifiers_name_an_archive(tmp_path):
    assert archive_files("ark:a") == ("a", "")
    assert archive_files("ark,t:a,b") == ("a,b", "")
    assert archive_files("ark,scp:a,b") == ("a", "b")
    for other in ("ark:-", "ark:| cat", "scp:x", "ark,scp:-,b", "ark:/dev/null", "x"):
        assert archive_files(other) is None
