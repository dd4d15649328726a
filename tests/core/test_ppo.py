"""PPO that relabels its rollouts is Stable-Baselines3's own PPO on the same rewards."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from rlhf_core.environments import Environment
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.packing import pack, unpack
from rlhf_core.policies import OptimisationContext, Optimised, PolicyState
from rlhf_core.rewards import EnvironmentReward, Reward
from rlhf_core.seeding import isolated
from rlhf_core.stable_baselines.normalisation import Normalised
from rlhf_core.stable_baselines.on_policy import Network, make_policy, restore, weights
from rlhf_core.stable_baselines.relabelling import _clipped_log_prob, _discounted
from tests.core.environments import OBSERVATIONS
from tests.core.examples import HERE

SMALL = PPO(
    steps=8, batch_size=8, epochs=2, hidden=(6,), learning_rate=1e-2,
    learning_rate_schedule="constant", discount=0.9, normalise_returns=False,
)  # fmt: skip
# Eight steps of two copies: episodes of five steps are truncated within a rollout, and those of
# the corridor end there as well.
DRIFT = Environment(id=f"{HERE}:Drift-v0", count=2)
CORRIDOR = Environment(id=f"{HERE}:Corridor-v0", count=2, time_limit=4)
STEPS = 3 * 16


def drift_reward(
    observation: np.ndarray, action: np.ndarray, after: np.ndarray, terminated: np.ndarray
) -> np.ndarray:
    """What Drift-v0 pays."""
    return -np.square(after[:, 0])


def corridor_reward(
    observation: np.ndarray, action: np.ndarray, after: np.ndarray, terminated: np.ndarray
) -> np.ndarray:
    """What Corridor-v0 pays."""
    return after[:, 0]


class WithoutTimeLimits(VecEnvWrapper):
    """Hides from the learner that an episode was cut off, as a careless relabelling would."""

    def reset(self) -> VecEnvObs:
        return self.venv.reset()

    def step_wait(self) -> VecEnvStepReturn:
        seen, rewards, done, infos = self.venv.step_wait()
        return seen, rewards, done, [{**info, "TimeLimit.truncated": False} for info in infos]


def plain(
    optimiser: PPO,
    state: PolicyState,
    make: Callable[[], gymnasium.Env[Any, Any]],
    seed: int,
    steps: int = STEPS,
    learning_rate: Any = None,
    wrap: Callable[[DummyVecEnv], Any] = lambda environment: environment,
) -> stable_baselines3.PPO:
    """Stable-Baselines3 alone, from the same weights, seeds and draws, paid by the environment."""
    environment = DummyVecEnv([make, make])
    environment._seeds = list(episode_seeds(np.random.default_rng(seed), 2))
    with isolated(seed):
        model = stable_baselines3.PPO(
            "MlpPolicy",
            wrap(environment),
            learning_rate=learning_rate or optimiser.learning_rate,
            n_steps=optimiser.steps,
            batch_size=optimiser.batch_size,
            n_epochs=optimiser.epochs,
            gamma=optimiser.discount,
            gae_lambda=optimiser.gae_lambda,
            policy_kwargs={"net_arch": {"pi": [6], "vf": [6]}},
            device="cpu",
        )
        restore(model.policy, state)
        model.learn(steps)
    return model


def optimise(
    environment: Environment,
    reward: Reward,
    seed: int = 3,
    state: PolicyState | None = None,
    steps: int = STEPS,
) -> Optimised:
    state = SMALL.initial(environment.spaces(), 0) if state is None else state
    return SMALL.optimise(state, environment, reward, steps, steps, seed)


def distance(state: PolicyState, model: stable_baselines3.PPO) -> float:
    """The largest difference between any two weights."""
    theirs = model.policy.state_dict()
    assert set(theirs) == set(state.parameters)
    return max(float(np.abs(state.parameters[n] - theirs[n].numpy()).max()) for n in theirs)


@pytest.mark.parametrize(
    ("environment", "reward"),
    [(DRIFT, drift_reward), (CORRIDOR, corridor_reward)],
    ids=["drift", "corridor"],
)
def test_relabelling_equals_plain_ppo_on_the_same_rewards(
    environment: Environment, reward: Reward
) -> None:
    start = SMALL.initial(environment.spaces(), 0)
    outcome = optimise(environment, reward, state=start)
    model = plain(SMALL, start, environment.make, seed=3)
    assert distance(outcome.state, model) < 1e-5
    assert distance(start, model) > 1e-2
    logged = model.logger.name_to_value
    assert outcome.metrics["policy/entropy"] == pytest.approx(-logged["train/entropy_loss"])
    assert outcome.metrics["policy/kl"] == pytest.approx(logged["train/approx_kl"], abs=1e-5)


@pytest.mark.parametrize(
    ("environment", "reward"),
    [(DRIFT, drift_reward), (CORRIDOR, corridor_reward)],
    ids=["drift", "corridor"],
)
def test_normalised_returns_are_learned_from_at_deviation_1(
    environment: Environment, reward: Reward
) -> None:
    """The scale of a reward makes no difference then; beside that it is the same algorithm."""
    normalising = SMALL.model_copy(update={"normalise_returns": True})
    start = SMALL.initial(environment.spaces(), 0)
    one = normalising.optimise(start, environment, reward, 16, 16, seed=3)
    hundred = normalising.optimise(
        start, environment, lambda *seen: 100 * reward(*seen), 16, 16, seed=3
    )
    for name, weight in one.state.parameters.items():
        np.testing.assert_allclose(hundred.state.parameters[name], weight, atol=1e-5)

    sums = []
    for episode in one.rewards.rewards:
        total = 0.0
        for value in episode.values:
            total = 0.9 * total + value
            sums.append(total)
    scaled = SMALL.optimise(
        start, environment, lambda *seen: reward(*seen) / np.std(sums), 16, 16, seed=3
    )
    for name, weight in one.state.parameters.items():
        np.testing.assert_allclose(scaled.state.parameters[name], weight, atol=1e-5)
    assert hundred.metrics["proxy/return_mean"] == pytest.approx(
        100 * one.metrics["proxy/return_mean"], rel=1e-5
    )


def test_the_deviation_of_returns_is_that_of_all_rollouts_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Episodes of five steps, rollouts of eight: episodes go on from one rollout to the next."""
    learned: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    compute = RolloutBuffer.compute_returns_and_advantage

    def spy(buffer: RolloutBuffer, *given: Any, **named: Any) -> None:
        learned.append(buffer.rewards.copy())
        compute(buffer, *given, **named)

    def reward(*seen: np.ndarray) -> np.ndarray:
        labels.append(drift_reward(*seen).reshape(8, 2))
        return labels[-1].ravel()

    monkeypatch.setattr(RolloutBuffer, "compute_returns_and_advantage", spy)
    normalising = SMALL.model_copy(update={"normalise_returns": True})
    normalising.optimise(SMALL.initial(DRIFT.spaces(), 0), DRIFT, reward, STEPS, STEPS, seed=3)
    sums = [labels[0][0]]
    for step, values in enumerate(np.concatenate(labels)[1:], start=1):
        sums.append(values if step % 5 == 0 else 0.9 * sums[-1] + values)
    for index in range(3):
        deviation = np.std(sums[: 8 * (index + 1)])
        # To the step at which a time limit cuts, a value is added.
        kept = np.arange(8 * index, 8 * (index + 1)) % 5 != 4
        # Stable-Baselines3 computes them once before the rollout is labelled.
        found = learned[2 * index + 1][kept]
        np.testing.assert_allclose(found, labels[index][kept] / deviation, rtol=1e-5)


