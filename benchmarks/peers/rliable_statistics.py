"""Statistics of rliable on random scores, stored as an oracle for `rlhf_core.comparison`.

python -m venv /tmp/rliable && /tmp/rliable/bin/pip install rliable==1.2.0 'pandas<3'
/tmp/rliable/bin/python benchmarks/peers/rliable_statistics.py > tests/core/data/rliable.json
"""

import json

import numpy as np
from rliable import library, metrics


def main() -> None:
    """Print scores and what rliable makes of them."""
    rng = np.random.default_rng(0)
    cases = []
    for runs, tasks in ((3, 1), (5, 1), (10, 1), (5, 4), (10, 3), (7, 2)):
        first = np.round(rng.normal(0.8, 0.5, size=(runs, tasks)), 3)
        second = np.round(rng.normal(0.6, 0.7, size=(runs, tasks)), 1)
        first[0] = second[0]  # a tie in each task
        thresholds = np.linspace(-0.5, 1.5, 9)
        profiles, _ = library.create_performance_profile(
            {"first": first}, thresholds, reps=10, use_score_distribution=True
        )
        points, intervals = library.get_interval_estimates(
            {"first": first},
            lambda scores: np.array([metrics.aggregate_iqm(scores)]),
            reps=20_000,
            random_state=np.random.RandomState(1),
        )
        cases.append(
            {
                "first": first.tolist(),
                "second": second.tolist(),
                "thresholds": thresholds.tolist(),
                "iqm": float(metrics.aggregate_iqm(first)),
                "optimality_gap": float(metrics.aggregate_optimality_gap(first)),
                "improvement": float(metrics.probability_of_improvement(first, second)),
                "profile": profiles["first"].tolist(),
                "bootstrap_iqm": float(points["first"][0]),
                "bootstrap_interval": intervals["first"].ravel().tolist(),
            }
        )
    print(json.dumps({"rliable": "1.2.0", "cases": cases}, indent=1))


if __name__ == "__main__":
    main()
