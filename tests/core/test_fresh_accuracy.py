"""Which labels count as fresh, and by how much: a reward is measured on them before its fit."""

from dataclasses import replace

import numpy as np
import pytest

from rlhf_core.in_process import run
from rlhf_core.labels import RatingLabels
from rlhf_core.rewards.accuracy import ordered_correctly
from rlhf_core.rewards.model import RewardModel
from rlhf_core.rewards.network import initial
from tests.core.examples import LINE, ratings, segments, terms, tiny


def test_an_order_of_two_ratings_weighs_as_much_as_the_lighter_one() -> None:
    clips = segments([[0.0], [1.0], [2.0]])
    model = RewardModel(hidden=(), members=1, inputs=("observation",))
    ensemble = initial(model, LINE, clips, np.random.default_rng(0))
    # The reward of a step is its observation, so clip 2 is predicted to be the best one.
    line = {"weight_0": np.ones((1, 1, 1), np.float32), "bias_0": np.zeros((1, 1, 1), np.float32)}
    ensemble = replace(ensemble, state=replace(ensemble.state, parameters=line))
    rated = ratings([0, 1, 2], [1, 3, 2])

    def counted(*weight: float) -> tuple[float, float]:
        made = {"rating": RatingLabels(rated, np.array(weight))}
        return ordered_correctly(ensemble, clips, terms(made, clips))

    # Question 1 states clip 1 above clip 0 (right, weight min(1/2, 1)) and above clip 2 (wrong,
    # min(1/2, 1/4)): 1/2 of 3/4 is right. Question 2 states clip 2 above clip 0: right.
    # A question of ratings is half a trial: (2/3 + 1) / 2.
    correct, trials = counted(1.0, 0.5, 0.25)
    assert trials == 1
    assert correct == pytest.approx((2 / 3 + 1) / 2)
    # A rating that weighs nothing orders nothing, whatever the other one weighs.
    assert counted(1.0, 0.0, 0.0) == (0, 0)


@pytest.mark.parametrize(("audit", "fresh"), [(0.0, 4), (0.25, 1), (0.5, 2), (1.0, 4)])
def test_clips_that_the_expert_brought_are_not_fresh(audit: float, fresh: int) -> None:
    # The expert answers each question with a clip of its own, put before the two clips of it. With
    # an audit the fresh labels are those of the audited questions; the expert's clips, which
    # belong to no audit, must not add the other answers.
    experiment = tiny(
        annotator={"kind": "expert", "env_steps": 16, "episodes": 4},
        feedback={
            "kind": "preference",
            "segment_steps": 4,
            "audit": audit,
            "queries": {"kind": "uniform"},
            "reward_model": {"hidden": [8], "members": 2, "epochs": 3},
        },
        budget={
            "env_steps": 80, "labels": 8, "rounds": 2, "initial_steps": 16,
            "label_schedule": "constant",
        },
    )  # fmt: skip
    done = run(experiment)
    assert done.history[1]["feedback/labels"] == 4
    assert done.history[1]["reward/fresh_pairs"] == fresh
