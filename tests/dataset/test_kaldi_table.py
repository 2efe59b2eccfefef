"""Tables: every kind and form, options, and what happens to damaged ones."""

import logging
import subprocess
import sys
import tracemalloc
from pathlib import Path

import kaldi_native_io
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset.errors import InputError
from dataset.kaldi_io import write_mat
from dataset.kaldi_table import RandomAccessReader, SequentialReader, TableWriter
from dataset.wav import Wave

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests/data/kaldi/feats"
FEATS = np.random.default_rng(0).normal(0, 9, (12, 3)).astype(np.float32)
VALUES = {
    "matrix": FEATS,
    "vector": FEATS[0],
    "int_vector": np.array([3, -1, 2], np.int32),
    "int": -5,
    "float": 0.5,
    "tokens": ["utt-1", "utt-2"],
    "wave": Wave(np.array([[1, -2, 300, 4]], np.float32), 16000),
}


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(wspecifier, entries, kind="matrix", **options):
    with TableWriter(wspecifier, kind, **options) as writer:
        for key, value in entries:
            writer.write(key, value)


def read(rspecifier, kind="matrix"):
    with SequentialReader(rspecifier, kind) as reader:
        return list(reader)


def same(a, b):
    if isinstance(a, Wave):
        return a.rate == b.rate and (a.samples == b.samples).all()
    return np.allclose(a, b) if isinstance(a, np.ndarray) else a == b


FORMS = ["ark", "ark,t", "ark,scp", "ark,scp,t", "pipe", "scp"]


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("form", FORMS)
def test_round_trips(kind, form):
    reads = ["ark:x.ark", "ark:cat x.ark |", "ark,s,cs:x.ark"]
    if kind == "wave" and form.endswith(",t"):
        with pytest.raises(InputError, match="no text form"):
            write(f"{form}:x.ark,x.scp", [("a", VALUES[kind])], kind)
        return
    if form == "pipe":
        wspecifier = "ark:| cat > x.ark"
    elif form == "scp":
        Path("in.scp").write_text("a a.bin\nb b.bin\n")
        wspecifier, reads = "scp:in.scp", ["scp:in.scp"]
    elif "scp" in form:
        wspecifier, reads = f"{form}:x.ark,x.scp", [*reads, "scp:x.scp"]
    else:
        wspecifier = f"{form}:x.ark"
    value = VALUES[kind]
    write(wspecifier, [("a", value), ("b", value)], kind)
    for rspecifier in reads:
        entries = read(rspecifier, kind)
        assert [key for key, _ in entries] == ["a", "b"]
        assert all(same(found, value) for _, found in entries)
        with RandomAccessReader(rspecifier, kind) as reader:
            assert "a" in reader and same(reader["a"], value)
            assert "b" in reader and same(reader["b"], value)
            assert "c" not in reader


@pytest.mark.parametrize(
    "kind, value, line",
    [
        ("int", 7, b"utt 7 \n"),
        ("float", 3.6, b"utt 3.6 \n"),
        ("float", 1e-7, b"utt 1e-07 \n"),
        ("float", np.inf, b"utt inf \n"),
        ("tokens", ["a", "b"], b"utt a b \n"),
        ("tokens", [], b"utt \n"),
        ("int_vector", [1, 2], b"utt 1 2 \n"),
        ("vector", [0, 1], b"utt  [ 0 1 ]\n"),
        ("matrix", [[0, 1]], b"utt  [\n  0 1 ]\n"),
    ],
)
def test_text_lines_are_kaldis(kind, value, line):
    write("ark,t:x", [("utt", value)], kind)
    assert Path("x").read_bytes() == line
    ((key, found),) = read("ark:x", kind)
    assert key == "utt" and np.array_equal(found, value)


def test_golden_archives_copied():
    for name, kind in (("mfcc.ark", "matrix"), ("vad.ark", "vector")):
        write("ark:x", read(f"ark:{GOLDEN / name}", kind), kind)
        assert Path("x").read_bytes() == (GOLDEN / name).read_bytes()
    write("ark,t:x", read(f"ark:{GOLDEN / 'vad.ark'}", "vector"), "vector")
    assert Path("x").read_bytes() == (GOLDEN / "vad.txt").read_bytes()
    write("ark:x", read(f"ark:{GOLDEN / 'mfcc.ark'}"), compression_method=1)
    assert Path("x").read_bytes() == (GOLDEN / "mfcc_cm2.ark").read_bytes()


