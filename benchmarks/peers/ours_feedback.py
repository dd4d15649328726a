"""Measures rlhf-flows with its presets: preferences on Pendulum-v1, imitation on CartPole."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import ours
from measure import EPISODES, report, warm_torch

from flows.experiments import presets
from rlhf_core.configuration import load
from rlhf_core.packing import pack
from rlhf_core.types import Rollouts, Trajectory

ROLLOUT = 2048
STEPS = {"gail": 200_000, "airl": 300_000}


def recording(path: Path, count: int) -> bytes:
    """Returns the first episodes that make_demonstrations.py wrote, as `Agent.record` would."""
    with np.load(path) as arrays:
        episodes = zip(arrays["obs"][:count], arrays["acts"][:count], strict=True)
        found = [Trajectory(acts, obs, False, True, policy_version=0) for obs, acts in episodes]
    return pack(Rollouts(tuple(found)))


def changes(options: argparse.Namespace, folder: Path) -> tuple[str, tuple[str, ...]]:
    """Returns the preset and what differs from it."""
    if options.method == "preferences":
        return "pendulum-preference", ()
    shown = folder / "demonstrations.safetensors"
    shown.write_bytes(recording(options.demonstrations, options.count))
    lines = [
        f"annotator.recording={shown}",
        f"feedback.demonstrations={options.count}",
        f"budget.labels={options.count}",
    ]
    if options.method == "bc":
        lines += [
            "feedback.method=behaviour_cloning",
            "budget.env_steps=4096",
        ]
    else:
        steps = STEPS[options.method] // ROLLOUT * ROLLOUT
        lines += [f"feedback.method={options.method}", f"budget.env_steps={steps}"]
        if options.method == "airl":
            lines.append("feedback.discriminator.updates=16")
    return "cartpole-imitation", tuple(lines)


def main() -> None:
    """Reads the command line, learns, evaluates and prints the result."""
    warm_torch()
    import_cpu_seconds = time.process_time()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", choices=["preferences", *STEPS, "bc"], default="preferences")
    parser.add_argument("--demonstrations", type=Path, help="written by make_demonstrations.py")
    parser.add_argument("--count", type=int, default=64, help="episodes to learn from")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        preset, lines = changes(options, Path(folder))
        lines = (*lines, f"seed={options.seed}", "evaluation.episodes=1")
        experiment = load(presets.find(preset), lines)
        final, cpu_seconds = ours.timed(experiment)
    task = "Pendulum-v1" if preset.startswith("pendulum") else "seals/CartPole-v0"
    extra = {} if task == "Pendulum-v1" else {"demonstrations": options.count}
    report(
        peer="rlhf-flows",
        task=f"{task}/{options.method}",
        seed=options.seed,
        cpu_seconds=cpu_seconds,
        import_cpu_seconds=import_cpu_seconds,
        env_steps=final.policy.steps,
        returns=ours.returns(experiment, final, EPISODES, deterministic=True),
        extra={"labels": sum(m["feedback/labels"] for m in final.history), **extra},
    )


if __name__ == "__main__":
    main()