def test_discounted_sums_go_on_over_rollouts_and_begin_again_with_episodes() -> None:
    rewards = np.array([[1.0, 2.0], [1.0, 0.0], [4.0, 1.0]])
    ended = np.array([[False, True], [True, False], [False, False]])
    sums, last = _discounted(rewards, ended, 0.5, np.array([2.0, 0.0]))
    assert sums.tolist() == [[2.0, 2.0], [2.0, 0.0], [4.0, 1.0]]
    assert last.tolist() == [4.0, 1.0]


def test_returns_that_never_vary_are_left_alone() -> None:
    start = SMALL.initial(DRIFT.spaces(), 0)

    def nothing(*seen: np.ndarray) -> np.ndarray:
        return np.zeros(len(seen[0]))

    normalising = SMALL.model_copy(update={"normalise_returns": True})
    outcomes = [o.optimise(start, DRIFT, nothing, 32, 32, seed=3) for o in (SMALL, normalising)]
    for name, weight in outcomes[0].state.parameters.items():
        np.testing.assert_array_equal(outcomes[1].state.parameters[name], weight)


def test_time_limits_are_bootstrapped() -> None:
    start = SMALL.initial(DRIFT.spaces(), 0)
    outcome = optimise(DRIFT, drift_reward, state=start)
    careless = plain(SMALL, start, DRIFT.make, seed=3, wrap=WithoutTimeLimits)
    assert distance(outcome.state, careless) > 1e-3


