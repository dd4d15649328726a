"""A study of generalisation: what is trained, in which physics, and when an episode counts.

name: cartpole-generalisation
experiment: cartpole-preference
set: {feedback.kind: true_reward}
physics:
  default: {force: 10, length: 0.5, mass: 0.1}
  random: {force: [5, 15], length: [0.25, 0.75], mass: [0.05, 0.5]}
  extreme: {force: [[1, 5], [15, 20]], length: [[0.05, 0.25], [0.75, 1.0]],
            mass: [[0.01, 0.05], [0.5, 1.0]]}
success: {steps_at_least: 195}
"""

from typing import Annotated, Any

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from rlhf_core.differences import word
from rlhf_core.environments.contexts import ContextRange, check_ranges
from rlhf_core.experiment import NAME
from rlhf_core.generalisation.success import Success
from rlhf_core.matrix import Cell, Matrix
from rlhf_core.plugin import Config

CONTEXTS = "environment.contexts"


class Generalisation(Config):
    """What is trained in every physics and measured in every physics."""

    name: str = Field(pattern=NAME, max_length=100)
    """Names the study: the same name goes on with it."""
    experiment: str | dict[str, Any]
    """What is trained: a preset, a file or an experiment written out."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Changes for every run, by the path of the field."""
    vary: dict[str, list[Any]] = Field(default_factory=dict)
    """Values of each further field that is varied, by its path."""
    physics: dict[Annotated[str, Field(pattern=NAME)], dict[str, ContextRange]] = Field(
        min_length=1
    )
    """Contexts by the name of the physics. `default`, `random` and `extreme` are those of Packer
    et al. 2018, of which the numbers of their protocol are computed."""
    success: Success
    """When an episode counts."""
    episodes: PositiveInt = 1000
    """Episodes of every policy in every physics."""
    seeds: PositiveInt | list[NonNegativeInt] = 5
    """How many seeds, from 0; or which."""

    @model_validator(mode="after")
    def _different_physics(self) -> "Generalisation":
        for name, ranges in self.physics.items():
            check_ranges(ranges)
            same = [other for other, theirs in self.physics.items() if theirs == ranges]
            if len(same) > 1:
                raise ValueError(f"physics: expected different contexts, actual: {same} are equal")
            if {*ranges} != {*next(iter(self.physics.values()))}:
                raise ValueError(
                    f"physics.{name}: expected the same parameters as in every other physics, "
                    f"{[*next(iter(self.physics.values()))]}, actual: {[*ranges]}"
                )
        if CONTEXTS in {*self.set, *self.vary}:
            raise ValueError(f"physics: expected the contexts here, actual: a field '{CONTEXTS}'")
        return self

    @property
    def matrix(self) -> Matrix:
        """The runs: one cell for each physics and combination of the varied fields."""
        return Matrix(
            name=self.name,
            experiment=self.experiment,
            set=self.set,
            vary=self.vary,
            variants={name: {CONTEXTS: ranges} for name, ranges in self.physics.items()},
            seeds=self.seeds,
        )

    def trained_in(self, cell: Cell) -> str:
        """The name of the physics of a cell."""
        return next(
            name for name, ranges in self.physics.items() if cell.changes[CONTEXTS] == ranges
        )

    def method(self, cell: Cell) -> str:
        """The name of a cell without its physics, such as `preference-ppo`."""
        kinds = [cell.experiment.feedback.kind, cell.experiment.optimiser.kind]
        varied = [word(field, cell.changes[field], [*self.vary]) for field in self.vary]
        return "-".join([*kinds, *(name for name in varied if name not in kinds)])
