"""Someone who shows how it is done."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat, PositiveInt

from rlhf_core.annotators import Annotator, AnnotatorState
from rlhf_core.demonstrations import Demonstrations, demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.errors import ConfigurationError, StoreError
from rlhf_core.evidence import NOBODY, Answers, Rankings, Request, answers
from rlhf_core.policies import Optimiser
from rlhf_core.segments import sample_segments
from rlhf_core.types import Rollouts, Truth


class Expert(Annotator):
    """Answers every question with a demonstration: "rather like this".

    A clip of the expert's own, of the same length, is put before all clips that were asked about:
    a choice among them and it, which any strategy that learns from judgements understands
    (reward-rational choice, https://arxiv.org/abs/2002.04833; demonstrations as preferences,
    https://arxiv.org/abs/1811.06521). The expert is a policy trained on the true reward with the
    run's own optimiser before the run begins, or a recording.
    """

    kind: Literal["expert"] = "expert"
    env_steps: PositiveInt = 131072
    """Environment steps on which the expert is trained, rounded up to whole rollouts."""
    episodes: PositiveInt = 20
    """Episodes of the expert that clips are cut from."""
    recording: str | None = None
    """A file that `Agent.record` wrote, in place of a trained expert."""
    seconds: NonNegativeFloat = 0.0
    """Time that one demonstration is said to take, in seconds."""
    cost: NonNegativeFloat = 0.0
    """Price of one demonstration."""

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
            return AnnotatorState(memory=expert.to_arrays(self._recorded(environment)))
        act = expert.train(environment, optimiser, self.env_steps, rng)
        episodes = max(self.episodes, demonstrations)
        return AnnotatorState(
            memory=expert.to_arrays(expert.demonstrate(environment, act, episodes, rng))
        )

    def check_fit(self, environment: Environment, demonstrates: bool) -> None:
        """Read the recording once, to see that it is there and that it fits."""
        if self.recording is not None:
            self._recorded(environment)

    def label_price(self) -> float:
        """The price of one demonstration."""
        return self.cost

    def answer(
        self, state: AnnotatorState, request: Request, truth: Truth, rng: np.random.Generator
    ) -> tuple[AnnotatorState, Answers]:
        """One clip of the expert's own a question, by worker 0; and whole episodes, if asked."""
        from rlhf_core.teachers import demonstrator as expert

        memory, whole = state.memory, None
        if request.demonstrations:
            memory, whole = expert.next_demonstrations(
                memory, request.demonstrations, self.seconds, self.cost
            )
            state = replace(state, memory=memory, judgements=state.judgements + len(whole))
        asked = [request.queries.items]
        if request.rankings is not None:
            asked.append(request.rankings.items)
        if request.ratings is not None:
            asked.append(request.ratings[:, :1])
        count = sum(len(items) for items in asked)
        if not count:
            return state, answers(demonstrations=whole)
        episodes = Rollouts(tuple(expert.from_arrays(memory).trajectories()))
        shown = sample_segments(episodes, count, request.segments.steps, rng)
        width = max(items.shape[1] for items in asked)
        worse = np.concatenate(
            [
                np.pad(items, ((0, 0), (0, width - items.shape[1])), constant_values=NOBODY)
                for items in asked
            ]
        )
        own = len(request.segments) + np.arange(count)
        rankings = Rankings(
            np.concatenate([own[:, None], worse], axis=1),
            np.ones(count, dtype=np.int64),
            np.zeros(count, dtype=np.int64),
            np.full(count, float(self.seconds)),
            np.full(count, float(self.cost)),
        )
        state = replace(state, judgements=state.judgements + count)
        return state, answers(rankings=rankings, segments=shown, demonstrations=whole)

    def _recorded(self, environment: Environment) -> Demonstrations:
        """The recorded trajectories, once all of them fit the environment."""
        assert self.recording is not None
        spaces, found = environment.spaces(), _read(Path(self.recording)).trajectories
        for trajectory in found:
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
        return demonstrations(found)


def _read(path: Path) -> Rollouts:
    """A recording, or an error that says what is wrong with it."""
    from rlhf_core.store import unpack

    try:
        return unpack(path.read_bytes(), Rollouts)
    except (OSError, StoreError) as error:
        raise ConfigurationError(
            f"annotator.recording: expected a file that Agent.record wrote, actual: {path}: {error}"
        ) from error
