"""What environments must not do is refused with environment, step, copy, file and line."""

import re
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.classic_control import CartPoleEnv

from rlhf_core.environments import Environment
from rlhf_core.environments.checked import CheckedEnv, key_of
from rlhf_core.errors import BrokenEnvironmentError, ConfigurationError, DivergedError
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.evaluation.video import film
from rlhf_core.in_process import run
from tests.core.environments import OBSERVATIONS, STEPS, Fleet
from tests.core.examples import HERE, tiny

FAULTY = "tests.core.faulty"
LINE = r" \(.*faulty\.py:\d+\)$"


def faulty(fault: str, **options: Any) -> Environment:
    return Environment(id=f"{FAULTY}:Faulty-v0", count=2, options={"fault": fault, **options})


def played(environment: Environment, steps: int = 12) -> None:
    vector = environment.make_vector()
    vector.reset(seed=list(range(vector.num_envs)))
    for _ in range(steps):
        vector.step(np.zeros((vector.num_envs, 1), dtype=np.float32))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nan", r"returned an observation of nan \(number 1\) in step 3 of copy 1; observations"),
        ("inf", r"observation of inf .* step 3 of copy 1; .*observation_bound cuts infinite ones"),
        ("last_nan", r"returned an observation of nan \(number 1\) in step 3 of copy 1"),
        ("nan_at_reset", r"returned an observation of nan \(number 1\) in the reset of copy 1"),
        ("nan_reward", r"returned a reward of nan in step 3 of copy 1"),
        ("reset", rf"failed in reset\(\): KeyError: 'door'{LINE}"),
        ("old_reset", rf"failed in reset\(\): .*must return two values \(observation, i.*{LINE}"),
        ("step", rf"failed in step\(\) in step 3: ArithmeticError: the motor is stuck{LINE}"),
        ("exit", rf"failed in step\(\) in step 3: SystemExit: sys.exit\(0\) was called{LINE}"),
        ("shape", rf"step 3: copy 1 returned shape \(5,\), expected: \(2,\){LINE}"),
        ("four", rf"step 3: ValueError: .*got 4\); step\(\) must return five values .*{LINE}"),
        ("no_info", rf"step 3: AttributeError: .*{LINE}"),
        ("text_reward", rf"step 3: .*{LINE}"),
    ],
)
def test_a_fault_is_reported_with_its_place(fault: str, message: str) -> None:
    with pytest.raises(BrokenEnvironmentError, match=message) as caught:
        played(faulty(fault))
    assert str(caught.value).startswith(f"environment.id: '{FAULTY}:Faulty-v0' ")


def test_a_fault_is_reported_with_the_key_of_a_dict() -> None:
    with pytest.raises(BrokenEnvironmentError, match=r"nan \(key 'speed', number 1\) in step 3"):
        played(faulty("nan", form="dict"))


def test_keys_of_nested_observations() -> None:
    space = gymnasium.spaces.Dict({"a": OBSERVATIONS["tuple"], "b": OBSERVATIONS["dict"]})
    # a: 7 categories and 2 bits; b: 7 categories, then one number.
    assert key_of(space, 8) == "key 'a.1', number 1"
    assert key_of(space, STEPS + 1 + 2 + STEPS + 1) == "key 'b.half', number 0"


@pytest.mark.parametrize("name", ["observation_space", "action_space"])
def test_a_missing_space_is_named(name: str) -> None:
    message = (
        rf"expected self\.{name} to be a Gymnasium space, .*, "
        rf"actual: AttributeError: .*{LINE}"
    )
    with pytest.raises(BrokenEnvironmentError, match=message):
        faulty(f"no_{name}").spaces()


def test_an_error_of_closing_is_reported() -> None:
    with pytest.raises(
        BrokenEnvironmentError, match=rf"failed in close\(\): OSError: the cable is gone{LINE}"
    ):
        faulty("close").spaces()
    vector = faulty("none").make_vector()
    for env in vector.unwrapped.envs:
        env.unwrapped.fault = "close"
    with pytest.raises(BrokenEnvironmentError, match=r"failed in close\(\)"):
        vector.close()
    assert vector.closed


def test_an_error_before_one_of_closing_is_the_one_that_is_reported() -> None:
    vector = faulty("none").make_vector()
    for env in vector.unwrapped.envs:
        env.unwrapped.fault = "close"
    with pytest.raises(ValueError, match="first") as caught:  # noqa: PT012 - the finally is meant
        try:
            raise ValueError("first")
        finally:
            vector.close()
    assert "failed in close()" in caught.value.__notes__[0]


def test_an_error_of_the_constructor_is_reported_with_its_line() -> None:
    with pytest.raises(ConfigurationError, match=rf"cannot be made .*: no motor{LINE}"):
        faulty("constructor").spaces()


@pytest.mark.parametrize("value", [4, -1])
def test_a_category_out_of_range_is_refused(value: int) -> None:
    environment = Environment(id=f"{FAULTY}:Grid-v0", count=3, options={"value": value})
    vector = environment.make_vector()
    vector.reset(seed=[0, 1, 2])
    with pytest.raises(
        BrokenEnvironmentError,
        match=rf"observation of {value} in step 1 of copy 1; expected a value of Discrete\(4\)",
    ):
        vector.step(np.zeros(3, dtype=np.int64))


def test_a_vector_form_of_the_environments_own_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    vector = Environment(id=f"{HERE}:Fleet-v0").make_vector(3)
    assert isinstance(vector.unwrapped, Fleet)
    vector.reset(seed=[0, 1, 2])
    vector.unwrapped.places[2] = np.nan
    with pytest.raises(BrokenEnvironmentError, match=r"nan \(number 0\) in step 1 of copy 3"):
        vector.step(np.zeros((3, 1), dtype=np.float32))


