"""Figures of trainings: the curves of runs, and the learning-rate range test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from misc.figure import COLOURS, STYLES, new_axes, new_figure, save_figure
from misc.rate_test import Tried, smoothed, suggested_rate
from misc.training_history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Sequence[tuple[float, float]]

_COLUMNS = 2
_PANEL_WIDTH, _PANEL_HEIGHT = 5.5, 3.0  # inches


class _Panel(NamedTuple):
    """Axes of the figure: what is drawn, as a thin and as a marked line."""

    title: str
    thin: Sequence[Points]
    marked: Sequence[Points]
    scale: str = "linear"


def plot_training(
    histories: Mapping[str, History], path: str | os.PathLike[str]
) -> None:
    """Draws losses, EER, rate, accuracy, speed and waiting of runs over their steps.

    What no run has is left out; so is an axis that would be empty.

    Args:
        histories: by what the legend calls them.
        path: the figure to write; `.png` or `.svg`.
    """
    panels = [panel for panel in _panels(list(histories.values())) if _has_lines(panel)]
    rows = -(-len(panels) // _COLUMNS)
    legend_height = 0.3 + 0.2 * len(histories)
    figure = new_figure(_COLUMNS * _PANEL_WIDTH, rows * _PANEL_HEIGHT + legend_height)
    for index, panel in enumerate(panels):
        axes = new_axes(figure, rows, _COLUMNS, index + 1)
        _draw(axes, panel)
    _legend(figure, histories)
    save_figure(figure, path)


def _panels(histories: Sequence[History]) -> Iterator[_Panel]:
    def columns(name: str, factor: float = 1.0) -> list[Points]:
        return [
            [(step, factor * value) for step, value in history.column(name)]
            for history in histories
        ]

    def epochs(name: str, factor: float = 1.0) -> list[Points]:
        return [
            [(epoch.step, factor * getattr(epoch, name)) for epoch in history.epochs]
            for history in histories
        ]

    nothing: list[Points] = [[] for _ in histories]
    yield _Panel("loss", columns("loss"), epochs("loss"))
    yield _Panel("validation EER, %", nothing, epochs("eer", 100.0))
    rates = [
        history.column("learning_rate") or list(_steps(history.rates))
        for history in histories
    ]
    yield _Panel("learning rate", rates, nothing, "log")
    yield _Panel("training accuracy, %", columns("accuracy", 100.0), nothing)
    yield _Panel("segments per second", columns("segments_per_second"), nothing)
    yield _Panel("waited for data, %", columns("data_wait", 100.0), nothing)


def _steps(rates: Points) -> Iterator[tuple[float, float]]:
    """A line that jumps where the rate does."""
    for (first, rate), (end, _) in zip(rates, rates[1:], strict=False):
        yield first, rate
        yield end, rate


def _has_lines(panel: _Panel) -> bool:
    return any(panel.thin) or any(panel.marked)


def _draw(axes: Axes, panel: _Panel) -> None:
    for index, (thin, marked) in enumerate(zip(panel.thin, panel.marked, strict=True)):
        colour, style = _look(index)
        if thin:
            x, y = np.transpose(thin)
            axes.plot(x, y, style, color=colour, linewidth=1.2, alpha=0.8)
        if marked:
            x, y = np.transpose(marked)
            axes.plot(x, y, style, color=colour, linewidth=2, marker="o", markersize=4)
    axes.set_title(panel.title, loc="left", fontsize="medium")
    if panel.scale == "log":
        _log_scale(axes)
    axes.set_xlim(left=0)
    if panel.scale == "linear" and not any(panel.marked):
        axes.set_ylim(bottom=0)
    axes.grid(color="0.9")
    axes.xaxis.set_major_formatter(_thousands)
    axes.set_xlabel("step")
    if any(panel.thin) and any(panel.marked):
        _kinds_of_lines(axes)


def _log_scale(axes: Axes) -> None:
    """A logarithmic axis with plain numbers on it."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _look(index: int) -> tuple[str, Any]:
    """Colour and style of the run number `index`."""
    style = STYLES[index // len(COLOURS) % len(STYLES)]
    return COLOURS[index % len(COLOURS)], style


def _kinds_of_lines(axes: Axes) -> None:
    """Says which of the two kinds of lines is what."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color="0.3", linewidth=1.2, label="training"),
        Line2D([], [], color="0.3", linewidth=2, marker="o", markersize=4,
               label="validation"),
    ]  # fmt: skip
    axes.legend(handles=handles, loc="upper right", fontsize="small")


def _legend(figure: Figure, histories: Mapping[str, History]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for index, (name, history) in enumerate(histories.items()):
        colour, style = _look(index)
        label = name
        if best := history.best():
            label += (
                f": lowest validation loss {best.loss:.3f} at step {best.step:,}, "
                f"EER {100 * best.eer:.2f} %"
            )
        handles.append(Line2D([], [], color=colour, linestyle=style, label=label))
    figure.legend(handles=handles, loc="outside upper left", frameon=False)


def _thousands(step: float, _: object) -> str:
    return f"{step / 1000:g}k" if step >= 10_000 else f"{step:g}"


def plot_rate_test(tried: Sequence[Tried], path: str | os.PathLike[str]) -> None:
    """Draws the losses of a learning-rate range test, and the rate it suggests.

    Args:
        tried: what `misc.rate_test` makes of a test; at least one rate.
        path: the figure to write; `.png` or `.svg`.
    """
    rates = [row.rate for row in tried]
    losses = [row.loss for row in tried]
    figure = new_figure(8.0, 5.0)
    axes = new_axes(figure)
    axes.plot(
        rates, losses, "o", color=COLOURS[0], markersize=3, alpha=0.5, label="loss"
    )
    axes.plot(
        rates, smoothed(losses), color=COLOURS[0], linewidth=2, label="over five rates"
    )
    suggested = suggested_rate(tried)
    if suggested is not None:
        label = f"falls fastest: {suggested:.2g}"
        axes.axvline(suggested, color="black", linestyle="--", label=label)
    axes.set_xscale("log")
    axes.set_ylim(*_loss_limits(losses))
    axes.set(xlabel="learning rate", ylabel="mean loss")
    axes.grid(color="0.9")
    axes.legend(framealpha=1)
    save_figure(figure, path)


def _loss_limits(losses: Sequence[float]) -> tuple[float, float]:
    """The losses before the divergence fill the figure, not those after it."""
    low, first = min(losses), losses[0]
    room = max(first - low, 1e-3 * abs(first))
    return low - 0.1 * room, min(first + 0.5 * room, max(losses) + 0.1 * room)
