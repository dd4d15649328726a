"""Measures rlhf-flows on trlx's random walks, from 193 comparisons or on the true reward."""

from __future__ import annotations

import argparse
import time

import ours
from measure import report, warm_torch

from flows.experiments import presets
from rlhf_core.configuration import load

WALKS = 200


def main() -> None:
    """Reads the command line, learns, evaluates and prints the result."""
    warm_torch()
    import transformers  # noqa: F401 - an import, not learning

    import_cpu_seconds = time.process_time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reward", choices=["learned", "true"], default="learned")
    options = parser.parse_args()

    lines = [f"seed={options.seed}", "evaluation.episodes=1"]
    if options.reward == "true":
        lines += ["feedback.kind=true_reward", "optimiser.kl_coefficient=0"]
    experiment = load(presets.find("randomwalks-preferences"), lines)
    final, cpu_seconds = ours.timed(experiment)
    report(
        peer="rlhf-flows",
        task=f"randomwalks/{options.reward}",
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=final.policy.steps,
        returns=ours.returns(experiment, final, WALKS, deterministic=False),
        extra={"labels": sum(m["feedback/labels"] for m in final.history)},
    )


if __name__ == "__main__":
    main()
