"""A sweep as a file: an experiment, what is varied, and how often.

    name: acrobot-sweep
    experiment: acrobot-preference
    space:
      optimiser.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
      optimiser.steps: [64, 128, 256]
      feedback.queries.kind: [uniform, disagreement]
      feedback.queries.oversample: {low: 2, high: 20, when: {feedback.queries.kind: disagreement}}
    trials: 16

A trial is one setting of the space, played with the seeds that are tuned on, one after the other.
What is reported at the end comes from other seeds.
"""

from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator, model_validator

from rlhf_core.experiment import NAME
from rlhf_core.plugin import Config
from rlhf_core.sweep.samplers import SAMPLERS
from rlhf_core.sweep.space import Space

TUNED = 100
"""The first of the seeds that are tuned on, where a file says how many."""
GROWING = ("trials", "best", "final_seeds", "patience")
"""Fields that may change when a sweep goes on."""


class GiveUp(Config):
    """When a run is given up in its middle: by what others reached after as many steps."""

    percentile: float = Field(25.0, ge=0, le=100)
    """A run must reach this percentile of the other trials with the same seed, at every evaluation
    but the last. Trials that were given up before they came to the seed count as worse than any."""
    trials: PositiveInt = 5
    """Trials that must have ended before any run is given up."""
    first_step: NonNegativeInt = 0
    """Environment steps from which a run may be given up."""


class Sweep(Config):
    """What is searched, and how."""

    name: str = Field(pattern=NAME, max_length=90)
    """Names the sweep: the same name goes on with it."""
    experiment: str | dict[str, Any]
    """What is varied: a preset, a file or an experiment written out."""
    set: dict[str, Any] = Field(default_factory=dict)
    """Changes for every trial, by the path of the field."""
    space: Space
    """What is varied, by the path of the field."""
    trials: PositiveInt = 20
    """Settings to play in all, those of earlier calls too. The first is the experiment as it is."""
    seeds: PositiveInt | list[NonNegativeInt] = 5
    """How many seeds each trial is played with, from 100; or which."""
    sampler: Literal[SAMPLERS] = "tpe"  # type: ignore[valid-type]
    """How settings are drawn: tpe (a tree-structured Parzen estimator), gp (a Gaussian process),
    qmc (a scrambled Sobol sequence) or random."""
    pruner: Literal["wilcoxon", "none"] = "wilcoxon"
    """Whether a trial is given up once it is surely worse than the best one on the same seeds
    (Wilcoxon's signed-rank test, one-sided)."""
    prune_below: float = Field(0.15, gt=0, lt=1)
    """The p-value at which it is given up. By 0.15 three seeds can tell, by 0.1 four, by 0.05
    five."""
    give_up: GiveUp | None = None
    """Whether a run is given up in its middle, and its trial with it; null: no run is."""
    patience: PositiveInt | None = None
    """Draw no further trial once this many in a row did not exceed the best one by more than the
    standard error of its mean over seeds; null: draw them all."""
    best: PositiveInt = 3
    """How many of the best settings are played again with fresh seeds, beside the experiment as it
    is."""
    final_seeds: PositiveInt | list[NonNegativeInt] = 10
    """How many fresh seeds, from 0; or which."""
    seed: NonNegativeInt = 0
    """Of the sampler."""

    @field_validator("seeds", "final_seeds")
    @classmethod
    def _some(cls, seeds: int | list[int]) -> int | list[int]:
        if isinstance(seeds, list) and (not seeds or len({*seeds}) < len(seeds)):
            raise ValueError(f"expected at least one seed and each once, actual: {seeds}")
        return seeds

    @model_validator(mode="after")
    def _fresh(self) -> "Sweep":
        twice = sorted({*self.tuned_on} & {*self.fresh})
        if twice:
            raise ValueError(
                "final_seeds: expected none that is tuned on, since the best of many settings is "
                f"lucky on those, actual: {twice}"
            )
        for place, fields in (("set", self.set), ("space", self.space)):
            for field in ("seed", "name"):
                if field in fields:
                    raise ValueError(f"{place}: expected no field '{field}', actual: one")
        twice_set = sorted({*self.set} & {*self.space})
        if twice_set:
            raise ValueError(f"set: expected no field that 'space' has too, actual: {twice_set}")
        known = set[str]()
        for field, one in self.space.items():
            for other in one.when:
                if other not in known:
                    raise ValueError(
                        f"space.{field}.when: expected fields that stand before it in 'space', "
                        f"actual: '{other}'"
                    )
            known.add(field)
        return self

    @property
    def tuned_on(self) -> tuple[int, ...]:
        """The seeds of each trial."""
        if isinstance(self.seeds, int):
            return tuple(range(TUNED, TUNED + self.seeds))
        return tuple(self.seeds)

    @property
    def fresh(self) -> tuple[int, ...]:
        """The seeds of the final evaluation."""
        if isinstance(self.final_seeds, int):
            return tuple(range(self.final_seeds))
        return tuple(self.final_seeds)

    def identity(self) -> dict[str, Any]:
        """What must not change when the sweep goes on."""
        return self.model_dump(mode="json", exclude={"name", *GROWING})
