"""Requests whose clips can be drawn, made without a run."""

from typing import Any

import numpy as np

from rlhf_core.configuration import from_mapping
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_forms import form_of
from rlhf_core.questions import Queries, Request
from rlhf_core.recording import Recorder
from rlhf_core.reservoir import trajectories
from rlhf_core.segments import sample_segments
from rlhf_core.types import Rollouts, Segments


def experiment_in(environment: dict[str, Any], steps: int = 25) -> Experiment:
    """A small experiment in an environment."""
    return from_mapping(
        {
            "name": "people",
            "environment": {"count": 2, **environment},
            "feedback": {"kind": "preference", "segment_steps": steps},
            "optimiser": {"kind": "ppo", "steps": 32, "batch_size": 32},
            "budget": {"env_steps": 4096, "labels": 4, "rounds": 1, "initial_steps": 256},
        }
    )


def rollouts_of(experiment: Experiment, env_steps: int = 200, seed: int = 0) -> Rollouts:
    """What random actions do."""
    vector = experiment.environment.make_vector(2)
    recorder = Recorder(vector)
    recorder.reset([seed, seed + 1])
    vector.action_space.seed(seed)
    for _ in range(env_steps):
        recorder.step(vector.action_space.sample())
    vector.close()
    return trajectories(recorder.take(), policy_version=0)[0]


def clips_of(experiment: Experiment, count: int, steps: int, env_steps: int = 200) -> Segments:
    """Random clips that can be replayed."""
    rng = np.random.default_rng(0)
    return sample_segments(rollouts_of(experiment, env_steps), count, steps, rng, replayable=True)


def request_of(segments: Segments, forms: dict[str, int]) -> Request:
    """So many questions of each form about clips, drawn at random, no question twice."""
    rng, queries = np.random.default_rng(1), {}
    for kind, count in forms.items():
        form = form_of(kind, ())
        size = form.size()
        items = np.stack([rng.choice(len(segments), size, replace=False) for _ in range(count)])
        step = rng.integers(segments.steps, size=count) if kind == "signal" else None
        queries[kind] = Queries(items, step, form.worth(), form.model_dump_json())
    return Request(segments, segments, queries)
