"""How often the gate of retraining promotes a policy that is not better, by simulation.

    python benchmarks/gate.py [--gates 2000]

Champion and challenger have returns of the same distribution: what a start state does to both, and
noise of each. Columns `p = ...` are the shares of first looks that promote; `ten looks` lets ten
equal challengers in a row come before one champion at p = 0.9, and counts the champions that are
dethroned. `power` is the share of promotions at p = 0.9 of a challenger that is better by half, and
`drift` the share of unchanged environments that are called drifted.
"""

import argparse
from collections.abc import Callable

import numpy as np

from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.retraining.gate import Decision, Gate, Outcome
from rlhf_core.retraining.guards import Candidate
from rlhf_core.retraining.looks import level_of_look
from rlhf_core.retraining.trial import Trial

Noise = Callable[[np.random.Generator, int], np.ndarray]
NOISES: dict[str, Noise] = {
    "normal": lambda rng, n: rng.normal(0, 1, n),
    "skewed": lambda rng, n: -rng.exponential(1, n),
    "heavy": lambda rng, n: rng.standard_t(3, n),
    "failing": lambda rng, n: rng.normal(0, 0.3, n) - 10 * (rng.random(n) < 0.1),
}
"""What a policy's returns vary by on one start state; the last one fails on a tenth of them."""
COMMON = 2.0
"""Standard deviation of what a start state does to both."""


def trial(rng: np.random.Generator, returns: np.ndarray) -> Trial:
    """These returns, with observations of one distribution."""
    lengths = np.full(len(returns), 100)
    return Trial(Evaluation(returns, lengths), rng.normal(size=(len(returns), 3)))


def decide(rng: np.random.Generator, noise: Noise, gate: Gate, look: int, gain: float) -> Decision:
    """One gate between policies that differ by `gain`."""
    count = gate.episodes
    common = rng.normal(0, COMMON, count)
    champion = Candidate(trial(rng, common + noise(rng, count)))
    challenger = Candidate(trial(rng, common + noise(rng, count) + gain))
    recorded = trial(rng, rng.normal(0, COMMON, count) + noise(rng, count))
    return gate.judge(challenger, champion, recorded, look, rng)


def promoted(decision: Decision, probability: float) -> bool:
    """Whether a first look promotes at this p."""
    is_better = decision.metrics["gate/probability"] >= 1 - level_of_look(1 - probability, 1)
    return is_better and decision.outcome is not Outcome.DRIFTED


def dethroned(rng: np.random.Generator, noise: Noise, gate: Gate) -> bool:
    """Whether one of ten equal challengers is promoted."""
    return any(
        decide(rng, noise, gate, look, 0.0).outcome is Outcome.PROMOTED for look in range(1, 11)
    )


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gates", type=int, default=2000)
    gates = parser.parse_args().gates
    print("| episodes | returns | p = 0.9 | p = 0.95 | ten looks | power | drift |")
    print("|---|---|---|---|---|---|---|")
    for episodes in (40, 200):
        gate = Gate(episodes=episodes)
        for name, noise in NOISES.items():
            rng = np.random.default_rng(0)
            equal = [decide(rng, noise, gate, 1, 0.0) for _ in range(gates)]
            better = [decide(rng, noise, gate, 1, 0.5) for _ in range(gates // 10)]
            row = (
                np.mean([promoted(decision, 0.9) for decision in equal]),
                np.mean([promoted(decision, 0.95) for decision in equal]),
                np.mean([dethroned(rng, noise, gate) for _ in range(gates // 10)]),
                np.mean([promoted(decision, 0.9) for decision in better]),
                np.mean([decision.outcome is Outcome.DRIFTED for decision in equal]),
            )
            shares = " | ".join(f"{share:.1%}" for share in row)
            print(f"| {episodes} | {name} | {shares} |", flush=True)


if __name__ == "__main__":
    main()
