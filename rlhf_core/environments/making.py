"""Making one environment by its id, stating its spaces and closing it: somebody else's code."""

from collections.abc import Mapping
from typing import Any

import gymnasium

from rlhf_core.environments.packages import import_module, packages_of, shadowed
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import BrokenEnvironmentError, ConfigurationError
from rlhf_core.origin import described, origin, source
from rlhf_core.plugin import closest

Options = Mapping[str, bool | int | float | str | None]


def make_plain(id: str, arguments: Mapping[str, Any], options: Options) -> gymnasium.Env[Any, Any]:
    """Make an environment without wrappers of ours.

    Args:
        id: of Gymnasium, with the module that registers it where that is the user's own.
        arguments: of `gymnasium.make`.
        options: of the environment's constructor.

    Raises:
        ConfigurationError: it cannot be made; the message names the user's file and line.
    """
    import_module(id)
    try:
        # Gymnasium's passive checker costs a fifth of a step and warns of what we check.
        return gymnasium.make(
            id, disable_env_checker=True, **dict(arguments), **dict[str, Any](options)
        )
    except gymnasium.error.Error as error:
        raise ConfigurationError(_unknown(id, error)) from error
    except ImportError as error:
        raise ConfigurationError(
            f"environment.id: cannot make '{id}': {error}; install the package that the "
            f"environment needs{_at(id, error)}"
        ) from error
    except (Exception, SystemExit) as error:
        if isinstance(error, TypeError) and options:
            text = f"'{id}' does not take {sorted(options)}: {error}"
        else:
            with_options = f" with {dict(options)}" if options else ""
            text = f"'{id}' cannot be made{with_options}: {described(error)}"
        field = "options" if options else "id"
        raise ConfigurationError(f"environment.{field}: {text}{_at(id, error)}") from error


def _unknown(id: str, error: Exception) -> str:
    """What to say where Gymnasium does not know an id."""
    module, colon, name = id.rpartition(":")
    close = closest(name, list(gymnasium.registry))
    text = str(error).partition(" Did you mean")[0].rstrip(".")
    hint = f"; did you mean '{module}{colon}{close}'?" if close not in (None, name) else ""
    if colon and name not in gymnasium.registry:
        hint += (
            f"; '{module}' was imported and does not register it: write "
            f"gymnasium.register('{name}', entry_point=..., max_episode_steps=...) there"
            f"{shadowed(module)}"
        )
    if not colon:
        hint += f"; one of your own is named after its module, as in my_module:{name}"
    return f"environment.id: cannot make '{id}': {text}{hint}"


def spaces_of(env: gymnasium.Env[Any, Any], id: str) -> Spaces:
    """The spaces of an environment, as it states them.

    Raises:
        BrokenEnvironmentError: it states none.
    """
    spaces: list[gymnasium.Space[Any]] = []
    for name in ("observation_space", "action_space"):
        try:
            space = getattr(env, name)
        except (Exception, SystemExit) as error:
            space = described(error)
        if not isinstance(space, gymnasium.Space):
            place = source(type(env.unwrapped).__init__)
            at = f" ({place})" if place else ""
            raise BrokenEnvironmentError(
                f"environment.id: '{id}': expected self.{name} to be a Gymnasium space, set in "
                f"its constructor, actual: {space}{at}"
            )
        spaces.append(space)
    return Spaces(*spaces)


def close(env: gymnasium.Env[Any, Any], id: str) -> None:
    """Close an environment. Raises `BrokenEnvironmentError` where that fails."""
    try:
        env.close()
    except (Exception, SystemExit) as error:
        raise BrokenEnvironmentError(
            f"environment.id: '{id}' failed in close(): {described(error)}{_at(id, error)}"
        ) from error


def _at(id: str, error: BaseException) -> str:
    place = origin(error, packages_of(id))
    return f" ({place})" if place else ""
