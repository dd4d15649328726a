"""Measures evotorch on the CPU seconds its search needs to solve a task of Gymnasium."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
import torch
from es_rule import HIDDEN, POPULATION, Act, command_line, search
from evotorch.algorithms import PGPE, SNES
from evotorch.neuroevolution import GymNE
from evotorch.tools.misc import set_default_logger_config

MAX_SPEED = 0.15
RADIUS = 15 * MAX_SPEED


def pgpe(problem: GymNE) -> PGPE:
    """Returns PGPE with ClipUp and the settings of evotorch's own CartPole-v1 example."""
    return PGPE(
        problem,
        popsize=POPULATION,
        radius_init=RADIUS,
        center_learning_rate=0.75 * MAX_SPEED,
        stdev_learning_rate=0.1,
        optimizer="clipup",
        optimizer_config={"max_speed": MAX_SPEED},
    )


def snes(problem: GymNE) -> SNES:
    """Returns SNES with its own settings and the same first radius."""
    return SNES(problem, popsize=POPULATION, radius_init=RADIUS)


METHODS: dict[str, Callable[[GymNE], Any]] = {"pgpe": pgpe, "snes": snes}


def main() -> None:
    """Reads the command line, searches and prints the result."""
    set_default_logger_config(logger_level=logging.WARNING, override=True)
    torch.set_num_threads(1)
    import_cpu_seconds = time.process_time()
    parser = command_line(__doc__)
    parser.add_argument("--method", choices=sorted(METHODS), default="pgpe")
    options = parser.parse_args()

    def build() -> tuple[Callable[[], None], Callable[[], Act], Callable[[], int]]:
        def make() -> gymnasium.Env[Any, Any]:
            environment = gymnasium.make(options.task)
            environment.reset(seed=options.seed)
            return environment

        torch.manual_seed(options.seed)
        problem = GymNE(
            make,
            f"Linear(obs_length, {HIDDEN}) >> Tanh() >> Linear({HIDDEN}, act_length)",
            observation_normalization=True,
        )
        problem.manual_seed(options.seed)
        searcher = METHODS[options.method](problem)

        def policy() -> Act:
            network = problem.to_policy(searcher.status["center"])

            def act(observation: np.ndarray) -> Any:
                with torch.no_grad():
                    output = network(torch.as_tensor(observation, dtype=torch.float32)).numpy()
                return int(output.argmax()) if options.task == "CartPole-v1" else output

            return act

        return searcher.step, policy, lambda: problem.interaction_count

    search(
        peer="evotorch",
        label=options.method,
        options=options,
        import_cpu_seconds=import_cpu_seconds,
        build=build,
    )


if __name__ == "__main__":
    main()
