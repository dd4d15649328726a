"""Names of the tags of MLflow's runs and experiments, each in one place."""

import re

from rlhf_core.experiment import NAME

PROJECT_TAG = "rlhf.project"
PROJECT = "rlhf-flows"
"""Its value."""
KIND_TAG = "rlhf.kind"
"""What a record of MLflow is: `run`, `comparison`, or `cell`, a summary of runs
(`tasks.tracking.summaries`)."""
CELL_TAG = "rlhf.cell"
"""What a run has in common with those of other seeds."""
ENVIRONMENT_TAG = "environment"
"""Id of a run's environment."""
HOME_TAG = "rlhf.home"
"""Digest of the machine and folder of the home whose leases tell who works on a run."""
FLOW_TAG = "rlhf.flow_run_id"
"""Of Prefect."""
ALIVE_TAG = "rlhf.alive"
"""When a run was last known to be played (Unix, s)."""
REASON_TAG = "rlhf.reason"
"""Why a run did not finish."""
CONFIGURATION_TAG = "rlhf.configuration"
"""Digest of the experiment in the store: what a resume reads."""
CONTENT_TAG = "rlhf.content"
"""Digest of all that decides the run's numbers: another run of the same digest is this one."""
GROUP_TAG = "rlhf.group"
"""The comparison that a run was played for."""
COMPARISON_TAG = "rlhf.comparison"
"""Of a summary run: its comparison. Of an experiment: the comparison whose view is the newest."""
MEMBER = "member"
"""Value of the tags that say of which comparisons a run is a part (`membership`)."""
SUMMARY_TAG = "rlhf.summary"
"""Digest of what a summary run was written from."""
VIEWS_TAG = "rlhf.views"
"""Versions of the views that an experiment has, as JSON."""
TASK_TAG = "rlhf.environment"
"""Of an experiment: the id of its environment."""
GUARD_TAG = "rlhf.guard"
"""With a number of a round behind it: an alarm of the guard."""
ENDED_TAG = "rlhf.asking_ended"
"""Why fewer labels were asked for than the budget allows."""
RETRAIN_TAG = "rlhf.retrain"
"""Of a run that a retraining trained: the registered model whose champion it challenges."""
FROM_TAG = "rlhf.from"
"""The round of an earlier run that a run goes on from, as `RUN_ID@ROUND`."""
TAKE_TAG = "rlhf.take"
"""What it took over: some of policy, reward and labels."""
SEED_POLICY_TAG = "rlhf.seed_policy"
"""Where the seed of a run is from: `fixed`, as it was written; `fresh`, of the scheduled time."""
PEOPLE_TAG = "rlhf.people"
"""Link by which people join to answer a run's questions."""
SCHEDULE_TAG = "rlhf.schedule"
"""The schedule, or other deployment of Prefect, that a run was started by."""
PARENT_TAG = "mlflow.parentRunId"
COLOUR_TAG = "mlflow.runColor"
NOTE_TAG = "mlflow.note.content"
"""MLflow shows its value as the description."""
USER_TAG = "mlflow.user"
SOURCE_TAG = "mlflow.source.name"
VIEW_TAG = "mlflow.sharedViewState."
"""With an id behind it: a saved view."""
LONGEST_NAME = 100
"""Characters of a comparison's name."""


def membership(comparison: str) -> dict[str, str]:
    """The tag of a run that is a part of a comparison; a run may be a part of several.

    Empty for a text that cannot name a comparison, which MLflow might not take in a tag's name.
    """
    if len(comparison) > LONGEST_NAME or not re.fullmatch(NAME, comparison):
        return {}
    return {f"{COMPARISON_TAG}.{comparison}": MEMBER}
