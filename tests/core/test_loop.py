"""The whole loop: the same numbers again, every kind of space, and learning what it should."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rlhf_core.annotators import AnnotatorState
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.in_process import InProcess, run
from rlhf_core.loop import Progress, advance, begin
from rlhf_core.packing import pack, unpack
from rlhf_core.policies import PolicyState
from rlhf_core.types import Metrics, RolloutRewards, Rollouts
from tests.core.environments import STEPS
from tests.core.examples import HERE, tiny

SHAPES = f"{HERE}:Shapes-v0"
CUE = f"{HERE}:Cue-v0"


def test_the_same_experiment_gives_the_same_numbers() -> None:
    def play(seed: int) -> list[Metrics]:
        told: list[Metrics] = []
        run(tiny("Pendulum-v1", seed=seed), lambda progress: told.append(progress.metrics))
        return told

    first = play(0)
    np.random.seed(1)
    assert first == play(0)
    assert first != play(1)
    assert len(first) == 2
    assert all(np.isfinite(value) for metrics in first for value in metrics.values())


@pytest.mark.usefixtures("unchecked")
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_over_200_rounds() -> None:
    pages: list[int] = []

    def look(progress: Progress) -> None:
        pages.append(int(Path("/proc/self/statm").read_text().split()[1]))

    budget = {
        "env_steps": 200 * 64,
        "labels": 200,
        "rounds": 200,
        "initial_steps": 64,
        "label_schedule": "constant",
    }
    run(tiny(budget=budget), look)
    assert len(pages) == 200
    # Allocators settle in the first rounds; 150 rounds of rollouts would be 1.5 MB, of runs more.
    assert (pages[-1] - pages[50]) * os.sysconf("SC_PAGE_SIZE") < 8 * 2**20


@pytest.mark.usefixtures("unchecked")  # beartype itself draws from Python's generator
def test_a_run_leaves_the_global_generators_where_they_were() -> None:
    before = random.getstate(), np.random.get_state(legacy=False), torch.get_rng_state()
    run(tiny())
    assert random.getstate() == before[0]
    np.testing.assert_equal(np.random.get_state(legacy=False), before[1])
    assert torch.equal(torch.get_rng_state(), before[2])


def test_a_run_that_was_stored_between_rounds_goes_on_as_if_it_had_not_been() -> None:
    experiment = tiny("Pendulum-v1")
    undisturbed = run(experiment)
    half = advance(experiment, InProcess(experiment), begin(InProcess(experiment)))
    rollouts, rewards = half.first
    stored = Progress(
        half.round,
        unpack(pack(half.policy), PolicyState),
        unpack(pack(half.trusted), PolicyState),
        unpack(pack(half.feedback), FeedbackState),
        unpack(pack(half.annotator), AnnotatorState),
        unpack(pack(half.rollouts), Rollouts),
        unpack(pack(half.rewards), RolloutRewards),
        (unpack(pack(rollouts), Rollouts), unpack(pack(rewards), RolloutRewards)),
        half.opening,
        half.batches,
        half.history,
    )
    resumed = advance(experiment, InProcess(experiment), stored)
    assert resumed.history == undisturbed.history
    assert pack(resumed.policy) == pack(undisturbed.policy)
    assert pack(resumed.feedback) == pack(undisturbed.feedback)
    assert pack(resumed.annotator) == pack(undisturbed.annotator)
    assert pack(resumed.trusted) == pack(undisturbed.trusted)


def test_a_run_spends_its_budget_and_no_more() -> None:
    rounds: list[Progress] = []
    final = run(tiny(), rounds.append)
    assert [progress.round for progress in rounds] == [1, 2]
    assert final.policy.steps == 80
    assert len(final.feedback.labels["comparison"]) == 8
    assert sum(progress.metrics["feedback/labels"] for progress in rounds) == 8


FEW = {"env_steps": 80, "labels": 4, "rounds": 2, "initial_steps": 16}
"""So few labels that clips of four steps out of episodes of five or six are enough."""
OBSERVED = [
    "box", "bytes", "discrete", "discrete_from_1", "multi_discrete", "multi_discrete_from_1",
    "multi_discrete_2d", "multi_binary", "multi_binary_2d", "dict", "tuple",
]  # fmt: skip
ACTED = ["box", "box_2d", "discrete", "multi_discrete", "multi_binary"]


@pytest.mark.parametrize(
    "options",
    [{"observation": kind} for kind in OBSERVED] + [{"action": kind} for kind in ACTED],
    ids=lambda options: "-".join(*options.items()),
)
def test_the_loop_runs_on_every_space_that_is_supported(options: dict[str, str]) -> None:
    # Shapes-v0 itself refuses an action that is not in its space.
    final = run(tiny(SHAPES, environment_options=options, budget=FEW))
    assert final.evaluation is not None
    assert final.evaluation.lengths.tolist() == [STEPS] * 3
    assert set(final.evaluation.returns.tolist()) <= set(range(STEPS + 1))
    assert final.metrics["feedback/queries"] > 0


def test_the_loop_runs_with_a_fixed_horizon_over_a_dict() -> None:
    options = {"observation": "dict", "ends_at": 2}
    short = {"environment_options": options, "environment_fixed_horizon": 5}
    final = run(tiny(SHAPES, budget=FEW, **short))
    assert final.evaluation is not None
    assert final.evaluation.lengths.tolist() == [2] * 3, "absorbing steps are not played"


def test_what_is_known_of_a_run_grows_by_a_round() -> None:
    rounds: list[Progress] = []
    final = run(tiny(), rounds.append)
    assert [len(progress.history) for progress in rounds] == [1, 2]
    assert final.history[0] == rounds[0].metrics
    assert final.first == rounds[0].first
    assert final.trusted.parameters is rounds[0].policy.parameters
    assert not final.stopped


def test_fewer_labels_than_rounds_are_enough() -> None:
    budget = {"env_steps": 80, "labels": 1, "rounds": 3, "initial_steps": 16}
    asked: list[float] = []
    run(tiny(budget=budget), lambda p: asked.append(p.metrics["feedback/queries"]))
    assert sorted(asked) == [0, 0, 1]


def test_episodes_may_be_shorter_than_the_segment() -> None:
    feedback = {"segment_steps": 10, "reward_model": {"hidden": [8], "epochs": 2}}
    budget = {"env_steps": 160, "labels": 3, "rounds": 1, "initial_steps": 96}
    final = run(tiny(feedback=feedback, budget=budget))
    assert final.feedback.evidence is not None
    clips = final.feedback.evidence.segments
    real = clips.mask.sum(axis=1)
    assert clips.steps == 10
    assert 1 <= real.min() < 10
    assert real.max() <= 10


def test_rollouts_may_be_shorter_than_the_segment_from_the_first_step_on() -> None:
    budget = {"env_steps": 80, "labels": 1, "rounds": 2, "initial_steps": 1}
    assert run(tiny(budget=budget)).policy.steps == 2 + 64


def cue(kind: str, seed: int = 0, **changes: Any) -> float:
    """Mean return on Cue-v0 (8 is best, 0 worst, chance 4) of a policy that still explores."""
    models = {"hidden": [16], "members": 2, "learning_rate": 1e-2, "epochs": 20, "batch_size": 50}
    compared = {"segment_steps": 4, "queries": "uniform", "reward_model": models}
    final = run(
        tiny(
            CUE,
            environment_count=8,
            feedback={"kind": kind} if kind in SILENT else {"kind": kind, **compared},
            optimiser={
                "steps": 32, "batch_size": 64, "epochs": 10, "hidden": [16],
                "learning_rate": 1e-2, "discount": 0.5,
            },
            budget={"env_steps": 512 + 8 * 256, "labels": 100, "rounds": 1, "initial_steps": 512},
            evaluation={"episodes": 40, "deterministic": False},
            seed=seed,
            **changes,
        )
    )  # fmt: skip
    return final.metrics["eval/true_return_mean"]


SILENT = ("true_reward", "constant")


@pytest.mark.parametrize("seed", [0, 1])
def test_the_true_reward_teaches_what_a_constant_one_does_not(seed: int) -> None:
    assert cue("true_reward", seed) > 7.5
    assert abs(cue("constant", seed) - 4) < 3


@pytest.mark.parametrize("seed", [0, 1])
def test_preferences_teach_what_flipped_ones_undo(seed: int) -> None:
    assert cue("preference", seed) > 7.5
    assert cue("sign_flipped", seed) < 0.5


def test_shuffled_preferences_teach_nothing_on_the_whole() -> None:
    # Labels without sense still favour some action for each cue, right or wrong by a coin.
    returns = [cue("shuffled_labels", seed) for seed in range(4)]
    assert abs(np.mean(returns) - 4) < 2.5


def test_a_teacher_that_always_errs_is_a_flipped_one() -> None:
    assert cue("sign_flipped", annotator={"kind": "synthetic", "mistake": 1.0}) > 7.5
