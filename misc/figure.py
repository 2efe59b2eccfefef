"""What all figures have in common: colours, axes, PNG and SVG files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.errors import InputError
from misc.whole_files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# M. Okabe and K. Ito's colours, told apart with any kind of colour vision.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
STYLES = ("-", "--", ":", "-.")
_DOTS_PER_INCH = 100


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, width and height in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def new_axes(figure: Figure, *place: Any) -> Axes:
    """Axes in a figure; `place` as `Figure.add_subplot` takes it."""
    axes = figure.add_subplot(*place)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure; the same content gives the same file.

    Raises:
        InputError: the name ends neither in .png nor in .svg.
    """
    import matplotlib

    final = Path(path)
    kind = final.suffix.lower().lstrip(".")
    if kind not in ("png", "svg"):
        raise InputError(f"A figure's name must end in .png or .svg, got {final}")
    # Neither a date nor random names.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": final.name}):
        write_whole(
            str(final),
            lambda name: figure.savefig(name, format=kind, metadata=metadata),
        )