def test_a_terminated_episode_is_not_bootstrapped() -> None:
    # Three steps to the goal and no time limit in reach: all ends are terminations.
    environment = CORRIDOR.model_copy(update={"time_limit": None})
    start = SMALL.initial(environment.spaces(), 0)
    outcome = optimise(environment, corridor_reward, state=start)
    assert any(t.terminated for t in outcome.rollouts.trajectories)
    assert distance(outcome.state, plain(SMALL, start, environment.make, seed=3)) < 1e-5


def test_the_true_reward_is_scaled_by_its_root_mean_square() -> None:
    start = SMALL.initial(DRIFT.spaces(), 0)
    outcome = optimise(DRIFT, EnvironmentReward(), state=start, steps=16)
    paid = np.concatenate([r.values for r in outcome.rewards.rewards])
    scale = float(np.sqrt(np.mean(paid**2)))

    def make() -> gymnasium.Env[Any, Any]:
        return gymnasium.wrappers.TransformReward(DRIFT.make(), lambda r: float(r) / scale)

    assert distance(outcome.state, plain(SMALL, start, make, seed=3, steps=16)) < 1e-5


def test_a_true_reward_of_nothing_but_zeros_is_left_alone() -> None:
    environment = Environment(id=f"{HERE}:Picture-v0", count=2)
    outcome = optimise(environment, EnvironmentReward(), steps=16)
    assert outcome.metrics["proxy/return_mean"] == 0
    assert all(np.isfinite(p).all() for p in outcome.state.parameters.values())


def test_the_reward_of_the_environment_never_reaches_the_learner() -> None:
    start = SMALL.initial(DRIFT.spaces(), 0)

    def make() -> gymnasium.Env[Any, Any]:
        return gymnasium.wrappers.TransformReward(DRIFT.make(), lambda r: 2.0)

    def two(*transition: np.ndarray) -> np.ndarray:
        return np.full(len(transition[0]), 2, dtype=np.float32)

    outcome = optimise(DRIFT, two, state=start)
    assert distance(outcome.state, plain(SMALL, start, make, seed=3)) < 1e-5


def test_a_linear_schedule_runs_over_the_whole_run_and_not_over_one_call() -> None:
    linear = SMALL.model_copy(update={"learning_rate_schedule": "linear"})
    fresh = SMALL.initial(DRIFT.spaces(), 0)
    start = PolicyState(fresh.parameters, fresh.optimizer_state, steps=100)
    # 48 steps of a run of 200 that stands at 100, in rollouts of 16: the first is learned from at
    # 100 / 200 of the step size, the last at 68 / 200.
    outcome = linear.optimise(start, DRIFT, drift_reward, STEPS, 200, 3)

    def step_size(remaining: float) -> float:
        return 1e-2 * (100 - 48 * (1 - remaining) + 16) / 200

    model = plain(SMALL, start, DRIFT.make, seed=3, learning_rate=step_size)
    assert distance(outcome.state, model) < 1e-5


def test_going_on_equals_a_model_that_never_stopped() -> None:
    start = SMALL.initial(DRIFT.spaces(), 0)
    first = optimise(DRIFT, drift_reward, seed=3, state=start)
    second = optimise(DRIFT, drift_reward, seed=4, state=first.state)

    never_stopped = plain(SMALL, start, DRIFT.make, seed=3)
    environment = DummyVecEnv([DRIFT.make, DRIFT.make])
    environment._seeds = list(episode_seeds(np.random.default_rng(4), 2))
    with isolated(4):
        # Weights and Adam's moments handed over in torch's own words, with no arrays between.
        model = stable_baselines3.PPO(
            "MlpPolicy", environment, learning_rate=1e-2, n_steps=8, batch_size=8, n_epochs=2,
            gamma=0.9, policy_kwargs={"net_arch": {"pi": [6], "vf": [6]}}, device="cpu",
        )  # fmt: skip
        model.policy.load_state_dict(never_stopped.policy.state_dict())
        model.policy.optimizer.load_state_dict(never_stopped.policy.optimizer.state_dict())
        model.learn(STEPS)
    assert distance(second.state, model) < 1e-5
    assert second.state.steps == 2 * STEPS


def test_a_policy_that_was_stored_goes_on_as_if_it_had_not_been() -> None:
    first = optimise(DRIFT, drift_reward).state
    stored = unpack(pack(first), PolicyState)
    one, two = (optimise(DRIFT, drift_reward, seed=4, state=s).state for s in (first, stored))
    for name, array in one.parameters.items():
        np.testing.assert_array_equal(array, two.parameters[name])
    assert first.optimizer_state
    assert one.steps == two.steps


