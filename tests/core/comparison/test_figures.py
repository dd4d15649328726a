"""Figures: what is drawn where, and SVG that stands by itself."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from rlhf_core.comparison import Comparison, compare
from rlhf_core.comparison.colours import colour_of
from rlhf_core.comparison.figures import FIGURES, slugs_of
from rlhf_core.comparison.figures.curves import thousands
from rlhf_core.comparison.figures.feedback import pareto_frontier
from rlhf_core.comparison.figures.styles import styles_of
from rlhf_core.comparison.figures.task import focus
from tests.core.comparison.examples import example
from tests.core.comparison.frames import curves_of, runs_of


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return example()


@pytest.fixture(scope="module")
def figures(comparison: Comparison) -> dict[str, str]:
    return comparison.figures()


def tips(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return [element.attrib["data-tip"] for element in root.iter() if "data-tip" in element.attrib]


def test_every_figure_is_drawn_where_the_runs_allow_it(figures: dict[str, str]) -> None:
    assert list(figures) == list(FIGURES)
    bare = compare(runs_of({"a": [1.0, 2], "b": [3.0, 4]})).figures()
    assert list(bare) == ["seeds", "profiles", "differences", "improvement"]
    assert compare(runs_of({"a": [float("nan")]})).figures() == {}


def test_a_figure_is_one_described_svg_in_the_page_s_ink(figures: dict[str, str]) -> None:
    for name, svg in figures.items():
        root = ElementTree.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg", name
        assert root.attrib["role"] == "img"
        assert "pendulum" in root.attrib["aria-label"]
        assert "currentColor" in svg
        assert "#000000" not in svg
        # White lines hatch the bars; nothing else is white, so that no background is.
        assert name == "returns_at_labels" or "#ffffff" not in svg
        assert re.findall("https?://", svg) == ["http://"]
        references = set(re.findall(r"url\(#([\w-]+)\)|href=\"#([\w-]+)\"", svg))
        identifiers = re.findall(r'id="([\w-]+)"', svg)
        assert {a or b for a, b in references} == set(identifiers)
        assert len(identifiers) == len(set(identifiers))


def test_cells_are_drawn_in_the_colours_of_their_strategies(figures: dict[str, str]) -> None:
    for strategy in ("preference", "mixed", "inverse_rl", "true_reward"):
        assert colour_of(strategy) in figures["curves_by_steps"]
    assert colour_of("true_reward") not in figures["heldout_accuracy"]


def test_every_seed_is_a_point_with_its_value(
    comparison: Comparison, figures: dict[str, str]
) -> None:
    texts = tips(figures["seeds"])
    finished = comparison.runs[comparison.runs["status"] == "finished"]
    assert len(texts) == len(finished) == 58
    run = finished.iloc[0]
    assert f"{run['cell']}, seed {run['seed']}: {run['true_return']:.0f}" in texts


def test_points_of_curves_carry_their_interval(figures: dict[str, str]) -> None:
    texts = tips(figures["curves_by_labels"])
    assert any(re.fullmatch(r"preference-ppo: \S+ \(\S+ to \S+\) at 200 labels", t) for t in texts)


def test_controls_are_lines_that_are_named_with_their_level(figures: dict[str, str]) -> None:
    assert re.search(r"constant-ppo \(-1\d\d\d, off\)", figures["curves_by_steps"])
    assert re.search(r"true_reward-ppo \(-1\d\d\)", figures["curves_by_labels"])
    assert not re.search(r"true_reward-ppo \(", figures["curves_by_steps"])


def test_forest_plots_name_both_sides(comparison: Comparison, figures: dict[str, str]) -> None:
    texts = tips(figures["differences"])
    assert len(texts) == 12
    assert texts[0].startswith("true_reward-ppo against preference-ppo ")
    assert len(tips(figures["improvement"])) == 12


def test_bars_stand_at_the_labels_that_were_reached(figures: dict[str, str]) -> None:
    texts = tips(figures["returns_at_labels"])
    assert len(texts) == 8 * 4
    assert all(f"at {count} labels, " in " ".join(texts) for count in (20, 50, 100, 200))


def test_equal_frames_give_equal_bytes(comparison: Comparison, figures: dict[str, str]) -> None:
    assert comparison.figures() == figures


def test_optimisers_of_one_strategy_differ_in_marker_and_line(comparison: Comparison) -> None:
    styles = styles_of(comparison.table)
    ppo, pgpe = styles["preference-ppo"], styles["preference-pgpe"]
    assert ppo.colour == pgpe.colour
    assert (ppo.marker, ppo.line) != (pgpe.marker, pgpe.line)
    assert (ppo.marker, ppo.line) == (styles["mixed-ppo"].marker, styles["mixed-ppo"].line)


@pytest.mark.parametrize("name", ["$x^", "a & <b>", "手順", "x" * 200, "%d {0} \\n"])
def test_any_name_can_be_drawn(name: str) -> None:
    runs = runs_of({name: [1.0, 2, 3], "b": [2.0, 3, 4]}, labels=20, cost=1.0)
    curves = curves_of({name: [[1, 2]] * 3, "b": [[1, 2]] * 3})
    curves["proxy_return"] = curves["heldout_accuracy"] = curves["true_return"]
    figures = compare(runs, curves).figures()
    assert len(figures) == 10
    for svg in figures.values():
        assert ElementTree.fromstring(svg) is not None
    assert any(text.startswith(f"{name}, seed 0") for text in tips(figures["seeds"]))


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0, 5.0], [0.0, 0.0], [1e9, -1e9], [3.0, 1e-9]])
def test_extreme_returns_can_be_drawn(values: list[float]) -> None:
    count = len(values)
    runs = runs_of({"a": values, "b": [7.0] * count}, labels=20, cost=1.0)
    curves = curves_of({"a": [[value] for value in values], "b": [[1.0, 7.0]] * count})
    # One run against another has no probability of improvement.
    assert len(compare(runs, curves).figures()) == (7 if count == 1 else 8)


def test_several_tasks_have_figures_of_their_own() -> None:
    names = list(example(("pen dulum", "pen-dulum")).figures())
    assert "seeds-pen-dulum" in names
    assert "seeds-pen-dulum-2" in names
    assert len(names) == 2 * len(FIGURES)
    assert slugs_of(["%", "a/b"]) == {"%": "task", "a/b": "a-b"}


def test_limits_show_all_points_and_of_wide_intervals_a_part() -> None:
    low, high = focus(np.array([0.0, 10]), np.array([-2.0, 1000]))
    assert -4 < low < -2
    assert 13 <= high < 20
    low, high = focus(np.array([5.0, 5]), np.array([float("nan")]))
    assert low < 5 < high


def test_the_frontier_on_paper() -> None:
    points = [(10.0, 5.0), (20.0, 4.0), (5.0, 1.0), (30.0, 9.0), (5.0, 0.0)]
    assert pareto_frontier(points) == [2, 0, 3]


@pytest.mark.parametrize(
    ("value", "text"), [(50_000, "50k"), (1_500_000, "1.5M"), (200, "200"), (0, "0")]
)
def test_counts_are_short(value: float, text: str) -> None:
    assert thousands(value) == text
