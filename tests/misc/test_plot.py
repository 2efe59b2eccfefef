import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from dataset.errors import InputError
from misc.operating_points import OPERATING_POINTS
from misc.plot import plot_det, plot_score_histogram
from misc.sorted_scores import SortedScores


def systems(number):
    rng = np.random.default_rng(0)
    return {
        f"system {i}": SortedScores.of(
            rng.normal(1 + i / 4, 1, 300), rng.normal(-1, 1, 2000)
        )
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
    scores = SortedScores.of(*pair)
    plot_det({"extreme": scores}, tmp_path / "det.png")
    plot_score_histogram(scores, tmp_path / "histogram.png")


def test_score_histogram(tmp_path):
    (scores,) = systems(1).values()
    plot_score_histogram(scores, tmp_path / "h.png", title="scores", xlabel="cosine")
    assert png_size(tmp_path / "h.png") == (800, 500)
    thresholds = {"EER": 0.1, "nowhere": np.inf, "minDCF": 1.2, "other": 1.3}
    plot_score_histogram(scores, tmp_path / "h.svg", thresholds=thresholds)
    ElementTree.parse(tmp_path / "h.svg")


@pytest.mark.parametrize("name, markers", [("voxceleb", 2), ("sre16", 3)])
def test_each_prior_of_a_point_has_a_marker_and_the_key_one(name, markers, tmp_path):
    plot_det(systems(1), tmp_path / "det.svg", OPERATING_POINTS[name])
    root = ElementTree.parse(tmp_path / "det.svg").getroot()
    uses = [element for element in root.iter() if element.tag.endswith("use")]
    assert (
        sum("fill: #ffffff" in element.get("style", "") for element in uses) == markers
    )


def test_wrong_input_is_refused(tmp_path):
    with pytest.raises(InputError, match="png or .svg, got .*det.gif"):
        plot_det(systems(1), tmp_path / "det.gif")
    with pytest.raises(InputError, match="at least one system"):
        plot_det({}, tmp_path / "det.png")
    assert not list(tmp_path.iterdir())


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, misc.plot, misc.metrics; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"matplotlib", "scipy"} & set(loaded)
