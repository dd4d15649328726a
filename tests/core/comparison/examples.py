"""A simulated comparison with everything that a report can show."""

import numpy as np
import pandas as pd

from rlhf_core.comparison import Comparison, compare

LEVELS = {
    "preference": -143.0,
    "direct_reward": -166.0,
    "inverse_rl": -240.0,
    "mixed": -158.0,
    "true_reward": -130.0,
    "constant": -1500.0,
}
REASON = "BrokenEnvironmentError: the environment raised ValueError('<b>') at step 1,204"
ROUNDS = 20


def frames(
    tasks: tuple[str, ...] = ("pendulum",), seeds: int = 5
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Twelve cells of six strategies and two optimisers; two runs of one cell have failed."""
    rng = np.random.default_rng(0)
    runs, rounds = [], []
    for task in tasks:
        for strategy, level in LEVELS.items():
            for optimiser, loss in (("ppo", 0.0), ("pgpe", 25.0)):
                for seed in range(seeds):
                    asks = strategy not in ("true_reward", "constant")
                    first = rng.normal(-1450, 60)
                    last = level - loss + rng.normal(0, 12)
                    failed = (strategy, optimiser) == ("mixed", "pgpe") and seed in (1, 3)
                    key = {"task": task, "cell": f"{strategy}-{optimiser}", "seed": seed}
                    runs.append(
                        {
                            **key,
                            "true_return": np.nan if failed else last,
                            "status": "failed" if failed else "finished",
                            "reason": REASON if failed else "",
                            "strategy": strategy,
                            "optimiser": optimiser,
                            "labels": 200 if asks else 0,
                            "cost": 20.0 if asks else 0.0,
                            "env_steps": 50_000,
                            "seconds": rng.uniform(40, 50),
                            "alarms": int(seed == 2 and strategy == "mixed"),
                            "heldout_accuracy": 0.9 if asks else np.nan,
                            "proxy_correlation": 0.8 if asks else np.nan,
                            "first_return": first,
                        }
                    )
                    share = 1 - np.exp(-np.arange(1, ROUNDS + 1) / 4)
                    rounds += [
                        {
                            **key,
                            "env_steps": 2500 * (index + 1),
                            "labels": min(200, 20 * (index + 1)) if asks else 0,
                            "cost": 2.0 * min(10, index + 1) if asks else 0.0,
                            "true_return": first + (last - first) * share[index],
                            "proxy_return": share[index] if asks else np.nan,
                            "heldout_accuracy": 0.6 + 0.3 * share[index] if asks else np.nan,
                            "proxy_correlation": 0.8 * share[index] if asks else np.nan,
                        }
                        for index in range(ROUNDS)
                    ]
    return pd.DataFrame(runs), pd.DataFrame(rounds)


def example(tasks: tuple[str, ...] = ("pendulum",)) -> Comparison:
    """Comparison of `frames`."""
    return compare(*frames(tasks), name="ways of asking")
