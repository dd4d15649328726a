"""What this project's own runners share: a run with its CPU time, and its returns afterwards."""

from __future__ import annotations

import time
from typing import Any

from measure import EVALUATION_SEED

from rlhf_core.evaluation.returns import evaluate
from rlhf_core.experiment import Experiment
from rlhf_core.in_process import run
from rlhf_core.loop import Progress


def timed(experiment: Experiment) -> tuple[Progress[Any], float]:
    """Returns a finished run and its CPU seconds."""
    began = time.process_time()
    final = run(experiment)
    return final, time.process_time() - began


def returns(
    experiment: Experiment, final: Progress[Any], episodes: int, deterministic: bool
) -> list[float]:
    """Returns the true returns of episodes that the run has not trained on."""
    environment = experiment.environment
    act = experiment.optimiser.act(final.policy, environment.spaces(), deterministic=deterministic)
    first = EVALUATION_SEED * (experiment.seed + 1)
    seeds = list(range(first, first + episodes))
    return [*map(float, evaluate(environment.make_vector(episodes), act, seeds).returns)]
