"""Who is never asked: labels that are read from what users did, form by form."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from rlhf_core.annotators import Annotator, AnnotatorState, AnySimulated
from rlhf_core.answers import Answers, Ratings
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import WHOLE
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Queries, Request
from rlhf_core.teachers.rating import credited_steps, mean_rewards
from rlhf_core.types import Segments, Truth

IMPLICIT = ("rating", "signal")
"""Forms of feedback that are read off."""
OWN, EXPLICIT = "log/", "explicit/"
"""Prefixes of the state's arrays."""


class Implicit(Annotator):
    """Reads a label of every step, and answers ratings by the mean label of a clip's steps.

    Signals are labels of single steps. Reading costs nothing, and the true reward is not read.
    Questions of other forms go to `explicit`.
    """

    explicit: AnySimulated | None = None
    """Who answers questions of other forms, such as comparisons: `{kind: synthetic}`."""

    @abstractmethod
    def read_arrays(
        self, environment: Environment, rng: np.random.Generator
    ) -> Mapping[str, np.ndarray]:
        """What `step_labels` needs of the environment, estimated before the run."""

    @abstractmethod
    def step_labels(
        self, arrays: Mapping[str, np.ndarray], segments: Segments
    ) -> Float[np.ndarray, "S L"]:
        """The label of every step of the clips.

        Args:
            arrays: what `read_arrays` returned.
            segments: the clips.
        """

    @abstractmethod
    def check_environment(self, environment: Environment) -> None:
        """Raise `ConfigurationError` where the environment shows nothing to be read."""

    def needs_true_reward(self) -> bool:
        """It is not read; whoever answers explicit questions may need it."""
        return self.explicit is not None and self.explicit.needs_true_reward()

    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """Learn what is needed of the environment, and prepare whoever answers the rest."""
        arrays = self.read_arrays(environment, rng)
        own = {OWN + name: array for name, array in arrays.items()}
        if self.explicit is None:
            return AnnotatorState(arrays=own)
        other = self.explicit.prepare(environment, optimiser, demonstrations, rng)
        return AnnotatorState(arrays=own | _stored(other))

    def memory(self, environment: Environment, demonstrations: int) -> Mapping[str, int]:
        """Return the bytes that whoever answers explicit questions needs."""
        if self.explicit is None:
            return {}
        other = self.explicit.memory(environment, demonstrations)
        return {f"explicit.{field}": bytes_ for field, bytes_ in other.items()}

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Refuse environments that show nothing to be read."""
        self.check_environment(environment)
        if self.explicit is not None:
            self.explicit.check_fit(environment, demonstrates)
        elif demonstrates:
            raise ConfigurationError(_nobody("demonstration"))

    def label_price(self) -> float:
        """Return 0 for what is read off, or the price of an explicit answer."""
        return 0.0 if self.explicit is None else self.explicit.label_price()

    def answer(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """Read ratings and signals off, and pass other questions on."""
        others = {kind: q for kind, q in request.queries.items() if kind not in IMPLICIT}
        arrays, answers = dict(state.arrays), Answers({})
        if others:
            if self.explicit is None:
                raise ConfigurationError(_nobody(", ".join(sorted(others))))
            rest = replace(request, queries=others)
            after, answers = self.explicit.answer(_loaded(arrays), rest, truth, rng)
            arrays |= _stored(after)
        own = {
            name.removeprefix(OWN): array for name, array in arrays.items() if name.startswith(OWN)
        }
        labels = self.step_labels(own, request.segments)
        read_off = {
            kind: _ratings(queries, labels, request.segments)
            for kind, queries in request.queries.items()
            if kind in IMPLICIT
        }
        answers = replace(answers, judgements={**answers.judgements, **read_off})
        return AnnotatorState(state.judgements + answers.count, arrays), answers


def _nobody(forms: str) -> str:
    return (
        f"annotator.explicit: expected who answers questions of the form {forms}, since what users "
        f"do answers {' and '.join(IMPLICIT)} alone, actual: none; set it, such as "
        "{kind: synthetic}, or use feedback kind direct_reward"
    )


def _ratings(queries: Queries, labels: Float[np.ndarray, "S L"], segments: Segments) -> Ratings:
    """Mean labels of the steps that each question is about; free and at once, by worker 0."""
    clips = queries.items[:, 0]
    steps = np.full_like(clips, WHOLE) if queries.step is None else queries.step
    counted = credited_steps(steps, segments.mask[clips], (0, 0))
    nothing = np.zeros(len(clips))
    worker = np.zeros(len(clips), dtype=np.int64)
    value = mean_rewards(labels[clips], counted)
    return Ratings(clips.copy(), steps.copy(), value, worker, nothing, nothing)


def _stored(state: AnnotatorState) -> dict[str, np.ndarray]:
    """The state of whoever answers explicit questions, as arrays among ours."""
    count = {f"{EXPLICIT}judgements": np.array(state.judgements)}
    return count | {f"{EXPLICIT}arrays/{name}": array for name, array in state.arrays.items()}


def _loaded(arrays: Mapping[str, np.ndarray]) -> AnnotatorState:
    prefix = f"{EXPLICIT}arrays/"
    inner = {k.removeprefix(prefix): array for k, array in arrays.items() if k.startswith(prefix)}
    return AnnotatorState(int(arrays[f"{EXPLICIT}judgements"]), inner)
