"""The fused SAC and TD3 are Stable-Baselines3's: same actions, same parameters, same files."""

import copy
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

from rlhf_core.fused import FusedSAC, FusedTD3
from rlhf_core.fused.dense import Networks, Pass, flat_size
from rlhf_core.fused.squashed_gaussian import SquashedGaussian
from tests.core.test_fused import Walk

KINDS: dict[str, tuple[type[Any], type[Any]]] = {"sac": (SAC, FusedSAC), "td3": (TD3, FusedTD3)}
BOX = spaces.Box(-2, 1, (3,))
RULES: dict[str, dict[str, Any]] = {
    "plain": {},
    "tanh": {"policy_kwargs": {"activation_fn": torch.nn.Tanh}},
    "one_layer": {"policy_kwargs": {"net_arch": [48]}},
    "three_layers": {"policy_kwargs": {"net_arch": {"pi": [32, 16, 8], "qf": [24, 40]}}},
    "wide": {"policy_kwargs": {"net_arch": [128, 40]}},
    "one_critic": {"policy_kwargs": {"n_critics": 1}},
    "three_critics": {"policy_kwargs": {"n_critics": 3}},
    "adam": {"policy_kwargs": {"optimizer_kwargs": {"betas": (0.8, 0.99), "eps": 1e-6}}},
    "schedule": {"learning_rate": lambda left: 3e-3 * left, "tau": 0.3, "gamma": 0.5},
}
OWN: dict[str, dict[str, dict[str, Any]]] = {
    "sac": {
        "fixed_temperature": {"ent_coef": 0.3},
        "temperature_and_target": {"ent_coef": "auto_0.1", "target_entropy": -7},
        "seldom_targets": {"target_update_interval": 3},
    },
    "td3": {
        "no_delay": {"policy_delay": 1},
        "delay": {"policy_delay": 3, "target_policy_noise": 0.6, "target_noise_clip": 0.1},
    },
}
CASES = [(kind, name, rule) for kind in KINDS for name, rule in (RULES | OWN[kind]).items()]
UNCOVERED: dict[str, dict[str, Any]] = {
    "no_layer": {"policy_kwargs": {"net_arch": []}},
    "elu": {"policy_kwargs": {"activation_fn": torch.nn.ELU}},
    "rmsprop": {"policy_kwargs": {"optimizer_class": torch.optim.RMSprop}},
    "decay": {"policy_kwargs": {"optimizer_kwargs": {"weight_decay": 0.1}}},
    "many_steps": {"n_steps": 3},
    "memory": {
        "optimize_memory_usage": True,
        "replay_buffer_kwargs": {"handle_timeout_termination": False},
    },
}


def copies(count: int = 2, actions: spaces.Space[Any] = BOX) -> VecEnv:
    # Random actions come from the space, whose generator two models would share.
    return DummyVecEnv([lambda: Walk(copy.deepcopy(actions))] * count)


def made(kind: type[Any], env: VecEnv | None = None, **rule: Any) -> Any:
    env = copies() if env is None else env
    settings = {
        "learning_starts": 40, "batch_size": 32, "buffer_size": 300, "learning_rate": 3e-3,
        "seed": 3, "device": "cpu", **rule,
    }  # fmt: skip
    settings["policy_kwargs"] = {"net_arch": [24, 24], **settings.get("policy_kwargs", {})}
    if issubclass(kind, TD3):
        shape = env.action_space.shape
        settings["action_noise"] = NormalActionNoise(np.zeros(shape), np.full(shape, 0.2))
    model = kind("MlpPolicy", env, **settings)
    model.set_logger(Logger(None, []))
    return model


def pair(kind: str, **rule: Any) -> tuple[Any, Any]:
    """The library's own model and ours, with the same transitions in the buffer."""
    theirs, ours = (made(k, **rule) for k in KINDS[kind])
    for model in (theirs, ours):
        seeded(0)
        model.learn(40)
        model._update_current_progress_remaining(40, 80)
    return theirs, ours


def seeded(seed: int) -> None:
    torch.manual_seed(seed)
    np.random.seed(seed)


def trained(model: Any, seed: int) -> None:
    seeded(seed)
    model.train(5, 32)


def apart(one: Any, other: Any) -> float:
    """The largest difference of weights, of targets and of the temperature."""
    mine, its = one.policy.state_dict(), other.policy.state_dict()
    assert mine.keys() == its.keys()
    worst = max(float((mine[name] - its[name]).abs().max()) for name in mine)
    if getattr(one, "log_ent_coef", None) is not None:
        worst = max(worst, float((one.log_ent_coef - other.log_ent_coef).abs().detach()))
    return worst


