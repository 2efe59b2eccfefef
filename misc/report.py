"""The report of an evaluation: pictures, and an HTML page that needs nothing else."""

from __future__ import annotations

import base64
import html
import os
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from misc.evaluation import (
    NUM_EXTREME,
    Cell,
    System,
    Table,
    condition_tables,
    extreme_trials,
    threshold_table,
    thresholds,
)
from misc.operating_points import OperatingPoint
from misc.plot import plot_det, plot_score_histogram
from misc.whole_files import write_text

_STYLE = """
:root { --ink: #1b1f24; --soft: #59636e; --line: #d5dae0; --paper: #fff;
  --accent: #0072b2; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; padding-top: .8rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.5rem 0 .4rem; }
p { margin: .4rem 0; max-width: 44rem; }
.soft, small { color: var(--soft); }
nav { margin: .8rem 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
a { color: var(--accent); }
.wide { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: separate; border-spacing: 0;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
td { white-space: nowrap; }
th { font-weight: 600; color: var(--soft); vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; position: sticky;
  left: 0; background: var(--paper); white-space: normal; max-width: 45vw; }
td small { display: block; font-weight: 400; }
td.best { font-weight: 700; }
img { display: block; width: 100%; height: auto; }
.det { max-width: 40rem; } .histogram { max-width: 44rem; }
dt { font-weight: 600; } dd { margin: 0 0 .5rem; max-width: 44rem; }
code { overflow-wrap: anywhere; font-size: .85rem; }
summary { cursor: pointer; color: var(--accent); }
@media print { nav { display: none; } body { max-width: none; } }
"""


def write_report(
    folder: str,
    title: str,
    trials_name: str,
    systems: Sequence[System],
    points: Sequence[OperatingPoint],
    results: Table,
    command: str,
) -> str:
    """Writes `report.html`, `det.{png,svg}` and, per system, `scores_<name>.{png,svg}`.

    Args:
        folder: made if it is not there.
        title: the page's heading.
        trials_name: what the list is called in it.
        systems: with scores of one list.
        points: the operating points; the first is marked in the pictures.
        results: `misc.evaluation.results_table` of the systems.
        command: what the page says it was made by.

    Returns:
        The path of the page.
    """
    os.makedirs(folder, exist_ok=True)
    curves = {system.name: system.ordered for system in systems}
    histograms = {}
    for suffix in ("png", "svg"):
        det = os.path.join(folder, f"det.{suffix}")
        plot_det(curves, det, points[0])
        for stem, system in zip(_stems(curves), systems, strict=True):
            marked = {
                f"{name}: {threshold:.3g}": threshold
                for name, threshold in thresholds(system, points[:1]).items()
            }
            path = os.path.join(folder, f"scores_{stem}.{suffix}")
            kind = "log-likelihood ratio" if system.is_llr else "score"
            plot_score_histogram(system.ordered, path, system.name, kind, marked)
            histograms[system.name] = path  # the last one is SVG
    sections = {
        "Results": _table(results) + _legend(systems, points),
        "DET curves": _image(det, "DET curves of all systems", "det"),
        "Scores and thresholds": "".join(_scores(histograms, systems, points)),
        "Conditions": "".join(
            f"<h3>{html.escape(name)}</h3>{_table(table)}"
            for name, table in condition_tables(systems, points).items()
        ),
        "Trials to listen to": _extremes(systems),
        "How this was made": f"<p><code>{html.escape(command)}</code></p>",
    }
    page = os.path.join(folder, "report.html")
    write_text(page, _page(title, _facts(trials_name, systems[0]), sections))
    return page


def _stems(names: Mapping[str, object]) -> list[str]:
    """A name for the files of each system, all different."""
    stems: list[str] = []
    for name in names:
        stem = wanted = re.sub(r"[^\w.+-]+", "_", name).strip("_") or "system"
        number = 1
        while stem in stems:
            number += 1
            stem = f"{wanted}_{number}"
        stems.append(stem)
    return stems


