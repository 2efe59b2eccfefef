"""Tables of an evaluation: the measures in their places, conditions, extremes."""

import numpy as np
import pytest

from dataset.errors import InputError
from misc.backend.text_columns import WordColumn
from misc.backend.trials import Trials
from misc.evaluation import (
    System,
    TrialList,
    condition_tables,
    extreme_trials,
    format_table,
    results_table,
    threshold_table,
    trial_conditions,
    trial_speakers,
)
from misc.metrics import act_dcf, cllr, eer, min_dcf, rocch_eer
from misc.operating_points import OPERATING_POINTS, operating_point

POINTS = [operating_point("0.05"), OPERATING_POINTS["sre08-detware"]]


def column(words):
    known = list(dict.fromkeys(words))
    return WordColumn(known, np.array([known.index(w) for w in words], np.int32))


def toy_list(seed=0, speakers=8, each=3):
    """All pairs of utterances `s<speaker>u<number>`, one side in `m`, one in `p`."""
    rng = np.random.default_rng(seed)
    names = [f"s{i}u{k}" for i in range(speakers) for k in range(each)]
    pairs = [(a, b) for n, a in enumerate(names) for b in names[n + 1 :]]
    trials = Trials(column([a for a, _ in pairs]), column([b for _, b in pairs]))
    is_target = np.array([a[:2] == b[:2] for a, b in pairs])
    scores = rng.normal(size=len(pairs)) + 2.0 * is_target
    utt2spk = {name.encode(): name[:2].encode() for name in names}
    utt2cond = {n.encode(): b"m" if n.endswith("0") else b"p" for n in names}
    listed = TrialList(
        trials,
        is_target,
        trial_speakers(trials, utt2spk),
        trial_conditions(trials, utt2cond),
    )
    return listed, scores


def texts(table):
    return [[cell.text for cell in row] for row in table.rows]


def test_results_are_the_measures_of_the_scores():
    listed, scores = toy_list()
    systems = [System("a", listed, scores), System("b", listed, scores / 2, True)]
    table = results_table(systems, POINTS)
    assert table.heads == [
        "system",
        "EER %",
        "minDCF(p=0.05)",
        "minDCF(SRE08 DETware)",
        "ROCCH-EER %",
        "actDCF(p=0.05)",
        "actDCF(SRE08 DETware)",
        "Cllr",
        "minCllr",
    ]
    pair = scores[listed.is_target], scores[~listed.is_target]
    plain, llr = texts(table)
    assert plain[:5] == [
        "a",
        f"{100 * eer(*pair)[0]:.2f}",
        f"{min_dcf(*pair, 0.05)[0]:.4f}",
        f"{0.1 * min_dcf(*pair, 0.01, 10)[0]:.4f}",
        f"{100 * rocch_eer(*pair):.2f}",
    ]
    assert plain[5:] == ["-"] * 4
    half = [part / 2 for part in pair]
    assert llr[1:5] == plain[1:5]
    assert llr[5] == f"{act_dcf(*half, 0.05):.4f}"
    assert llr[7] == f"{cllr(*half):.4f}"


def test_intervals_hold_the_rate_and_need_speakers():
    listed, scores = toy_list()
    cell = results_table([System("a", listed, scores)], POINTS).rows[0][1]
    low, high = map(float, cell.note.split("-"))
    assert low <= float(cell.text) <= high and low < high
    bare = TrialList(listed.trials, listed.is_target)
    assert not results_table([System("a", bare, scores)], POINTS).rows[0][1].note


def test_the_best_is_marked_if_there_is_another():
    listed, scores = toy_list()
    good = System("good", listed, scores + listed.is_target)
    bad = System("bad", listed, scores)
    rows = results_table([bad, good], POINTS).rows
    assert [row[1].best for row in rows] == [False, True]
    assert not results_table([bad], POINTS).rows[0][1].best


