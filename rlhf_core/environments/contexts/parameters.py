"""The parameters of environments that a context can set.

==============  ==============================================================================
CartPole        `force` (10 N), `length` (half the pole's, 0.5 m), `mass` (the pole's, 0.1 kg),
                `gravity` (9.8 m/s^2)
Pendulum        `gravity` (10 m/s^2), `mass` (1 kg), `length` (1 m)
Acrobot         of both links: `mass` (1 kg), `length` (1 m, the centre of mass in the middle),
                `inertia` (1 kg m^2)
MountainCar     `force` (0.001), `gravity` (0.0025, which stands for the car's weight)
MuJoCo          shares of the environment's own: `power` (of all motors), `density` (of all
                bodies, in kg/m^3 where the model's is 1000), `friction` (sliding friction of all
                surfaces), `gravity` (m/s^2, downwards)
any other       numbers among the environment's attributes, by their names
==============  ==============================================================================
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np

from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import nearest

Setter = Callable[[Any, float], None]


def _attributes(*names: str, factor: float = 1.0) -> Setter:
    def set_all(env: Any, value: float) -> None:
        for name in names:
            setattr(env, name, factor * value)

    return set_all


def _cartpole(name: str) -> Setter:
    def set_one(env: Any, value: float) -> None:
        setattr(env, name, value)
        env.total_mass = env.masspole + env.masscart
        env.polemass_length = env.masspole * env.length

    return set_one


def _acrobot_length(env: Any, value: float) -> None:
    env.LINK_LENGTH_1 = env.LINK_LENGTH_2 = value
    env.LINK_COM_POS_1 = env.LINK_COM_POS_2 = value / 2


_CONTROL: dict[str, dict[str, Setter]] = {
    "CartPoleEnv": {
        "force": _attributes("force_mag"),
        "length": _cartpole("length"),
        "mass": _cartpole("masspole"),
        "gravity": _attributes("gravity"),
    },
    "PendulumEnv": {
        "gravity": _attributes("g"),
        "mass": _attributes("m"),
        "length": _attributes("l"),
    },
    "AcrobotEnv": {
        "mass": _attributes("LINK_MASS_1", "LINK_MASS_2"),
        "length": _acrobot_length,
        "inertia": _attributes("LINK_MOI"),
    },
    "MountainCarEnv": {"force": _attributes("force"), "gravity": _attributes("gravity")},
}
"""Of Gymnasium's classic control, by the name of the class."""


def _scaled(array: str, column: int | None = None, unit: float = 1.0) -> Setter:
    """Set an array of a MuJoCo model to a multiple of what the model was made with."""

    def set_all(env: Any, value: float) -> None:
        originals = env.__dict__.setdefault("_rlhf_model", {})
        numbers = getattr(env.model, array)
        original = originals.setdefault(array, numbers.copy())
        where = slice(None) if column is None else (slice(None), column)
        numbers[where] = original[where] * (value / unit)

    return set_all


def _density(env: Any, value: float) -> None:
    for array in ("body_mass", "body_inertia"):
        _scaled(array, unit=1000.0)(env, value)


def _downwards(env: Any, value: float) -> None:
    env.model.opt.gravity[:] = (0.0, 0.0, -value)


_MUJOCO: dict[str, Setter] = {
    "power": _scaled("actuator_gear"),
    "density": _density,
    "friction": _scaled("geom_friction", column=0),
    "gravity": _downwards,
}


def _setters(env: gymnasium.Env[Any, Any]) -> Mapping[str, Setter]:
    """Setters of an environment's parameters by their names."""
    kind = type(env)
    if kind.__module__.startswith("gymnasium.envs.classic_control"):
        return _CONTROL.get(kind.__name__, {})
    if "mujoco" in kind.__module__ and hasattr(env, "model"):
        return _MUJOCO
    numeric = (int, float, np.floating)
    return {
        name: _attributes(name)
        for name, value in vars(env).items()
        if not name.startswith("_") and isinstance(value, numeric) and not isinstance(value, bool)
    }


def check_parameters(env: gymnasium.Env[Any, Any], names: Iterable[str], id: str) -> None:
    """Check that a context can set these parameters.

    Args:
        env: the environment without its wrappers.
        names: of the parameters.
        id: of the environment, for the message.

    Raises:
        ConfigurationError: the environment lacks one.
    """
    known = sorted(_setters(env))
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"environment.contexts: '{id}' has no parameter '{name}'; {nearest(name, known)}"
                if known
                else f"environment.contexts: '{id}' has no parameter that a context can set, "
                f"actual: '{name}'"
            )


def set_parameters(env: gymnasium.Env[Any, Any], context: Mapping[str, float]) -> None:
    """Set parameters of an environment without its wrappers."""
    setters = _setters(env)
    for name, value in context.items():
        setters[name](env, value)
