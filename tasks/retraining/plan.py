"""What a retraining was asked for and what it begins with, kept so that it can go on."""

from dataclasses import dataclass
from typing import Any

from pydantic import Field

from rlhf_core.driver import Start
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.label_sets.versions import check_name as check_label_set
from rlhf_core.plugin import Config
from rlhf_core.retraining.gate import Gate
from rlhf_core.retraining.trial import environment_of
from rlhf_core.store import Ref, Store
from tasks.tracking.champions import check_name


class Retraining(Config):
    """How a challenger is trained, and by which rules it is judged."""

    model: str | None = None
    """Registered model whose champion is challenged; null: that of the experiment's task."""
    warm: bool = False
    """Begin with the champion's policy, reward and labels; else with nothing."""
    label_set: str | None = None
    """Labels to learn from; new ones are added to it, unless a guard distrusts them."""
    gate: Gate = Gate()
    """The rules."""
    fresh_seed: bool = True
    """Give the challenger the experiment's seed plus the number of versions that there are, so
    that it is not the champion again; else the experiment's own."""
    gate_seed: int | None = Field(None, ge=0)
    """Of the start states; null: drawn, as it should be."""

    def check(self, experiment: Experiment) -> None:
        """Raise `ConfigurationError` where no policy of an experiment could be promoted."""
        environment_of(experiment)
        if experiment.feedback.null_control:
            raise ConfigurationError(
                "feedback.kind: expected a strategy whose policy may be used, actual: null control "
                f"'{experiment.feedback.kind}'"
            )
        if self.model is not None:
            check_name(self.model)
        if self.label_set is not None:
            check_label_set(self.label_set)
            if not experiment.feedback.asks:
                raise ConfigurationError(
                    "label set: expected a feedback strategy that learns from labels, actual: "
                    f"'{experiment.feedback.kind}'"
                )


@dataclass(frozen=True)
class Plan:
    """What one retraining of a model begins with."""

    model: str
    """Name of the registered model."""
    label_set: str | None
    """To which new labels are added."""
    labels: int | None
    """Version of the label set that is learned from; None where there was none yet."""
    gate: Gate
    gate_seed: int | None
    start: Start[Ref]


def remember(store: Store, run_id: str, plan: Plan) -> None:
    """Keep the plan of a run, and what it refers to."""
    refs = {"policy": plan.start.policy, "feedback": plan.start.feedback}
    content: dict[str, Any] = {
        "refs": {name: ref for name, ref in refs.items() if ref is not None},
        "model": plan.model,
        "label_set": plan.label_set,
        "labels": plan.labels,
        "gate": plan.gate.model_dump(mode="json"),
        "gate_seed": plan.gate_seed,
    }
    store.remember(_key(run_id), content)


def recall(store: Store, run_id: str) -> Plan | None:
    """The plan of a run; None where it has none, or was ended before it had one.

    Raises:
        DamagedError: it is not what was written.
    """
    content = store.recall(_key(run_id))
    if content is None:
        return None
    refs = content.pop("refs")
    start = Start(refs.get("policy"), refs.get("feedback"))
    gate = Gate.model_validate(content.pop("gate"))
    return Plan(**content, gate=gate, start=start)


def _key(run_id: str) -> str:
    return f"{run_id}/retraining"
