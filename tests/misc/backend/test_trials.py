import numpy as np
import pytest

from dataset.errors import InputError
from dataset.kaldi_table import TableWriter
from misc.backend import trials


def write_table(path, entries):
    with TableWriter(f"ark:{path}", "vector") as writer:
        for key, vector in entries:
            writer.write(key, np.array(vector, np.float32))
    return f"ark:{path}"


def test_embeddings_are_read_into_one_array(tmp_path):
    table = write_table(tmp_path / "x", [("b", [1, 2]), ("a", [3, 4]), ("c", [5, 6])])
    found = trials.read_embeddings(table)
    assert found.rows == {"b": 0, "a": 1, "c": 2}
    np.testing.assert_array_equal(found.vectors, [[1, 2], [3, 4], [5, 6]])
    assert found.vectors.dtype == np.float32
    found.check_dim(2)
    with pytest.raises(InputError, match="Utterance b: expected .* 3, got 2"):
        found.check_dim(3)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("a", [1, 2]), ("b", [1])], "Utterance b: expected .* 2, got 1"),
        ([("a", [1, 2]), ("b", [np.inf, 1])], "Utterance b: .* NaN or infinity"),
        ([("a", [1]), ("b", [2]), ("a", [1])], "utterance a comes twice"),
        ([], "No vector in ark:"),
    ],
)
def test_bad_embeddings_are_named(entries, message, tmp_path):
    with pytest.raises(InputError, match=message):
        trials.read_embeddings(write_table(tmp_path / "x", entries))


def test_trials_are_columns_of_distinct_keys(tmp_path):
    path = tmp_path / "trials"
    path.write_text("a b\n c\td \r\na d\nc b")
    found = trials.read_trials(str(path))
    assert (found.enrol.words, found.test.words) == (["a", "c"], ["b", "d"])
    assert [found.name(i) for i in range(len(found))] == ["a b", "c d", "a d", "c b"]
    rows, columns = found.rows({"c": 7, "a": 3}, {"d": 1})
    assert rows.tolist() == [3, 7, 3, 7] and columns.tolist() == [-1, 1, 1, -1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\nc d\ng h target\n", "trials:3: expected 'key1 key2', got 'g h target'"),
        ("a b\n\nc d\n", "trials:2: expected 'key1 key2', got ''"),
        ("a b\nc\nd e f\n", "trials:2: expected 'key1 key2', got 'c'"),
        ("a b\nc d\na c\na b\n", "trials:4: the trial a b comes twice, .* line 1"),
        ("a b\nc \0\n", "trials:2: expected"),
        ("", "No trial in .*trials"),
    ],
)
def test_bad_trials_are_named_with_their_line(text, message, tmp_path):
    path = tmp_path / "trials"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        trials.read_trials(str(path))


def test_other_trials_are_found_in_any_order(tmp_path):
    listed, others = tmp_path / "listed", tmp_path / "others"
    listed.write_text("a x\na y\nb x\nc y\n")
    others.write_text("c y\nb y\nz x\na x\na z\n")
    found = trials.read_trials(str(listed)).find(trials.read_trials(str(others)))
    assert found.tolist() == [3, -1, -1, 0, -1]


def test_labelled_scores_keep_their_order(tmp_path):
    listed, scored = tmp_path / "trials", tmp_path / "scores"
    listed.write_text("a b target\na c nontarget\nb c nontarget\n")
    scored.write_text("a c -1.5\na b 2e1\n")
    scores, is_target = trials.read_labelled_scores(str(scored), str(listed))
    assert list(scores) == [-1.5, 20.0]
    assert list(is_target) == [False, True]
    scored.write_text("a c nan\n")
    with pytest.raises(
        InputError, match="scores:1, a c nan: expected a number .* 'nan'"
    ):
        trials.read_labelled_scores(str(scored), str(listed))
