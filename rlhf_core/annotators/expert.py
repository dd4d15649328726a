"""Someone who shows how it is done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat, PositiveInt

from rlhf_core.annotators import Annotator, AnnotatorState
from rlhf_core.answers import Answers, Rankings
from rlhf_core.demonstrations import Demonstrations, demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError, StoreError
from rlhf_core.files import read_regular
from rlhf_core.judgements import EMPTY, Judgements
from rlhf_core.optimisers import AnyOptimiser
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Request
from rlhf_core.segments import sample_segments
from rlhf_core.sizes import row_bytes
from rlhf_core.types import Rollouts, Truth

EPISODES = "demonstration"
"""The form of feedback that asks for whole episodes."""
LARGEST_RECORDING = 4 * 2**30
"""Bytes of a recording."""
PREFERRED = "best_of"
"""The form in which every other query is answered: the expert's own clip is the best."""


class Expert(Annotator):
    """Answers every question with a demonstration: "rather like this".

    A clip of the expert's own, of the same length, is put before all clips that were asked about:
    a choice among them and it, which any strategy that learns from judgements understands
    (reward-rational choice, https://arxiv.org/abs/2002.04833; demonstrations as preferences,
    https://arxiv.org/abs/1811.06521). The expert is a policy trained on the true reward before the
    run begins, or a recording.
    """

    kind: Literal["expert"] = "expert"
    env_steps: PositiveInt = 131072
    """Environment steps on which the expert is trained, rounded up to whole rollouts."""
    optimiser: AnyOptimiser | None = None
    """How the expert is trained; null: the run's own optimiser if its kind is ppo, else ppo with
    batches of 128."""
    episodes: PositiveInt = 20
    """Episodes of the expert that clips are cut from."""
    recording: str | None = None
    """A file that `Agent.record` wrote, in place of a trained expert."""
    seconds: NonNegativeFloat = 0.0
    """Time that one demonstration is said to take, in seconds."""
    cost: NonNegativeFloat = 0.0
    """Price of one demonstration."""

    def needs_true_reward(self) -> bool:
        """An expert is trained on it; a recording needs none."""
        return self.recording is None

    def prepare(
        self,
        environment: Environment,
        optimiser: Optimiser,
        demonstrations: int,
        rng: np.random.Generator,
    ) -> AnnotatorState:
        """Train and record the expert, or read the recording."""
        from rlhf_core.teachers import demonstrator as expert

        if self.recording is not None:
            return AnnotatorState(arrays=expert.to_arrays(self._recorded(environment)))
        optimiser = expert.expert_optimiser(self.optimiser, optimiser)
        act = expert.train(environment, optimiser, self.env_steps, rng)
        episodes = max(self.episodes, demonstrations)
        return AnnotatorState(
            arrays=expert.to_arrays(*expert.demonstrate(environment, act, episodes, rng))
        )

    def memory(self, environment: Environment, demonstrations: int) -> Mapping[str, int]:
        """Return the bytes of the expert's episodes, which are played side by side."""
        if self.recording is not None:
            return {}
        episodes = max(self.episodes, demonstrations)
        needed = {"episodes": episodes * environment.horizon() * row_bytes(environment.spaces())}
        if self.optimiser is not None:
            inner = self.optimiser.memory(environment)
            needed |= {f"optimiser.{field}": bytes_ for field, bytes_ in inner.items()}
        return needed

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Check that the recording exists and fits, and that the optimiser fits."""
        from rlhf_core.teachers import demonstrator as expert

        expert.check_expert("annotator.optimiser", self.optimiser, environment)
        if self.recording is not None:
            self._recorded(environment)

    def label_price(self) -> float:
        """The price of one demonstration."""
        return self.cost

    def answer(
        self,
        state: AnnotatorState,
        request: Request,
        truth: Truth | None,
        rng: np.random.Generator,
    ) -> tuple[AnnotatorState, Answers]:
        """One clip of the expert's own a query, by worker 0; and whole episodes, if asked."""
        from rlhf_core.teachers import demonstrator

        arrays, judgements = state.arrays, dict[str, Judgements]()
        whole = request.queries.get(EPISODES)
        if whole is not None:
            arrays, taken = demonstrator.next_demonstrations(
                arrays, len(whole), self.seconds, self.cost
            )
            judgements[EPISODES] = taken
        asked = [q.items for kind, q in sorted(request.queries.items()) if kind != EPISODES]
        count, clips = sum(len(items) for items in asked), None
        if count:
            episodes = Rollouts(tuple(demonstrator.from_arrays(arrays).trajectories()))
            clips = sample_segments(episodes, count, request.segments.steps, rng)
            judgements[PREFERRED] = self._preferred(asked, len(request.segments))
        answers = Answers(judgements, clips)
        return AnnotatorState(state.judgements + answers.count, arrays), answers

    def _preferred(self, asked: Sequence[np.ndarray], first: int) -> Rankings:
        """The expert's clips, from position `first` on, each before all clips of one query."""
        width = max(items.shape[1] for items in asked)
        others = np.concatenate(
            [
                np.pad(items, ((0, 0), (0, width - items.shape[1])), constant_values=EMPTY)
                for items in asked
            ]
        )
        count = len(others)
        own = first + np.arange(count)
        return Rankings(
            np.concatenate([own[:, None], others], axis=1),
            np.ones(count, dtype=np.int64),
            np.zeros(count, dtype=np.int64),
            np.full(count, float(self.seconds)),
            np.full(count, float(self.cost)),
        )

    def _recorded(self, environment: Environment) -> Demonstrations:
        """The recorded trajectories, once all of them fit the environment."""
        assert self.recording is not None
        spaces, trajectories = environment.spaces(), _read(Path(self.recording)).trajectories
        for trajectory in trajectories:
            shape = trajectory.observations.shape[1:]
            if shape != (spaces.observation.shape or ()):
                raise ConfigurationError(
                    f"annotator.recording: expected observations of shape "
                    f"{spaces.observation.shape}, as '{environment.id}' has them, actual: {shape}"
                )
            odd = next((a for a in trajectory.actions if not spaces.action.contains(a)), None)
            if odd is not None:
                raise ConfigurationError(
                    f"annotator.recording: expected actions of {spaces.action}, as "
                    f"'{environment.id}' has them, actual: {odd!r}"
                )
        return demonstrations(trajectories)


def _read(path: Path) -> Rollouts:
    """A recording, or an error that says what is wrong with it."""
    from rlhf_core.packing import unpack

    try:
        return unpack(read_regular(path, LARGEST_RECORDING), Rollouts)
    except (ConfigurationError, StoreError) as error:
        raise ConfigurationError(
            f"annotator.recording: expected a file that Agent.record wrote, actual: {error}"
        ) from error
