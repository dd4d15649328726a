"""Measures rlhf-flows on trlx's random walks, from 193 comparisons or on the true reward."""

from __future__ import annotations

import argparse
import time

import numpy as np
from measure import EVALUATION_SEED, report, warm_torch

from flows.experiments import presets
from rlhf_core.configuration import load
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.in_process import run

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
    began = time.process_time()
    final = run(experiment)
    cpu_seconds = time.process_time() - began
    environment = experiment.environment
    act = experiment.optimiser.act(final.policy, environment.spaces(), deterministic=False)
    seeds = [EVALUATION_SEED * (options.seed + 1) + episode for episode in range(WALKS)]
    returns = evaluate(environment.make_vector(WALKS), act, seeds).returns
    report(
        peer="rlhf-flows",
        task=f"randomwalks/{options.reward}",
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=final.policy.steps,
        returns=np.asarray(returns).tolist(),
        extra={"labels": sum(m["feedback/labels"] for m in final.history)},
    )


if __name__ == "__main__":
    main()
