"""Users who are never asked: what they clicked, and how long they stayed, is the answer."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveInt

from rlhf_core.clicks.correction import Correction, fit_relevance, labels
from rlhf_core.clicks.intervention import intervene
from rlhf_core.clicks.log import SATISFIED_SECONDS, LogColumns, LogsClicks, read
from rlhf_core.clicks.propensities import estimated
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.making import close
from rlhf_core.errors import ConfigurationError
from rlhf_core.implicit.annotator import Implicit
from rlhf_core.segments import transitions
from rlhf_core.sizes import row_bytes
from rlhf_core.types import Segments


class ClickLog(Implicit):
    """Answers ratings and signals from the log of clicks of a recommender; nobody is asked.

        label of a slate = mean over its positions k of c_k          (correction: none)
                           mean over k of c_k / theta_k              (ips)

    c_k is 1 where position k was clicked and the user stayed for `satisfied_seconds`. A rating is
    the mean label of a clip's slates. Propensities theta are estimated before the run by an
    intervention: slates in which items swap places at random (Joachims et al. 2017,
    https://arxiv.org/abs/1608.04468). `doubly_robust` predicts relevance from the intervention's
    clicks and corrects the error of that (Oosterhuis 2023, https://arxiv.org/abs/2203.17118).
    Clicks cost nothing. Questions of other forms go to `explicit`. The true reward is not read.
    """

    kind: Literal["click_log"] = "click_log"
    correction: Correction = "ips"
    """How the influence of positions is taken out: none, ips (inverse propensity) or
    doubly_robust."""
    satisfied_seconds: NonNegativeFloat = SATISFIED_SECONDS
    """Dwell, in seconds, from which a click counts; 0 counts every click."""
    impressions: PositiveInt = Field(20_000, ge=100, le=1_000_000)
    """Slates of the intervention that estimates the propensities, before the run."""
    least_propensity: float = Field(0.05, gt=0, le=1)
    """Estimated propensities below this are raised to it, so that no click weighs too much."""

    def read_arrays(
        self, environment: Environment, rng: np.random.Generator
    ) -> Mapping[str, np.ndarray]:
        """Estimate propensities, and relevance from the same clicks."""
        columns, items = logged(environment)
        impressions, partner = intervene(environment, columns, self.impressions, rng)
        positive = impressions.positive(self.satisfied_seconds)
        propensity = np.clip(estimated(positive, partner), self.least_propensity, None)
        return {
            "propensity": propensity,
            "relevance": fit_relevance(impressions, positive, propensity, items),
            **{name: np.asarray(at) for name, at in columns._asdict().items()},
        }

    def memory(self, environment: Environment, demonstrations: int) -> Mapping[str, int]:
        """Return the bytes of the intervention's observations and slates."""
        impressions = 2 * self.impressions * row_bytes(environment.spaces())
        return {"impressions": impressions, **super().memory(environment, demonstrations)}

    def check_environment(self, environment: Environment) -> None:
        """Refuse environments that log no clicks."""
        logged(environment)

    def step_labels(
        self, arrays: Mapping[str, np.ndarray], segments: Segments
    ) -> Float[np.ndarray, "S L"]:
        """The label of every slate in the clips."""
        columns = LogColumns(
            arrays["context"], int(arrays["present"]), arrays["clicks"], arrays["minutes"]
        )
        observations, actions, following, _ = transitions(segments)
        impressions = read(columns, observations, actions, following)
        impressions = impressions._replace(present=impressions.present & segments.mask.ravel())
        positive = impressions.positive(self.satisfied_seconds)
        made = labels(
            impressions, positive, arrays["propensity"], arrays["relevance"], self.correction
        )
        return made.reshape(segments.mask.shape)


def logged(environment: Environment) -> tuple[LogColumns, int]:
    """Where an environment's log of clicks stands, and how many items it has.

    Raises:
        ConfigurationError: it logs no clicks.
    """
    env = environment.make()
    try:
        log = env.unwrapped
        if not isinstance(log, LogsClicks):
            raise ConfigurationError(
                "annotator.kind: 'click_log' expected an environment that logs clicks on slates, "
                f"such as rlhf/Recommender-v0, actual: '{environment.id}'"
            )
        return log.log_columns(), log.item_count()
    finally:
        close(env, environment.id)
