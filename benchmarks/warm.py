"""What kept labels are worth: warm policies with a tenth of the labels, beside fresh ones.

For each seed a champion is trained with 200 labels (by another seed), and a challenger goes on from
its policy, reward and labels with 20 new ones. All policies are measured on the same start states.

    python benchmarks/warm.py
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from flows.experiments import presets
from rlhf_core import in_process, stages
from rlhf_core.configuration import override
from rlhf_core.driver import Start
from rlhf_core.experiment import Experiment
from rlhf_core.retraining.trial import Player, environment_of, play_trial

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "warm": {},
    "warm, lower rate": {"optimiser.learning_rate": 5e-4},
    "warm, lower rate, no entropy bonus": {
        "optimiser.learning_rate": 5e-4,
        "optimiser.entropy_coefficient": 0.0,
    },
}
"""Changes to the experiment of a warm challenger."""
CHAMPION = 100
"""Added to a seed: that of its champion."""
START_STATES = 11


def measured(experiment: Experiment, policy: Any, episodes: int) -> np.ndarray:
    """True returns of a policy on the common start states."""
    player = Player(experiment, policy)
    trial = play_trial(player, environment_of(experiment), episodes, START_STATES)
    return trial.evaluation.returns


def row(preset: str, seed: int, labels: int, episodes: int) -> dict[str, np.ndarray]:
    """Returns of all policies of one seed."""
    experiment = presets.load(preset, (), seed)
    few = override(experiment, {"budget.labels": labels})
    former = override(experiment, {"seed": seed + CHAMPION})
    fresh, champion = in_process.run(experiment), in_process.run(former)
    untrained = stages.initial_policy(experiment)
    returns = {
        "untrained": measured(experiment, untrained, episodes),
        "fresh": measured(experiment, fresh.policy, episodes),
        "champion": measured(experiment, champion.policy, episodes),
    }
    # As `rlhf retrain --warm` does: the weights alone, with a new state of the optimiser.
    start = Start(replace(untrained, parameters=champion.policy.parameters), champion.feedback)
    for name, changes in VARIANTS.items():
        chosen = override(few, dict(changes))
        returns[name] = measured(chosen, in_process.run(chosen, start=start).policy, episodes)
    return returns


def main() -> None:
    """Print a table in Markdown, a row a seed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--preset", default="pendulum-preference")
    parser.add_argument("--seeds", type=int, nargs="*", default=range(5))
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=200)
    arguments = parser.parse_args()
    for place, seed in enumerate(arguments.seeds):
        returns = row(arguments.preset, seed, arguments.labels, arguments.episodes)
        if place == 0:
            print("| seed | " + " | ".join(returns) + " |")
            print("|---" * (len(returns) + 1) + "|")
        cells = [f"{values.mean():.1f}" for values in returns.values()]
        print(f"| {seed} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
