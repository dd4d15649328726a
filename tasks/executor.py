"""An executor that runs the jobs of a stage on the flow's task runner."""

import os
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.task_runners import ProcessPoolTaskRunner, ThreadPoolTaskRunner

from rlhf_core.executor import Done, Executor, Job, end_with_parent


def flow_executor() -> Executor | None:
    """Return an executor on the flow's task runner, if that runs processes or machines.

    Prefect's threads would share one core: with them the result is None, and the optimiser starts
    processes itself.
    """
    context = FlowRunContext.get()
    if context is None or isinstance(context.task_runner, ThreadPoolTaskRunner):
        return None
    bound = isinstance(context.task_runner, ProcessPoolTaskRunner)

    def execute(function: Callable[[Job], Done], jobs: Sequence[Job], /) -> list[Done]:
        # As bytes: Prefect would look for futures in every field of a job.
        futures = [run_job.submit(cloudpickle.dumps((function, job)), bound) for job in jobs]
        return [future.result() for future in futures]

    return execute


_bound: list[int] = []


@task(name="run_job", cache_policy=NO_CACHE, persist_result=False)
def run_job(work: bytes, bound: bool) -> Any:
    """Run one job of a stage.

    Args:
        work: function and job, pickled.
        bound: whether this process must end with its parent; Dask and Ray end theirs themselves.
    """
    if bound and not _bound:
        _bound.append(os.getppid())
        end_with_parent(_bound[0])
    function, job = cloudpickle.loads(work)
    return function(job)
