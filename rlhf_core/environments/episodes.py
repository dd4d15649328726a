"""How an episode began, written down so that the same episode can be begun again.

A start is a text of JSON, in one of two forms:

    {"seed": 7}                              the reset was given this seed
    {"np_random": {"state": "8f0c...", ...}} the environment's generator stood here before the
                                             reset; its numbers are hexadecimal

An environment that draws its randomness from `np_random`, as Gymnasium asks for, comes to the same
first observation and moves on in the same way under the same actions.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import SyncVectorEnv, VectorEnv

from rlhf_core.environments.batched.vector import BatchedEnv


def seed_start(seed: int) -> str:
    """The start of an episode whose reset was given a seed."""
    # By hand, as below.
    return f'{{"seed": {int(seed)}}}'


def generator_start(state: Mapping[str, Any]) -> str | None:
    """The start of an episode whose reset draws from a PCG64 generator in this state."""
    if state["bit_generator"] != "PCG64":
        return None
    # Written by hand: this runs at every reset, and `json.dumps` takes six times as long.
    return (
        f'{{"np_random": {{"state": "{state["state"]["state"]:x}", '
        f'"inc": "{state["state"]["inc"]:x}", "has_uint32": "{state["has_uint32"]:x}", '
        f'"uinteger": "{state["uinteger"]:x}"}}}}'
    )


class EpisodeStart(gymnasium.Wrapper[Any, Any, Any, Any]):
    """Note at each reset how the episode begins. Steps are those of the environment."""

    def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
        super().__init__(env)
        self.start: str | None = None
        """Of the running episode; None where it cannot be begun again."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start an episode and note how."""
        if options:
            # An option may decide where the episode starts.
            self.start = None
        elif seed is not None:
            self.start = seed_start(seed)
        else:
            generator = self.unwrapped.np_random
            known = isinstance(generator, np.random.Generator)
            self.start = generator_start(generator.bit_generator.state) if known else None
        return self.env.reset(seed=seed, options=options)


def episode_starts(
    environment: VectorEnv[Any, Any, Any], copies: Iterable[int]
) -> list[str | None]:
    """How the running episodes of some copies began; None where nothing is known.

    Args:
        environment: steps its copies one by one, or as this project's arrays. Of others nothing is
            known.
        copies: numbers of the copies.
    """
    environment = environment.unwrapped
    if isinstance(environment, SyncVectorEnv):
        chosen = (environment.envs[copy] for copy in copies)
        return [env.start if isinstance(env, EpisodeStart) else None for env in chosen]
    if isinstance(environment, BatchedEnv):
        return [_text(environment.begun(copy)) for copy in copies]
    return [None for _ in copies]


def _text(begun: int | Mapping[str, Any] | None) -> str | None:
    if begun is None:
        return None
    return seed_start(begun) if isinstance(begun, int) else generator_start(begun)


def restart(env: gymnasium.Env[Any, Any], start: str) -> Any:
    """Begin an episode anew and return its first observation.

    Args:
        env: one environment as the configuration of the recorded episode makes it.
        start: the text that was noted.
    """
    begun = json.loads(start)
    if "seed" in begun:
        return env.reset(seed=begun["seed"])[0]
    numbers = {name: int(number, 16) for name, number in begun["np_random"].items()}
    # The first reset makes the generator, whose state is then replaced.
    env.reset(seed=0)
    env.unwrapped.np_random.bit_generator.state = {
        "bit_generator": "PCG64",
        "state": {"state": numbers["state"], "inc": numbers["inc"]},
        "has_uint32": numbers["has_uint32"],
        "uinteger": numbers["uinteger"],
    }
    return env.reset()[0]