def same_moments(one: Any, other: Any) -> None:
    for name in ("actor", "critic"):
        mine, its = (getattr(m, name).optimizer.state_dict()["state"] for m in (one, other))
        assert mine.keys() == its.keys()
        for index, entries in its.items():
            assert mine[index].keys() == entries.keys()
            for key, value in entries.items():
                torch.testing.assert_close(mine[index][key], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("kind", "name", "rule"), CASES, ids=[f"{k}-{n}" for k, n, _ in CASES])
def test_updates_and_logs_are_those_of_stable_baselines(
    kind: str, name: str, rule: dict[str, Any]
) -> None:
    theirs, ours = pair(kind, **rule)
    assert ours.fused
    assert apart(theirs, ours) == 0
    before = {key: value.clone() for key, value in ours.policy.state_dict().items()}
    # The second time Adam's moments come from before.
    for seed in (5, 6):
        for model in (theirs, ours):
            trained(model, seed)
        assert apart(theirs, ours) < 1e-5
    same_moments(ours, theirs)
    after = ours.policy.state_dict()
    assert all(float((after[key] - before[key]).abs().max()) > 1e-6 for key in before)
    logged, expected = (m.logger.name_to_value for m in (ours, theirs))
    assert logged.keys() == expected.keys()
    for key, value in expected.items():
        assert logged[key] == pytest.approx(value, rel=1e-4, abs=1e-5), key
    assert ours._n_updates == theirs._n_updates == 10


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("actions", [BOX, spaces.Box(-1, 1, (1, 3))], ids=["flat", "matrix"])
@pytest.mark.parametrize("count", [1, 3])
def test_whole_runs_are_those_of_stable_baselines(
    kind: str, actions: spaces.Space[Any], count: int
) -> None:
    """Warm-up, acting, noise, storing, ends of episodes and updates."""
    models = [made(k, copies(count, actions), gradient_steps=2).learn(150) for k in KINDS[kind]]
    theirs, ours = models
    assert ours.fused
    for name in ("observations", "actions", "rewards", "dones", "timeouts"):
        expected, actual = (getattr(m.replay_buffer, name) for m in models)
        np.testing.assert_allclose(actual, expected, atol=1e-4, err_msg=name)
    assert apart(theirs, ours) < 1e-4
    seen = np.random.default_rng(0).uniform(-1, 1, (9, 5)).astype(np.float32)
    expected, actual = (m.predict(seen, deterministic=True)[0] for m in models)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_minibatches_of_many_gathers_are_those_of_one(kind: str, monkeypatch: Any) -> None:
    models = [pair(kind)[1] for _ in range(2)]
    trained(models[0], 5)
    monkeypatch.setattr("rlhf_core.fused.minibatches.CHUNK", 2)
    trained(models[1], 5)
    assert apart(*models) == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", UNCOVERED)
def test_what_is_not_covered_goes_through_stable_baselines_own_code(kind: str, rule: str) -> None:
    theirs, ours = pair(kind, **UNCOVERED[rule])
    assert not ours.fused
    for model in (theirs, ours):
        trained(model, 5)
    assert apart(theirs, ours) == 0
    assert ours._n_updates == 5


@pytest.mark.parametrize("kind", KINDS)
def test_normalised_observations_and_frozen_parameters_are_not_covered(kind: str) -> None:
    fused = KINDS[kind][1]
    assert not made(fused, VecNormalize(copies())).fused
    model = made(fused)
    assert model.fused
    model.critic.qf0[0].bias.requires_grad = False
    assert not model.fused


def test_state_dependent_noise_is_not_covered() -> None:
    assert not made(FusedSAC, use_sde=True).fused


@pytest.mark.parametrize("kind", KINDS)
def test_dictionaries_of_observations_are_not_covered(kind: str) -> None:
    class Named(gymnasium.ObservationWrapper[Any, Any, Any]):
        observation_space = spaces.Dict({"seen": spaces.Box(-1, 1, (5,))})

        def observation(self, observation: Any) -> Any:
            return {"seen": observation}

    env = DummyVecEnv([lambda: Named(Walk(BOX))])
    model = KINDS[kind][1]("MultiInputPolicy", env, learning_starts=10, device="cpu", seed=0)
    assert not model.learn(12).fused


