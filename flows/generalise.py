"""The flow of a study of generalisation: train in every physics, measure in every physics."""

from typing import Any

import numpy as np
from prefect import flow

from flows.compare import compare
from flows.comparison import plan
from flows.flow_run import rename, schedule_name
from flows.notices import silent, tell_finished
from flows.services.ready import ready
from flows.train import close
from rlhf_core.errors import RunError
from rlhf_core.generalisation.protocol import Rates
from rlhf_core.generalisation.study import Generalisation
from rlhf_core.generalisation.table import as_markdown
from tasks.generalisation import measure_run
from tasks.home import Home
from tasks.tracking.logging import log_files
from tasks.tracking.store import tracker_of

FILE = "generalisation.md"


@flow(
    name="generalise",
    on_completion=[close],
    on_failure=[close],
    on_crashed=[close],
    on_cancellation=[close],
    persist_result=False,
)
def generalise(
    study: Generalisation, workers: int | None = None, runner: str = "processes"
) -> dict[str, Any]:
    """Train in every physics and measure each policy in all of them.

    Runs that are finished are not played again.

    Args:
        study: what is trained, in which physics, and when an episode counts.
        workers: runs that are played at the same time; None: as many as the runner plays.
        runner: where they are played, as in `flows.compare`.

    Returns:
        The result, as `rlhf generalise --json` prints it.
    """
    home = Home()
    ready(home)
    rename(study.name)
    cells = {cell.label: cell for cell in plan.cells(study.matrix)}
    with silent():
        compared = compare(study.matrix, workers=workers, runner=runner)
    if compared["failed"]:
        first = compared["failed"][0]
        raise RunError(
            f"{len(compared['failed'])} runs failed, the first {first['cell']} with seed "
            f"{first['seed']}: {first['reason']}; run the command again to play them again"
        )
    rates: dict[str, dict[tuple[str, str], dict[int, float]]] = {}
    for run in compared["runs"]:
        cell = cells.get(f"{run['task']}/{run['cell']}")
        if cell is None:
            continue  # Of an earlier, larger study of this name.
        method, trained_in = study.method(cell), study.trained_in(cell)
        for name, measured in measure_run(home, run["run_id"], study).items():
            seeds = rates.setdefault(method, {}).setdefault((trained_in, name), {})
            seeds[run["seed"]] = measured.success_rate
    by_seed: dict[str, Rates] = {
        method: {pair: np.array([seeds[s] for s in sorted(seeds)]) for pair, seeds in pairs.items()}
        for method, pairs in rates.items()
    }
    text = as_markdown(study, by_seed)
    log_files(tracker_of(home), compared["run_id"], {FILE: text.encode()})
    result = {
        "name": study.name,
        "run_id": compared["run_id"],
        "rates": [
            {
                "method": method,
                "trained_in": trained_in,
                "measured_in": measured_in,
                "success_rates": values.tolist(),
            }
            for method, pairs in by_seed.items()
            for (trained_in, measured_in), values in pairs.items()
        ],
        "text": text,
    }
    tell_finished(home, "generalise", result, schedule_name())
    return result
