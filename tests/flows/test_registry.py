"""The last line of defence before a policy is served."""

import numpy as np
import pytest

from rlhf_core.errors import DivergedError
from rlhf_core.policies import PolicyState
from tasks.tracking.registry import register
from tasks.tracking.store import Tracker
from tests.core.examples import tiny


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_nothing_that_is_not_finite_is_registered(number: float) -> None:
    policy = PolicyState({"weight": np.array([1.0, number])}, {})
    told = r"registered model 'tiny': .*: 1 of the 2 of 'weight' .*; nothing was registered"
    with pytest.raises(DivergedError, match=told):
        register(Tracker("sqlite:////nowhere.db"), "run", tiny(), policy, {})
