"""Learning from demonstrations: the discriminators, cloning, and both in the loop."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core import stages
from rlhf_core.annotators.crowd import Crowd
from rlhf_core.annotators.expert import Expert
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.budget import Budget
from rlhf_core.cloning_settings import Cloning, CloningSettings
from rlhf_core.demonstrations import demonstrations
from rlhf_core.environments import Environment, GymEnv
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import ConfigurationError, ShapeError
from rlhf_core.experiment import EvaluationSettings, Experiment
from rlhf_core.feedback.inverse_rl import InverseRL, InverseState
from rlhf_core.in_process import run
from rlhf_core.inverse_rl.adversarial import AdversarialReward, initial
from rlhf_core.inverse_rl.model import Discriminator
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.packing import pack
from rlhf_core.rewards.constant import ConstantReward
from rlhf_core.types import Transitions
from tests.core.examples import HERE, task_for, trajectory

PLANE = Spaces(spaces.Box(-5, 5, (2,)), spaces.Discrete(2))
METHODS = ["gail", "airl", "maximum_entropy"]


def draws(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def steps(rng: np.random.Generator, count: int, centre: float, action: int) -> Transitions:
    """Steps around a place, most of them with one action."""
    seen = rng.normal(centre, 1, (count, 2)).astype(np.float32)
    acted = np.where(rng.random(count) < 0.9, action, 1 - action)
    return Transitions(seen, acted, seen + 0.1, np.zeros(count, dtype=bool))


def even(observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return np.full(len(actions), np.log(0.5), dtype=np.float32)


def trained(method: Any, rounds: int = 60, **fields: Any) -> tuple[AdversarialReward, Transitions]:
    rng = draws()
    shown = steps(rng, 400, 1.0, 1)
    model = Discriminator(**{"hidden": (16,), "batch_size": 128, "learning_rate": 1e-2, **fields})
    reward = initial(method, model, PLANE, shown, rng)
    seen = steps(rng, 400, -1.0, 0)
    for _ in range(rounds):
        reward = reward.observe(seen, even, rng)
    return reward, seen


def unscaled(reward: AdversarialReward, rewards: np.ndarray) -> np.ndarray:
    """Rewards in the discriminator's own unit."""
    return rewards * reward.state.scale + reward.state.shift


def test_episodes_lie_end_to_end_and_come_apart_again() -> None:
    first, second = trajectory(3, terminated=True), trajectory(2)
    both = demonstrations([first, second], seconds=2.0, cost=0.5)
    assert (len(both), both.cost.sum(), both.seconds.tolist()) == (2, 1.0, [2.0, 2.0])
    taken = both.transitions()
    np.testing.assert_array_equal(
        taken.observations, np.concatenate([first.observations[:-1], second.observations[:-1]])
    )
    np.testing.assert_array_equal(
        taken.next_observations, np.concatenate([first.observations[1:], second.observations[1:]])
    )
    assert taken.terminated.tolist() == [False, False, True, False, False]
    for one, other in zip(both.trajectories(), [first, second], strict=True):
        np.testing.assert_array_equal(one.observations, other.observations)
        np.testing.assert_array_equal(one.actions, other.actions)
        assert one.terminated == other.terminated
    assert pack(both.episodes(0, 1).joined(both.episodes(1, 9))) == pack(both)
    assert len(both.episodes(2, 5)) == 0
    with pytest.raises(ShapeError, match="expected 7 observations, actual: 6"):
        replace(both, observations=both.observations[:-1])