def test_kaldi_reads_our_tables_and_we_read_kaldis():
    entries = [("a", FEATS), ("b", FEATS[:4] * 2)]
    write("ark,scp:x.ark,x.scp", entries, compression_method=1)
    with kaldi_native_io.RandomAccessFloatMatrixReader("scp:x.scp") as reader:
        for key, value in read("scp:x.scp"):
            assert (np.array(reader[key]) == value).all()
    with kaldi_native_io.FloatVectorWriter("ark,scp:y.ark,y.scp") as writer:
        writer.write("a", FEATS[0])
    write("ark,scp:z.ark,z.scp", [("a", FEATS[0])], "vector")
    assert Path("y.ark").read_bytes() == Path("z.ark").read_bytes()
    assert Path("y.scp").read_text().replace("y", "z") == Path("z.scp").read_text()
    for kind, writer_type in (
        ("int", kaldi_native_io.Int32Writer),
        ("float", kaldi_native_io.FloatWriter),
    ):
        for form in ("ark", "ark,t"):
            with writer_type(f"{form}:y") as writer:
                writer.write("a", VALUES[kind])
            write(f"{form}:z", [("a", VALUES[kind])], kind)
            assert Path("y").read_bytes() == Path("z").read_bytes()


def test_double_precision_becomes_single():
    write_mat("x", FEATS.astype(np.float64), key="a")
    ((_, matrix),) = read("ark:x")
    assert matrix.dtype == np.float32 and (matrix == FEATS).all()
    write("ark:y", [("a", FEATS.astype(np.float64))])
    assert Path("y").read_bytes()[:9] == b"a \0BFM \4\x0c"


def test_ranges_in_scripts():
    write("ark,scp:x.ark,x.scp", [("a", FEATS)])
    Path("y.scp").write_text("p x.ark:2[0:3]\nq x.ark:2[4:13,1:1]\n")
    (_, p), (_, q) = read("scp:y.scp")
    assert (p == FEATS[:4]).all() and (q == FEATS[4:, 1:2]).all()
    with RandomAccessReader("scp:y.scp", "matrix") as reader:
        assert (reader["q"] == q).all()


def test_script_from_a_pipe_with_returns_and_blank_lines():
    write("ark,scp:x.ark,x.scp", [("a", FEATS), ("b", FEATS)])
    Path("y.scp").write_bytes(Path("x.scp").read_bytes().replace(b"\n", b"\r\n\n"))
    assert [key for key, _ in read("scp:sort -r y.scp |")] == ["b", "a"]


def test_tokens_with_returns_and_without_last_newline():
    Path("x").write_bytes(b"a b c\r\nd\r\ne f")
    assert read("ark:x", "tokens") == [("a", ["b", "c"]), ("d", []), ("e", ["f"])]


def test_key_alone_on_its_line():
    Path("x").write_bytes(b"a\nb c\n")
    assert read("ark:x", "tokens") == [("a", []), ("b", ["c"])]
    with pytest.raises(InputError, match="key a: expected one number on the line"):
        read("ark:x", "int")


def test_order_of_lookups():
    entries = [(key, float(i)) for i, key in enumerate("abdefg")]
    write("ark:x", entries, "float")
    for options in ("", ",s"):
        with RandomAccessReader(f"ark{options}:x", "float") as reader:
            assert reader["e"] == 3 and reader["a"] == 0 and "c" not in reader
            assert reader["e"] == 3 and "z" not in reader and reader["g"] == 5
    with RandomAccessReader("ark,s,cs:x", "float") as reader:
        assert [reader[key] for key in "aade"] == [0, 0, 2, 3]
        assert "ea" not in reader and reader["f"] == 4
        with pytest.raises(InputError, match="sorted calls, but key a"):
            reader["a"]


def test_lookups_forget_what_options_allow():
    write("ark:x", [(f"{i:03d}", FEATS) for i in range(50)])
    with RandomAccessReader("ark,s,cs:x", "matrix") as reader:
        for i in range(0, 50, 2):
            assert f"{i:03d}" in reader and len(reader._kept) == 1
    with RandomAccessReader("ark,o:x", "matrix") as reader:
        for i in range(50):
            assert len(reader[f"{i:03d}"]) == 12 and not reader._kept


