"""The page about retraining names every number that a gate writes down."""

import re
from pathlib import Path

import numpy as np

from rlhf_core.retraining.figure import draw_gate
from rlhf_core.retraining.gate import Gate
from tests.core.retraining.examples import candidate, starts, trial

PAGE = Path(__file__).parents[3] / "docs" / "retraining.md"


def test_every_metric_of_a_gate_is_documented_and_the_other_way_round() -> None:
    side = candidate(starts(), answers={"comparison": np.array([0, 1])})
    decision = Gate().judge(side, side, trial(starts(7)), 1, np.random.default_rng(0))
    documented = re.findall(r"^\| `((?:gate|drift)/[a-z_]+)` \|", PAGE.read_text(), re.M)
    assert sorted(decision.metrics) == sorted(documented)


def test_the_picture_of_a_gate_is_drawn_with_and_without_a_record() -> None:
    side = candidate(starts(), answers={"comparison": np.array([0, 1])})
    pictures = [draw_gate(side, side, recorded) for recorded in (None, trial(starts(7)))]
    assert all(picture.startswith(b"\x89PNG") for picture in pictures)
    assert pictures[0] != pictures[1]
