"""Shares of a stage's work, given to the engine that the flow was started with."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from rlhf_core.executor import Done, Job, Spread, end_with_parent


def flow_spread() -> Spread | None:
    """Where the flow's task runner works, if it is one of processes or machines.

    None with Prefect's own threads, which would take turns on one core: the optimiser then starts
    processes by itself.
    """
    context = FlowRunContext.get()
    if context is None or isinstance(context.task_runner, ThreadPoolTaskRunner):
        return None
    bound = isinstance(context.task_runner, ProcessPoolTaskRunner)

    def spread(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        # As bytes: Prefect would look for futures in every field of a job.
        futures = [share.submit(cloudpickle.dumps((function, job)), bound) for job in jobs]
        return [future.result() for future in futures]

    return spread


_bound: list[int] = []


@task(name="share", cache_policy=NO_CACHE, persist_result=False)
def share(work: bytes, bound: bool) -> Any:
    """Do one part of a stage's work.

    Args:
        work: function and job.
        bound: this process shall end with the one that started it. Dask and Ray see to that.
    """
    if bound and not _bound:
        _bound.append(os.getppid())
        end_with_parent(_bound[0])
    function, job = cloudpickle.loads(work)
    return function(job)