def test_missing_key():
    write("ark,scp:x,y", [("a", FEATS)])
    for rspecifier in ("ark:x", "ark,s:x", "ark,s,cs:x", "scp:y", "scp,p:y"):
        with RandomAccessReader(rspecifier, "matrix") as reader:
            assert "b" not in reader
            with pytest.raises(InputError, match=f"{rspecifier}: no entry with key b"):
                reader["b"]


def test_keys_out_of_order_and_twice():
    write("ark,scp:x,y", [("b", FEATS), ("a", FEATS), ("a", FEATS)])
    with RandomAccessReader("ark,s:x", "matrix") as reader:
        with pytest.raises(InputError, match="a comes after b.*LC_ALL=C"):
            reader["c"]
    for rspecifier in ("ark:x", "scp:y"):
        with pytest.raises(InputError, match="key a is there twice"):
            with RandomAccessReader(rspecifier, "matrix") as reader:
                reader["c"]
    write("ark:x", [("a", FEATS), ("a", FEATS)])
    with RandomAccessReader("ark,s,cs:x", "matrix") as reader:
        with pytest.raises(InputError, match="a comes after a"):
            reader["b"]


def test_truncated_archive(caplog):
    write("ark:x", [("a", FEATS), ("b", FEATS)])
    Path("x").write_bytes(Path("x").read_bytes()[:-1])
    with pytest.raises(InputError, match="ark:x, key b: truncated: expected 144"):
        read("ark:x")
    assert [key for key, _ in read("ark,p:x")] == ["a"]
    assert "key b: truncated" in caplog.text
    with RandomAccessReader("ark,p:x", "matrix") as reader:
        assert "a" in reader and "b" not in reader


def test_bad_entries_of_a_script(caplog):
    write("ark,scp:x.ark,x.scp", [("a", FEATS), ("c", FEATS)])
    lines = Path("x.scp").read_text().splitlines()
    Path("y.scp").write_text(f"{lines[0]}\nb no.ark:5\n{lines[1]}\n")
    with pytest.raises(InputError, match="key b: cannot open no.ark"):
        read("scp:y.scp")
    assert [key for key, _ in read("scp,p:y.scp")] == ["a", "c"]
    assert "key b: cannot open no.ark" in caplog.text
    with RandomAccessReader("scp:y.scp", "matrix") as reader:
        assert "b" in reader
        with pytest.raises(InputError, match="key b: cannot open no.ark"):
            reader["b"]
    with RandomAccessReader("scp,p:y.scp", "matrix") as reader:
        assert "b" not in reader and "c" in reader


@pytest.mark.parametrize("tail", ["", " | head -c 50"])
def test_failing_command_is_no_short_table(tail):
    write("ark:x", [("a", FEATS), ("b", FEATS)])
    command = f"ark:cat x{tail}; exit 3 |"
    with pytest.raises(InputError, match="'cat x.*' failed with status 3"):
        read(command)
    with pytest.raises(InputError, match="failed with status 3"):
        for _ in SequentialReader(command, "matrix"):
            pass
    with RandomAccessReader(command, "matrix") as reader:
        with pytest.raises(InputError, match="failed with status 3"):
            reader["c"]


def test_reading_may_stop_early():
    with SequentialReader("ark:yes 'a 1' |", "int") as reader:
        assert next(iter(reader)) == ("a", 1)
    with RandomAccessReader("ark,o:seq -f '%.0f 1' 1 100000 |", "int") as reader:
        assert "3" in reader


def test_failing_command_at_the_output():
    with pytest.raises(InputError, match="'exit 3' failed with status 3"):
        with TableWriter("ark:| exit 3", "matrix") as writer:
            for i in range(2000):
                writer.write(f"{i}", FEATS)


def test_standard_streams():
    write("ark:x", [("a", FEATS)])
    code = (
        "from dataset.kaldi_table import *\n"
        "with SequentialReader('ark:-', 'matrix') as r, "
        "TableWriter('ark:-', 'matrix') as w:\n"
        "    for entry in r: w.write(*entry)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        input=Path("x").read_bytes(),
        capture_output=True,
        cwd=ROOT,
    )
    assert (result.stdout, result.stderr) == (Path("x").read_bytes(), b"")


def test_flush_lets_others_follow():
    with TableWriter("ark,scp,f:x,y", "matrix") as writer:
        writer.write("a", FEATS)
        assert [key for key, _ in read("scp:y")] == ["a"]


