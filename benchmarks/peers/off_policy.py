"""Measures SAC and TD3 of this project beside Stable-Baselines3 and SBX, interleaved.

    python benchmarks/peers/environments.py sbx      # once: SBX in an environment of its own
    python benchmarks/peers/off_policy.py            # about two hours; goes on where it stopped
    python benchmarks/peers/off_policy.py --tasks Pendulum-v1 --hidden 64 --seeds 1

All three learn in the same copies of an environment, with batches of 256, one gradient step for
each environment step, two hidden layers of equal widths and otherwise Stable-Baselines3's defaults.
For each setting and seed one library runs after the other, one thread each, so that all of them
meet the same machine. Every run is appended to results/off-policy.jsonl at once;
results/off-policy.md is drawn from it.

Seconds are CPU seconds of the process, of building the learner and learning, without imports and
evaluation. "Compiled" leaves out everything up to `WARM` steps after the first gradient step, and
so JAX's compilation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OURS, SB3, SBX = "rlhf-flows", "sb3", "sbx"
LEARNING_STARTS = 1000
WARM = 200
"""Steps after the first gradient step until which JAX compiles."""
STEPS = {"Pendulum-v1": 5000, "HalfCheetah-v5": 8000}
EPISODES = {"Pendulum-v1": 40, "HalfCheetah-v5": 10}
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")} | {
    "JAX_PLATFORMS": "cpu",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}
Setting = dict[str, Any]


def learner(library: str, algorithm: str) -> type[Any]:
    """Return the class of a library, which is imported here and nowhere else."""
    if library == SBX:
        import sbx

        found: type[Any] = getattr(sbx, algorithm)
    elif library == SB3:
        import stable_baselines3

        found = getattr(stable_baselines3, algorithm)
    else:
        import rlhf_core.fused

        found = getattr(rlhf_core.fused, f"Fused{algorithm}")
    return found


def learn(setting: Setting) -> dict[str, Any]:
    """Learn in this process, and return seconds and returns."""
    from measure import EVALUATION_SEED, warm_torch
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.evaluation import evaluate_policy

    warm_torch()
    algorithm = learner(setting["library"], setting["algorithm"])
    task, copies, steps = setting["task"], setting["copies"], setting["steps"]
    began = time.process_time()
    model = algorithm(
        "MlpPolicy",
        make_vec_env(task, n_envs=copies, seed=setting["seed"]),
        learning_rate=setting["learning_rate"],
        batch_size=256,
        train_freq=1,
        gradient_steps=copies,
        learning_starts=LEARNING_STARTS,
        policy_kwargs={"net_arch": [setting["hidden"]] * 2},
        seed=setting["seed"],
        **({} if setting["library"] == SBX else {"device": "cpu"}),
    )
    model.learn(LEARNING_STARTS + WARM, log_interval=sys.maxsize)
    warm = time.process_time()
    taken = model.num_timesteps
    model.learn(steps - taken, log_interval=sys.maxsize, reset_num_timesteps=False)
    ended = time.process_time()
    testing = make_vec_env(task, n_envs=5, seed=EVALUATION_SEED + setting["seed"])
    mean, std = evaluate_policy(model, testing, EPISODES[task], deterministic=True)
    return {
        **setting,
        "cpu_seconds": round(ended - began, 3),
        "steps_per_cpu_second": round(steps / (ended - began), 1),
        "warm_steps_per_cpu_second": round((model.num_timesteps - taken) / (ended - warm), 1),
        "return_mean": round(float(mean), 1),
        "return_std": round(float(std), 1),
    }


def play(setting: Setting) -> dict[str, Any]:
    """Learn in a process of its own, with the library's own interpreter."""
    import environments

    ours = setting["library"] != SBX
    python = sys.executable if ours else str(environments.interpreter(SBX))
    variables = os.environ | THREADS
    if not ours:
        # A peer sees its own virtual environment and nothing of this project.
        variables.pop("PYTHONPATH", None)
    command = [python, Path(__file__).name, "--run", json.dumps(setting)]
    done = subprocess.run(
        command, cwd=HERE, env=variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def read(path: Path) -> list[dict[str, Any]]:
    """Return the runs that were finished."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(runs: Sequence[dict[str, Any]]) -> str:
    """Return all runs as Markdown, a row for each library and setting."""
    lines = [
        "Environment steps a CPU second, one thread, interleaved; batch 256, one gradient step for "
        "each environment step, as many a call as copies. Compiled: without the first "
        f"{LEARNING_STARTS + WARM} steps. Ratios are to sbx in the same setting, over the seeds "
        "that both have run. Returns: the mean of deterministic episodes, each seed.\n",
        "| task | algorithm | hidden | copies | steps | | seeds | steps/s | ratio | compiled | "
        "ratio | returns |",
        "|---" * 12 + "|",
    ]
    names = ("task", "algorithm", "hidden", "copies", "steps")
    for setting in sorted({tuple(run[name] for name in names) for run in runs}):
        rows = [run for run in runs if tuple(run[name] for name in names) == setting]
        for library in (OURS, SB3, SBX):
            own = {run["seed"]: run for run in rows if run["library"] == library}
            base = {run["seed"]: run for run in rows if run["library"] == SBX}
            if not own:
                continue
            shared = sorted(own.keys() & base.keys())
            speeds, ratios = speed(list(own.values())), ("", "")
            if shared:
                mine, theirs = (speed([group[seed] for seed in shared]) for group in (own, base))
                ratios = (f"{mine[0] / theirs[0]:.2f}", f"{mine[1] / theirs[1]:.2f}")
            returns = ", ".join(f"{own[seed]['return_mean']:.0f}" for seed in sorted(own))
            cells = (
                *setting, library, len(own), f"{speeds[0]:.0f}", ratios[0], f"{speeds[1]:.0f}",
                ratios[1], returns,
            )  # fmt: skip
            lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def speed(runs: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Return steps a CPU second over all runs, with and without compilation."""
    count = len(runs)
    cold, warm = (sum(1 / run[f"{kind}steps_per_cpu_second"] for run in runs)
                  for kind in ("", "warm_"))  # fmt: skip
    return count / cold, count / warm


def main() -> None:
    """Run what is missing, and write the table after each run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=json.loads, help="one setting, in this process")
    parser.add_argument("--tasks", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--algorithms", nargs="+", default=["SAC", "TD3"], choices=["SAC", "TD3"])
    parser.add_argument("--libraries", nargs="+", default=[OURS, SB3, SBX])
    parser.add_argument("--hidden", nargs="+", type=int, default=[64, 256])
    parser.add_argument("--copies", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, help="environment steps; otherwise by task")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "off-policy")
    options = parser.parse_args()
    if options.run:
        print(json.dumps(learn(options.run)), flush=True)
        return
    path: Path = options.out.with_suffix(".jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed, task, algorithm, hidden, copies, library in itertools.product(
        range(options.seeds), options.tasks, options.algorithms, options.hidden, options.copies,
        options.libraries,
    ):  # fmt: skip
        setting = {
            "library": library, "task": task, "algorithm": algorithm, "hidden": hidden,
            "copies": copies, "steps": options.steps or STEPS[task], "seed": seed,
            "learning_rate": options.learning_rate,
        }  # fmt: skip
        if any(setting.items() <= run.items() for run in read(path)):
            continue
        found = play(setting)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(json.dumps(found), flush=True)
        options.out.with_suffix(".md").write_text(table(read(path)), encoding="utf-8")
    print(table(read(path)))


if __name__ == "__main__":
    main()