@pytest.mark.parametrize("kind", KINDS)
def test_fused_and_own_updates_take_turns(kind: str) -> None:
    """Both read and write the same parameters and the same state of Adam."""
    theirs, ours = pair(kind)
    own = KINDS[kind][0].train
    for seed in range(6):
        trained(theirs, seed)
        seeded(seed)
        if seed % 2:
            own(ours, 5, 32)
        else:
            ours.train(5, 32)
    assert apart(theirs, ours) < 1e-5
    same_moments(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("direction", [1, -1], ids=["to_ours", "to_theirs"])
def test_saved_files_cross_over(kind: str, direction: int, tmp_path: Path) -> None:
    second = KINDS[kind][::direction][1]
    one = pair(kind)[0 if direction == 1 else 1]
    trained(one, 5)
    one.save(tmp_path / "model.zip")
    other = second.load(tmp_path / "model.zip", env=one.env, device="cpu")
    other.set_logger(Logger(None, []))
    other.replay_buffer = one.replay_buffer
    assert apart(one, other) == 0
    # Adam goes on from where it was.
    for model in (one, other):
        trained(model, 6)
    assert 0 < apart(one, other) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_loaded_are_used(kind: str) -> None:
    fused = KINDS[kind][1]
    one, other = pair(kind)[1], pair(kind)[1]
    trained(one, 5)
    trained(other, 6)
    other.set_parameters(copy.deepcopy(one.get_parameters()))
    if kind == "sac":
        other.log_ent_coef.data.copy_(one.log_ent_coef.data)
    for model in (one, other):
        trained(model, 7)
    assert apart(one, other) == 0
    assert type(one) is fused


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("width", [6, 130])
def test_gradients_of_dense_networks_are_those_of_autograd(activation: str, width: int) -> None:
    generator = torch.Generator().manual_seed(0)
    widths, count, batch = (5, width, 7, 1), 3, 11
    flat, gradient = torch.zeros(2, flat_size(widths, count))
    flat.normal_(generator=generator)
    networks, by_parameters = (Networks.of(f, widths, count) for f in (flat, gradient))
    inputs = torch.randn(batch, 5, generator=generator)
    chosen = torch.randint(count, (batch,), generator=generator)
    one = Pass.of(widths, count, batch, activation)
    outputs = one.forward(networks, inputs.expand(count, -1, -1)).clone()
    by_chosen = one.chosen_input_gradient(networks, chosen, 0.5, 2)

    leaf, variable = flat.clone().requires_grad_(), inputs.clone().requires_grad_()
    again, hidden = Networks.of(leaf, widths, count), variable.expand(count, -1, -1)
    for layer in range(3):
        hidden = hidden @ again.transposed[layer] + again.biases[layer]
        if layer < 2:
            hidden = getattr(torch, activation)(hidden)
    torch.testing.assert_close(outputs, hidden.detach())
    picked = hidden[chosen, torch.arange(batch), 0].sum() * 0.5
    (expected,) = torch.autograd.grad(picked, variable, retain_graph=True)
    torch.testing.assert_close(by_chosen, expected[:, 2:])

    weights = torch.randn(outputs.shape, generator=generator)
    one.output_gradient.copy_(weights)
    one.backward(networks, by_parameters, inputs.expand(count, -1, -1))
    (expected,) = torch.autograd.grad((hidden * weights).sum(), leaf)
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-4)


def test_a_squashed_gaussian_by_hand() -> None:
    """Mean 0, log std 0 and a draw of noise: u is the noise, and a its tanh."""
    outputs = torch.zeros(2, 4)
    gaussian = SquashedGaussian(outputs)
    torch.manual_seed(0)
    noise = torch.empty(2, 2).normal_().double()
    torch.manual_seed(0)
    actions = gaussian.sample()
    torch.testing.assert_close(actions.double(), torch.tanh(noise))
    expected = (
        -(noise**2) / 2 - np.log(2 * np.pi) / 2 - torch.log(1 - torch.tanh(noise) ** 2 + 1e-6)
    ).sum(dim=1, keepdim=True)
    torch.testing.assert_close(gaussian.log_prob().double(), expected, rtol=1e-5, atol=1e-5)


def test_a_standard_deviation_at_its_bound_has_no_gradient() -> None:
    outputs = torch.tensor([[0.1, 2.5], [0.1, -0.5], [0.1, -21.0]])
    gaussian = SquashedGaussian(outputs)
    gaussian.sample()
    gaussian.log_prob()
    by_outputs = gaussian.gradient(torch.ones(3, 1), 0.5)
    assert by_outputs[[0, 2], 1].tolist() == [0, 0]
    assert by_outputs[1, 1] != 0