@pytest.mark.parametrize("method", METHODS)
def test_an_untrained_discriminator_knows_nothing(method: Any) -> None:
    reward, seen = trained(method, rounds=0)
    paid = reward(*seen)
    np.testing.assert_allclose(paid, np.log(2) if method == "gail" else 0.0, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_a_discriminator_pays_for_what_was_demonstrated(method: Any) -> None:
    reward, seen = trained(method)
    assert reward(*reward.demonstrations).mean() > reward(*seen).mean() + 1
    told = reward.metrics(seen)
    assert told["reward/demonstration_accuracy"] > 0.85
    assert told["reward/rollout_accuracy"] > 0.85
    # Over what the policy did the reward has the deviation 1, about.
    assert 0.3 < reward(*seen).std() < 3


@pytest.mark.parametrize("method", METHODS)
def test_the_same_rollouts_teach_the_same_and_a_state_goes_on(method: Any) -> None:
    (one, seen), (other, _) = trained(method, rounds=5), trained(method, rounds=5)
    assert pack(one.state) == pack(other.state)
    fresh = initial(method, one.model, PLANE, one.demonstrations, draws(9))
    resumed = fresh.resumed(one.state).observe(seen, even, draws(3))
    assert pack(resumed.state) == pack(one.observe(seen, even, draws(3)).state)


def test_the_optimal_discriminator_is_the_ratio_of_densities() -> None:
    # Where both are known, sigmoid(logit) = demonstrated / (demonstrated + rolled out).
    rng = draws()
    shown, seen = (steps(rng, 20000, centre, 0) for centre in (0.5, -0.5))
    model = Discriminator(
        hidden=(32,), batch_size=2048, learning_rate=5e-3, inputs=("observation",)
    )
    reward = initial("gail", model, PLANE, shown, rng)
    for _ in range(100):
        reward = reward.observe(seen, None, rng)
    where = np.array([[0.0, 0.0], [0.5, 0.5], [-1.0, 0.5], [-0.5, -0.5]], dtype=np.float32)
    nothing = np.zeros(4, dtype=np.int64)
    paid = unscaled(reward, reward(where, nothing, where, nothing.astype(bool)))
    # log of the ratio of two normal densities: the sum of the coordinates.
    np.testing.assert_allclose(np.log(np.expm1(paid)), where.sum(axis=1), atol=0.35)


def test_airl_takes_the_policys_likelihood_out() -> None:
    # Demonstrations and rollouts alike: f must come out as log pi, whatever it is.
    rng = draws()
    same = steps(rng, 4000, 0.0, 1)
    model = Discriminator(hidden=(16,), batch_size=512, learning_rate=1e-2, discount=0.0)
    reward = initial("airl", model, PLANE, same, rng)

    def density(observations: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return np.where(actions == 1, np.log(0.9), np.log(0.1)).astype(np.float32)

    for _ in range(100):
        reward = reward.observe(same, density, rng)
    paid = unscaled(reward, reward(*same))
    assert paid[same.actions == 1].mean() == pytest.approx(np.log(0.9), abs=0.15)
    assert paid[same.actions == 0].mean() == pytest.approx(np.log(0.1), abs=0.3)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_airl_pays_the_policy_for_its_entropy_besides(weight: float) -> None:
    # At 1 that is log D - log(1 - D), the discriminator's logit.
    reward, seen = trained("airl", rounds=20, entropy_weight=weight)
    own = unscaled(reward, reward.policy_rewards(seen, even))
    alone = unscaled(reward, reward(*seen))
    np.testing.assert_allclose(own, alone + weight * np.log(2), atol=1e-5)
    for method in ("gail", "maximum_entropy"):
        other, _ = trained(method, rounds=5, entropy_weight=weight)
        np.testing.assert_array_equal(other.policy_rewards(seen, even), other(*seen))


def test_shaping_is_left_out_of_the_reward_that_transfers_and_ends_have_none() -> None:
    reward, seen = trained("airl", rounds=30, inputs=("observation",), discount=0.9)
    alone = replace(reward, transferable=True)
    parameters = {name: np.asarray(p) for name, p in reward.state.parameters.items()}

    def shaping(states: np.ndarray) -> np.ndarray:
        deviation = np.sqrt(reward.state.state_square / reward.state.input_count)
        hidden = (states - reward.state.state_mean) / deviation
        hidden = hidden @ parameters["shaping/weight_0"] + parameters["shaping/bias_0"]
        hidden = hidden / (1 + np.exp(-hidden))
        return (hidden @ parameters["shaping/weight_1"] + parameters["shaping/bias_1"])[:, 0]

    for ended in (False, True):
        here = seen._replace(terminated=np.full(400, ended))
        later = 0.0 if ended else shaping(seen.next_observations)
        expected = (0.9 * later - shaping(seen.observations)) / reward.state.scale
        np.testing.assert_allclose(reward(*here) - alone(*here), expected, atol=1e-4)


def test_a_gradient_penalty_flattens_the_reward() -> None:
    steep, _ = trained("gail")
    flat, _ = trained("gail", gradient_penalty=5.0)
    spread = [reward(*reward.demonstrations).std() * reward.state.scale for reward in (steep, flat)]
    assert spread[1] < 0.5 * spread[0]


CUE = Environment(id=f"{HERE}:Cue-v0", count=4)


def shown_cue(episodes: int = 40) -> Transitions:
    """In the cue task action 1 is right where 1 is shown, and action 0 where -1 is."""
    rng = draws()
    seen = rng.choice([-1.0, 1.0], size=(episodes * 8, 1)).astype(np.float32)
    right = (seen[:, 0] > 0).astype(np.int64)
    return Transitions(seen, right, seen, np.zeros(len(seen), dtype=bool))


@pytest.mark.parametrize(
    "kind", [kind for kind in OPTIMISERS.kinds() if kind not in ("grpo", "rloo", "dpo")]
)
def test_every_optimiser_can_be_cloned_into(kind: str) -> None:
    optimiser, task = OPTIMISERS.get(kind)(), task_for(OPTIMISERS.get(kind)(), CUE)
    found, shown, right = task.spaces(), shown_cue(), np.array([1, 0])
    if isinstance(found.action, spaces.Box):
        pushes = np.where(shown.actions > 0, 0.5, -0.5).astype(np.float32)
        shown, right = shown._replace(actions=pushes[:, None]), np.array([[0.5], [-0.5]])
    fresh = optimiser.initial(found, 0)
    cloning = Cloning(shown, np.full(40, 8), CloningSettings(updates=300), False)
    (cloned, metrics), (again, _) = (optimiser.clone(fresh, found, cloning, 1) for _ in range(2))
    assert metrics["cloning/updates"] == 300
    assert pack(cloned) == pack(again)
    act = optimiser.act(cloned, found, deterministic=True)
    seen = np.array([[1.0], [-1.0]], dtype=np.float32)
    np.testing.assert_allclose(act(seen), right, atol=0.2)
    # It can be improved from there.
    steps = optimiser.rollout_steps(task)
    after = optimiser.optimise(cloned, task, ConstantReward(0.0), steps, steps, 0)
    assert after.state.steps > 0


@pytest.mark.parametrize(
    "space",
    [spaces.Box(np.array([-2, 0], np.float32), np.array([2, 1], np.float32)),
     spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(2)],
    ids=lambda space: type(space).__name__,
)  # fmt: skip
@pytest.mark.parametrize("kind", ["ppo", "ars", "sac", "td3"])
def test_actions_of_every_space_can_be_cloned(kind: str, space: spaces.Space[Any]) -> None:
    optimiser, rng = OPTIMISERS.get(kind)(), draws()
    found = Spaces(spaces.Box(-1, 1, (1,)), space)
    if kind in ("sac", "td3") and not isinstance(space, spaces.Box):
        with pytest.raises(ConfigurationError, match="expected actions of Box"):
            optimiser.check_spaces(found)
        return
    seen = rng.choice([-1.0, 1.0], size=(400, 1)).astype(np.float32)
    one, other = ([0.5, 0.4], [-0.5, 0.6]) if isinstance(space, spaces.Box) else ([1, 1], [0, 0])
    acted = np.where(seen > 0, one, other).astype(space.dtype)
    shown = Transitions(seen, acted, seen, np.zeros(400, dtype=bool))
    cloning = Cloning(shown, np.full(50, 8), CloningSettings(updates=400), False)
    cloned = optimiser.clone(optimiser.initial(found, 0), found, cloning, 1).state
    act = optimiser.act(cloned, found, deterministic=True)
    for place, action in ((1.0, one), (-1.0, other)):
        done = act(np.array([[place]], dtype=np.float32))[0]
        np.testing.assert_allclose(done, action, atol=0.2)


def experiment(**changes: Any) -> Experiment:
    settings: dict[str, Any] = {
        "name": "shown",
        "environment": GymEnv("CartPole-v1", count=16, fixed_horizon=100),
        "feedback": InverseRL(demonstrations=10),
        "annotator": Synthetic(expert_steps=25600),
        "optimiser": PPO(steps=50, batch_size=200, learning_rate=1e-3, discount=0.98, stagger=True),
        "budget": Budget(env_steps=25600, labels=20, rounds=4, initial_steps=1600),
        "evaluation": EvaluationSettings(episodes=10),
    }
    return Experiment(**{**settings, **changes})


@pytest.mark.parametrize("method", ["gail", "airl", "maximum_entropy", "behaviour_cloning"])
def test_every_method_runs_in_the_loop_and_again_to_the_same_bits(method: Any) -> None:
    tiny = experiment(
        feedback=InverseRL(
            method=method,
            demonstrations=3,
            cloning=CloningSettings(updates=20),
            discriminator=Discriminator(updates=8),
        ),
        annotator=Synthetic(expert_steps=1600),
        budget=Budget(env_steps=4800, labels=4, rounds=2, initial_steps=1600),
    )
    tiny.check()
    first, second = run(tiny), run(tiny)
    assert pack(first.feedback) == pack(second.feedback)
    assert pack(first.policy) == pack(second.policy)
    assert isinstance(first.feedback, InverseState)
    assert first.feedback.asked == 3
    assert first.feedback.demonstrations is not None
    assert len(first.feedback.demonstrations) == 3
    assert first.history[0]["feedback/labels"] == 2
    assert first.policy.steps == 4800
    assert all(np.isfinite(value) for metrics in first.history for value in metrics.values())
    ended = tiny.plan.ended(first.feedback, 2)
    assert ended is not None
    assert "all demonstrations were given" in ended
    if method != "behaviour_cloning":
        assert first.feedback.discriminator is not None
        # Eight updates at each rollout of both rounds.
        assert first.feedback.discriminator.updates == 8 * 4
        assert "reward/demonstration_accuracy" in first.metrics


def test_imitation_balances_the_pole_without_its_reward() -> None:
    task = GymEnv(
        "CartPole-v1",
        count=32,
        fixed_horizon=200,
        horizon_form="evolving",
        observation_bound=3.0,
    )
    ppo = PPO(steps=64, batch_size=256, epochs=8, learning_rate=4e-3, discount=0.98, stagger=True)
    final = run(
        experiment(
            environment=task,
            optimiser=ppo,
            annotator=Synthetic(expert_steps=65536),
            budget=Budget(env_steps=122880, labels=10, rounds=1, initial_steps=2048),
        )
    )
    assert final.evaluation is not None
    assert final.evaluation.returns.mean() > 150


def test_cloning_balances_the_pole_at_once() -> None:
    cloning = InverseRL(method="behaviour_cloning", demonstrations=10)
    final = run(experiment(feedback=cloning))
    assert final.history[0]["eval/true_return_iqm"] > 80


def test_a_warm_start_begins_where_cloning_ends() -> None:
    warm = experiment(feedback=InverseRL(demonstrations=10, warm_start=True))
    imitation = warm.feedback.imitation()
    assert imitation is not None
    assert imitation.cloning(InverseState(), 0) is None
    cold = run(experiment(budget=Budget(env_steps=3200, labels=20, rounds=1, initial_steps=1600)))
    final = run(
        warm.model_copy(
            update={"budget": Budget(env_steps=3200, labels=20, rounds=1, initial_steps=1600)}
        )
    )
    assert final.evaluation is not None
    assert cold.evaluation is not None
    assert final.evaluation.returns.mean() > cold.evaluation.returns.mean() + 20


def test_imitation_works_by_evolution_too() -> None:
    ars = OPTIMISERS.get("ars")(population=16)
    final = run(
        experiment(
            optimiser=ars,
            feedback=InverseRL(demonstrations=10, discriminator=Discriminator(updates=16)),
            budget=Budget(env_steps=80000, labels=20, rounds=4, initial_steps=1600),
        )
    )
    assert isinstance(final.feedback, InverseState)
    assert final.evaluation is not None
    assert final.evaluation.returns.mean() > 30


def test_what_cannot_work_is_refused() -> None:
    ars = OPTIMISERS.get("ars")(population=2)
    with pytest.raises(ConfigurationError, match=r"airl needs the likelihood of actions.*'ars'"):
        experiment(feedback=InverseRL(method="airl"), optimiser=ars).check()
    with pytest.raises(ConfigurationError, match=r"annotator\.kind: expected one who demonstrates"):
        experiment(annotator=Crowd()).check()
    with pytest.raises(ConfigurationError, match=r"budget\.labels: expected at least 1"):
        experiment(budget=Budget(env_steps=25600, labels=0, rounds=4, initial_steps=1600)).check()


def test_demonstrations_are_paid_for_and_never_shown_twice() -> None:
    costly = experiment(
        annotator=Expert(env_steps=1600, cost=2.0, seconds=60.0),
        budget=Budget(
            env_steps=4800, labels=9, rounds=2, initial_steps=1600, label_schedule="constant"
        ),
        feedback=InverseRL(demonstrations=9),
    )
    final = run(costly)
    assert [m["feedback/labels"] for m in final.history] == [4, 5]
    assert [m["feedback/cost"] for m in final.history] == [8, 10]
    assert final.feedback.cost == 18
    shown = final.feedback.demonstrations
    assert shown is not None
    starts = shown.observations[np.cumsum([0, *(shown.lengths + 1)])[:-1]]
    assert len(np.unique(starts, axis=0)) == 9
    poor = costly.model_copy(update={"budget": costly.budget.model_copy(update={"money": 7.0})})
    assert run(poor).feedback.asked == 3


def test_an_expert_plays_whole_episodes_of_the_task() -> None:
    trained = experiment()
    state = stages.initial_annotator(trained)
    lengths = state.arrays["demonstrations/lengths"]
    assert lengths.tolist() == [100] * 10


def test_the_scale_of_the_reward_is_a_running_mean_over_rollouts() -> None:
    rng = draws()
    model = Discriminator(hidden=(16,), batch_size=128, learning_rate=1e-2)
    reward = initial("gail", model, PLANE, steps(rng, 400, 1.0, 1), rng)
    near, far = steps(rng, 400, -1.0, 0), steps(rng, 400, -3.0, 0)
    reward = reward.observe(near, None, rng)
    # The first rollout sets the scale: there the reward has a standard deviation of 1.
    assert reward(*near).std() == pytest.approx(1, rel=1e-5)
    for rollout in (far, near, far):
        before = reward.state.scale
        reward = reward.observe(rollout, None, rng)
        deviation = float(reward(*rollout).std()) * reward.state.scale
        assert reward.state.scale == pytest.approx(0.9 * before + 0.1 * deviation, rel=1e-5)


def test_the_mean_of_the_reward_is_subtracted_until_an_episode_terminates() -> None:
    rng = draws()
    model = Discriminator(hidden=(16,), batch_size=128, learning_rate=1e-2)
    reward = initial("gail", model, PLANE, steps(rng, 400, 1.0, 1), rng)
    near, far = steps(rng, 400, -1.0, 0), steps(rng, 400, -3.0, 0)
    reward = reward.observe(near, None, rng)
    assert reward(*near).mean() == pytest.approx(0, abs=1e-5)
    before = reward.state.shift
    assert before > 0
    reward = reward.observe(far, None, rng)
    mean = float(unscaled(reward, reward(*far)).mean())
    assert reward.state.shift == pytest.approx(0.9 * before + 0.1 * mean, rel=1e-5)
    ended = near.terminated.copy()
    ended[7] = True
    for rollout in (near._replace(terminated=ended), far):
        reward = reward.observe(rollout, None, rng)
        assert reward.state.terminates
        assert reward.state.shift == 0
        # -log(1 - D) is never negative.
        assert reward(*rollout).min() >= 0
