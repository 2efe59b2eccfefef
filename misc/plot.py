"""Figures of detection scores, as PNG or SVG files: DET curves and score histograms."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dataset.errors import InputError
from misc.figure import COLOURS, STYLES, new_axes, new_figure, save_figure
from misc.operating_points import OPERATING_POINTS, OperatingPoint
from misc.sorted_scores import SortedScores

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Array = npt.NDArray[np.float64]

_DASHES = ("--", ":", "-.")
_PER_CENT = (0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95)
_HOLLOW: dict[str, Any] = {
    "markerfacecolor": "white",
    "markersize": 8,
    "markeredgewidth": 2,
}
_DET_POINTS = 20_000  # of each kind of score: more than can be told apart
_BINS = 60


class _DetCurve(NamedTuple):
    label: str
    p_fa: Array
    p_miss: Array
    crossing: float
    cheapest: list[tuple[float, float]]
    finest: float


def plot_det(
    systems: Mapping[str, SortedScores],
    path: str | os.PathLike[str],
    point: OperatingPoint = OPERATING_POINTS["voxceleb"],
    title: str = "",
) -> None:
    """Draws DET curves on normal-deviate axes, with EER and minDCF marked on each.

    A. Martin et al., "The DET curve in assessment of detection task performance",
    Eurospeech 1997. The EER in the legend is `SortedScores.eer`, the one that
    compute-eer prints; its marker stands where the drawn curve crosses the diagonal.

    Args:
        systems: scores by the system's name.
        path: the figure to write; `.png` or `.svg`.
        point: priors and costs of the minDCF; each of its priors has a marker.
        title: a line above the axes.

    Raises:
        InputError: no system, another suffix.
    """
    if not systems:
        raise InputError("A DET figure needs the scores of at least one system")
    curves = [_det_curve(name, scores, point) for name, scores in systems.items()]
    figure = new_figure(8.0, 8.0)
    axes = new_axes(figure)
    axes.plot([-9, 9], [-9, 9], color="0.75", linewidth=1, zorder=1)
    limits = _det_limits(curves)
    for index, curve in enumerate(curves):
        _draw_det(axes, curve, index, limits)
    _det_axes(axes, *limits)
    _marker_key(axes, point)
    axes.set_title(title)
    axes.legend(
        title="system: EER, minDCF", loc="upper right", framealpha=1, alignment="left"
    )
    save_figure(figure, path)


def plot_score_histogram(
    scores: SortedScores,
    path: str | os.PathLike[str],
    title: str = "",
    xlabel: str = "score",
    thresholds: Mapping[str, float] | None = None,
) -> None:
    """Draws the densities of target and nontarget scores, and thresholds.

    Args:
        scores: infinite ones count, but are not drawn.
        path: the figure to write; `.png` or `.svg`.
        title: a line above the axes.
        xlabel: what the scores are.
        thresholds: by what the legend calls them; default: that of the EER.
    """
    if thresholds is None:
        rate, threshold = scores.eer()
        thresholds = {f"EER {100 * rate:.2f} % at {threshold:.3g}": threshold}
    figure = new_figure(8.0, 5.0)
    axes = new_axes(figure)
    edges = np.linspace(*_finite_range(scores), _BINS + 1)
    for name, values, colour in (
        ("nontarget", scores.nontarget, COLOURS[1]),
        ("target", scores.target, COLOURS[0]),
    ):
        places = np.searchsorted(values, edges)
        places[-1] = np.searchsorted(values, edges[-1], side="right")
        density = np.diff(places) / (values.size * np.diff(edges))
        axes.stairs(density, edges, color=colour, fill=True, alpha=0.3)
        label = f"{name} ({values.size:,} trials)"
        axes.stairs(density, edges, color=colour, linewidth=2, label=label)
    for index, (label, threshold) in enumerate(thresholds.items()):
        if np.isfinite(threshold):
            style = _DASHES[index % len(_DASHES)]
            axes.axvline(threshold, color="black", linestyle=style, label=label)
    axes.set(xlabel=xlabel, ylabel="density", title=title)
    axes.grid(color="0.9")
    axes.legend(framealpha=1)
    save_figure(figure, path)


def _finite_range(scores: SortedScores) -> tuple[float, float]:
    """The lowest and the highest finite score; some width where there is none."""
    finite = [part[np.isfinite(part)] for part in (scores.target, scores.nontarget)]
    ends = [float(part[end]) for part in finite if part.size for end in (0, -1)]
    lowest, highest = min(ends, default=0.0), max(ends, default=0.0)
    return (lowest, highest) if highest > lowest else (lowest - 0.5, lowest + 0.5)


def _det_curve(name: str, scores: SortedScores, point: OperatingPoint) -> _DetCurve:
    points = scores.det_points(_DET_POINTS)
    rate, _ = scores.eer()
    return _DetCurve(
        label=f"{name}: {100 * rate:.2f} %, {point.min_dcf(scores):.3f}",
        p_fa=points.p_fa,
        p_miss=points.p_miss,
        crossing=scores.interpolated_eer(),
        cheapest=[
            scores.rates(threshold)[::-1] for threshold in point.thresholds(scores)
        ],
        finest=1.0 / max(scores.target.size, scores.nontarget.size),
    )


def _draw_det(
    axes: Axes, curve: _DetCurve, index: int, limits: tuple[float, float]
) -> None:
    colour = COLOURS[index % len(COLOURS)]
    style = STYLES[index // len(COLOURS) % len(STYLES)]
    x, y = _thinned(_deviate(curve.p_fa), _deviate(curve.p_miss))
    axes.plot(x, y, style, color=colour, linewidth=2, label=curve.label)
    crossing = _deviate(curve.crossing)
    axes.plot(crossing, crossing, "o", color=colour, markersize=8)
    for rates in curve.cheapest:
        inside = np.clip(rates, limits[0] / 100.0, limits[1] / 100.0)
        axes.plot(*_deviate(inside), "s", color=colour, clip_on=False, **_HOLLOW)


def _deviate(rates: npt.ArrayLike) -> Array:
    """The normal deviate of rates; 0 and 1 become the far ends of any axis."""
    from scipy.special import ndtri

    result: Array = ndtri(np.clip(rates, 1e-9, 1.0 - 1e-9))
    return result


def _thinned(x: Array, y: Array) -> tuple[Array, Array]:
    """Drops points too close to the one before to be seen: smaller files."""
    steps = np.round(np.column_stack([x, y]), 3)
    moved = np.append(True, np.any(steps[1:] != steps[:-1], axis=1))
    return x[moved], y[moved]


def _det_limits(curves: Sequence[_DetCurve]) -> tuple[float, float]:
    """Ends of both axes in per cent: what the trials resolve, room for the markers."""
    finest = 100.0 * min(curve.finest for curve in curves)
    lowest = max((tick for tick in _PER_CENT if tick <= finest), default=_PER_CENT[0])
    marked = [
        [min(2 * curve.crossing, 0.9), *sum(curve.cheapest, ())] for curve in curves
    ]
    worst = 100.0 * max(rate for rates in marked for rate in rates if rate < 1.0)
    highest = next((tick for tick in _PER_CENT if tick > worst), _PER_CENT[-1])
    return min(lowest, 1.0), max(highest, 40.0)


def _det_axes(axes: Axes, lowest: float, highest: float) -> None:
    ticks = [tick for tick in _PER_CENT if lowest <= tick <= highest]
    where = _deviate(np.array(ticks) / 100.0)
    labels = [f"{tick:g}" for tick in ticks]
    axes.set_xticks(where, labels)
    axes.set_yticks(where, labels)
    axes.set_xlim(where[0], where[-1])
    axes.set_ylim(where[0], where[-1])
    axes.set_aspect("equal")
    axes.grid(color="0.88")
    axes.set_xlabel("false alarm rate (%)")
    axes.set_ylabel("miss rate (%)")


def _marker_key(axes: Axes, point: OperatingPoint) -> None:
    """Says in the lower left corner what the two markers are."""
    from matplotlib.lines import Line2D

    grey: dict[str, Any] = {"color": "0.3", "linestyle": "none"}
    handles = [
        Line2D([], [], marker="o", markersize=8, label="equal error rate", **grey),
        Line2D([], [], marker="s", label=f"minDCF, {point.label}", **grey, **_HOLLOW),
    ]
    axes.add_artist(axes.legend(handles=handles, loc="lower left", framealpha=1))