def test_missing_scores_are_left_out_and_counted():
    listed, scores = toy_list()
    fewer = scores.copy()
    fewer[::5] = np.nan
    table = results_table([System("a", listed, fewer)], POINTS)
    kept = ~np.isnan(fewer)
    assert table.heads[1] == "trials"
    assert table.rows[0][1].text == str(np.count_nonzero(kept))
    rate, _ = eer(scores[kept & listed.is_target], scores[kept & ~listed.is_target])
    assert table.rows[0][2].text == f"{100 * rate:.2f}"


def test_a_system_without_targets_is_named():
    listed, scores = toy_list()
    none = np.where(listed.is_target, np.nan, scores)
    with pytest.raises(InputError, match="lame: .*target"):
        results_table([System("lame", listed, none)], POINTS)


def test_conditions_are_those_of_both_sides():
    listed, scores = toy_list()
    assert sorted(listed.conditions.words) == ["m", "m / p", "p", "p / m"]
    tables = condition_tables([System("a", listed, scores)], POINTS)
    table = tables["EER %"]
    assert table.heads == ["condition", "targets", "nontargets", "a"]
    rows = {row[0]: row[1:] for row in texts(table)}
    # Two utterances of a speaker are never both in m, of p there are two.
    assert rows["m"] == ["0", "28", "-"]
    assert rows["p"][0] == "8"
    code = listed.conditions.words.index("p")
    chosen = listed.conditions.codes == code
    pair = (
        scores[chosen & listed.is_target],
        scores[chosen & ~listed.is_target],
    )
    assert rows["p"][2] == f"{100 * eer(*pair)[0]:.2f}"
    known = [float(row[2]) for name, row in rows.items() if row[2] != "-"]
    assert known[-1] == pytest.approx(np.mean(known[:-1]), abs=0.01)


def test_conditions_of_one_side_and_of_none():
    trials = Trials(column(["spk", "spk", "spk"]), column(["a", "b", "c"]))
    found = trial_conditions(trials, {b"a": b"phone", b"b": b"mic"})
    assert [found.words[code] for code in found.codes] == ["phone", "mic", "(none)"]


def test_speakers_are_of_utterances_or_models():
    trials = Trials(column(["x", "y"]), column(["a", "b"]))
    speakers = trial_speakers(trials, {b"a": b"x", b"b": b"x", b"c": b"y"})
    assert (speakers[:, 0] == speakers[:, 1]).tolist() == [True, False]
    with pytest.raises(InputError, match="2 keys .* the first is y"):
        trial_speakers(trials, {b"a": b"x"})


def test_thresholds_tell_their_rates():
    listed, scores = toy_list()
    rows = texts(threshold_table(System("a", listed, scores, True), POINTS))
    names = [row[0] for row in rows]
    assert names == [
        "EER",
        "lowest cost, prior 0.05",
        "Bayes, prior 0.05",
        "lowest cost, prior 0.01, costs 10:1",
        "Bayes, prior 0.01, costs 10:1",
    ]
    assert float(rows[2][1]) == pytest.approx(np.log(19), rel=1e-3)
    miss = 100 * np.mean(scores[listed.is_target] <= np.log(19))
    assert float(rows[2][2]) == pytest.approx(miss, rel=1e-2)


def test_extremes_are_the_hardest_trials():
    listed, scores = toy_list()
    rows = texts(extreme_trials(System("a", listed, scores)))
    assert [row[0] for row in rows] == ["target"] * 10 + ["nontarget"] * 10
    lowest = np.flatnonzero(listed.is_target)[np.argmin(scores[listed.is_target])]
    assert rows[0][1:3] == listed.trials.name(lowest).split()
    values = [float(row[3]) for row in rows]
    assert values[:10] == sorted(values[:10])
    assert values[10:] == sorted(values[10:], reverse=True)


def test_text_is_in_columns():
    listed, scores = toy_list()
    table = results_table([System("a long name", listed, scores)], POINTS)
    head, row = format_table(table).splitlines()
    assert head.index("EER %") + len("EER %") == row.index("]") + 1
    assert row.startswith("a long name  ")