def test_training_leaves_no_folders_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    optimise(DRIFT, drift_reward)
    assert not list(tmp_path.iterdir())


def test_weights_survive_a_round_trip() -> None:
    state = optimise(DRIFT, drift_reward).state
    policy = make_policy(DRIFT.spaces(), Network((6,)), 1e-2)
    restore(policy, state)
    for mine, theirs in zip(
        (state.parameters, state.optimizer_state), weights(policy), strict=True
    ):
        assert set(mine) == set(theirs)
        for name, array in mine.items():
            np.testing.assert_array_equal(array, theirs[name])


def test_the_same_arguments_give_the_same_policy_whatever_went_before() -> None:
    first = optimise(DRIFT, drift_reward)
    torch.manual_seed(99)
    np.random.seed(99)
    again, other = optimise(DRIFT, drift_reward), optimise(DRIFT, drift_reward, seed=5)
    for name, array in first.state.parameters.items():
        np.testing.assert_array_equal(array, again.state.parameters[name])
    assert first.metrics == again.metrics
    assert first.metrics != other.metrics


def test_what_it_did_comes_back_with_the_true_rewards() -> None:
    outcome = optimise(CORRIDOR, drift_reward)
    assert outcome.state.steps == outcome.rollouts.steps == STEPS
    for found, paid in zip(outcome.rollouts.trajectories, outcome.rewards.rewards, strict=True):
        np.testing.assert_array_equal(paid.values, found.observations[1:, 0])
        assert found.terminated == (found.observations[-1, 0] == 3)


def test_the_proxy_return_is_that_of_the_episodes_that_ended() -> None:
    outcome = optimise(CORRIDOR, corridor_reward)
    sums = [
        float(paid.values.sum())
        for found, paid in zip(outcome.rollouts.trajectories, outcome.rewards.rewards, strict=True)
        if found.terminated or len(found) == 4
    ]
    assert outcome.metrics["proxy/return_mean"] == pytest.approx(np.mean(sums))


def test_progress_is_reported_after_each_rollout() -> None:
    told: list[int] = []
    start = SMALL.initial(DRIFT.spaces(), 0)
    SMALL.optimise(start, DRIFT, drift_reward, STEPS, STEPS, 3, OptimisationContext(told.append))
    assert told == [16, 16, 16]


def test_a_fresh_policy_depends_on_its_seed_alone() -> None:
    first, again, other = (SMALL.initial(DRIFT.spaces(), seed) for seed in (1, 1, 2))
    name = "mlp_extractor.policy_net.0.weight"
    np.testing.assert_array_equal(first.parameters[name], again.parameters[name])
    assert not np.array_equal(first.parameters[name], other.parameters[name])
    assert first.steps == 0


@pytest.mark.parametrize("deviation", [1e-30, 1e30, float("nan")])
def test_a_deviation_that_no_network_can_draw_with_is_refused(deviation: float) -> None:
    with pytest.raises(ValueError, match="initial_deviation"):
        PPO(initial_deviation=deviation)


def test_a_rollout_is_the_steps_of_all_copies() -> None:
    assert SMALL.rollout_steps(DRIFT) == 16
    with pytest.raises(ValueError, match=r"optimiser.batch_size: expected a divisor .* = 16\)"):
        SMALL.model_copy(update={"batch_size": 5}).rollout_steps(DRIFT)


def test_normalised_observations_have_the_moments_of_all_that_was_seen() -> None:
    normalising = SMALL.model_copy(update={"normalise_observations": True})
    state, seen = normalising.initial(DRIFT.spaces(), 0), []
    for seed in (3, 4):
        outcome = normalising.optimise(state, DRIFT, drift_reward, STEPS, STEPS, seed)
        state = outcome.state
        seen += [found.observations[:-1] for found in outcome.rollouts.trajectories]
    every = np.concatenate(seen).astype(np.float64)
    name = "features_extractor."
    assert state.parameters[f"{name}count"] == len(every) == 2 * STEPS
    np.testing.assert_allclose(state.parameters[f"{name}mean"], every.mean(axis=0))
    variance = state.parameters[f"{name}square"] / len(every)
    np.testing.assert_allclose(variance, every.var(axis=0), rtol=1e-6)

    # Whoever acts sees the normalised numbers: a plain network with the same weights, given them
    # by hand, does the same.
    rest = {n: p for n, p in state.parameters.items() if not n.startswith(name)}
    bare = SMALL.act(PolicyState(rest, {}, 0), DRIFT.spaces(), deterministic=True)
    by_hand = ((every - every.mean(axis=0)) / every.std(axis=0)).clip(-10, 10)
    acts = normalising.act(state, DRIFT.spaces(), deterministic=True)
    shown = every.astype(np.float32)
    np.testing.assert_allclose(acts(shown), bare(by_hand.astype(np.float32)), atol=1e-5)
    assert np.abs(acts(shown) - bare(shown)).max() > 1e-3


