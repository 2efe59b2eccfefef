from pathlib import Path

import pytest

UTILS = Path(__file__).parents[3] / "misc/kaldi/utils"


@pytest.fixture
def lists(tmp_path):
    (tmp_path / "list").write_text("b x\nd\n")
    (tmp_path / "table").write_text("a 1 b\nb  2\td\nc 3 c\n")
    return tmp_path


@pytest.mark.parametrize(
    "options, expected",
    [
        ("", "b  2\td\n"),
        ("--exclude", "a 1 b\nc 3 c\n"),
        ("-f 3", "a 1 b\nb  2\td\n"),
    ],
)
def test_filter(run, lists, options, expected):
    assert run(f"{UTILS}/filter_scp.pl {options} list table").stdout == expected
    assert run(f"{UTILS}/filter_scp.pl {options} list <table").stdout == expected


def test_filter_names_the_line(run, lists):
    done = run(f"{UTILS}/filter_scp.pl -f 4 list table", status=255)
    assert "table:1: there is no field 4" in done.stderr
    done = run(f"{UTILS}/filter_scp.pl nowhere table", status=255)
    assert "cannot read nowhere" in done.stderr


@pytest.mark.parametrize(
    "options, expected",
    [
        ("-f 1", "A 1 b\nB D 2 d\nc 3 c\n"),
        ("-f 2-", "a 1 B D\nb 2 d\nc 3 c\n"),
        ("", "A 1 B D\nB D 2 d\nc 3 c\n"),
    ],
)
def test_map(run, lists, options, expected):
    (lists / "map").write_text("a A\nb B D\n")
    command = f"{UTILS}/apply_map.pl {options} --permissive map <table"
    assert run(command).stdout == expected
    done = run(f"{UTILS}/apply_map.pl map <table", status=255)
    assert "input line 1: 1 is not in map" in done.stderr
    done = run(f"{UTILS}/apply_map.pl -f 0 map <table", status=255)
    assert "expected fields such as 1, 2-3 or 2-" in done.stderr


def test_speaker_maps(run, lists):
    (lists / "utt2spk").write_text("b1 b\na1 a\nb2 b\n")
    spk2utt = run(f"{UTILS}/utt2spk_to_spk2utt.pl utt2spk").stdout
    assert spk2utt == "b b1 b2\na a1\n"
    back = run(
        f"{UTILS}/utt2spk_to_spk2utt.pl <utt2spk | {UTILS}/spk2utt_to_utt2spk.pl"
    )
    assert back.stdout == "b1 b\nb2 b\na1 a\n"


def test_split(run, lists):
    (lists / "in").write_text("".join(f"{n} x\n" for n in range(10)))
    run(f"{UTILS}/split_scp.pl in 1 2 3")
    sizes = [len((lists / name).read_text().splitlines()) for name in "123"]
    assert sizes == [4, 3, 3]
    assert run("cat 1 2 3 | cmp - in").stdout == ""
    (lists / "utt2spk").write_text("".join(f"{n} {'ab'[n > 2]}\n" for n in range(10)))
    run(f"{UTILS}/split_scp.pl --utt2spk=utt2spk in 1 2")
    assert (lists / "1").read_text() == "0 x\n1 x\n2 x\n"
    done = run(f": >in; {UTILS}/split_scp.pl in 1 2", status=255)
    assert "in is empty" in done.stderr


def test_shuffle(run, lists):
    (lists / "in").write_text("".join(f"{n}\n" for n in range(50)))
    one, again, other = (
        run(f"{UTILS}/shuffle_list.pl --srand {seed} in").stdout for seed in (1, 1, 2)
    )
    assert one == again != other
    assert sorted(one.split(), key=int) == [str(n) for n in range(50)]


def test_one_part_of_a_list(run, lists):
    (lists / "in").write_text("".join(f"{n}\n" for n in range(7)))
    split = f"{UTILS}/split_scp.pl"
    parts = [run(f"{split} -j 3 {n} in").stdout.split() for n in range(3)]
    assert parts == [["0", "1", "2"], ["3", "4"], ["5", "6"]]
    run(f"{split} --one-based -j 3 1 in out")
    assert (lists / "out").read_text() == "0\n1\n2\n"
    for wrong in ("-j 3 3 in", "-j 3 0 --one-based in", "-j 3 x in"):
        assert "expected the number of parts" in run(f"{split} {wrong}", 255).stderr
    assert "2 files are named" in run(f"{split} -j 3 1 in a b", 255).stderr


def test_a_map_passes_empty_lines_on(run, lists):
    (lists / "map").write_text("a A\n")
    assert run(f"printf 'a\\n\\na\\n' | {UTILS}/apply_map.pl map").stdout == "A\n\nA\n"