def _facts(trials_name: str, system: System) -> str:
    listed = system.listed
    num_targets = int(np.count_nonzero(listed.is_target))
    keys = [len(c.words) for c in (listed.trials.enrol, listed.trials.test)]
    text = (
        f"{trials_name}: {num_targets:,} target and "
        f"{len(listed.is_target) - num_targets:,} nontarget trials, {keys[0]:,} "
        f"enrolments, {keys[1]:,} tests"
    )
    if listed.speakers is not None:
        text += f", {len(np.unique(listed.speakers)):,} speakers"
    return text


def _page(title: str, facts: str, sections: Mapping[str, str]) -> str:
    kept = {name: body for name, body in sections.items() if body}
    links = "".join(f'<a href="#{_anchor(name)}">{name}</a>' for name in kept)
    body = "".join(
        f'<h2 id="{_anchor(name)}">{name}</h2>{text}' for name, text in kept.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n<body>"
        f'<header><h1>{html.escape(title)}</h1><p class="soft">{html.escape(facts)}</p>'
        f"<nav>{links}</nav></header><main>{body}</main></body></html>\n"
    )


def _anchor(name: str) -> str:
    return name.lower().replace(" ", "-")


def _table(table: Table) -> str:
    heads = "".join(
        f"<th>{html.escape(head).replace('(', '<wbr>(')}</th>" for head in table.heads
    )
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in table.rows)
    return (
        f'<div class="wide"><table><thead><tr>{heads}</tr></thead>\n'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cell(cell: Cell) -> str:
    kind = ' class="best"' if cell.best else ""
    note = f"<small>{html.escape(cell.note)}</small>" if cell.note else ""
    return f"<td{kind}>{html.escape(cell.text)}{note}</td>"


def _image(path: str, text: str, kind: str) -> str:
    with open(path, "rb") as stream:
        data = base64.b64encode(stream.read()).decode()
    return (
        f'<img class="{kind}" alt="{html.escape(text)}" '
        f'src="data:image/svg+xml;base64,{data}">'
    )


def _scores(
    histograms: Mapping[str, str],
    systems: Sequence[System],
    points: Sequence[OperatingPoint],
) -> Iterator[str]:
    for system in systems:
        yield f"<h3>{html.escape(system.name)}</h3>"
        yield _image(histograms[system.name], f"Scores of {system.name}", "histogram")
        yield _table(threshold_table(system, points))


def _extremes(systems: Sequence[System]) -> str:
    """What a researcher looks at first: wrong labels are among them."""
    tables = "".join(
        f"<details><summary>{html.escape(system.name)}</summary>"
        f"{_table(extreme_trials(system))}</details>"
        for system in systems
    )
    return (
        f"<p>The {NUM_EXTREME} targets with the lowest scores and the {NUM_EXTREME} "
        "nontargets with the highest: the hardest trials, and wrong labels if there "
        f"are any.</p>{tables}"
    )


def _legend(systems: Sequence[System], points: Sequence[OperatingPoint]) -> str:
    terms = {
        "EER": "equal error rate: misses and false alarms are equally frequent, by the "
        "rule of Kaldi's compute-eer.",
        "minDCF": "lowest detection cost over all thresholds. "
        + "; ".join(f"{point.label}: {point.describe()}" for point in points)
        + ". Where it is normalised, 1 is the cost of deciding without scores.",
        "ROCCH-EER": "equal error rate on the convex hull of the ROC, which no "
        "increasing map of the scores changes.",
    }
    if any(system.is_llr for system in systems):
        terms["actDCF"] = (
            "detection cost at the Bayes threshold, for scores that are "
            "log-likelihood ratios: above minDCF by what the calibration loses."
        )
        terms["Cllr, minCllr"] = (
            "cost of the log-likelihood ratios over all priors, in bits, as they are "
            "and after the best increasing map; 1 for a system without information."
        )
    if any(system.listed.speakers is not None for system in systems):
        terms["Small figures"] = (
            "95 % intervals by drawing the speakers again: what another choice of "
            "speakers might have given."
        )
    rows = "".join(f"<dt>{term}</dt><dd>{text}</dd>" for term, text in terms.items())
    return f"<details><summary>What these are</summary><dl>{rows}</dl></details>"
