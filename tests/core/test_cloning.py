"""Cloning: what is held out, when it stops, and how much exploration is left."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor

from rlhf_core.cloning import descend
from rlhf_core.cloning_settings import Cloning, CloningSettings, heldout_rows
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ShapeError
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.types import Transitions


def cloning(lengths: list[int], actions: np.ndarray | None = None, **settings: Any) -> Cloning:
    """Demonstrations of a state that says nothing."""
    count = sum(lengths)
    seen = np.ones((count, 1), dtype=np.float32)
    acted = np.zeros((count, 1), dtype=np.float32) if actions is None else actions
    shown = Transitions(seen, acted, seen, np.zeros(count, dtype=bool))
    return Cloning(shown, np.array(lengths), CloningSettings(**settings), only=True)


def test_whole_episodes_are_held_out_and_steps_of_a_single_one() -> None:
    assert np.flatnonzero(heldout_rows(25, 10)).tolist() == [1, 11, 21]
    assert cloning([2, 3, 1, 2], heldout_folds=2).heldout().tolist() == [
        False, False, True, True, True, False, True, True,
    ]  # fmt: skip
    assert np.flatnonzero(cloning([12], heldout_folds=5).heldout()).tolist() == [1, 6, 11]
    # An episode that is held out stays so when more are shown.
    few, many = cloning([4] * 3).heldout(), cloning([4] * 30).heldout()
    np.testing.assert_array_equal(few, many[:12])
    with pytest.raises(ShapeError, match=r"lengths that sum to 4, .* actual: 3"):
        Cloning(cloning([4]).demonstrations, np.array([3]), CloningSettings(), only=True)


def test_it_stops_where_the_held_out_loss_is_least() -> None:
    # Training rows pull to 5, held-out rows to 1: from 0 the best place on the way is 1.
    wanted = torch.tensor([5.0, 1.0, 5.0, 5.0])
    place = torch.zeros((), requires_grad=True)

    def loss(rows: Tensor) -> Tensor:
        return (place - wanted[rows]).square().mean()

    heldout = np.array([False, True, False, False])
    settings = CloningSettings(learning_rate=1e-3, patience=400, updates=5000)
    metrics = descend([place], loss, heldout, settings, np.random.default_rng(0))
    reached = place.item()
    assert reached == pytest.approx(1.0, abs=0.06)
    assert metrics["cloning/heldout_loss"] == pytest.approx((reached - 1) ** 2, abs=1e-6)
    assert 1300 <= metrics["cloning/updates"] <= 1600
    bounded = settings.model_copy(update={"updates": 150})
    assert (
        descend([place], loss, heldout, bounded, np.random.default_rng(0))["cloning/updates"] == 150
    )


@pytest.mark.parametrize(("deviation", "expected"), [(0.0, 0.2), (0.5, 0.5)])
def test_the_standard_deviation_is_the_likely_one_and_bounded_below(
    deviation: float, expected: float
) -> None:
    # Half the range is 2, and a tenth of it the bound.
    space = Spaces(spaces.Box(-1, 1, (1,)), spaces.Box(-2, 2, (1,)))
    noise = deviation * np.random.default_rng(0).choice([-1.0, 1.0], size=(2000, 1))
    shown = cloning([100] * 20, (0.3 + noise).astype(np.float32), updates=1500, patience=1500)
    optimiser = PPO(hidden=(8,))
    state, _ = optimiser.clone(optimiser.initial(space, 0), space, shown, 0)
    assert np.exp(state.parameters["log_std"]) == pytest.approx(expected, rel=0.1)
    act = optimiser.act(state, space, deterministic=True)
    assert act(np.ones((1, 1), dtype=np.float32)) == pytest.approx(0.3, abs=0.15)


def test_a_mean_beyond_the_bound_is_right_where_the_bound_was_demonstrated() -> None:
    space = Spaces(spaces.Box(-1, 1, (1,)), spaces.Box(-2, 2, (1,)))
    optimiser = PPO(hidden=(8,))
    fresh = optimiser.initial(space, 0)
    beyond = {**fresh.parameters, "action_net.bias": np.array([7.0], dtype=np.float32)}
    at_bound = cloning([50] * 4, np.full((200, 1), 2.0, dtype=np.float32), updates=100)
    state, metrics = optimiser.clone(type(fresh)(beyond, fresh.optimizer_state), space, at_bound, 0)
    # All errors are 0: the least deviation, and the normal density at its mean.
    assert metrics["cloning/heldout_loss"] == pytest.approx(np.log(0.2 * np.sqrt(2 * np.pi)))
    np.testing.assert_array_equal(state.parameters["action_net.bias"], [7.0])
