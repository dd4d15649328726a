"""From a configuration to environments: single, vectorised, seeded, checked."""

import hashlib
import sys
import warnings
from copy import deepcopy
from typing import Any, Literal

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from pydantic import Field, PositiveFloat, PositiveInt, PrivateAttr, model_validator

from rlhf_core.environments.batched import BatchedEnv, Dynamics, dynamics_of
from rlhf_core.environments.bounded import bounded
from rlhf_core.environments.checked import CheckedEnv
from rlhf_core.environments.contexts import (
    ContextDynamics,
    ContextEnv,
    ContextRange,
    check_ranges,
)
from rlhf_core.environments.episodes import EpisodeStart
from rlhf_core.environments.facts import Facts, KnownFacts
from rlhf_core.environments.filming import Filming
from rlhf_core.environments.filtering import with_keys, with_relative_goal
from rlhf_core.environments.fixed_horizon import EvolvingHorizon, FixedHorizon, HorizonForm
from rlhf_core.environments.making import close, make_plain, spaces_of
from rlhf_core.environments.pool import PoolEnv, check_pool
from rlhf_core.environments.registered import is_usable, registered_vector
from rlhf_core.environments.spaces import (
    Spaces,
    check_action_space,
    check_observation_space,
    is_row,
    needs_flattening,
)
from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import Config

Batching = Literal["auto", "single", "envpool"]
Clips = Literal["replay", "frames", "none"]
"""How clips of an environment can be shown later."""


