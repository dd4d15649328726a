"""Users who are never asked: what they clicked, and how long they stayed, is the answer."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveInt

from rlhf_core.annotators import Annotator, AnnotatorState, AnySimulated
from rlhf_core.answers import Answers, Ratings
from rlhf_core.clicks.correction import Correction, fit_relevance, labels
from rlhf_core.clicks.intervention import intervene
from rlhf_core.clicks.log import SATISFIED_SECONDS, LogColumns, LogsClicks, read
from rlhf_core.clicks.propensities import estimated
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.making import close
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import WHOLE
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Queries, Request
from rlhf_core.segments import transitions
from rlhf_core.sizes import row_bytes
from rlhf_core.teachers.rating import credited_steps, mean_rewards
from rlhf_core.types import Segments, Truth

IMPLICIT = ("rating", "signal")
"""Forms of feedback that the log answers."""
OWN, EXPLICIT = "log/", "explicit/"
"""Prefixes of the state's arrays."""


class ClickLog(Annotator):
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
    explicit: AnySimulated | None = None
    """Who answers questions of other forms, such as comparisons: `{kind: synthetic}`."""

    def needs_true_reward(self) -> bool:
        """Clicks are logged without it; whoever answers explicit questions may need it."""
        return self.explicit is not None and self.explicit.needs_true_reward()

    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """Estimate propensities, and relevance from the same clicks."""
        columns, items = logged(environment)
        impressions, partner = intervene(environment, columns, self.impressions, rng)
        positive = impressions.positive(self.satisfied_seconds)
        propensity = np.clip(estimated(positive, partner), self.least_propensity, None)
        arrays = {
            "propensity": propensity,
            "relevance": fit_relevance(impressions, positive, propensity, items),
            **{name: np.asarray(at) for name, at in columns._asdict().items()},
        }
        own = {OWN + name: array for name, array in arrays.items()}
        if self.explicit is None:
            return AnnotatorState(arrays=own)
        other = self.explicit.prepare(environment, optimiser, demonstrations, rng)
        return AnnotatorState(arrays=own | _stored(other))

    def memory(self, environment: Environment, demonstrations: int) -> Mapping[str, int]:
        """Return the bytes of the intervention's observations and slates."""
        needed = {"impressions": 2 * self.impressions * row_bytes(environment.spaces())}
        if self.explicit is not None:
            other = self.explicit.memory(environment, demonstrations)
            needed |= {f"explicit.{field}": bytes_ for field, bytes_ in other.items()}
        return needed

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Refuse environments that log no clicks."""
        logged(environment)
        if self.explicit is not None:
            self.explicit.check_fit(environment, demonstrates)
        elif demonstrates:
            raise ConfigurationError(_nobody("demonstration"))

    def label_price(self) -> float:
        """Return 0 for clicks, or the price of an explicit answer."""
        return 0.0 if self.explicit is None else self.explicit.label_price()

    def answer(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """Read ratings and signals from the log, and pass other questions on."""
        others = {kind: q for kind, q in request.queries.items() if kind not in IMPLICIT}
        arrays, answers = dict(state.arrays), Answers({})
        if others:
            if self.explicit is None:
                raise ConfigurationError(_nobody(", ".join(sorted(others))))
            rest = replace(request, queries=others)
            after, answers = self.explicit.answer(_loaded(arrays), rest, truth, rng)
            arrays |= _stored(after)
        slates = self._labels(arrays, request.segments)
        read_off = {
            kind: _ratings(queries, slates, request.segments)
            for kind, queries in request.queries.items()
            if kind in IMPLICIT
        }
        answers = replace(answers, judgements={**answers.judgements, **read_off})
        return AnnotatorState(state.judgements + answers.count, arrays), answers

    def _labels(
        self, arrays: Mapping[str, np.ndarray], segments: Segments
    ) -> Float[np.ndarray, "S L"]:
        """The label of every slate in the clips."""
        own = {
            name.removeprefix(OWN): array for name, array in arrays.items() if name.startswith(OWN)
        }
        columns = LogColumns(own["context"], int(own["present"]), own["clicks"], own["minutes"])
        observations, actions, following, _ = transitions(segments)
        impressions = read(columns, observations, actions, following)
        impressions = impressions._replace(present=impressions.present & segments.mask.ravel())
        positive = impressions.positive(self.satisfied_seconds)
        made = labels(impressions, positive, own["propensity"], own["relevance"], self.correction)
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


def _nobody(forms: str) -> str:
    return (
        f"annotator.explicit: expected who answers questions of the form {forms}, since a log of "
        f"clicks answers {' and '.join(IMPLICIT)} alone, actual: none; set it, such as "
        "{kind: synthetic}, or use feedback kind direct_reward"
    )


def _ratings(queries: Queries, slates: Float[np.ndarray, "S L"], segments: Segments) -> Ratings:
    """Mean labels of the slates that each question is about; free and at once, by worker 0."""
    clips = queries.items[:, 0]
    steps = np.full_like(clips, WHOLE) if queries.step is None else queries.step
    counted = credited_steps(steps, segments.mask[clips], (0, 0))
    nothing = np.zeros(len(clips))
    worker = np.zeros(len(clips), dtype=np.int64)
    value = mean_rewards(slates[clips], counted)
    return Ratings(clips.copy(), steps.copy(), value, worker, nothing, nothing)


def _stored(state: AnnotatorState) -> dict[str, np.ndarray]:
    """The state of whoever answers explicit questions, as arrays among ours."""
    count = {f"{EXPLICIT}judgements": np.array(state.judgements)}
    return count | {f"{EXPLICIT}arrays/{name}": array for name, array in state.arrays.items()}


def _loaded(arrays: Mapping[str, np.ndarray]) -> AnnotatorState:
    prefix = f"{EXPLICIT}arrays/"
    inner = {k.removeprefix(prefix): array for k, array in arrays.items() if k.startswith(prefix)}
    return AnnotatorState(int(arrays[f"{EXPLICIT}judgements"]), inner)
