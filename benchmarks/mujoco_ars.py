"""ARS on a robot of MuJoCo with the true reward, from scratch.

    python benchmarks/mujoco_ars.py --seeds 5

Version 2 of the search (Mania et al. 2018, https://arxiv.org/abs/1803.07055). Each finished seed is
appended to a JSON-lines file, so an interrupted benchmark goes on where it stopped; at the end a
Markdown table is written beside it, and a picture for the docs.
"""

import argparse
import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rlhf_core.environments import Environment
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.evaluation.returns import evaluate
from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean
from rlhf_core.optimisers.ars import ARS
from rlhf_core.policies import PolicyState
from rlhf_core.rewards import EnvironmentReward

RESULTS = Path(__file__).with_name("results")
IMAGES = Path(__file__).parents[1] / "docs/images"
TASK = Environment(id="Swimmer-v5")
SETTINGS = ARS(population=8, best=2, deviation=0.03, learning_rate=0.02)
POINTS = 10
"""Evaluations of a curve."""
EPISODES = 2
"""Of each of them."""
FINAL_EPISODES = 10


def play(seed: int, steps: int) -> dict[str, Any]:
    """One search, evaluated on the way; process time counts the work of one core."""
    began = time.process_time()
    spaces, reward = TASK.spaces(), EnvironmentReward()
    state = SETTINGS.initial(spaces, seed)
    curve: list[tuple[int, float]] = []
    for point in range(POINTS):
        part = steps // POINTS
        done = SETTINGS.optimise(state, TASK, reward, part, steps, seed * 1000 + point)
        state = done.state
        curve.append((state.steps, round(float(returns(state, EPISODES, seed).mean()), 1)))
    final = returns(state, FINAL_EPISODES, seed + 1)
    return {
        "task": TASK.id,
        "seed": seed,
        "env_steps": state.steps,
        "cpu_seconds": round(time.process_time() - began, 1),
        "mean": round(float(final.mean()), 2),
        "iqm": round(interquartile_mean(final), 2),
        "curve": curve,
    }


def returns(state: PolicyState, episodes: int, seed: int) -> np.ndarray:
    """True returns of the mean policy."""
    seeds = episode_seeds(np.random.default_rng([seed, episodes]), episodes)
    vector = TASK.make_vector(episodes)
    try:
        act = SETTINGS.act(state, TASK.spaces(), deterministic=True)
        return evaluate(vector, act, seeds).returns
    finally:
        vector.close()


def table(rows: list[dict[str, Any]]) -> str:
    """The Markdown table of the finished seeds."""
    final = np.array([row["iqm"] for row in rows])
    best = np.array([max(value for _, value in row["curve"]) for row in rows])
    lines = [
        "| | seeds | mean | IQM | 95 % interval | worst seed | CPU s a run |",
        "|---|---|---|---|---|---|---|",
    ]
    seconds = np.median([row["cpu_seconds"] for row in rows])
    for name, values in (("at the end", final), ("best point of the curve", best)):
        low, high = bootstrap_interval(values, np.random.default_rng(0))
        lines.append(
            f"| {name} | {len(values)} | {values.mean():.0f} | {interquartile_mean(values):.0f} | "
            f"{low:.0f} to {high:.0f} | {values.min():.0f} | {seconds:.0f} |"
        )
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"# {TASK.id}, ARS\n\n{datetime.now(UTC):%Y-%m-%d}, {where}, one thread a run, "
        f"{rows[0]['env_steps']:,} steps. True return of the mean policy.\n\n"
        + "\n".join(lines)
        + "\n"
    )


def picture(rows: list[dict[str, Any]], path: Path) -> None:
    """The seeds one by one, and their interquartile mean."""
    figure = Figure(figsize=(7, 4), dpi=130, layout="constrained")
    axes = figure.subplots()
    curves = np.array([row["curve"] for row in rows])
    for curve in curves:
        axes.plot(curve[:, 0], curve[:, 1], color="C0", alpha=0.35, linewidth=1)
    middle = [interquartile_mean(column) for column in curves[:, :, 1].T]
    axes.plot(curves[0, :, 0], middle, color="C0", linewidth=2.5, label=f"ARS, {len(rows)} seeds")
    axes.set(xlabel="environment steps", ylabel="true return", title=TASK.id)
    axes.legend(frameon=False, loc="lower right")
    axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> None:
    """Run what is missing, then write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400_000)
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "swimmer-ars.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    finished = {row["seed"] for row in done}
    for seed in sorted(set(range(arguments.seeds)) - finished):
        result = play(seed, arguments.steps)
        done.append(result)
        with path.open("a") as file:
            file.write(json.dumps(result) + "\n")
        print(f"seed {seed}: {result['iqm']:.0f}", flush=True)
    path.with_suffix(".md").write_text(table(done))
    picture(done, IMAGES / "swimmer-ars.png")
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
