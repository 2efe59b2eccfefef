import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from dataset.errors import InputError
from misc.plot import plot_det, plot_score_histogram


def systems(number):
    rng = np.random.default_rng(0)
    return {
        f"system {i}": (rng.normal(1 + i / 4, 1, 300), rng.normal(-1, 1, 2000))
        for i in range(number)
    }


def png_size(path):
    header = path.read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    return int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big")


def test_det_as_png(tmp_path):
    path = tmp_path / "det.png"
    plot_det(systems(3), path, title="three")
    assert png_size(path) == (800, 800)
    assert [file.name for file in tmp_path.iterdir()] == ["det.png"]


def test_figures_are_the_same_each_time(tmp_path):
    for suffix in ("png", "svg"):
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir(exist_ok=True)
            plot_det(systems(2), tmp_path / folder / f"det.{suffix}")
        first, second = ((tmp_path / f / f"det.{suffix}").read_bytes() for f in "ab")
        assert first == second


def test_det_as_svg_draws_every_system(tmp_path):
    path = tmp_path / "det.svg"
    plot_det(systems(9), path)  # more than there are colours
    root = ElementTree.parse(path).getroot()
    assert root.tag.endswith("svg")
    styles = [element.get("style", "") for element in root.iter()]
    assert sum("#0072b2" in style for style in styles) >= 2
    assert len(path.read_bytes()) < 1_000_000


@pytest.mark.parametrize(
    "pair",
    [
        ([3.0, 4.0], [1.0, 2.0]),
        ([1.0, 2.0], [3.0, 4.0]),
        ([0.0], [0.0]),
        ([np.inf, 1.0], [-np.inf, 0.0]),
    ],
    ids=["perfect", "upside down", "one tie", "infinite"],
)
def test_extreme_scores_can_be_drawn(pair, tmp_path):
    plot_det({"extreme": pair}, tmp_path / "det.png")
    plot_score_histogram(*pair, tmp_path / "histogram.png")


def test_score_histogram(tmp_path):
    (pair,) = systems(1).values()
    plot_score_histogram(*pair, tmp_path / "h.png", title="scores", xlabel="cosine")
    assert png_size(tmp_path / "h.png") == (800, 500)
    plot_score_histogram(*pair, tmp_path / "h.svg")
    ElementTree.parse(tmp_path / "h.svg")


def test_wrong_input_is_refused(tmp_path):
    with pytest.raises(InputError, match="png or .svg, got .*det.gif"):
        plot_det(systems(1), tmp_path / "det.gif")
    with pytest.raises(InputError, match="at least one system"):
        plot_det({}, tmp_path / "det.png")
    with pytest.raises(InputError, match="NaN"):
        plot_det({"a": ([np.nan], [0.0])}, tmp_path / "det.png")
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, misc.plot, misc.metrics; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"matplotlib", "scipy"} & set(loaded)
