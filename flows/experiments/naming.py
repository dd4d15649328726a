"""The cell of an experiment: what its runs have in common, whatever their seed."""

from functools import cache

import yaml

from flows.experiments import presets
from rlhf_core.differences import differences, digest, words
from rlhf_core.experiment import Experiment

NAMED = ("feedback.kind", "optimiser.kind")
"""Fields that begin every cell."""
UNCOUNTED = ("name", "seed")
"""Fields that make no other cell."""


def cell_of(experiment: Experiment) -> str:
    """Strategy, optimiser and what else differs from the preset of the experiment's name.

    `preference-ppo` is the preset itself and `preference-ppo-labels50` one of 50 labels. Fields
    that follow from the kinds that were chosen are no difference. An experiment that has no
    preset's name ends in four characters of a digest of its configuration: `preference-ppo-3f2a`.
    """
    kinds = [experiment.feedback.kind, experiment.optimiser.kind]
    if experiment.name not in presets.names():
        content = experiment.model_dump(mode="json", exclude=set(UNCOUNTED))
        return "-".join([*kinds, digest(content)])
    found = [
        (path, value)
        for path, value in differences(experiment, _preset(experiment.name))
        if path not in (*NAMED, *UNCOUNTED)
    ]
    return "-".join([*kinds, *words(found, experiment)])


@cache
def _preset(name: str) -> Experiment:
    """A preset as an experiment; whether its environment is installed is not looked at."""
    return Experiment.model_validate(yaml.safe_load(presets.text(name)))