def test_rows_of_episodes_that_go_on_may_hold_anything_among_final_observations() -> None:
    class Stale(Fleet):
        def step(self, actions: np.ndarray) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
            *rest, info = super().step(actions)
            self.taken[0] += 1
            if info:
                info["final_obs"][~info["_final_obs"]] = np.nan
            return (*rest, info)

    vector = CheckedEnv(Stale(2, 4), "Stale-v0")
    vector.reset(seed=[0, 1], options={"reset_mask": np.array([True, True])})
    infos = [vector.step(np.zeros((2, 1), dtype=np.float32))[4] for _ in range(3)]
    assert np.isnan(infos[2]["final_obs"][1]).all()


def test_this_projects_arrays_are_checked() -> None:
    vector = Environment(id="CartPole-v1").make_vector(4)
    vector.reset(seed=[0, 1, 2, 3])
    vector.unwrapped._state[1, 2] = np.inf
    with np.errstate(invalid="ignore"), pytest.raises(BrokenEnvironmentError, match="of copy 3"):
        vector.step(np.zeros(4, dtype=np.int64))


def test_infinite_observations_can_be_bounded() -> None:
    played(faulty("inf").model_copy(update={"observation_bound": 5.0}))


def test_evolving_states_stay_finite() -> None:
    environment = Environment(
        id="CartPole-v1", count=16, fixed_horizon=2000, horizon_form="evolving"
    )
    vector = environment.make_vector()
    vector.reset(seed=list(range(16)))
    largest = max(
        float(np.abs(vector.step(np.ones(16, dtype=np.int64))[0]).max()) for _ in range(1999)
    )
    assert 100 < largest < 1e6


def test_numbers_too_large_to_be_squared_are_finite_observations() -> None:
    vector = CheckedEnv(Fleet(2, 9), "Fleet-v0")
    vector.reset(seed=[0, 1], options={"reset_mask": np.array([True, True])})
    vector.unwrapped.places[:] = 1e30
    with np.errstate(over="ignore"), pytest.raises(BrokenEnvironmentError, match="reward of -inf"):
        vector.step(np.zeros((2, 1), dtype=np.float32))


def test_an_action_that_is_not_finite_is_refused() -> None:
    vector = Environment(id="Pendulum-v1").make_vector(2)
    vector.reset(seed=[0, 1])
    with pytest.raises(DivergedError, match="gave an action of nan in step 1 of copy 2"):
        vector.step(np.array([[0.0], [np.nan]], dtype=np.float32))


def test_evaluation_is_checked() -> None:
    with pytest.raises(BrokenEnvironmentError, match="in step 3 of copy 1"):
        evaluate(faulty("nan").make_vector(), lambda o: np.zeros((2, 1), dtype=np.float32), [0, 1])


@pytest.mark.parametrize(
    "optimiser",
    [
        {"kind": "ppo", "steps": 8, "batch_size": 8, "epochs": 1, "hidden": [8]},
        {"kind": "openai_es", "population": 2},
        {"kind": "sac", "hidden": [8], "warmup_steps": 4, "train_every": 4},
    ],
    ids=lambda optimiser: optimiser["kind"],
)
def test_every_optimiser_refuses_a_broken_observation(optimiser: dict[str, Any]) -> None:
    # The first rollouts are short enough to miss the fault.
    experiment = tiny(
        f"{FAULTY}:Faulty-v0",
        environment_options={"fault": "nan", "at": 12},
        optimiser=optimiser,
        feedback={"kind": "random_network"},
        budget={"env_steps": 200, "labels": 8, "rounds": 1, "initial_steps": 8},
    )
    with pytest.raises(BrokenEnvironmentError, match=r"observation of nan .* in step 12 of copy 1"):
        run(experiment)


@pytest.mark.filterwarnings("ignore")
def test_an_environment_that_exits_while_it_is_filmed_costs_the_film(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def exits(self: CartPoleEnv, action: int) -> None:
        raise SystemExit(0)

    monkeypatch.setattr(CartPoleEnv, "step", exits)
    with pytest.raises(
        ConfigurationError, match="'CartPole-v1' fails while it is filmed: SystemExit"
    ):
        film(Environment(id="CartPole-v1"), lambda observations: np.zeros(1, dtype=np.int64), 0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", r"the module 'mine_1' cannot be imported: SyntaxError.*mine_1\.py:1\)"),
        ("import absent_module", r"ModuleNotFoundError: No module named 'absent_.*mine_1\.py:1\)"),
        ("\n1 / 0", r"'mine_1' cannot be imported: ZeroDivisionError: .* \(mine_1\.py:2\)"),
        ("import sys\nsys.exit(0)", r"SystemExit: sys.exit\(0\) was called \(mine_1\.py:2\)"),
        ("import gymnasium", r"'mine_1' was imported and does not register it: write gymnasium\."),
    ],
)
def test_a_module_that_cannot_be_used_is_blamed_on_the_id(
    text: str, message: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_1.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "mine_1", raising=False)
    with pytest.raises(ConfigurationError, match=message) as caught:
        Environment(id="mine_1:Mine-v0").spaces()
    assert str(caught.value).startswith("environment.id: cannot make 'mine_1:Mine-v0'")


def test_a_module_with_the_name_of_an_installed_one_gets_a_sentence(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "yaml.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    message = re.escape("yaml.py of this folder has the name of an installed module (")
    with pytest.raises(ConfigurationError, match=message + r".*: rename yours"):
        Environment(id="yaml:Mine-v0").spaces()
