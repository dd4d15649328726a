"""The fused PPO is Stable-Baselines3's: same rollouts, same parameters, same files."""

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.vec_env import DummyVecEnv

from rlhf_core.environments import GymEnv
from rlhf_core.errors import ConfigurationError
from rlhf_core.fused import FusedPPO
from rlhf_core.fused.vec_env import GymnasiumVecEnv
from rlhf_core.stable_baselines.normalisation import Normalised

ACTIONS: dict[str, spaces.Space[Any]] = {
    "discrete": spaces.Discrete(4),
    "multi": spaces.MultiDiscrete([2, 3, 4]),
    "box": spaces.Box(-1, 1, (3,)),
    "matrix": spaces.Box(-1, 1, (2, 2)),
}
RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "value_clip": {"clip_range_vf": 0.2},
    "advantages_as_they_are": {"normalize_advantage": False},
    "target_kl": {"target_kl": 0.002, "learning_rate": 3e-3},
    "schedules": {"learning_rate": lambda left: 1e-3 * left, "clip_range": lambda left: 0.3 * left},
    "entropy": {"ent_coef": 0.05, "vf_coef": 0.25, "max_grad_norm": 0.05},
    "odd_batches": {"batch_size": 50},
    "relu": {"policy_kwargs": {"activation_fn": torch.nn.ReLU}},
    "one_layer": {"policy_kwargs": {"net_arch": [48]}},
    "uneven": {"policy_kwargs": {"net_arch": {"pi": [32, 16, 8], "vf": [64, 24, 40]}}},
    "normalised": {"policy_kwargs": {"features_extractor_class": Normalised}},
    "adam": {"policy_kwargs": {"optimizer_kwargs": {"betas": (0.8, 0.99), "eps": 1e-6}}},
}
UNCOVERED: dict[str, dict[str, Any]] = {
    "no_layer": {"policy_kwargs": {"net_arch": []}},
    "other_depths": {"policy_kwargs": {"net_arch": {"pi": [32], "vf": [64, 24]}}},
    "elu": {"policy_kwargs": {"activation_fn": torch.nn.ELU}},
    "two_extractors": {"policy_kwargs": {"share_features_extractor": False}},
    "rmsprop": {"policy_kwargs": {"optimizer_class": torch.optim.RMSprop}},
    "decay": {"policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.1}}},
}


class Walk(gymnasium.Env[np.ndarray, Any]):
    """A bounded random walk that pays for actions, ends at step 17 or is cut off at step 29."""

    def __init__(self, actions: spaces.Space[Any], seen: spaces.Space[Any] | None = None) -> None:
        self.action_space = actions
        self.observation_space = seen or spaces.Box(-1, 1, (5,))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.age, self.length = 0, int(self.np_random.integers(10, 40))
        return self._look(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.age += 1
        paid = 0.3 * float(np.sum(action)) + 0.1 * self.age
        return self._look(), paid, self.age == self.length, self.age == 29, {}

    def _look(self) -> Any:
        if isinstance(self.observation_space, spaces.Discrete):
            return int(self.np_random.integers(self.observation_space.n))
        return self.np_random.uniform(-1, 1, 5).astype(np.float32)


class Nothing(BaseCallback):
    def _on_step(self) -> bool:
        return True


def made(
    kind: type[PPO],
    actions: spaces.Space[Any],
    seen: spaces.Space[Any] | None = None,
    **rule: Any,
) -> PPO:
    env = DummyVecEnv([lambda: Walk(actions, seen)] * 4)
    settings = {"n_steps": 64, "batch_size": 64, "seed": 3, "device": "cpu", **rule}
    model = kind("MlpPolicy", env, **settings)
    model.set_logger(Logger(None, []))
    return model


def played(model: PPO) -> None:
    """Half of a run of two rollouts: one rollout, and what the second one's schedules see."""
    _, callback = model._setup_learn(512, Nothing())
    torch.manual_seed(0)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)  # type: ignore[arg-type]
    model._update_current_progress_remaining(256, 512)


def trained(model: PPO, seed: int = 5) -> None:
    np.random.seed(seed)
    model.train()


def apart(one: PPO, other: PPO) -> float:
    """Relative distance of parameters: of all together, and a tenth of the worst one's."""
    mine, its = dict(one.policy.named_parameters()), dict(other.policy.named_parameters())
    assert mine.keys() == its.keys()
    distances = {name: float((mine[name] - its[name]).norm().detach()) for name in mine}
    norms = {name: float(mine[name].norm().detach()) for name in mine}
    total = np.linalg.norm(list(distances.values())) / np.linalg.norm(list(norms.values()))
    return max(float(total), *(0.1 * d / (norms[n] + 1e-6) for n, d in distances.items()))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.filterwarnings("ignore:.*mini-batch size")
def test_rollouts_updates_and_logs_are_those_of_stable_baselines(actions: str, rule: str) -> None:
    theirs, ours = (made(kind, ACTIONS[actions], **RULES[rule]) for kind in (PPO, FusedPPO))
    assert isinstance(ours, FusedPPO)
    assert ours.fused
    assert apart(theirs, ours) == 0
    for model in (theirs, ours):
        played(model)
    columns = ("observations", "actions", "rewards", "episode_starts", "values", "log_probs")
    for name in (*columns, "advantages", "returns"):
        expected = getattr(theirs.rollout_buffer, name)
        np.testing.assert_allclose(
            getattr(ours.rollout_buffer, name), expected, rtol=2e-5, atol=2e-5, err_msg=name
        )
    # The second time Adam's moments come from before.
    for seed in (5, 6):
        for model in (theirs, ours):
            trained(model, seed)
        assert 0 < apart(theirs, ours) < 1e-5
    logged, expected = (m.logger.name_to_value for m in (ours, theirs))
    assert logged.keys() == expected.keys()
    for name, value in expected.items():
        assert logged[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name
    assert ours._n_updates == theirs._n_updates


@pytest.mark.parametrize("rule", UNCOVERED)
def test_what_is_not_covered_goes_through_stable_baselines_own_code(rule: str) -> None:
    theirs, ours = (made(kind, ACTIONS["discrete"], **UNCOVERED[rule]) for kind in (PPO, FusedPPO))
    assert isinstance(ours, FusedPPO)
    assert not ours.fused
    for model in (theirs, ours):
        played(model)
        trained(model)
    assert apart(theirs, ours) == 0


def test_bits_and_state_dependent_noise_are_not_covered() -> None:
    assert not made(FusedPPO, spaces.MultiBinary(3)).fused  # type: ignore[attr-defined]
    assert not made(FusedPPO, ACTIONS["box"], use_sde=True).fused  # type: ignore[attr-defined]


def test_categories_are_observed_one_hot() -> None:
    theirs, ours = (made(kind, ACTIONS["discrete"], spaces.Discrete(6)) for kind in (PPO, FusedPPO))
    for model in (theirs, ours):
        played(model)
        trained(model)
    assert 0 < apart(theirs, ours) < 1e-5


def test_a_parameter_that_is_frozen_stays() -> None:
    model = made(FusedPPO, ACTIONS["box"])
    model.policy.log_std.requires_grad = False
    assert not model.fused  # type: ignore[attr-defined]


@pytest.mark.parametrize(("first", "second"), [(PPO, FusedPPO), (FusedPPO, PPO)])
@pytest.mark.parametrize("actions", ACTIONS)
def test_saved_files_cross_over(
    first: type[PPO], second: type[PPO], actions: str, tmp_path: Path
) -> None:
    one = made(first, ACTIONS[actions])
    played(one)
    trained(one)
    one.save(tmp_path / "model.zip")
    other = second.load(tmp_path / "model.zip", env=one.env, device="cpu")
    other.set_logger(Logger(None, []))
    assert apart(one, other) == 0
    seen = np.random.default_rng(0).uniform(-1, 1, (9, 5)).astype(np.float32)
    np.testing.assert_array_equal(*(m.predict(seen, deterministic=True)[0] for m in (one, other)))
    # Adam goes on from where it was.
    for model in (one, other):
        torch.manual_seed(0)
        model.env.seed(1)  # type: ignore[union-attr]
        model._last_obs = None
        played(model)
        trained(model)
    assert apart(one, other) < 1e-5
    assert second.load(tmp_path / "model.zip").policy is not None


def test_a_callback_may_end_a_rollout_and_change_the_policy() -> None:
    class Meddling(BaseCallback):
        def _on_rollout_start(self) -> None:
            with torch.no_grad():
                self.model.policy.action_net.bias[1] = 50.0

        def _on_step(self) -> bool:
            return self.n_calls < 20

    model = made(FusedPPO, ACTIONS["discrete"])
    _, callback = model._setup_learn(512, Meddling())
    went_on = model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)  # type: ignore[arg-type]
    assert not went_on
    assert (model.rollout_buffer.actions[:19] == 1).all()


def test_a_whole_run_learns_as_stable_baselines_does() -> None:
    models = [
        kind(
            "MlpPolicy",
            GymnasiumVecEnv(GymEnv("CartPole-v1").make_vector(8)),
            n_steps=64,
            batch_size=64,
            seed=0,
            device="cpu",
        ).learn(4096)
        for kind in (PPO, FusedPPO)
    ]
    theirs, ours = ([e["r"] for e in m.ep_info_buffer] for m in models)  # type: ignore[union-attr]
    # The same draws: rounding shows only after many updates.
    assert ours[:30] == theirs[:30]
    assert np.mean(ours[-20:]) > 1.5 * np.mean(ours[:20])


def test_a_vector_environment_tells_of_ends_as_stable_baselines_wants_it() -> None:
    env = GymnasiumVecEnv(GymEnv("Pendulum-v1", time_limit=3).make_vector(2))
    env.seed(7)
    env.reset()
    paid = np.zeros(2)
    for step in range(3):
        seen, rewards, done, infos = env.step(np.zeros((2, 1), dtype=np.float32))
        paid += rewards
        assert done.tolist() == [step == 2] * 2
    for index, info in enumerate(infos):
        assert info["TimeLimit.truncated"]
        assert info["terminal_observation"].shape == seen[index].shape
        assert not np.array_equal(info["terminal_observation"], seen[index])
        assert info["episode"]["l"] == 3
        assert info["episode"]["r"] == pytest.approx(paid[index], rel=1e-5)
    assert rewards.dtype == np.float32


def test_a_vector_environment_must_reset_at_once() -> None:
    late = gymnasium.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync")
    with pytest.raises(ConfigurationError, match="expected autoreset_mode"):
        GymnasiumVecEnv(late)
