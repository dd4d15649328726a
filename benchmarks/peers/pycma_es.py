"""Measures pycma on the CPU seconds its search needs to solve a task of Gymnasium.

The population plays either one by one in Gymnasium, or as one NumPy batch of the same dynamics.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import cma
import gymnasium
import numpy as np
from es_rule import HIDDEN, POPULATION, Act, command_line, search

FIRST_DEVIATION = 0.5
INPUTS = {"CartPole-v1": 4, "Pendulum-v1": 3}
OUTPUTS = {"CartPole-v1": 2, "Pendulum-v1": 1}
Layers = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def unpack(weights: np.ndarray, task: str) -> Layers:
    """Splits weight vectors (one a row) into the two layers of the network."""
    inputs, outputs = INPUTS[task], OUTPUTS[task]
    sizes = (inputs * HIDDEN, HIDDEN, HIDDEN * outputs, outputs)
    first, bias, second, last = np.split(weights, np.cumsum(sizes)[:-1], axis=-1)
    return (
        first.reshape(-1, inputs, HIDDEN),
        bias.reshape(-1, 1, HIDDEN),
        second.reshape(-1, HIDDEN, outputs),
        last.reshape(-1, 1, outputs),
    )


def forward(layers: Layers, observations: np.ndarray) -> np.ndarray:
    """Returns the outputs of each network for its own observation."""
    first, bias, second, last = layers
    hidden = np.tanh(observations[:, None, :] @ first + bias)
    return (hidden @ second + last)[:, 0, :]


def cartpole(weights: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, int]:
    """Plays one episode of CartPole-v1 for each row of weights: returns and steps."""
    layers = unpack(weights, "CartPole-v1")
    state = generator.uniform(-0.05, 0.05, (len(weights), 4))
    returns = np.zeros(len(weights))
    alive = np.arange(len(weights))
    for _ in range(500):
        outputs = forward(layers, state)
        force = np.where(outputs[:, 1] > outputs[:, 0], 10.0, -10.0)
        _, speed, angle, spin = state.T
        cosine, sine = np.cos(angle), np.sin(angle)
        pull = (force + 0.05 * spin**2 * sine) / 1.1
        turn = (9.8 * sine - cosine * pull) / (0.5 * (4.0 / 3.0 - 0.1 * cosine**2 / 1.1))
        push = pull - 0.05 * turn * cosine / 1.1
        state = state + 0.02 * np.stack((speed, push, spin, turn), axis=1)
        returns[alive] += 1.0
        keeps = (np.abs(state[:, 0]) <= 2.4) & (np.abs(state[:, 2]) <= 12 * math.pi / 180)
        if not keeps.all():
            alive, state = alive[keeps], state[keeps]
            layers = tuple(layer[keeps] for layer in layers)
            if not len(alive):
                break
    return returns, int(returns.sum())


def pendulum(weights: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, int]:
    """Plays one episode of Pendulum-v1 for each row of weights: returns and steps."""
    layers = unpack(weights, "Pendulum-v1")
    angle = generator.uniform(-math.pi, math.pi, len(weights))
    spin = generator.uniform(-1.0, 1.0, len(weights))
    returns = np.zeros(len(weights))
    for _ in range(200):
        observations = np.stack((np.cos(angle), np.sin(angle), spin), axis=1)
        torque = np.clip(forward(layers, observations)[:, 0], -2.0, 2.0)
        folded = (angle + math.pi) % (2 * math.pi) - math.pi
        returns -= folded**2 + 0.1 * spin**2 + 0.001 * torque**2
        spin = np.clip(spin + (15.0 * np.sin(angle) + 3.0 * torque) * 0.05, -8.0, 8.0)
        angle = angle + spin * 0.05
    return returns, 200 * len(weights)


BATCHES: dict[str, Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, int]]] = {
    "CartPole-v1": cartpole,
    "Pendulum-v1": pendulum,
}


def actor(weights: np.ndarray, task: str) -> Act:
    """Returns the policy of one weight vector."""
    layers = tuple(layer[0] for layer in unpack(weights, task))

    def act(observation: np.ndarray) -> Any:
        first, bias, second, last = layers
        output = (np.tanh(observation @ first + bias) @ second + last)[0]
        return int(output[1] > output[0]) if task == "CartPole-v1" else output

    return act


def one_by_one(
    task: str, seed: int
) -> Callable[[np.ndarray, np.random.Generator], tuple[np.ndarray, int]]:
    """Returns a function that plays one Gymnasium episode for each row of weights."""
    environment = gymnasium.make(task)
    environment.reset(seed=seed)

    def play(weights: np.ndarray, _: np.random.Generator) -> tuple[np.ndarray, int]:
        returns, steps = np.zeros(len(weights)), 0
        for row, weight in enumerate(weights):
            act = actor(weight, task)
            observation, _ = environment.reset()
            over = False
            while not over:
                observation, reward, terminated, truncated, _ = environment.step(act(observation))
                returns[row] += float(reward)
                steps += 1
                over = terminated or truncated
        return returns, steps

    return play


def main() -> None:
    """Reads the command line, searches and prints the result."""
    import_cpu_seconds = time.process_time()
    parser = command_line(__doc__)
    parser.add_argument("--batched", action="store_true", help="the population as one NumPy batch")
    options = parser.parse_args()
    inputs, outputs = INPUTS[options.task], OUTPUTS[options.task]
    size = (inputs + 1) * HIDDEN + (HIDDEN + 1) * outputs

    def build() -> tuple[Callable[[], None], Callable[[], Act], Callable[[], int]]:
        generator = np.random.default_rng(options.seed)
        # pycma takes the seed 0 as a wish for the time of day.
        settings = {"popsize": POPULATION, "seed": options.seed + 1, "verbose": -9}
        strategy = cma.CMAEvolutionStrategy(np.zeros(size), FIRST_DEVIATION, settings)
        play = BATCHES[options.task] if options.batched else one_by_one(options.task, options.seed)
        steps = 0

        def generation() -> None:
            nonlocal steps
            candidates = strategy.ask()
            returns, used = play(np.asarray(candidates), generator)
            strategy.tell(candidates, list(-returns))
            steps += used

        return generation, lambda: actor(strategy.mean, options.task), lambda: steps

    search(
        peer="pycma",
        label="cmaes-batched" if options.batched else "cmaes",
        options=options,
        import_cpu_seconds=import_cpu_seconds,
        build=build,
    )


if __name__ == "__main__":
    main()
