"""What flows tell those who are notified."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from prefect.client.schemas.objects import FlowRun, State

from rlhf_core.texts import number
from tasks.home import Home
from tasks.notifications.notice import Event, Notice
from tasks.notifications.sending import send
from tasks.runs import lifecycle
from tasks.tracking.store import tracker_of

_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silent() -> Iterator[None]:
    """Inside the block flows tell nothing: the flow that calls them tells of the whole."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def tell_decision(home: Home, result: Mapping[str, Any], schedule: str | None) -> None:
    """Tell how a gate decided.

    Args:
        home: of the retraining.
        result: what the flow `retrain` returns.
        schedule: by which it was started; None where a person did it.
    """
    outcome, version, model = result["outcome"], result["version"], result["model"]
    champion = result["champion"]
    now = "there is no champion" if champion is None else f"champion: version {champion}"
    reasons = tuple(result["reasons"])
    send(
        home,
        Notice(
            Event(outcome),
            f"{model} version {version} {outcome}; {now}",
            "\n".join(reasons),
            "retrain",
            schedule,
            result["run_id"],
            model,
            version,
            reasons,
        ),
    )


def tell_finished(home: Home, flow: str, result: Mapping[str, Any], schedule: str | None) -> None:
    """Tell that a training is done, or what it waits for.

    Args:
        home: of the run.
        flow: train, compare, sweep or generalise.
        result: what the flow returns.
        schedule: by which it was started; None where a person did it.
    """
    if _silent.get():
        return
    run_id = result.get("run_id")
    if "waiting" in result:
        event, title = Event.WAITING, f"run {run_id} waits for people"
        text = str(result["waiting"])
    else:
        event, title = Event.FINISHED, f"{flow} {run_id} is finished"
        text = str(result.get("answer") or "")
        if (mean := result.get("true_return_iqm")) is not None:
            text = f"{result['environment']}, {result['strategy']}: true return {number(mean, 1)}"
    send(home, Notice(event, title, text, flow, schedule, run_id))


def tell_failed(home: Home, flow_run: FlowRun, state: State[Any], flow: str) -> None:
    """Tell that a flow run failed, or that its process died."""
    from prefect import get_client
    from prefect.exceptions import ObjectNotFound

    if _silent.get():
        return
    schedule = None
    if flow_run.deployment_id is not None:
        with get_client(sync_client=True) as client:
            try:
                schedule = client.read_deployment(flow_run.deployment_id).name
            except ObjectNotFound:
                schedule = None  # It was removed meanwhile.
    run_id = lifecycle.find(tracker_of(home), str(flow_run.id))
    title = f"{flow_run.name} failed"
    send(home, Notice(Event.FAILED, title, state.message or "", flow, schedule, run_id))
