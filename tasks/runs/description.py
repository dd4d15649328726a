"""What the description of a run says, paragraph by paragraph."""

from rlhf_core.experiment import Experiment
from rlhf_core.types import Metrics

WHAT, ENDED, PREFECT, GO_ON = "What", "How it ended", "Prefect", "Go on"
"""Titles of the paragraphs."""


def what(experiment: Experiment, cell: str) -> str:
    """What the run is, in one sentence."""
    budget, feedback = experiment.budget, experiment.feedback
    labels = (
        f"{budget.labels:,} labels of annotator `{experiment.annotator.kind}`"
        if feedback.asks
        else "no labels"
    )
    steps = experiment.first_steps + experiment.total_steps
    return (
        f"`{cell}` with seed {experiment.seed}, of experiment `{experiment.name}`: feedback "
        f"`{feedback.kind}` on `{experiment.environment.id}`, optimised by "
        f"`{experiment.optimiser.kind}`; {labels}, {steps:,} environment steps in "
        f"{budget.rounds} rounds."
    )


def prefect(flow_run_id: str, page: str | None) -> str:
    """The page of the flow run; a link where the page's address lasts.

    Args:
        flow_run_id: of Prefect.
        page: address of the page; None where `rlhf ui` gives it another one each time.
    """
    if page is None:
        return f"flow run `{flow_run_id}`, on the page that `rlhf ui` opens."
    return f"[flow run {flow_run_id}]({page}/runs/flow-run/{flow_run_id})"


def finished(metrics: Metrics) -> str:
    """The outcome of a run, from its final metrics."""
    iqm = metrics.get("final/true_return_iqm")
    result = (
        "finished; its true return is unknown,"
        if iqm is None
        else f"finished with a true return of {iqm:.1f} (IQM)"
    )
    labels, steps = int(metrics["final/labels"]), int(metrics["final/env_steps"])
    seconds = metrics["final/seconds"]
    return f"{result} after {labels:,} labels and {steps:,} environment steps, {seconds:.0f} s."


def go_on(run_id: str) -> str:
    """How an interrupted run is resumed."""
    return f"after an interruption, `rlhf resume {run_id}`"
