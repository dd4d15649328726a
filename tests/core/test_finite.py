"""No reward, no policy and no metric that is not finite is handed on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rlhf_core import divergence
from rlhf_core.errors import DivergedError
from rlhf_core.evolution.strategy import EvolutionStrategy
from rlhf_core.feedback.random_network import RandomNetwork
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.finite import all_finite, check_value, diverging
from rlhf_core.in_process import run
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.policies import Optimised
from rlhf_core.rewards.model import EnsembleState
from tests.core.examples import HERE, tiny

OPTIMISER: dict[str, dict[str, Any]] = {
    "ppo": {"steps": 8, "batch_size": 8, "epochs": 1, "hidden": [8]},
    "a2c": {"steps": 8, "hidden": [8]},
    "trpo": {"steps": 8, "batch_size": 8, "hidden": [8]},
    "recurrent_ppo": {"steps": 8, "batch_size": 8, "epochs": 1, "hidden": [8], "lstm_size": 4},
    "dqn": {"hidden": [8], "warmup_steps": 4, "train_every": 4},
    "sac": {"hidden": [8], "warmup_steps": 4, "train_every": 4},
    "td3": {"hidden": [8], "warmup_steps": 4, "train_every": 4},
    "grpo": {"group_size": 2, "batch_size": 2, "fine_tuning": {"epochs": 0}},
    "rloo": {"group_size": 2, "batch_size": 2, "fine_tuning": {"epochs": 0}},
}
LANGUAGE = ("grpo", "rloo")


def test_arrays_are_looked_at_number_by_number_only_where_their_squares_overflow() -> None:
    assert all_finite(np.array([1e200, -1e200]))
    assert all_finite(np.full((3, 2), 3e38, dtype=np.float32))
    assert all_finite(np.array([1, 2]))
    assert all_finite(np.array(["nan", None], dtype=object))
    for number in (np.nan, np.inf, -np.inf):
        assert not all_finite(np.array([[1.0, number]]))
        assert not all_finite(np.array(number, dtype=np.float16))


def test_a_value_is_looked_at_however_nested() -> None:
    ones = np.ones(2)
    state = EnsembleState({"weight_0": np.ones(3)}, ones, ones, ones, ones)
    check_value(state, "reward", "help")
    broken = replace(state, parameters={"weight_0": np.array([1.0, np.nan, np.inf])})
    told = r"reward: expected finite numbers, actual: 2 of the 3 of 'parameters.weight_0' .*; help"
    with pytest.raises(DivergedError, match=told):
        check_value(broken, "reward", "help")
    with pytest.raises(DivergedError, match="'scale'"):
        check_value(replace(state, scale=float("nan")), "reward", "help")


def test_what_libraries_say_of_numbers_that_are_not_finite_is_understood() -> None:
    with pytest.raises(DivergedError, match="policy: expected finite"), diverging("policy", "help"):
        raise ValueError("Expected parameter loc to satisfy the constraint Real(), but found nan")
    with pytest.raises(ValueError, match="something else"), diverging("policy", "help"):
        raise ValueError("something else")


@pytest.mark.parametrize("kind", sorted({*OPTIMISERS.kinds()} - {"dpo"}))
def test_no_optimiser_hands_on_a_policy_that_is_not_finite(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The reward is NaN from the first step on, as one of a user's own may be.
    def nan(self: object, state: object, spaces: object) -> Callable[..., np.ndarray]:
        return lambda o, a, n, t: np.full(len(o), np.nan, dtype=np.float32)

    monkeypatch.setattr(RandomNetwork, "reward", nan)
    evolves = issubclass(OPTIMISERS.get(kind), EvolutionStrategy)
    fields = {"population": 4} if evolves else OPTIMISER[kind]
    id = f"{HERE}:{'Cue' if kind == 'dqn' else 'Drift'}-v0"
    if kind in LANGUAGE:
        pytest.importorskip("transformers")
        id = "rlhf/RandomWalks-v0"
    experiment = tiny(
        id,
        optimiser={"kind": kind, **fields},
        feedback={"kind": "random_network"},
        budget={"env_steps": 200, "labels": 8, "rounds": 1, "initial_steps": 16},
    )
    with np.errstate(invalid="ignore"), pytest.raises(DivergedError, match=r"^optimiser: "):
        run(experiment)


def test_no_fit_hands_on_a_reward_that_is_not_finite() -> None:
    ones = np.ones(1)
    broken = EnsembleState({"weight_0": np.array([np.nan])}, ones, ones, ones, ones)
    told = r"feedback: the reward that 'preference' fitted in round 3: .*; a smaller learning rate"
    with pytest.raises(DivergedError, match=told):
        divergence.checked_fit(tiny(), 2, lambda: (FeedbackState(ensemble=broken), {}))
    with pytest.raises(DivergedError, match="expected a finite reward/train_loss, actual: inf"):
        divergence.checked_fit(
            tiny(), 2, lambda: (FeedbackState(), {"reward/train_loss": float("inf")})
        )


def test_a_fit_that_diverges_is_refused() -> None:
    model = {"hidden": [8], "members": 2, "epochs": 3, "learning_rate": 1e38}
    experiment = tiny(feedback={"kind": "preference", "segment_steps": 4, "reward_model": model})
    with pytest.raises(DivergedError, match="feedback: the reward that 'preference' fitted"):
        run(experiment)


def test_an_optimisation_that_diverges_is_refused() -> None:
    experiment = tiny(
        f"{HERE}:Drift-v0",
        optimiser={**OPTIMISER["ppo"], "learning_rate": 1e30},
        feedback={"kind": "true_reward"},
    )
    with np.errstate(all="ignore"), pytest.raises(DivergedError, match=r"^optimiser: "):
        run(experiment)


def test_a_number_that_is_undefined_is_left_out_and_is_no_divergence() -> None:
    # All returns are 0, so no variance of them can be explained.
    experiment = tiny(
        f"{HERE}:Shapes-v0",
        environment_options={"action": "box"},
        optimiser={**OPTIMISER["ppo"], "discount": 0.0},
        feedback={"kind": "constant"},
    )
    for metrics in run(experiment).history:
        assert "policy/value_explained_variance" not in metrics
        assert "policy/entropy" in metrics


def test_losses_of_the_optimisation_are_checked() -> None:
    outcome: Optimised | None = None

    def keep(made: tuple[Optimised, FeedbackState]) -> tuple[Optimised, FeedbackState]:
        nonlocal outcome
        outcome = made[0]
        return made

    from rlhf_core import stages

    experiment = tiny()
    policy = stages.initial_policy(experiment)
    state = FeedbackState()
    control = tiny(feedback={"kind": "true_reward"})
    keep(stages.optimise(control, 0, policy, state))
    assert outcome is not None
    worse = replace(outcome, metrics={**outcome.metrics, "policy/value_loss": float("nan")})
    with pytest.raises(DivergedError, match="expected a finite policy/value_loss"):
        divergence.checked_optimisation(experiment, 0, lambda: (worse, state))