class Environment(Config):
    """A Gymnasium environment by its id, and how many copies are stepped together."""

    id: str = Field(max_length=300)
    """Gymnasium id, such as `Pendulum-v1`, or `module:EnvId` for one of your own."""
    count: PositiveInt = 32
    """Copies stepped together as one batch."""
    observation_keys: tuple[str, ...] | None = Field(None, min_length=1)
    """Parts of a Dict observation that policy and reward get; None: all. A part such as a text, of
    a kind that is not supported, is left out so."""
    relative_goal: bool = False
    """Of environments whose Dict observations have an `achieved_goal` and a `desired_goal`, such as
    those of Gymnasium-Robotics: observe the difference between the two in place of both. Reward
    and policy then learn from fewer labels and steps."""
    time_limit: PositiveInt | None = None
    """Steps after which an episode is cut off (truncated); None keeps the environment's own, or
    the fixed horizon. An environment without one needs it."""
    fixed_horizon: PositiveInt | None = None
    """Let every episode last this many steps, so that reward cannot leak through its end."""
    horizon_form: HorizonForm = "absorbing"
    """What comes after an early end, until the fixed horizon. absorbing: the last observation,
    flagged, with a true reward of 0; these steps count in returns, values and clips, and are not
    played. played: the same, played one by one. evolving: the state goes on by its own dynamics,
    with a true reward of 0 wherever the environment would have ended (the form of
    seals/CartPole-v0)."""
    observation_bound: PositiveFloat | None = None
    """Observations are clipped to [-bound, bound], every number in the environment's own unit
    for it (metres, radians, ...); None leaves them as they are."""
    true_reward: bool = True
    """Whether the environment's reward is what is wanted. With false it is read by nobody: no
    teacher, control or measure that needs it can be chosen, and no true return is reported."""
    options: dict[str, bool | int | float | str | None] = Field(default_factory=dict)
    """Arguments for the environment's own constructor, such as `{g: 9.81}`."""
    contexts: dict[str, ContextRange] = Field(default_factory=dict)
    """Parameters that are drawn uniformly before every episode, such as `{length: [0.25, 0.75]}`: a
    number, an interval, or several intervals `[[0.1, 0.25], [0.75, 1.0]]`. What can be set stands
    in `docs/generalisation.md`."""
    context_visible: bool = False
    """Whether the drawn parameters are observed, behind the other numbers of a row; else they are
    hidden."""
    batching: Batching = "auto"
    """How copies are stepped together. auto: as arrays, where this project has such a form, with
    the same numbers as one by one, or where one is registered as the environment's
    `vector_entry_point`, with its numbers; else one by one. single: one by one. envpool: in C++ by
    EnvPool (the extra `envpool`), with its numbers, for ids that Gymnasium has too."""
    frames: PositiveInt | None = Field(None, le=4096)
    """Width in pixels of frames that are recorded with every observation, for environments that
    cannot be replayed from how an episode began, such as robots. Copies are then stepped one by one
    and drawn at each step. Frames of 160 x 120 pixels take 58 kB each, in memory and in the run's
    store: 3.8 GB for the 65,536 steps of a round that are kept at the most."""
    _known: KnownFacts = PrivateAttr(default_factory=KnownFacts)

    @model_validator(mode="before")
    @classmethod
    def _id_alone(cls, data: Any) -> Any:
        return {"id": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _horizon_comes_first(self) -> "Environment":
        if self.time_limit and self.fixed_horizon and self.time_limit <= self.fixed_horizon:
            raise ValueError(
                f"time_limit: expected none, or more than fixed_horizon ({self.fixed_horizon}), "
                f"actual: {self.time_limit}; a limit is no end of the task"
            )
        check_ranges(self.contexts)
        if self.context_visible and not self.contexts:
            raise ValueError("context_visible: expected contexts too, actual: none")
        if self.batching == "envpool" and self.contexts:
            raise ValueError(
                "contexts: expected none with batching envpool, whose copies keep their "
                "parameters; use auto or single"
            )
        if self.fixed_horizon is None and self.horizon_form != "absorbing":
            raise ValueError(
                f"horizon_form: '{self.horizon_form}' says how an episode goes on to a fixed "
                "horizon, and there is none; set fixed_horizon too"
            )
        if self.batching == "envpool" and self.horizon_form == "evolving":
            raise ValueError(
                "horizon_form: 'evolving' steps an environment beyond its end, and EnvPool's begin "
                "a new episode there; use absorbing, or batching auto"
            )
        chooses_parts = self.observation_keys is not None or self.relative_goal
        if self.batching == "envpool" and chooses_parts:
            name = "observation_keys" if self.observation_keys is not None else "relative_goal"
            raise ValueError(
                f"{name}: expected none with batching envpool, whose observations are no "
                "dictionaries; use auto or single"
            )
        if self.batching == "envpool" and self.frames is not None:
            raise ValueError(
                "frames: expected none with batching envpool, which does not draw its copies; use "
                "auto or single"
            )
        if "render_mode" in self.options:
            raise ValueError("options: expected none named render_mode, which is set by the film")
        return self

    def make(self, render_mode: str | None = None) -> gymnasium.Env[Any, Any]:
        """Make one environment with its wrappers. Nested observations are flattened."""
        env = self._make_plain(render_mode) if self.frames is None else self._make_filmed()
        if env.spec is not None and env.spec.max_episode_steps is None:
            raise ConfigurationError(
                f"environment.time_limit: '{self.id}' has no time limit of its own, so an episode "
                "may never end; set one"
            )
        if self.relative_goal:
            env = with_relative_goal(env, self.id)
        env = with_keys(env, self.observation_keys, self.id)
        observation, action = spaces_of(env, self.id)
        check_observation_space(observation, self.id)
        check_action_space(action, self.id)
        absorbing = self.fixed_horizon is not None and self.horizon_form != "evolving"
        if self.batching == "envpool":
            spaces = env.observation_space, env.action_space
            check_pool(self.id, self.options, *spaces, absorbing)
        # The absorbing flag stands beside the numbers of a row.
        row = is_row(env.observation_space)
        if needs_flattening(env.observation_space) or (absorbing and not row):
            env = gymnasium.wrappers.FlattenObservation(env)
        if self.contexts:
            env = ContextEnv(env, self.contexts, self.context_visible, self.id)
        if self.fixed_horizon is not None and self.horizon_form == "evolving":
            env = EvolvingHorizon(env, self.fixed_horizon)
        if self.observation_bound is not None:
            env = bounded(env, self.observation_bound)
        if self.fixed_horizon is not None and absorbing:
            # After the bound: the flag of the absorbing state is no observation to be clipped.
            env = FixedHorizon(env, self.fixed_horizon, self.horizon_form == "played")
        if self.frames is not None:
            env = Filming(env, self.frames)
        return EpisodeStart(env)

    def _make_filmed(self) -> gymnasium.Env[Any, Any]:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._make_plain("rgb_array")
        except ConfigurationError as error:
            self._make_plain(None).close()  # Raises where it cannot be made at all.
            raise ConfigurationError(
                f"environment.frames: '{self.id}' does not draw itself ({error}); leave frames out"
            ) from error

    def _make_plain(self, render_mode: str | None) -> gymnasium.Env[Any, Any]:
        limit = self.time_limit
        if limit is None and self.fixed_horizon is not None:
            limit = self.fixed_horizon + 1  # The horizon alone cuts the episode off.
        arguments: dict[str, Any] = {"max_episode_steps": limit, "render_mode": render_mode}
        # A constructor without render_mode can be called only if None is not passed.
        arguments = {name: value for name, value in arguments.items() if value is not None}
        return make_plain(self.id, arguments, self.options)

    def make_vector(self, count: int | None = None) -> CheckedEnv:
        """Make `count` copies as one batch that resets in the step in which an episode ends.

        Whatever form they are stepped in, what they return is checked; `unwrapped` is that form.
        """
        return CheckedEnv(self._make_copies(count or self.count), self.id)

    def _make_copies(self, copies: int) -> VectorEnv[Any, Any, Any]:
        if self.batching == "envpool":
            return self._make_pool(copies)
        if self.batching == "auto" and self.frames is None:
            vector = self._make_batch(copies) or self._make_registered(copies)
            if vector is not None:
                return vector
        return SyncVectorEnv([self.make] * copies, autoreset_mode=AutoresetMode.SAME_STEP)

    def _make_batch(self, copies: int) -> BatchedEnv | None:
        """Make this project's batched form; None where there is none."""
        dynamics = self._dynamics()
        if dynamics is None:
            return None
        spec = gymnasium.spec(self.id)
        limit = None if self.fixed_horizon else self.time_limit or spec.max_episode_steps
        batch = BatchedEnv(
            dynamics, copies, limit,
            self.fixed_horizon, self.horizon_form, self.observation_bound,
        )  # fmt: skip
        batch.spec = spec
        return batch

    def _dynamics(self) -> Dynamics | None:
        """Return the batched form of the dynamics; None where none fits the other settings."""
        dynamics = dynamics_of(self.id, self.options)
        wrapped = self.fixed_horizon is not None or self.observation_bound is not None
        if dynamics is None or (wrapped and not is_row(dynamics.observation_space)):
            return None
        if not self.contexts:
            return dynamics
        if not {*self.contexts} <= {*dynamics.parameters}:
            return None
        return ContextDynamics(dynamics, self.contexts, self.context_visible, self.id)

    def _make_registered(self, copies: int) -> VectorEnv[Any, Any, Any] | None:
        """Make the environment's own vector form; None where it has no usable one."""
        limit = self._facts().limit
        if limit is None or not self._has_usable_vector_form():
            return None
        return registered_vector(self.id, copies, limit, self.options)

    def _has_usable_vector_form(self) -> bool:
        if self.fixed_horizon or self.observation_bound:
            return False
        if self.observation_keys or self.relative_goal or self.contexts:
            return False
        facts, usable, key = self._facts(), self._known.vector_form_is_usable, self._key()
        if facts.limit is None or not facts.has_vector_form:
            return False
        if key not in usable:
            usable[key] = is_usable(self.id, facts.spaces, facts.limit, self.options)
        return usable[key]

    def _make_pool(self, copies: int) -> PoolEnv:
        observation, action = self.spaces()
        pool = PoolEnv(
            self.id, copies, observation, action, self.horizon(), self.options,
            self.horizon_form if self.fixed_horizon else None, self.observation_bound,
        )  # fmt: skip
        pool.spec = gymnasium.spec(self.id)
        return pool

    @property
    def counts_absorbing_steps(self) -> bool:
        """Whether an episode is cut off where its state becomes absorbing."""
        return self.fixed_horizon is not None and self.horizon_form == "absorbing"

    def is_stepped_one_by_one(self) -> bool:
        """Whether `make_vector` steps its copies one by one, and not as arrays."""
        if self.batching == "auto" and self.frames is None:
            return self._dynamics() is None and not self._has_usable_vector_form()
        return self.batching != "envpool"

    def try_out(self) -> None:
        """Reset one copy and take one step, as every run will.

        Raises:
            BrokenEnvironmentError: the environment fails, or returns what it should not.
        """
        vector = self.make_vector(1)
        try:
            vector.action_space.seed(0)
            vector.reset(seed=[0])
            vector.step(vector.action_space.sample())
        finally:
            vector.close()

    def clips(self) -> Clips:
        """How clips can be shown later.

        replay: played again from how their episode began, with the same actions; for environments
        that are stepped one by one or in this project's batched form and draw their randomness from
        `np_random`. frames: from recorded frames. none: not at all.
        """
        if self.frames is not None:
            return "frames"
        batched = self.batching == "auto" and self._dynamics() is not None
        return "replay" if batched or self.is_stepped_one_by_one() else "none"

    def spaces(self) -> Spaces:
        """Return observation and action space. The first call makes an environment."""
        # Spaces hold a generator of their own, which no two users may share.
        return deepcopy(self._facts().spaces)

    def horizon(self) -> int:
        """Return the largest number of steps of an episode."""
        return self.fixed_horizon or self._facts().limit or sys.maxsize

    def solved_at(self) -> float | None:
        """Return the return at which Gymnasium counts the environment as solved.

        None where it names none, or where episodes of another length or other options were chosen.
        """
        facts = self._facts()
        unchanged = not (self.options or self.contexts) and self.horizon() == facts.registered_limit
        return facts.reward_threshold if unchanged else None

    def _key(self) -> str:
        """Return a digest of the fields, so that facts are read anew where a field has changed."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    def _facts(self) -> Facts:
        facts, key = self._known.facts, self._key()
        if key not in facts:
            env = self.make()
            try:
                spec = env.spec
                registered = gymnasium.registry.get(spec.id) if spec else None
                facts[key] = Facts(
                    Spaces(env.observation_space, env.action_space),
                    spec.max_episode_steps if spec else None,
                    spec is not None and spec.vector_entry_point is not None,
                    registered.reward_threshold if registered else None,
                    registered.max_episode_steps if registered else None,
                )
            finally:
                close(env, self.id)
        return facts[key]

    def can_render(self) -> bool:
        """Whether frames can be drawn (`rgb_array`) with what is installed."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                env = self.make(render_mode="rgb_array")
            except (ConfigurationError, ValueError):
                return False
        drawable = "rgb_array" in env.metadata.get("render_modes", [])
        close(env, self.id)
        return drawable


def episode_seeds(rng: np.random.Generator, count: int) -> list[int]:
    """Draw one reset seed for each copy."""
    return [int(seed) for seed in rng.integers(2**31, size=count)]
