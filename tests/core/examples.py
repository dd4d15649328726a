"""Small values that several tests start from."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.answers import Answers, Comparisons, Rankings, Ratings
from rlhf_core.configuration import from_mapping
from rlhf_core.demonstrations import Demonstrations
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.errors import UnsupportedSpaceError
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_forms import form_of
from rlhf_core.judgements import EMPTY, WHOLE, Choice
from rlhf_core.labels import Evidence, LabelSet, Preferences, RankingLabels, RatingLabels
from rlhf_core.language.optimiser import LanguageOptimiser
from rlhf_core.policies import Optimiser
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.rewards.terms import Term
from rlhf_core.rollouts import finished_returns
from rlhf_core.segments import true_rewards
from rlhf_core.types import RolloutRewards, Rollouts, Segments, Trajectory, TrueRewards, Truth

HERE = "tests.core.environments"

LINE = Spaces(spaces.Box(-100, 100, (1,)), spaces.Discrete(2))
"""What `segments` look like to a reward: one number seen, two actions."""


def task_for(optimiser: Optimiser, wanted: Environment | None = None) -> Environment:
    """The task, or one of the kind that the optimiser learns on: numbers as actions, or texts."""
    if isinstance(optimiser, LanguageOptimiser):
        pytest.importorskip("transformers")
        return Environment(id="rlhf/RandomWalks-v0", count=32)
    task = wanted or Environment(id=f"{HERE}:Corridor-v0", count=4)
    try:
        optimiser.check_spaces(task.spaces())
    except UnsupportedSpaceError:
        return Environment(id=f"{HERE}:Drift-v0", count=4)
    return task


def trajectory(steps: int, first: float = 0, terminated: bool = False) -> Trajectory:
    """Observations first, first + 1, ...; actions 0, 1, 0, 1, ..."""
    return Trajectory(
        observations=(first + np.arange(steps + 1, dtype=np.float32))[:, None],
        actions=np.arange(steps) % 2,
        terminated=terminated,
        truncated=not terminated,
        policy_version=0,
    )


def played(*lengths: int) -> tuple[Rollouts, RolloutRewards]:
    """Trajectory i shows 100 i, 100 i + 1, ... and pays in each step what it then shows."""
    found = tuple(trajectory(steps, first=100 * i) for i, steps in enumerate(lengths))
    paid = tuple(TrueRewards(t.observations[1:, 0].astype(np.float64)) for t in found)
    return Rollouts(found), RolloutRewards(paid)


def segments(shown: Sequence[Sequence[float]] | np.ndarray, mask: Any = None) -> Segments:
    """Segments (S, L) whose steps begin at these numbers; each ends where its last step began."""
    numbers = np.asarray(shown, dtype=np.float32)
    count, steps = numbers.shape
    return Segments(
        observations=np.concatenate([numbers, numbers[:, -1:]], axis=1)[..., None],
        actions=np.zeros((count, steps), dtype=np.int64),
        terminated=np.zeros((count, steps), dtype=bool),
        mask=np.ones((count, steps), dtype=bool) if mask is None else np.asarray(mask, dtype=bool),
        origin=np.zeros((count, 2), dtype=np.int64),
    )


def request(shown: Sequence[Sequence[float]] | np.ndarray, pair: Any, mask: Any = None) -> Request:
    """A request for comparisons of such segments."""
    return asking(segments(shown, mask), comparison=pair)


def asking(
    clips: Segments, reference: Segments | None = None, audit: Any = None, **items: Any
) -> Request:
    """A request about clips: items by form, such as `comparison=[[0, 1]]` or `signal=[(0, 3)]`.

    A ranking names all places but the last, unless it comes as `Queries`; a demonstration is asked
    for by its number of episodes.
    """
    queries = {}
    for kind, asked in items.items():
        step = None
        if isinstance(asked, Queries):
            queries[kind] = replace(asked, form=f'{{"kind": "{kind}"}}')
            continue
        if kind == "demonstration":
            rows = np.empty((asked, 0), dtype=np.int64)
        elif kind in ("rating", "signal"):
            rows = np.asarray([a[0] if kind == "signal" else a for a in asked], dtype=np.int64)
            rows = rows.reshape(-1, 1)
            step = np.array([a[1] for a in asked], dtype=np.int64) if kind == "signal" else None
        else:
            rows = np.asarray(asked, dtype=np.int64)
            rows = rows.reshape(-1, 2) if kind == "comparison" else rows
        worth = rows.shape[1] - 1 if kind == "ranking" else 1
        queries[kind] = Queries(rows, step, worth, f'{{"kind": "{kind}"}}')
    return Request(clips, clips if reference is None else reference, queries, audit)


def annotations(
    query: Sequence[int], choice: Sequence[Choice], worker: Sequence[int] | int = 0
) -> Comparisons:
    """Judgements by worker 0, or by those named, free and at once."""
    count = len(query)
    return Comparisons(
        query=np.asarray(query, dtype=np.int64),
        worker=np.broadcast_to(np.asarray(worker, dtype=np.int64), (count,)),
        choice=np.asarray(choice, dtype=np.int64),
        seconds=np.zeros(count),
        cost=np.zeros(count),
    )


def rankings(
    items: Sequence[Sequence[int]] | np.ndarray,
    places: Any = None,
    worker: Any = 0,
    tied: Any = None,
) -> Rankings:
    """Rankings, best first, all places known unless said; short rows are filled with `EMPTY`."""
    rows = [list(row) for row in items]
    count, width = len(rows), max((len(row) for row in rows), default=2)
    whole = [sum(item != EMPTY for item in row) - 1 for row in rows]
    known = whole if places is None else places
    return Rankings(
        np.array([row + [EMPTY] * (width - len(row)) for row in rows], dtype=np.int64).reshape(
            -1, width
        ),
        np.broadcast_to(np.asarray(known, dtype=np.int64), (count,)),
        np.broadcast_to(np.asarray(worker, dtype=np.int64), (count,)),
        np.zeros(count),
        np.zeros(count),
        None if tied is None else np.asarray(tied, dtype=bool),
    )


def ratings(
    segment: Sequence[int] | np.ndarray,
    value: Sequence[float] | np.ndarray,
    step: Any = WHOLE,
    worker: Any = 0,
) -> Ratings:
    """Ratings of whole clips unless steps are given."""
    count = len(segment)
    return Ratings(
        np.asarray(segment, dtype=np.int64),
        np.broadcast_to(np.asarray(step, dtype=np.int64), (count,)),
        np.asarray(value, dtype=np.float64),
        np.broadcast_to(np.asarray(worker, dtype=np.int64), (count,)),
        np.zeros(count),
        np.zeros(count),
    )


def labels(
    preferences: Preferences | None = None,
    ranked: Rankings | None = None,
    rated: Ratings | None = None,
) -> dict[str, LabelSet]:
    """What a fit is given, every ranking and rating at weight 1."""
    made: dict[str, LabelSet] = {}
    if preferences is not None:
        made["comparison"] = preferences
    if ranked is not None:
        made["ranking"] = RankingLabels(ranked, np.ones(len(ranked)))
    if rated is not None:
        made["rating"] = RatingLabels(rated, np.ones(len(rated)))
    return made


def terms(
    made: Mapping[str, LabelSet],
    clips: Segments,
    likelihoods: Likelihoods = Likelihoods(),  # noqa: B008 - immutable
    smoothing: float = 0.0,
) -> list[Term]:
    """The terms of a fit of these labels."""
    found = []
    for kind, label_set in sorted(made.items()):
        term = form_of(kind, ()).term(label_set, clips, likelihoods, smoothing)
        assert term is not None
        found.append(term)
    return found


def answers(
    comparisons: Comparisons | None = None,
    rankings: Rankings | None = None,
    ratings: Ratings | None = None,
    segments: Segments | None = None,
    demonstrations: Demonstrations | None = None,
    signal: Ratings | None = None,
) -> Answers:
    """Answers in the forms that are given."""
    forms = {
        "comparison": comparisons,
        "demonstration": demonstrations,
        "ranking": rankings,
        "rating": ratings,
        "signal": signal,
    }
    return Answers({kind: form for kind, form in forms.items() if form is not None}, segments)


def evidence(
    clips: Segments,
    pairs: Any = (),
    compared: Comparisons | None = None,
    ranked: Rankings | None = None,
    rated: Ratings | None = None,
) -> Evidence:
    """Evidence about clips in the forms that are given."""
    queries = {"comparison": Queries(np.asarray(pairs, dtype=np.int64).reshape(-1, 2))}
    return Evidence(clips, queries, answers(compared, ranked, rated).judgements)


def truth(asked: Request, rollouts: Rollouts, rewards: RolloutRewards, horizon: int = 10) -> Truth:
    """What an annotator who knows the true reward sees of a request."""
    return Truth(
        segments=true_rewards(rewards, asked.segments).values,
        reference=true_rewards(rewards, asked.reference).values,
        episodes=finished_returns(rollouts, rewards, horizon),
    )


def judged(answers: Answers) -> int:
    """How many judgements came back, in all forms."""
    return answers.count


def tiny(environment: str = f"{HERE}:Corridor-v0", **changes: Any) -> Experiment:
    """A whole experiment that takes a fraction of a second.

    `changes` replace its sections; those of the environment are named `environment_...`.
    """
    prefix = "environment_"
    inner = {name.removeprefix(prefix): changes.pop(name) for name in [*changes] if prefix in name}
    return from_mapping(
        {
            "name": "tiny",
            "environment": {"id": environment, "count": 2, **inner},
            "feedback": {
                "kind": "preference",
                "segment_steps": 4,
                "queries": {"kind": "disagreement", "oversample": 2},
                "reward_model": {"hidden": [8], "members": 2, "epochs": 3},
            },
            "optimiser": {"steps": 8, "batch_size": 8, "epochs": 1, "hidden": [8]},
            "budget": {"env_steps": 80, "labels": 8, "rounds": 2, "initial_steps": 16},
            "evaluation": {"episodes": 3},
            **changes,
        }
    )
