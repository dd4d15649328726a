"""Absorbing states that are not played give the returns, clips and values of those that are.

On `Corridor-v0` all numbers are known on paper: always on earns 1 + 2 + 3 and is absorbed after
three steps.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box
from stable_baselines3.common.logger import Logger

from rlhf_core.environments import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.evolution.network import PolicyNetwork
from rlhf_core.evolution.play import play as play_population
from rlhf_core.fused import FusedPPO
from rlhf_core.inverse_rl.adversarial import initial
from rlhf_core.inverse_rl.model import Discriminator
from rlhf_core.normaliser import Normaliser
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.recording import Record, Recorder
from rlhf_core.reservoir import trajectories
from rlhf_core.rewards import EnvironmentReward
from rlhf_core.rewards.absorbing import (
    UNSCALED,
    AbsorbingScale,
    Scale,
    from_arrays,
    remembered,
    staying,
    staying_rewards,
    to_arrays,
    value_of_staying,
)
from rlhf_core.rewards.constant import ConstantReward
from rlhf_core.rollouts import collect, finished_returns
from rlhf_core.segments import clips_in, cut, sample_segments, true_rewards
from rlhf_core.stable_baselines.relabelling import OnPolicyRelabelling, feedforward_critic
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import Metrics, RolloutRewards, Rollouts, Transitions
from tests.core.examples import HERE

HORIZON = 10


def corridor(form: str = "absorbing", count: int = 4) -> Environment:
    return Environment.model_validate(
        {
            "id": f"{HERE}:Corridor-v0",
            "count": count,
            "fixed_horizon": HORIZON,
            "horizon_form": form,
            "options": {"pit": True},
        }
    )


def learned(observation: Any, action: Any, next_observation: Any, terminated: Any) -> np.ndarray:
    """Known on paper: the place, less 2 in the absorbing state."""
    rewards: np.ndarray = (next_observation[:, 0] - 2 * observation[:, 1]).astype(np.float32)
    return rewards


def walked(form: str, actions: list[int], count: int = 1) -> tuple[Rollouts, RolloutRewards]:
    """Play these actions, and then the last one, up to the horizon or the end."""
    environment = corridor(form, count)
    vector = environment.make_vector()
    recorder = Recorder(vector)
    recorder.reset(list(range(count)))
    steps = HORIZON if form == "played" else len(actions)
    for action in [*actions, *[actions[-1]] * (steps - len(actions))]:
        recorder.step(np.full(count, action))
    return trajectories(recorder.take(), 0)


@pytest.mark.parametrize("actions", [[1, 1, 1], [0], [1, 0, 0], [1, 0, 1, 1, 1]])
@pytest.mark.parametrize("steps", [1, 2, 4, 10])
def test_clips_are_those_of_the_played_form(actions: list[int], steps: int) -> None:
    (short, short_rewards), (long, long_rewards) = (
        walked(form, actions) for form in ("absorbing", "played")
    )
    assert len(short.trajectories[0]) == len(actions)
    assert len(long.trajectories[0]) == HORIZON
    count = clips_in(short, steps)
    assert count == min(len(actions), HORIZON - steps + 1)
    origin = np.stack([np.zeros(count, dtype=np.int64), np.arange(count)], axis=1)
    clips, whole = cut(short, origin, steps), cut(long, origin, steps)
    for name in ("observations", "mask", "terminated"):
        np.testing.assert_array_equal(getattr(clips, name), getattr(whole, name))
    np.testing.assert_array_equal(clips.actions, whole.actions)
    np.testing.assert_array_equal(
        true_rewards(short_rewards, clips).values, true_rewards(long_rewards, whole).values
    )
    assert clips.mask.all()


def test_clips_begin_with_a_played_step() -> None:
    rollouts, _ = walked("absorbing", [1, 1, 1], count=3)
    clips = sample_segments(rollouts, 9, 5, np.random.default_rng(0))
    assert sorted(map(tuple, clips.origin.tolist())) == [(t, s) for t in range(3) for s in range(3)]


def test_a_quarter_of_the_clips_reaches_into_an_absorbing_state() -> None:
    # One early end among 400 steps: of 397 clips of four steps three reach beyond it.
    (short, _), (long, _) = walked("absorbing", [1, 1, 1]), walked("absorbing", [0, 0, 0])
    assert short.trajectories[0].absorbing_steps == 7
    plain = replace(long.trajectories[0], absorbing_steps=0)
    many = Rollouts((*[plain] * 200, short.trajectories[0]))
    for seed in range(5):
        clips = sample_segments(many, 8, 4, np.random.default_rng(seed))
        reaching = (clips.observations[:, -1, 1] == 1).sum()
        assert reaching >= 2
        assert len(np.unique(clips.origin, axis=0)) == 8
    # No more than there are.
    assert (sample_segments(many, 100, 4, np.random.default_rng(0)).origin[:, 0] == 200).sum() <= 3


def test_clips_are_drawn_as_ever_where_no_episode_ended_early() -> None:
    rollouts, _ = walked("played", [1, 0, 1], count=3)
    clips = sample_segments(rollouts, 6, 4, np.random.default_rng(7))
    drawn = np.random.default_rng(7).choice(21, size=6, replace=False)
    np.testing.assert_array_equal(clips.origin, np.stack([drawn // 7, drawn % 7], axis=1))


def test_an_absorbed_episode_is_finished() -> None:
    for form in ("absorbing", "played"):
        np.testing.assert_array_equal(finished_returns(*walked(form, [1, 1, 1]), HORIZON), [6])


@pytest.mark.parametrize("reward", [learned, EnvironmentReward()])
def test_the_fitness_of_a_population_equals_that_of_the_played_form(reward: Any) -> None:
    # Linear policies act alike in both forms: their actions depend on the observation alone.
    def fitness(form: str) -> np.ndarray:
        network = PolicyNetwork(corridor().spaces(), ())
        members = np.random.default_rng(3).normal(size=(8, network.size))
        vector = corridor(form).make_vector(16)
        fresh = Normaliser.fresh(2)
        generation = play_population(vector, network, fresh, members, [0, 1], HORIZON)
        return generation.fitness(reward)[0]

    short, long = fitness("absorbing"), fitness("played")
    np.testing.assert_allclose(short, long)
    assert len(np.unique(short)) > 1


def test_the_value_of_staying_is_the_fixed_point_of_the_played_form() -> None:
    rewards, discount = np.array([0.5, -2.0]), 0.9
    for left in (0, 1, 7):
        steps = np.array([left, left])
        value = value_of_staying(rewards, steps, discount)
        # The rewards of the steps that are left, then the value of the last state at the limit.
        sums = sum(discount**t * rewards for t in range(left))
        np.testing.assert_allclose(sums + discount**left * value, value)
    np.testing.assert_array_equal(value_of_staying(rewards, np.array([3, 0]), 1.0), [1.5, 0.0])


def test_the_true_reward_of_an_absorbing_state_is_zero() -> None:
    steps = Transitions(np.ones((2, 2)), np.zeros(2), np.ones((2, 2)), np.zeros(2, dtype=bool))
    np.testing.assert_array_equal(staying_rewards(EnvironmentReward(), steps), [0, 0])
    np.testing.assert_array_equal(staying_rewards(learned, steps), [-1, -1])


def test_a_discriminator_has_one_absorbing_state() -> None:
    spaces = Spaces(Box(-9, 9, (2,), np.float32), Box(-9, 9, (1,), np.float32))
    rng = np.random.default_rng(0)

    def drawn(centre: float) -> Transitions:
        points = rng.normal(centre, 1.0, size=(64, 2)).astype(np.float32)
        actions = rng.normal(size=(64, 1)).astype(np.float32)
        return Transitions(points, actions, points, np.zeros(64, dtype=bool))

    reward = initial("gail", Discriminator(), spaces, drawn(1.0), rng)
    ends = drawn(-1.0)
    reward = reward.observe(ends, None, rng)
    rewards = reward(*ends)
    assert np.ptp(rewards) > 0
    np.testing.assert_array_equal(staying_rewards(reward, ends), np.full(64, rewards.mean()))


def optimised(form: str, reward: Any, steps: int, **changes: Any) -> Metrics:
    optimiser = PPO.model_validate(
        {"steps": 40, "batch_size": 40, "hidden": [8], "learning_rate": 1e-9, **changes}
    )
    environment = corridor(form, 16)
    state = optimiser.initial(environment.spaces(), 0)
    return optimiser.optimise(state, environment, reward, steps, steps, 5).metrics


def test_mean_returns_equal_those_of_the_played_form() -> None:
    # The policy does not learn here (a step size of 1e-9), so both forms sample one distribution.
    short = optimised("absorbing", learned, 32_000)["proxy/return_mean"]
    long = optimised("played", learned, 128_000)["proxy/return_mean"]
    # Returns lie between -20 and 10, so 10,000 episodes tell them apart by less than 0.15.
    assert abs(short - long) < 0.3
    assert abs(short) > 1


def test_what_follows_an_early_end_is_part_of_its_return() -> None:
    returns, record = rollout_returns(learned, discount=0.9)
    absorbed = record.absorbing_steps[:, 0] >= 0
    assert absorbed.any()
    stay = learned(record.next_observations[:, 0], None, record.next_observations[:, 0], None)
    rewards = learned(record.observations[:, 0], None, record.next_observations[:, 0], None)
    zero = stay[absorbed].mean()
    unit = np.sqrt(np.square(rewards - zero).mean())
    rewards, stay = (rewards - zero) / unit, (stay - zero) / unit
    expected, following, known = np.zeros(len(rewards)), 0.0, np.zeros(len(rewards), dtype=bool)
    for step in reversed(range(len(rewards))):
        ended = absorbed[step] or record.truncated[step, 0]
        # At the horizon, and after the rollout, the value function is added.
        known[step] = absorbed[step] or (not ended and step + 1 < len(known) and known[step + 1])
        if absorbed[step]:
            following = stay[step] / (1 - 0.9)
        following = expected[step] = rewards[step] + 0.9 * following
    assert known.mean() > 0.5
    np.testing.assert_allclose(returns[known], expected[known], rtol=1e-4)


def test_a_constant_reward_makes_every_early_end_worth_nothing() -> None:
    returns, record = rollout_returns(ConstantReward(3.0), discount=0.9)
    absorbed = record.absorbing_steps[:, 0] >= 0
    assert absorbed.any()
    np.testing.assert_array_equal(returns[absorbed], 0)


def rollout_returns(reward: Any, discount: float) -> tuple[np.ndarray, Record]:
    """Play one rollout of one copy, and return what its steps were learned to be worth."""
    vector = RecordingVecEnv(corridor(count=1), np.random.default_rng(0), False)
    model = FusedPPO(
        "MlpPolicy", vector, n_steps=64, batch_size=64, gamma=discount, gae_lambda=1.0, seed=0
    )
    model.set_logger(Logger(folder=None, output_formats=[]))
    callback = OnPolicyRelabelling(
        reward, vector, lambda steps: None, None, False, feedforward_critic(),
        np.random.default_rng(0), 0,
    )  # fmt: skip
    model.learn(64, callback=callback)
    assert callback._last is not None
    return model.rollout_buffer.returns.ravel(), callback._last


@pytest.mark.parametrize("seed", range(3))
def test_a_constant_reward_teaches_nothing_at_all(seed: int) -> None:
    optimiser = PPO(steps=40, batch_size=40, hidden=(8,), learning_rate=1e-2)
    environment = corridor(count=16)
    before = optimiser.initial(environment.spaces(), seed)
    after = optimiser.optimise(before, environment, ConstantReward(2.0), 6400, 6400, seed).state
    for name, weights in before.parameters.items():
        if "value_net" not in name:
            np.testing.assert_array_equal(after.parameters[name], weights)


def test_the_newest_ends_are_remembered_and_survive_storage() -> None:
    record_rollouts = corridor("absorbing", 3).make_vector()
    recorder = Recorder(record_rollouts)
    recorder.reset([0, 1, 2])
    for _ in range(3):
        recorder.step(np.array([1, 1, 1]))
    ends = staying(recorder.take())
    np.testing.assert_array_equal(ends.observations, [[3, 1]] * 3)
    np.testing.assert_array_equal(ends.next_observations, ends.observations)
    known = None
    for _ in range(30):
        known = remembered(known, ends)
    assert known is not None
    assert len(known.actions) == 64
    again = from_arrays(to_arrays(known))
    assert again is not None
    for column, stored in zip(known, again, strict=True):
        np.testing.assert_array_equal(column, stored)
    assert from_arrays(to_arrays(None)) is None


def test_the_scale_moves_with_the_reward_alone() -> None:
    def ends(place: float) -> Transitions:
        observations = np.array([[place, 1.0]])
        return Transitions(observations, np.zeros(1), observations, np.zeros(1, dtype=bool))

    none = Transitions(np.zeros((0, 2)), np.zeros(0), np.zeros((0, 2)), np.zeros(0, dtype=bool))
    scale, rewards = AbsorbingScale(None), np.array([[4.0, -2.0], [4.0, -2.0]])
    assert scale.of(learned, none, rewards) == UNSCALED
    # An absorbing step at place 3 has a reward of 1; all steps are 3 away from it.
    assert scale.of(learned, ends(3), rewards) == Scale(np.float32(1), np.float32(3))
    np.testing.assert_allclose(scale.of(learned, ends(0), rewards)(rewards), [[1, -1]] * 2)
    assert scale.of(ConstantReward(4.0), none, np.full(2, 4.0)) == Scale(
        np.float32(4), np.float32(1)
    ), "a constant reward has no unit"
    assert scale.of(learned, none, rewards).zero == -0.5, "the mean over both ends"
    assert scale.of(EnvironmentReward(), none, rewards) == UNSCALED


def test_rollouts_hold_useful_steps_alone() -> None:
    environment = corridor("absorbing", 4)

    def always_on(observations: np.ndarray) -> np.ndarray:
        return np.ones(len(observations), dtype=np.int64)

    rollouts, rewards = collect(environment.make_vector(), always_on, 12, [0, 1, 2, 3])
    assert [len(t) for t in rollouts.trajectories] == [3] * 16
    assert [t.absorbing_steps for t in rollouts.trajectories] == [7] * 16
    assert [part.values.sum() for part in rewards.rewards] == [6] * 16
