"""The last line of defence before a policy is served."""

from pathlib import Path

import numpy as np
import pytest

from rlhf_core.errors import DivergedError
from rlhf_core.feedback import FEEDBACK
from rlhf_core.policies import PolicyState
from tasks.tracking import records
from tasks.tracking.registry import register
from tasks.tracking.store import Tracker
from tests.core.examples import tiny


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nothing_that_is_not_finite_is_registered(number: float) -> None:
    policy = PolicyState({"weight": np.array([1.0, number])}, {})
    told = (
        r"registered model '.*-Corridor-v0': .*: 1 of the 2 of 'weight' .*; nothing was registered"
    )
    with pytest.raises(DivergedError, match=told):
        register(Tracker("sqlite:////nowhere.db"), "run", tiny(), policy, {}, "cell")


@pytest.mark.filterwarnings("ignore:.*input example was not provided:UserWarning")
@pytest.mark.parametrize("kind", ["preference", "shuffled_labels"])
def test_a_policy_is_registered_once_and_that_of_a_null_control_is_logged_alone(
    kind: str, tmp_path: Path
) -> None:
    (tmp_path / "mlflow.db").touch()
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db", tmp_path.as_uri())
    client = tracker.client()
    run_id = records.create(tracker, "Corridor", "run", {}, {})
    experiment = tiny(feedback={"kind": kind, "segment_steps": 4})
    policy = PolicyState({"weight": np.ones(2)}, {}, 7)
    found = [
        register(tracker, run_id, experiment, policy, {"eval/true_return_iqm": 3.0}, "cell")
        for _ in range(2)
    ]
    assert found[0] == found[1]
    (model,) = client.search_logged_models([client.get_run(run_id).info.experiment_id])
    assert model.status == "READY"
    names = [model.name for model in client.search_registered_models()]
    if kind == "preference":
        assert names == ["tests.core.environments-Corridor-v0"]
        assert found[0] == f"models:/{names[0]}/1"
    else:
        assert names == []
        assert found[0] == f"models:/{model.model_id}"


def test_null_controls_are_those_whose_reward_is_wrong_on_purpose() -> None:
    controls = {kind for kind, plugin in FEEDBACK.kinds().items() if plugin.null_control}
    assert controls == {"constant", "random_network", "shuffled_labels", "sign_flipped"}
