"""What a run may spend, and when it is asked for."""

from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from rlhf_core.plugin import Config


class Stability(Config):
    """What counts as a reward that further labels no longer change."""

    rounds: PositiveInt = 2
    """Rounds in a row in which both hold."""
    accuracy: float = Field(0.03, ge=0, le=1)
    """Held-out accuracy moved by this at the most."""
    ranking: float = Field(0.95, ge=-1, le=1)
    """Spearman correlation of clips' returns before and after the fit is at least this."""


class Budget(Config):
    """What may be spent."""

    env_steps: PositiveInt = 131072
    """Environment steps, those of the first rollouts included and those of evaluation not."""
    labels: NonNegativeInt = 200
    """Labels that are asked for at the most, over all rounds: one a pair, a rating or a named place
    of a ranking, however many workers judge it."""
    money: NonNegativeFloat | None = None
    """What labels may cost at the most, over all rounds, in the annotator's unit; spread over the
    rounds as the labels are."""
    rounds: PositiveInt = 10
    """Rounds of ask, fit, optimise and evaluate."""
    label_schedule: Literal["constant", "hyperbolic"] = "hyperbolic"
    """How labels are spread: evenly, or round r (from 0) in proportion to 1 / (1 + r)."""
    until_stable: Stability | None = None
    """When to ask no more, though labels are left; null asks for all of them."""
    initial_steps: PositiveInt = 6400
    """Steps of the untrained policy that the first questions are taken from."""
