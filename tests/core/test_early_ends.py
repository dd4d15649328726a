"""A run warns where episodes end early without a fixed horizon: the reward's sign then decides."""

from typing import Any

import pytest

from rlhf_core import stages
from rlhf_core.evaluation.early_ends import EARLY_ENDS, early_end_warning
from rlhf_core.types import Metrics
from tasks.opening import early_ends
from tests.core.examples import tiny

FEEDBACK: dict[str, Any] = {"kind": "preference", "segment_steps": 4}


def opening(**environment: Any) -> Metrics:
    experiment = tiny(
        budget={"env_steps": 800, "initial_steps": 400, "rounds": 2, "labels": 4},
        **{f"environment_{name}": value for name, value in environment.items()},
    )
    return stages.collect(experiment, stages.initial_policy(experiment))[-1]


def test_the_share_of_early_ends_is_measured() -> None:
    """A random walk of at most 10 steps reaches the end of a corridor of 3 in some episodes."""
    assert 0 < opening()[EARLY_ENDS] < 1
    assert opening(time_limit=100)[EARLY_ENDS] == pytest.approx(1.0)


def test_there_are_none_where_every_episode_lasts_equally_long() -> None:
    assert EARLY_ENDS not in opening(fixed_horizon=10)
    assert EARLY_ENDS not in opening(options={"length": 50})
    assert early_end_warning({}, 10) is None


def test_the_warning_tells_what_to_write() -> None:
    warning = early_end_warning({EARLY_ENDS: 0.37}, 500)
    assert warning is not None
    assert "37%" in warning
    assert "environment.fixed_horizon: 500" in warning


def test_no_warning_where_the_sign_of_the_reward_is_learned() -> None:
    metrics = {EARLY_ENDS: 0.37}
    assert early_ends(tiny(feedback=FEEDBACK), metrics) is not None
    assert (
        early_ends(tiny(feedback={**FEEDBACK, "reward_model": {"centred": False}}), metrics) is None
    )
    assert early_ends(tiny(feedback={"kind": "true_reward"}), metrics) is None