def test_untrained_actions_spread_as_they_were_told() -> None:
    narrow = SMALL.model_copy(update={"initial_deviation": 0.1})
    state = narrow.initial(DRIFT.spaces(), 0)
    observations = np.zeros((4000, *(DRIFT.spaces().observation.shape or ())), dtype=np.float32)
    actions = narrow.act(state, DRIFT.spaces(), deterministic=False, seed=1)(observations)
    np.testing.assert_allclose(actions.std(axis=0), 0.1, rtol=0.05)
    # What the optimiser continues from is the same network, and it learns the spread too.
    moved = narrow.optimise(state, DRIFT, drift_reward, STEPS, STEPS, 3).state
    assert not np.array_equal(moved.parameters["log_std"], state.parameters["log_std"])
    np.testing.assert_allclose(np.exp(moved.parameters["log_std"]), 0.1, rtol=0.5)


def test_moments_stand_still_while_a_rollout_is_learned_from() -> None:
    normalising = SMALL.model_copy(update={"normalise_observations": True})
    start = normalising.initial(DRIFT.spaces(), 0)
    # One rollout and one step of learning: had the moments moved before it, the new and the old
    # probabilities would differ, and with them the divergence.
    once = normalising.model_copy(update={"epochs": 1, "batch_size": 16})
    outcome = once.optimise(start, DRIFT, drift_reward, 16, 16, 3)
    assert outcome.metrics["policy/kl"] == 0
    # The second rollout is seen with the moments of the first, and learned from with the same.
    again = once.optimise(outcome.state, DRIFT, drift_reward, 16, 16, 4)
    assert again.metrics["policy/kl"] == 0


def test_a_number_that_never_varied_is_only_shifted() -> None:
    extractor = Normalised(spaces.Box(-9, 9, (2,)))
    extractor.update(torch.tensor([[1.0, 3.0], [3.0, 3.0]]))
    shown = extractor(torch.tensor([[4.0, 3.5]]))
    np.testing.assert_allclose(shown, [[2.0, 0.5]])


@pytest.mark.parametrize("kind", [kind for kind in OBSERVATIONS if "text" not in kind])
def test_observations_of_every_kind_can_be_normalised(kind: str) -> None:
    environment = Environment(id=f"{HERE}:Shapes-v0", count=2, options={"observation": kind})
    normalising = SMALL.model_copy(update={"normalise_observations": True})
    start = normalising.initial(environment.spaces(), 0)
    state = normalising.optimise(start, environment, EnvironmentReward(), 32, 32, 3).state
    again = normalising.optimise(state, environment, EnvironmentReward(), 32, 32, 4).state
    assert all(np.isfinite(p).all() for p in again.parameters.values())
    # Numbers have moments; categories that Stable-Baselines3 makes one-hot have none.
    one_hot = kind in ("discrete", "multi_discrete")
    assert ("features_extractor.mean" in again.parameters) == (not one_hot)


def test_actions_at_their_bounds_have_the_probability_of_all_beyond() -> None:
    # Whatever the policy, atoms at the bounds and the density between them make 1.
    space = spaces.Box(-1.0, 0.5, (1,), dtype=np.float32)
    actions = torch.linspace(-1, 0.5, 3001)[:, None]
    for mean in (-3.0, 0.2, 2.0):
        drawn = torch.distributions.Normal(torch.full((3001, 1), mean), torch.tensor(0.7))
        likelihood = _clipped_log_prob(drawn, space, actions).exp()
        between = torch.trapezoid(likelihood[1:-1], actions[1:-1, 0])
        assert float(likelihood[0] + likelihood[-1] + between) == pytest.approx(1, abs=2e-3)
    # Two standard deviations beyond the upper bound: it is taken in 98 of 100 cases.
    sure = torch.distributions.Normal(torch.full((1, 1), 1.9), torch.tensor(0.7))
    taken = _clipped_log_prob(sure, space, torch.tensor([[0.5]]))
    assert float(taken.exp()) == pytest.approx(0.97725, abs=1e-4)
