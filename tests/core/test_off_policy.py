"""SAC, TD3 and DQN that relabel what they remember are Stable-Baselines3's own on that reward."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import stable_baselines3
import torch
from gymnasium import spaces
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv

from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.budget import Budget
from rlhf_core.cloning_settings import Cloning, CloningSettings
from rlhf_core.demonstrations import demonstrations
from rlhf_core.environments import Environment, GymEnv
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.experiment import Experiment
from rlhf_core.feedback.inverse_rl import InverseRL
from rlhf_core.fused.minibatches import draw
from rlhf_core.in_process import run
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.optimisers.dqn import DQN
from rlhf_core.optimisers.sac import SAC
from rlhf_core.optimisers.td3 import TD3
from rlhf_core.packing import pack, unpack
from rlhf_core.policies import Optimised, PolicyState
from rlhf_core.recording import Record
from rlhf_core.reservoir import Reservoir
from rlhf_core.rewards import Density, EnvironmentReward, Reward
from rlhf_core.seeding import integer, isolated
from rlhf_core.stable_baselines.off_policy_optimiser import OffPolicy
from rlhf_core.stable_baselines.off_policy_state import optimizer_state, restore
from rlhf_core.stable_baselines.replay_buffer import Replay, replay_class
from rlhf_core.stable_baselines.replay_relabelling import ReplayRelabelling, in_chunks
from rlhf_core.stable_baselines.vec_env import RecordingVecEnv
from rlhf_core.types import Metrics, Transitions, Value
from tests.core.environments import OBSERVATIONS
from tests.core.examples import HERE, task_for

KINDS = [n for n, kind in OPTIMISERS.kinds().items() if issubclass(kind, OffPolicy)]
SMALL: dict[str, Any] = {
    "batch_size": 8, "warmup_steps": 16, "hidden": (6,), "train_every": 2, "discount": 0.9,
    "learning_rate": 1e-2, "buffer_size": 40, "updates_per_step": 0.5,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "dqn": {"target_interval": 8, "exploration_share": 0.5},
    "sac": {"target_rate": 0.1},
    "td3": {"target_rate": 0.1},
}
DRIFT = Environment(id=f"{HERE}:Drift-v0", count=2)
CORRIDOR = Environment(id=f"{HERE}:Corridor-v0", count=2, time_limit=4)
STEPS = 60
"""More than is remembered."""


def small(kind: str, **fields: Any) -> OffPolicy:
    made = OPTIMISERS.get(kind).model_validate({**SMALL, **OWN[kind], **fields})
    assert isinstance(made, OffPolicy)
    return made


def task(kind: str) -> Environment:
    return task_for(OPTIMISERS.get(kind)(), CORRIDOR).model_copy(update={"count": 2})


def place_reward(
    observation: np.ndarray, action: np.ndarray, after: np.ndarray, terminated: np.ndarray
) -> np.ndarray:
    """What Corridor-v0 pays."""
    return after[:, 0].astype(np.float32)


def other_reward(
    observation: np.ndarray, action: np.ndarray, after: np.ndarray, terminated: np.ndarray
) -> np.ndarray:
    """A reward that reads all of a transition."""
    acted = action.reshape(len(action), -1)[:, 0]
    return (observation[:, 0] - 2 * after[:, 0] + acted + 3 * terminated).astype(np.float32)


def optimise(
    kind: str,
    reward: Reward = other_reward,
    state: PolicyState | None = None,
    steps: int = STEPS,
    seed: int = 3,
    total_steps: int | None = None,
    **fields: Any,
) -> Optimised:
    optimiser, environment = small(kind, **fields), task(kind)
    state = optimiser.initial(environment.spaces(), 0) if state is None else state
    return optimiser.optimise(state, environment, reward, steps, total_steps or steps, seed)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Replay]:
    """The buffers of all models that were trained, as they are at the end."""
    seen: list[Replay] = []
    plain = ReplayRelabelling._on_training_end

    def spy(callback: ReplayRelabelling) -> None:
        plain(callback)
        seen.append(callback._replay)

    monkeypatch.setattr(ReplayRelabelling, "_on_training_end", spy)
    return seen


def plain(kind: str, state: PolicyState, environment: Environment, seed: int) -> Any:
    """Stable-Baselines3 alone, from the same weights, seeds and draws, paid by the environment."""
    optimiser = small(kind)
    vector = DummyVecEnv([environment.make] * environment.count)
    rng = np.random.default_rng(seed)
    algorithm = optimiser._algorithm()
    with isolated(seed):
        model: Any = algorithm.model(
            "MlpPolicy", vector, learning_rate=optimiser.learning_rate,
            buffer_size=optimiser.buffer_size, learning_starts=optimiser.warmup_steps,
            batch_size=optimiser.batch_size, gamma=optimiser.discount,
            train_freq=optimiser.train_every,
            gradient_steps=2, policy_kwargs={"net_arch": [6]}, device="cpu",
            **algorithm.arguments,
        )  # fmt: skip
        # The seeds are drawn in this order: of random actions, of the copies.
        model.action_space.seed(integer(rng))
        vector._seeds = list(episode_seeds(rng, environment.count))
        if algorithm.exploration is not None:
            explore = algorithm.exploration
            model.exploration_schedule = lambda remaining: explore(1 - remaining)
            model.exploration_rate = explore(0.0)
        if algorithm.noise_std:
            model.action_noise = NormalActionNoise(np.zeros(1), np.full(1, algorithm.noise_std))
        restore(model, state)
        model.learn(STEPS)
    return model


def distance(state: PolicyState, model: Any) -> float:
    """The largest difference between any two weights."""
    theirs = model.policy.state_dict()
    assert set(theirs) == set(state.parameters)
    return max(float(np.abs(state.parameters[n] - theirs[n].numpy()).max()) for n in theirs)


def drift_reward(
    observation: np.ndarray, action: np.ndarray, after: np.ndarray, terminated: np.ndarray
) -> np.ndarray:
    """What Drift-v0 pays."""
    return -np.square(after[:, 0])


@pytest.mark.parametrize("kind", KINDS)
def test_relabelling_equals_the_plain_algorithm_on_the_same_rewards(kind: str) -> None:
    """Episodes that are cut off and episodes that end, and a buffer that overflows."""
    environment = task(kind)
    reward = drift_reward if environment.id.endswith("Drift-v0") else place_reward
    start = small(kind).initial(environment.spaces(), 0)
    outcome = optimise(kind, reward, start)
    model = plain(kind, start, environment, 3)
    assert distance(outcome.state, model) < 1e-5
    assert distance(start, model) > 1e-2
    theirs = optimizer_state(model)
    assert theirs.keys() <= outcome.state.optimizer_state.keys()
    for name, value in theirs.items():
        np.testing.assert_allclose(outcome.state.optimizer_state[name], value, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_is_remembered_carries_the_reward_of_now(kind: str, trained: list[Replay]) -> None:
    first = optimise(kind, place_reward)
    optimise(kind, other_reward, first.state, steps=4)
    for replay, reward in zip(trained, (place_reward, other_reward), strict=True):
        assert len(replay) == 40
        paid = reward(*replay.transitions(replay.rows()))
        np.testing.assert_array_equal(replay.rewards[replay.rows()].ravel(), paid)
    # Of the first call 36 transitions are left, the newest last.
    kept = first.state.optimizer_state["replay/observations"][4:]
    rows = trained[1].rows()[:18]
    np.testing.assert_array_equal(trained[1].observations[rows].reshape(kept.shape), kept)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_remembered_is_what_was_done(kind: str) -> None:
    outcome = optimise(kind, buffer_size=1000)
    told = {n: outcome.state.optimizer_state[f"replay/{n}"] for n in
            ("observations", "next_observations", "acted", "terminated", "timeouts")}  # fmt: skip
    assert {len(column) for column in told.values()} == {STEPS}
    # Trajectories come by their end, what is remembered comes step by step.
    done = demonstrations(outcome.rollouts.trajectories).transitions()
    names = ("observations", "acted", "next_observations")
    remembered, played = (
        np.concatenate([np.reshape(column, (STEPS, -1)) for column in columns], axis=1)
        for columns in ([told[name] for name in names], done[:3])
    )
    np.testing.assert_array_equal(
        remembered[np.lexsort(remembered.T)], played[np.lexsort(played.T)]
    )
    ends = np.flatnonzero(told["timeouts"] | told["terminated"])
    assert told["timeouts"].any()
    assert len(ends) >= len(outcome.rollouts.trajectories) - 2
    assert "replay/true_rewards" not in outcome.state.optimizer_state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reward", [other_reward, EnvironmentReward()], ids=["learned", "true"])
def test_a_policy_that_was_stored_goes_on_as_if_it_had_not_been(kind: str, reward: Reward) -> None:
    first = optimise(kind, reward).state
    stored = unpack(pack(first), PolicyState)
    one, two = (optimise(kind, reward, s, seed=4).state for s in (first, stored))
    assert pack(one) == pack(two)
    assert pack(one) != pack(optimise(kind, reward, first, seed=5).state)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_arguments_give_the_same_policy_whatever_went_before(kind: str) -> None:
    first = optimise(kind)
    torch.manual_seed(99)
    np.random.seed(99)
    again = optimise(kind)
    assert pack(first.state) == pack(again.state)
    assert first.metrics == again.metrics


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_comes_back_whole(kind: str) -> None:
    """Weights, targets, moments, counters and the entropy coefficient."""
    state, environment = optimise(kind).state, task(kind)
    algorithm = small(kind)._algorithm()
    vector = DummyVecEnv([environment.make])
    model: Any = algorithm.model(
        "MlpPolicy", vector, policy_kwargs={"net_arch": [6]}, device="cpu", **algorithm.arguments
    )
    assert distance(state, model) > 0
    restore(model, state)
    assert distance(state, model) == 0
    told = optimizer_state(model)
    told.pop("exploration_rate", None)
    moments = [name for name in told if name.endswith("exp_avg_sq")]
    assert len(moments) > 3
    for name, value in told.items():
        np.testing.assert_array_equal(value, state.optimizer_state[name])
    assert state.optimizer_state["updates"] > 0
    if kind == "sac":
        assert state.optimizer_state["log_temperature"] != 0


def test_a_time_limit_is_bootstrapped_and_an_end_is_not(trained: list[Replay]) -> None:
    optimise("dqn", place_reward, buffer_size=1000)
    (replay,) = trained
    with isolated(0):
        drawn = replay.sample(4000)
    there = drawn.next_observations[:, 0] == 3
    # The corridor ends at place 3 and nowhere else, and is cut off after four steps.
    assert there.any()
    assert replay.timeouts.any()
    assert torch.equal(drawn.dones[:, 0], there.float())


def test_an_early_end_carries_the_value_of_staying_there(trained: list[Replay]) -> None:
    environment = Environment(
        id=f"{HERE}:Corridor-v0", count=2, fixed_horizon=10, options={"pit": True}
    )
    optimiser = small("dqn", discount=0.9)
    state = optimiser.initial(environment.spaces(), 0)
    first = optimiser.optimise(state, environment, absorbing_reward, STEPS, STEPS, 3)
    optimiser.optimise(first.state, environment, absorbing_reward, STEPS, STEPS, 4)
    for replay in trained:
        rows = replay.rows()
        absorbed, ends = replay.staying(rows)
        assert absorbed.any()
        assert (replay.dones[rows][absorbed] == 1).all()
        assert not replay.timeouts[rows][absorbed].any(), "no value of a next state is added"
        stay = absorbing_reward(*ends)
        # All labels are on one scale: an unknown zero and an unknown unit.
        rewards = absorbing_reward(*replay.transitions(rows)).reshape(absorbed.shape)
        labels, plain = replay.rewards[rows], rewards[~absorbed].astype(np.float64)
        slope, offset = np.polyfit(plain, labels[~absorbed], 1)
        np.testing.assert_allclose(labels[~absorbed], slope * plain + offset, atol=1e-5)
        expected = slope * rewards[absorbed] + offset + 0.9 * (slope * stay + offset) / (1 - 0.9)
        np.testing.assert_allclose(labels[absorbed], expected, rtol=1e-4, atol=1e-4)


def absorbing_reward(
    observation: np.ndarray, action: np.ndarray, after: np.ndarray, terminated: np.ndarray
) -> np.ndarray:
    """The place, less 2 in the absorbing state."""
    return (after[:, 0] - 2 * observation[:, 1]).astype(np.float32)


def test_the_final_observation_is_remembered_and_not_the_next_first(trained: list[Replay]) -> None:
    optimise("dqn", place_reward, buffer_size=1000)
    (replay,) = trained
    seen, acted, after, terminated = replay.transitions(replay.rows())
    expected = np.clip(seen[:, 0] + np.where(acted > 0, 1, -1), 0, 3)
    np.testing.assert_array_equal(after[:, 0], expected)
    np.testing.assert_array_equal(terminated, after[:, 0] == 3)


def test_the_true_reward_is_scaled_by_that_of_the_warm_up(trained: list[Replay]) -> None:
    outcome = optimise("sac", EnvironmentReward(), buffer_size=1000)
    (replay,) = trained
    # 16 transitions are random, and the first rollout after them is the first that teaches.
    paid = replay.true_rewards[:10]
    scale = float(np.sqrt(np.square(paid).mean()))
    assert outcome.state.optimizer_state["true_reward_scale"] == scale
    rows = replay.rows()
    every = (replay.true_rewards[rows] / scale).astype(np.float32)
    np.testing.assert_array_equal(replay.rewards[rows], every)
    np.testing.assert_array_equal(
        outcome.state.optimizer_state["replay/true_rewards"], replay.true_rewards[rows].ravel()
    )
    # It stays what it was.
    later = optimise("sac", EnvironmentReward(), outcome.state, seed=4)
    assert later.state.optimizer_state["true_reward_scale"] == scale


def test_true_rewards_that_were_not_kept_are_not_made_up(trained: list[Replay]) -> None:
    first = optimise("sac", other_reward)
    optimise("sac", EnvironmentReward(), first.state, steps=8)
    assert len(trained[1]) == 8


class Learning:
    """A reward that is the number of rollouts it has learned from."""

    def __init__(self, steps: tuple[int, ...] = (), density: bool | None = None) -> None:
        self.steps, self.density = steps, density

    def __call__(
        self,
        observation: np.ndarray,
        action: np.ndarray,
        next_observation: np.ndarray,
        terminated: np.ndarray,
    ) -> np.ndarray:
        return np.full(len(observation), len(self.steps), dtype=np.float32)

    @property
    def state(self) -> Value:
        return PolicyState({}, {})

    def resumed(self, state: Value) -> "Learning":
        return self

    def observe(
        self, transitions: Transitions, density: Density | None, rng: np.random.Generator
    ) -> "Learning":
        if density is not None:
            assert np.isfinite(density(transitions.observations, transitions.actions)).all()
        return Learning((*self.steps, len(transitions.terminated)), density is not None)

    def policy_rewards(self, transitions: Transitions, density: Density | None) -> np.ndarray:
        return self(*transitions)

    def metrics(self, transitions: Transitions) -> Metrics:
        return {}


@pytest.mark.parametrize("kind", KINDS)
def test_a_reward_that_learns_is_paid_anew_to_all(kind: str, trained: list[Replay]) -> None:
    outcome = optimise(kind, Learning(), observe_steps=15)
    learned = outcome.reward
    assert isinstance(learned, Learning)
    # Rollouts are of 4 steps; what is left over at the end is seen as well.
    assert learned.steps == (16, 16, 16, 12)
    assert learned.density == OPTIMISERS.get(kind).stochastic
    # The last lesson comes after the last gradient step.
    assert (trained[0].rewards == 3).all()
    assert outcome.metrics["proxy/gain"] == 0


def test_the_density_of_sac_is_one(trained: list[Replay]) -> None:
    """It adds up to 1 over all actions, whatever their bounds."""
    environment = Environment(id="Pendulum-v1", count=2)
    optimiser = SAC(hidden=(6,))
    state = optimiser.initial(environment.spaces(), 0)
    vector = RecordingVecEnv(environment, np.random.default_rng(0), False)
    model = stable_baselines3.SAC("MlpPolicy", vector, policy_kwargs={"net_arch": [6]})
    restore(model, state)
    replay = Replay(4, vector.observation_space, vector.action_space, n_envs=2,
                    own_space=vector.observation_space)  # fmt: skip
    relabel = ReplayRelabelling(
        other_reward,
        vector,
        replay,
        Reservoir(10, 0, np.random.default_rng(0)),
        None,
        9,
        lambda steps: None,
        np.random.default_rng(0),
    )
    relabel.model = model
    actions = np.linspace(-1.9999, 1.9999, 4001, dtype=np.float32)[:, None]
    seen = np.tile(np.array([[1.0, 0.0, 0.5]], dtype=np.float32), (len(actions), 1))
    likelihood = np.exp(relabel._density(seen, actions))
    assert np.trapezoid(likelihood, actions[:, 0]) == pytest.approx(1, abs=0.01)
    vector.close()


def test_many_transitions_are_labelled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def reward(*seen: np.ndarray) -> np.ndarray:
        sizes.append(len(seen[0]))
        return other_reward(*seen)

    monkeypatch.setattr("rlhf_core.stable_baselines.replay_relabelling.CHUNK", 4)
    rng = np.random.default_rng(0)
    seen = Transitions(
        rng.normal(size=(10, 1)), rng.integers(2, size=10), rng.normal(size=(10, 1)),
        rng.random(10) < 0.5,
    )  # fmt: skip
    np.testing.assert_array_equal(in_chunks(reward, seen), other_reward(*seen))
    assert sizes == [4, 4, 2]


@pytest.mark.parametrize(
    ("kind", "action", "expected"),
    [("sac", "discrete", "Box"), ("td3", "multi_binary", "Box"), ("dqn", "box", "Discrete"),
     ("dqn", "multi_discrete", "Discrete")],
)  # fmt: skip
def test_other_actions_are_refused_before_anything_is_run(
    kind: str, action: str, expected: str
) -> None:
    experiment = Experiment(
        name="refused",
        environment=Environment(id=f"{HERE}:Shapes-v0", count=2, options={"action": action}),
        optimiser=OPTIMISERS.get(kind)(),
    )
    with pytest.raises(
        ConfigurationError, match=rf"optimiser\.kind: '{kind}' expected actions of {expected}, actu"
    ):
        experiment.check()


def test_a_rollout_fits_into_what_is_remembered() -> None:
    with pytest.raises(ValueError, match=r"optimiser\.buffer_size: expected room .* = 64\)"):
        Experiment(
            name="small", environment=Environment(id="Pendulum-v1", count=32),
            optimiser=SAC(train_every=2, buffer_size=63),
        )  # fmt: skip


@pytest.mark.parametrize("observation", [n for n in OBSERVATIONS if "text" not in n])
@pytest.mark.parametrize("kind", ["dqn", "sac"])
def test_every_observation_that_ppo_reads_is_read(kind: str, observation: str) -> None:
    options: dict[str, Any] = {
        "observation": observation, "action": "discrete" if kind == "dqn" else "box_2d"
    }  # fmt: skip
    environment = Environment(id=f"{HERE}:Shapes-v0", count=2, options=options)
    optimiser = small(kind)
    found = environment.spaces()
    start = optimiser.initial(found, 0)
    first = optimiser.optimise(start, environment, EnvironmentReward(), 24, 48, 1)
    second = optimiser.optimise(first.state, environment, EnvironmentReward(), 24, 48, 1)
    act = optimiser.act(second.state, found, deterministic=False)
    seen = first.rollouts.trajectories[0].observations
    assert all(found.action.contains(action) for action in act(seen))


def test_images_are_kept_as_bytes_and_read_from_0_to_1(trained: list[Replay]) -> None:
    found = Spaces(spaces.Box(0, 255, (4, 4, 3), np.uint8), spaces.Discrete(2))
    replay = replay_class(found.observation)(
        8, found.observation, found.action, n_envs=2, own_space=found.observation
    )
    rng = np.random.default_rng(0)
    shown = rng.integers(256, size=(2, 3, 2, 4, 4, 3), dtype=np.uint8)
    nothing = np.zeros((3, 2), dtype=bool)
    replay.add_rollout(
        Record(shown[0], shown[1], nothing.astype(np.int64), nothing, nothing, nothing)
    )
    assert replay.buffers(False)["replay/observations"].dtype == np.uint8
    with isolated(0):
        drawn = replay.sample(50)
    assert drawn.observations.shape == (50, 48)
    rows = shown[0].reshape(6, 48) / 255
    near = np.abs(drawn.observations.numpy()[:, None] - rows).max(axis=2)
    assert near.min(axis=1).max() < 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_learned_explores_at_random(kind: str) -> None:
    optimiser, found = small(kind), task(kind).spaces()
    fresh = optimiser.initial(found, 0)
    seen = np.zeros((2000, 1), dtype=np.float32)
    wild = optimiser.act(fresh, found, deterministic=False, seed=1)(seen)
    low, high = (-1, 1) if isinstance(found.action, spaces.Box) else (0, 1)
    assert wild.mean() == pytest.approx((low + high) / 2, abs=0.05)
    assert wild.max() == pytest.approx(high, abs=0.01)
    calm = optimiser.act(fresh, found, deterministic=True)(seen)
    assert np.ptp(calm) == 0
    later = optimiser.act(replace(fresh, steps=9), found, deterministic=False, seed=1)(seen)
    assert 0 < np.abs(later - calm).mean() < np.abs(wild - calm).mean()


def test_exploration_decays_over_the_run_and_goes_on() -> None:
    fields: dict[str, Any] = {"exploration_share": 1.0, "exploration_final": 0.2}
    first = optimise("dqn", total_steps=2 * STEPS, **fields)
    # SB3 sets the rate after each step, from the steps before it.
    assert first.metrics["policy/exploration_rate"] == pytest.approx(0.6)
    second = optimise("dqn", state=first.state, total_steps=2 * STEPS, seed=4, **fields)
    assert second.metrics["policy/exploration_rate"] == pytest.approx(0.2)
    assert second.state.optimizer_state["calls"] == STEPS


def test_a_linear_schedule_runs_over_the_whole_run() -> None:
    sac = SAC(learning_rate=1.0, learning_rate_schedule="linear")
    assert sac._learning_rate(0.25) == 0.75
    assert SAC(learning_rate=1.0)._learning_rate(0.25) == 1.0
    ended = optimise("sac", total_steps=1, learning_rate_schedule="linear")
    start = small("sac").initial(DRIFT.spaces(), 0)
    for name, weight in start.parameters.items():
        if "target" not in name:
            np.testing.assert_array_equal(weight, ended.state.parameters[name])


@pytest.mark.parametrize("kind", ["dqn", "td3"])
def test_a_target_network_is_cloned_with_its_own(kind: str) -> None:
    optimiser, found, rng = small(kind), task(kind).spaces(), np.random.default_rng(0)
    seen = rng.normal(size=(40, 1)).astype(np.float32)
    acted = rng.integers(2, size=40) if kind == "dqn" else np.tanh(seen)
    shown = Transitions(seen, acted, seen, np.zeros(40, dtype=bool))
    cloning = Cloning(shown, np.array([40]), CloningSettings(updates=2), False)
    cloned = optimiser.clone(optimiser.initial(found, 0), found, cloning, 1).state
    name, target = ("q_net.", "q_net_target.") if kind == "dqn" else ("actor.", "actor_target.")
    for key in [k for k in cloned.parameters if k.startswith(name)]:
        other = target + key.removeprefix(name)
        np.testing.assert_array_equal(cloned.parameters[key], cloned.parameters[other])


@pytest.mark.parametrize(
    ("optimiser", "environment", "steps", "enough"),
    [
        (DQN(learning_rate=5e-3, target_interval=50, warmup_steps=200, batch_size=32,
             discount=0.9, hidden=(16,)), Environment(id=f"{HERE}:Cue-v0", count=8), 1600, 7.5),
        (SAC(discount=0.5, learning_rate=5e-3, warmup_steps=200, batch_size=64, hidden=(16,)),
         Environment(id=f"{HERE}:Drift-v0", count=8), 1600, -0.2),
        (TD3(discount=0.5, learning_rate=5e-3, warmup_steps=200, batch_size=64, hidden=(16,)),
         Environment(id=f"{HERE}:Drift-v0", count=8), 1600, -0.2),
    ],
    ids=KINDS,
)  # fmt: skip
def test_a_tiny_task_is_solved_by_its_true_reward(
    optimiser: OffPolicy, environment: Environment, steps: int, enough: float
) -> None:
    found = environment.spaces()
    state = optimiser.initial(found, 0)
    state = optimiser.optimise(state, environment, EnvironmentReward(), steps, steps, 1).state
    vector = environment.make_vector(40)
    act = optimiser.act(state, found, deterministic=True)
    played = evaluate(vector, act, episode_seeds(np.random.default_rng(2), 40))
    vector.close()
    # Drift at rest pays about -1.7, Cue by chance 4.
    assert played.returns.mean() > enough


def test_imitation_by_sac_runs_in_the_loop_and_again_to_the_same_bits() -> None:
    experiment = Experiment(
        name="shown",
        environment=GymEnv(f"{HERE}:Drift-v0", count=4),
        feedback=InverseRL(
            method="airl", demonstrations=3, warm_start=True, cloning=CloningSettings(updates=2)
        ),
        annotator=Synthetic(expert_steps=512),
        optimiser=small("sac", buffer_size=200, observe_steps=32),
        budget=Budget(env_steps=192, labels=4, rounds=2, initial_steps=64),
    )
    experiment.check()
    first, second = run(experiment), run(experiment)
    assert pack(first.policy) == pack(second.policy)
    assert pack(first.feedback) == pack(second.feedback)
    assert all(np.isfinite(v) for metrics in first.history for v in metrics.values())


@pytest.mark.parametrize("kind", ["sac", "td3"])
def test_gradient_steps_read_the_reward_of_now(kind: str, trained: list[Replay]) -> None:
    """Also of transitions that were stored and learned from under another reward."""
    first = optimise(kind, place_reward)
    optimise(kind, other_reward, first.state, steps=4)
    replay = trained[1]
    with isolated(0):
        (drawn,) = draw(replay, 2000, 1, 0.9)
    low, high = replay.action_space.low, replay.action_space.high  # type: ignore[attr-defined]
    before, after = drawn.observations.numpy()
    acted = low + (drawn.actions.numpy() + 1) / 2 * (high - low)
    ended = drawn.discounts.numpy()[:, 0] == 0
    expected = other_reward(before, acted, after, ended)
    np.testing.assert_allclose(drawn.rewards.numpy()[:, 0], expected, atol=1e-5)
    assert np.abs(expected - place_reward(before, acted, after, ended)).max() > 0.1
    assert len(np.unique(before)) > 30
