"""The first rollouts; later ones come from the optimiser."""

from dataclasses import replace

from rlhf_core import stages
from rlhf_core.store import Ref
from rlhf_core.types import Metrics
from tasks.stage import Work, stage


@stage
def collect(work: Work) -> tuple[dict[str, Ref], Metrics]:
    """Make the untrained policy and play it."""
    experiment = work.run.experiment
    policy = work.time(stages.start, experiment)
    rollouts, rewards = work.time(stages.collect, experiment, policy)
    policy = replace(policy, steps=rollouts.steps)
    return work.save(
        {"policy/steps": float(policy.steps)},
        policy=policy,
        rollouts=rollouts,
        rewards=rewards,
        feedback=experiment.feedback.start(experiment.environment),
    )
