"""The policy of a finished run measured in every physics, on the record of the run."""

import time

from prefect import task
from prefect.cache_policies import NO_CACHE

from rlhf_core.generalisation.measuring import Measured, measure
from rlhf_core.generalisation.study import Generalisation
from rlhf_core.threads import limited
from tasks.home import Home
from tasks.runs import snapshots
from tasks.tracking.logging import log_metrics
from tasks.tracking.store import tracker_of


@task(name="generalise", cache_policy=NO_CACHE, persist_result=False)
def measure_run(home: Home, run_id: str, study: Generalisation) -> dict[str, Measured]:
    """Measure the policy of a run's last round; returns what it reached by the name of the physics.

    Raises:
        RunError: the run is no longer in the store.
    """
    last = snapshots.read(home, run_id)
    with limited(last.experiment.threads):
        measured = {
            name: measure(last.experiment, last.policy, physics, study.success, study.episodes)
            for name, physics in study.physics.items()
        }
    metrics = {
        f"generalisation/{name}_{quantity}": value
        for name, one in measured.items()
        for quantity, value in (
            ("success_rate", one.success_rate),
            ("return_mean", one.mean_return),
        )
    }
    log_metrics(tracker_of(home), run_id, metrics, last.policy.steps, int(time.time() * 1000))
    return measured
