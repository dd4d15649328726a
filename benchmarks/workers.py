"""One process against two: what share of one's time two need, with equal numbers.

    python benchmarks/workers.py --pairs 3 [--env-steps 524288]      # eight runs, two workers
    python benchmarks/workers.py --pairs 3 --evolution               # one search, two processes

The search is that of augmented random search on Hopper, whose generations are divided. The commands
of a pair are interleaved, each with a home of its own that exists already. The time is that of the
playing, from the plan to the last run, without the start of the servers; the time of the whole
command stands beside it, and the numbers of both must be equal.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

RUNS = 8
SEARCH = {
    "feedback.kind": "true_reward",
    "optimiser": {"kind": "ars"},
    "budget.rounds": 1,
    "evaluation.episodes": 10,
}
"""Changes of hopper-preference."""


def command(home: Path, *arguments: str) -> tuple[dict[str, Any], float]:
    """Give a command on a home; returns its result and its seconds."""
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "flows.command", *arguments, "--home", str(home), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr)
    result: dict[str, Any] = json.loads(done.stdout)
    return result, time.perf_counter() - began


def search(
    home: Path, seeds: str, name: str, processes: int, env_steps: int
) -> tuple[dict[str, Any], float]:
    """Play one search with the first seed; returns its result and the seconds of the command."""
    seed = int(seeds.partition(",")[0])
    changes = {
        **SEARCH, "optimiser.processes": processes, "budget.env_steps": env_steps, "seed": seed,
    }  # fmt: skip
    sets = [part for field, value in changes.items() for part in ("--set", f"{field}={value}")]
    result, seconds = command(home, "train", "hopper-preference", *sets)
    result["runs"] = [{"seed": seed, "true_return": result["true_return_iqm"]}]
    return result, seconds


def compare(
    home: Path, seeds: str, name: str, workers: int, env_steps: int
) -> tuple[dict[str, Any], float]:
    """Play a comparison; returns its result and the seconds of the whole command."""
    return command(
        home, "compare", "pendulum-preference", "--name", name, "--seeds", seeds,
        "--workers", str(workers), "--set", f"budget.env_steps={env_steps}",
    )  # fmt: skip


def main() -> None:
    """Compare, interleaved."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument(
        "--env-steps", type=int, default=131_072,
        help="of each run: longer ones weigh more beside the imports of a worker",
    )  # fmt: skip
    parser.add_argument("--evolution", action="store_true", help="divide one search")
    chosen = parser.parse_args()
    play = search if chosen.evolution else compare
    folder = Path(tempfile.mkdtemp(prefix="rlhf-workers-"))
    homes = {workers: folder / str(workers) for workers in (1, 2)}
    for workers, home in homes.items():
        play(home, "1000,", "warm", workers, chosen.env_steps)  # Databases are made once.
    ratios, whole = list[float](), list[float]()
    for pair in range(chosen.pairs):
        seeds = ",".join(str(seed) for seed in range(pair * RUNS, (pair + 1) * RUNS))
        playing, total, returns = {}, {}, {}
        # The one that goes first changes from pair to pair.
        for workers in (1, 2) if pair % 2 == 0 else (2, 1):
            result, seconds = play(homes[workers], seeds, f"pair{pair}", workers, chosen.env_steps)
            playing[workers], total[workers] = result["seconds"], seconds
            returns[workers] = {run["seed"]: run["true_return"] for run in result["runs"]}
        if returns[1] != returns[2]:
            raise SystemExit(f"the numbers differ: {returns}")
        ratios.append(playing[2] / playing[1])
        whole.append(total[2] / total[1])
        print(
            f"pair {pair}: one process {playing[1]:.1f} s, two {playing[2]:.1f} s: "
            f"{ratios[-1]:.0%} (whole command {total[1]:.1f} and {total[2]:.1f} s: "
            f"{whole[-1]:.0%}), numbers equal",
            flush=True,
        )
    print(f"two processes need {statistics.median(ratios):.0%} of one's time (median)")


if __name__ == "__main__":
    main()
