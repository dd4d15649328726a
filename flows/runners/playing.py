"""A job played in this process."""

import time
from typing import Any

from flows.runners.job import Job, Receive, RunFailedError
from tasks.home import Home


def played(home: Home, job: Job, receive: Receive) -> dict[str, Any]:
    """Play a run to its end; returns its summary.

    Args:
        home: of this process.
        job: the run.
        receive: hears of what happens in it.

    Raises:
        RunFailedError: it failed, which stands in the record of the run; or it waits for people.
    """
    from flows.train import play_run
    from rlhf_core.configuration import from_mapping
    from tasks import progress
    from tasks.driver import TaskDriver, unobserved
    from tasks.failures import recorded
    from tasks.reasons import reason
    from tasks.runs import lifecycle, outcome
    from tasks.runs.heartbeat import beating
    from tasks.runs.states import Event
    from tasks.tracking.store import tracker_of

    began, begun = time.perf_counter(), list[str]()

    def listener(event: progress.Event) -> None:
        match event:
            case progress.Finished():
                return  # The summary comes with the end.
            case progress.Opened(run_id=run_id):
                begun.append(run_id)
        receive(event)

    try:
        with progress.only(listener):
            experiment = from_mapping(job.experiment)
            before = lifecycle.find(tracker_of(home), job.owner)
            ended = None if before is None else outcome.look_up(home, tracker_of(home), before)
            if ended is not None:
                return dict(ended.summary)  # Whoever played it was lost after its end.
            run = lifecycle.open_run(
                home, experiment, job.run_id, job.owner, job.group, job.parent,
                cell=job.cell, prefect_run=job.prefect_run, prefect_page=job.prefect_page,
            )  # fmt: skip
            with recorded(run), beating(run):
                summary = play_run(TaskDriver(run, unobserved), run, began, bar=job.bar)
    except (Exception, SystemExit) as error:
        # The others go on: the failure is reported, and stands in the record of the run.
        text = reason(error)
        lifecycle.close_flow_run(home, job.owner, Event.FAIL, text)
        raise RunFailedError(text, begun[-1] if begun else job.run_id) from error
    lifecycle.close_flow_run(home, job.owner, None, "")
    if "waiting" in summary:
        raise RunFailedError(f"waits for people: {summary['waiting']}", begun[-1])
    return summary
