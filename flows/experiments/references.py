"""What training on the true reward reaches, measured beforehand: a mark to compare a run with."""

import json
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from flows.experiments import presets
from rlhf_core.environments.factory import Environment
from rlhf_core.experiment import Experiment

FILE = Path(__file__).with_name("references.json")
"""Written by `benchmarks/references.py`."""


@dataclass(frozen=True)
class Reference:
    """True return of policies that were trained on the true reward, with the same settings."""

    iqm: float
    """Interquartile mean over seeds of each seed's final true return (IQM over its episodes)."""
    low: float
    high: float
    """The 95 % bootstrap interval."""
    seeds: int
    measured: str
    """Date."""


def of(experiment: Experiment) -> Reference | None:
    """The reference for an experiment; None where it trains otherwise than any preset."""
    for preset, reference in _known().items():
        text = presets.text(preset)
        # What other presets need may not be installed.
        if _environment(text) == experiment.environment and _settings(text) == _relevant(
            experiment
        ):
            return reference
    return None


@cache
def _known() -> dict[str, Reference]:
    return {preset: Reference(**fields) for preset, fields in json.loads(FILE.read_text()).items()}


@cache
def _environment(text: str) -> Environment:
    """The environment of a preset."""
    return Environment.model_validate(yaml.safe_load(text)["environment"])


@cache
def _settings(text: str) -> dict[str, Any]:
    """What the true return of a preset depends on when it is trained on the true reward."""
    data = yaml.safe_load(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data["feedback"] = {"kind": "true_reward"}
        return _relevant(Experiment.model_validate(data))


def _relevant(experiment: Experiment) -> dict[str, Any]:
    budget = experiment.budget
    return {
        "environment": experiment.environment,
        "optimiser": experiment.optimiser,
        "evaluation": experiment.evaluation,
        "steps": (budget.env_steps, budget.initial_steps, budget.rounds),
    }