def test_what_option_p_leaves_out_is_counted(caplog):
    write("ark,scp:x,x.scp", [("a", FEATS), ("b", FEATS)])
    with open("x.scp", "a") as script:
        script.write("c nowhere\nd x:99999\n")
    with SequentialReader("scp,p:x.scp", "matrix") as reader:
        assert [key for key, _ in reader] == ["a", "b"]
        assert reader.num_left_out == 2
    assert "key c" in caplog.text and "key d" in caplog.text


def test_script_of_targets(caplog):
    Path("y.scp").write_text("a a.mat\n")
    with TableWriter("scp:y.scp", "matrix") as writer:
        with pytest.raises(InputError, match="scp:y.scp: no file named for key b"):
            writer.write("b", FEATS)
    write("scp,p:y.scp", [("a", FEATS), ("b", FEATS)])
    assert "key b; left out" in caplog.text
    assert [key for key, _ in read("scp:y.scp")] == ["a"]


@pytest.mark.parametrize(
    "make, text",
    [
        (SequentialReader, "x.ark"),
        (RandomAccessReader, "ark,scp:a,b"),
        (TableWriter, "ark,s:x"),
        (TableWriter, "ark,scp:only"),
        (TableWriter, "ark,scp:-,x.scp"),
        (TableWriter, "ark,scp:| cat,x.scp"),
    ],
)
def test_what_is_no_table(make, text):
    with pytest.raises(InputError, match="expected .*got"):
        make(text, "matrix")
    assert not list(Path().iterdir())


def test_missing_table_is_noticed_at_once():
    for make in (SequentialReader, RandomAccessReader):
        with pytest.raises(InputError, match="cannot open no.ark"):
            make("ark:no.ark", "matrix")
    with pytest.raises(InputError, match="cannot write no/x"):
        TableWriter("ark:no/x", "matrix")


@pytest.mark.parametrize(
    "kind, key, value",
    [
        ("matrix", "a b", FEATS),
        ("matrix", "", FEATS),
        ("matrix", "b", FEATS[0]),
        ("vector", "b", FEATS),
        ("int", "b", 0.5),
        ("int_vector", "b", [0.5]),
        ("tokens", "b", ["x", "y z"]),
        ("tokens", "b", [""]),
    ],
)
def test_wrong_entry_leaves_nothing_behind(kind, key, value):
    with TableWriter("ark:x", kind) as writer:
        writer.write("a", VALUES[kind])
        with pytest.raises(InputError, match="ark:x"):
            writer.write(key, value)
        writer.write("c", VALUES[kind])
    assert [key for key, _ in read("ark:x", kind)] == ["a", "c"]


def test_memory_does_not_grow_with_the_table():
    big = np.zeros((1000, 30), np.float32)
    tracemalloc.start()
    write("ark,scp:x,y", ((f"{i}", big) for i in range(60)))
    for rspecifier in ("ark:x", "scp:y"):
        for _ in SequentialReader(rspecifier, "matrix"):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * big.nbytes


KEYS = st.text(
    st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=9
)
NUMBERS = st.floats(width=32, allow_subnormal=False)


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(KEYS, st.lists(st.lists(NUMBERS, min_size=2, max_size=2))),
    st.sampled_from(["ark", "ark,t"]),
)
def test_any_table_comes_back(tmp_path_factory, table, form):
    path = tmp_path_factory.getbasetemp() / "any"
    arrays = {k: np.array(v, np.float32).reshape(-1, 2) for k, v in table.items()}
    write(f"{form},scp:{path}.ark,{path}.scp", arrays.items())
    for rspecifier in (f"ark:{path}.ark", f"scp:{path}.scp"):
        found = dict(read(rspecifier))
        assert list(found) == list(arrays)
        for key, value in arrays.items():
            expected = value if value.size else np.zeros((0, 0))
            np.testing.assert_allclose(found[key], expected, rtol=1e-6)


@settings(deadline=None, max_examples=150)
@given(data=st.binary(max_size=80), kind=st.sampled_from(sorted(VALUES)))
def test_any_archive_is_read_or_refused(tmp_path_factory, data, kind):
    path = tmp_path_factory.getbasetemp() / "fuzz"
    for content in (data, b"key " + data, b"key \0B" + data):
        path.write_bytes(content)
        try:
            read(f"ark:{path}", kind)
        except InputError:
            pass


def test_logger_is_the_projects(caplog):
    Path("x").write_bytes(b"a [ 1 ")
    with caplog.at_level(logging.WARNING, logger="kaldi"):
        assert read("ark,p:x", "vector") == []
    assert [record.name for record in caplog.records] == ["kaldi"]
