"""sb3-contrib, where it is installed and where it is not."""

import numpy as np
import pytest

from rlhf_core.environments import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.experiment import Experiment
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.optimisers.sb3_ars import SB3ARS
from rlhf_core.rewards import EnvironmentReward
from tests.core.examples import HERE

DRIFT = Environment(id=f"{HERE}:Drift-v0", count=2)


@pytest.mark.parametrize("kind", ["trpo", "recurrent_ppo", "sb3_ars"])
def test_without_the_package_the_extra_is_named(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlhf_core.stable_baselines.contrib.find_spec", lambda name: None)
    optimiser = OPTIMISERS.get(kind)()
    experiment = Experiment(
        name="missing", environment=DRIFT.model_copy(update={"count": 8}), optimiser=optimiser
    )
    found = DRIFT.spaces()

    def learn() -> None:
        optimiser.optimise(optimiser.initial(found, 0), DRIFT, EnvironmentReward(), 256, 256, 0)

    for use in (experiment.check, learn):
        with pytest.raises(ConfigurationError, match=r"pip install 'rlhf-flows\[contrib\]'"):
            use()


def test_the_step_of_sb3_ars_is_that_of_the_paper() -> None:
    settings = SB3ARS(population=6, best=2, deviation=0.1, learning_rate=0.5)
    state = settings.start(np.array([1.0, -1.0]))
    population = settings.ask(state, np.random.default_rng(0))
    members = population.members
    again = settings.ask(state, np.random.default_rng(0)).members
    np.testing.assert_array_equal(members, again)
    noise = (members[:3] - [1.0, -1.0]) / 0.1
    np.testing.assert_allclose(members[3:], [1.0, -1.0] - 0.1 * noise)
    # The better one of a pair: 3, 9, 5. The last two are used.
    fitness = np.array([3.0, 9.0, 1.0, 2.0, 4.0, 5.0])
    after = settings.tell(state, population, fitness)
    std = np.std([9.0, 1.0, 4.0, 5.0], ddof=1)
    step = (9 - 4) * noise[1] + (1 - 5) * noise[2]
    np.testing.assert_allclose(after.mean, [1.0, -1.0] + 0.5 / (2 * std) * step, rtol=1e-5)
