"""agglomerative-cluster as a program."""

import pytest

SCORES = "r1  [\n 9 2 -1\n 2 9 -3\n -1 -3 9 ]\nr2  [\n 9 5\n 5 9 ]\n"
COMMAND = "agglomerative-cluster"
TABLES = "ark:scores ark:reco2utt ark,t:-"


@pytest.fixture(autouse=True)
def files(tmp_path):
    (tmp_path / "scores").write_text(SCORES)
    (tmp_path / "reco2utt").write_text("r1 a b c\nr2 d e\n")
    (tmp_path / "numbers").write_text("r1 1\nr2 2\n")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", "a2 b2 c1 d1 e1"),
        ("--threshold=-2", "a1 b1 c1 d1 e1"),
        ("--threshold=3", "a1 b2 c3 d1 e1"),
        ("--read-costs --threshold=3", "a1 b1 c1 d1 e2"),
        ("--reco2num-spk-rspecifier=ark:numbers", "a1 b1 c1 d1 e2"),
        ("--reco2num-spk-rspecifier='ark:sed s/1$/2/ numbers |' --max-spk-fraction=0.5",
         "a2 b2 c1 d1 e2"),
    ],
)  # fmt: skip
def test_labels(run, options, expected):
    done = run(f"{COMMAND} {options} {TABLES}")
    assert " ".join(done.stdout.replace(" ", "").split()) == expected
    assert "utterances of 2 recordings" in done.stderr


@pytest.mark.parametrize(
    ("share", "expected"), [(1.0, "h2 i2 j2 k1"), (0.5, "h1 i1 j2 k2"), (0.4, "h2 i2")]
)
def test_no_speaker_gets_more_than_a_share(run, share, expected):
    """A share below one over the number of speakers counts for nothing."""
    options = f"--reco2num-spk-rspecifier='ark:echo r 2 |' --max-spk-fraction={share}"
    run("echo 'r [ 0 5 4 -9; 5 0 4 -9; 4 4 0 -9; -9 -9 -9 0 ]' > four")
    done = run(f"{COMMAND} {options} ark:four 'ark:echo r h i j k |' ark,t:-")
    found = " ".join(done.stdout.replace(" ", "").split())
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ("ark:scores 'ark:sed s/c// reco2utt |' ark:out",
         "Recording r1: expected scores of 2 utterances"),
        ("ark:scores 'ark:sed 1d reco2utt |' ark:out", "r1"),
        ("'ark:sed s/-3/nan/ scores |' ark:reco2utt ark:out", "NaN"),
        ("'ark:echo r1 [ 1 2 ] |' ark:reco2utt ark:out", "r1: expected scores of 3"),
    ],
)  # fmt: skip
def test_faults_are_one_clear_line(run, tables, message):
    done = run(f"{COMMAND} {tables}", status=255)
    assert message in done.stderr.splitlines()[-1]
