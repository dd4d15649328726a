"""Measures evolution strategies of rlhf-flows on the CPU seconds until they solve a task."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from es_rule import Act, command_line, search

from rlhf_core.environments import GymEnv
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.rewards import EnvironmentReward

FIELDS: dict[str, dict[str, dict[str, Any]]] = {
    "CartPole-v1": {"ars": {}, "openai_es": {}, "pgpe": {}, "cma_es": {}},
    "Pendulum-v1": {
        "pgpe": {"population": 64, "episodes": 16, "hidden": (16,)},
        "cma_es": {"population": 64, "episodes": 16, "hidden": (16,)},
    },
}
"""What differs from the defaults."""


def main() -> None:
    """Reads the command line, searches and prints the result."""
    for method in FIELDS["CartPole-v1"]:
        OPTIMISERS.get(method)  # Imports it.
    import_cpu_seconds = time.process_time()
    parser: argparse.ArgumentParser = command_line(__doc__)
    parser.add_argument("--method", default="pgpe")
    options = parser.parse_args()
    fields = FIELDS[options.task].get(options.method)
    if fields is None:
        parser.error(f"--method: expected one of {', '.join(FIELDS[options.task])}")

    def build() -> tuple[Callable[[], None], Callable[[], Act], Callable[[], int]]:
        optimiser = OPTIMISERS.get(options.method)(**fields)
        environment = GymEnv(options.task)
        spaces = environment.spaces()
        state = optimiser.initial(spaces, options.seed)
        steps = optimiser.rollout_steps(environment)
        generations = 0

        def generation() -> None:
            nonlocal state, generations
            seed = int(np.random.SeedSequence([options.seed, generations]).generate_state(1)[0])
            paid = EnvironmentReward()
            state = optimiser.optimise(state, environment, paid, steps, 10**9, seed).state
            generations += 1

        def policy() -> Act:
            act = optimiser.act(state, spaces, deterministic=True)
            return lambda observation: act(observation[None])[0]

        return generation, policy, lambda: state.steps

    search(
        peer="rlhf-flows",
        label=options.method,
        options=options,
        import_cpu_seconds=import_cpu_seconds,
        build=build,
    )


if __name__ == "__main__":
    main()
