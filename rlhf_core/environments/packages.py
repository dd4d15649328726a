"""Modules of environments: imported by their own name, and blamed by it."""

import importlib
import importlib.util
import io
import sys
from contextlib import nullcontext, redirect_stderr
from pathlib import Path

import gymnasium

from rlhf_core.errors import ConfigurationError
from rlhf_core.origin import described, origin

EXTRAS = {"minigrid": "games", "ale_py": "games", "gymnasium_robotics": "robots"}
"""Modules that register environments, and the extra of this project that installs each."""


def packages_of(id: str) -> tuple[str, ...]:
    """Dotted names of the packages whose code is the environment's own."""
    spec = gymnasium.registry.get(id.rpartition(":")[2])
    entry = None if spec is None else spec.entry_point
    if entry is None:
        return ()
    module = entry.partition(":")[0] if isinstance(entry, str) else str(entry.__module__)
    top = module.partition(".")[0]
    return ("gymnasium.envs",) if top == "gymnasium" else (top,)


def import_module(id: str) -> None:
    """Import the module of an id such as `my_module:MyEnv-v0`, which registers the environment.

    Raises:
        ConfigurationError: it cannot be imported; the message names the user's file and line.
    """
    name, colon, _ = id.rpartition(":")
    if not colon:
        return
    if not name:
        raise ConfigurationError(
            f"environment.id: expected module:EnvId, or EnvId alone, actual: '{id}'"
        )
    known = name in EXTRAS and name not in sys.modules
    # Packages of environments print notices about releases and other environments at first.
    quiet = redirect_stderr(io.StringIO()) if known else nullcontext()
    try:
        with quiet:
            importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"environment.id: cannot make '{id}': No module named '{error.name}'; "
                + _where_from(str(error.name))
                + shadowed(name)
            ) from error
        raise _unimported(id, name, error) from error
    except (Exception, SystemExit) as error:
        raise _unimported(id, name, error) from error


def _where_from(module: str) -> str:
    """How to get a module that is missing."""
    if module in EXTRAS:
        return f"install it with `pip install 'rlhf-flows[{EXTRAS[module]}]'`"
    return "install the package that the environment needs, or start where the module lies"


def _unimported(id: str, name: str, error: BaseException) -> ConfigurationError:
    place = origin(error, (name.partition(".")[0],))
    at = f" ({place})" if place else ""
    return ConfigurationError(
        f"environment.id: cannot make '{id}': the module '{name}' cannot be imported: "
        f"{described(error)}{at}{shadowed(name)}"
    )


def shadowed(module: str) -> str:
    """A hint where a module of the working folder has the name of an installed one; else none."""
    top = module.partition(".")[0]
    here = Path.cwd()
    own = next((p for p in (here / f"{top}.py", here / top) if top and p.exists()), None)
    spec = None if own is None else importlib.util.find_spec(top)
    if own is None or spec is None:
        return ""
    places = [spec.origin] if spec.has_location else list(spec.submodule_search_locations or ())
    installed = next((Path(place) for place in places if place), None)
    if installed is not None and installed.resolve().is_relative_to(own.resolve()):
        return ""
    return (
        f"; {own.name} of this folder has the name of an installed module "
        f"({installed or 'built in'}), which goes before it: rename yours"
    )
