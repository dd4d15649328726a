"""The cell of an experiment: what its runs have in common, whatever their seed."""

from functools import cache

import yaml

from flows.experiments import presets
from rlhf_core.differences import Difference, differences, digest, words
from rlhf_core.environments.factory import Environment
from rlhf_core.experiment import Experiment
from rlhf_core.feedback_forms import FeedbackForm
from tasks.tracking.registry import OUTSIDE_TASK, task_differences

KINDS = ("feedback.kind", "optimiser.kind")
"""Fields that begin every cell."""
UNCOUNTED = ("name", "seed", "threads")
"""Fields that make no other cell."""


def cell_of(experiment: Experiment) -> str:
    """Strategy, optimiser and what else distinguishes an experiment on its environment.

    `preference-ppo` is the preset `pendulum-preference`, `preference-ppo-click` is `pendulum-click`
    and `preference-ppo-labels50` the first with 50 labels. The words are, in this order: strategy,
    optimiser, form of feedback where it is not the strategy's default, settings of the environment
    that make another task, and differences from the nearest preset on the environment
    (`_nearest_preset`). Fields that follow from the kinds that were chosen are no difference. On an
    environment that no preset has, digits of a digest of the configuration follow the kinds:
    `preference-ppo-3f2a91`.

    Two experiments on one environment id have one cell where they differ in nothing but
    `UNCOUNTED`, whatever they are called, and, digests of equal digits aside, only there.
    """
    form = _form(experiment)
    kinds = [experiment.feedback.kind, experiment.optimiser.kind, *form.values()]
    nearest = _nearest_preset(experiment)
    if nearest is None:
        content = experiment.model_dump(mode="json", exclude={*UNCOUNTED})
        return "-".join([*kinds, digest(content)])
    simplest = _simplest_task(_presets_on(experiment.environment.id))
    task = [
        (f"environment.{path}", value)
        for path, value in task_differences(experiment.environment, simplest)
    ]
    others = [
        (path, value)
        for path, value in differences(experiment, nearest)
        if path not in (*KINDS, *UNCOUNTED, *form) and not _makes_task(path)
    ]
    changes: list[Difference] = [*task, *others]
    return "-".join([*kinds, *words(changes, experiment)])


def _form(experiment: Experiment) -> dict[str, str]:
    """The kind of a form of feedback that is not the strategy's default, by its path."""
    return {
        f"feedback.{name}.kind": getattr(experiment.feedback, name).kind
        for name, field in type(experiment.feedback).model_fields.items()
        if isinstance(field.default, FeedbackForm)
        and getattr(experiment.feedback, name).kind != field.default.kind
    }


def _makes_task(path: str) -> bool:
    parent, _, field = path.partition(".")
    return parent == "environment" and field not in OUTSIDE_TASK


def _nearest_preset(experiment: Experiment) -> Experiment | None:
    """The preset that an experiment is compared with; None where its environment has none.

    It is chosen by nothing but what every cell names, so that the words of a cell have one meaning:
    by the task, the form of feedback, the optimiser and the strategy, in this order. Where several
    are as near, one with the default form, optimiser, strategy and annotator and the simplest task
    is taken.
    """
    plain = Environment(id=experiment.environment.id)
    default = {name: field.default for name, field in Experiment.model_fields.items()}

    def nearness(preset: Experiment) -> tuple[int, ...]:
        optimiser, strategy = preset.optimiser.kind, preset.feedback.kind
        return (
            not task_differences(experiment.environment, preset.environment),
            _form(preset) == _form(experiment),
            optimiser == experiment.optimiser.kind,
            strategy == experiment.feedback.kind,
            not _form(preset),
            optimiser == default["optimiser"].kind,
            strategy == default["feedback"].kind,
            preset.annotator.kind == default["annotator"].kind,
            -len(task_differences(preset.environment, plain)),
        )

    return max(_presets_on(experiment.environment.id), key=nearness, default=None)


def _simplest_task(experiments: tuple[Experiment, ...]) -> Environment:
    """The environment with the fewest settings of its own."""
    environments = [experiment.environment for experiment in experiments]
    return min(environments, key=lambda one: len(task_differences(one, Environment(id=one.id))))


@cache
def _presets_on(environment: str) -> tuple[Experiment, ...]:
    """Presets on an environment, by its id; whether that is installed is not looked at."""
    contents = (yaml.safe_load(presets.text(name)) for name in presets.names())
    return tuple(
        Experiment.model_validate(content)
        for content in contents
        if Environment.model_validate(content["environment"]).id == environment
    )
