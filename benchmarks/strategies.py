"""True return of a preset under each feedback strategy, beside the null controls.

    python benchmarks/strategies.py pendulum-preference --seeds 10 --processes 2

Runs the same stages as `rlhf train`, without servers. Each finished run is appended to a JSON-lines
file, so an interrupted benchmark goes on where it stopped; at the end a Markdown table and a
picture are written beside it: mean, IQM and 95 % interval over seeds of the final true return (IQM
over the evaluation episodes of each seed).
"""

import argparse
import json
import multiprocessing
import os
import platform
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("results")
STRATEGIES: dict[str, tuple[str, ...]] = {
    "true_reward": ("feedback.kind=true_reward",),
    "preference": ("feedback.kind=preference",),
    "rankings": ("feedback.kind=preference", "feedback.form=ranking"),
    "clicks": ("feedback.kind=preference", "feedback.form=click"),
    "clicks_believed": (
        "feedback.kind=preference",
        "feedback.form.kind=click",
        "feedback.form.assumed_examination=[1, 1, 1, 1]",
    ),
    "corrections": ("feedback.kind=preference", "feedback.form=correction"),
    "ratings": ("feedback.kind=direct_reward",),
    "mixed": ("feedback.kind=mixed",),
    "demonstrations": ("feedback.kind=inverse_rl",),
    "shuffled_labels": ("feedback.kind=shuffled_labels",),
    "random_network": ("feedback.kind=random_network",),
    "constant": ("feedback.kind=constant",),
    "sign_flipped": ("feedback.kind=sign_flipped",),
}
"""What is compared, and the lines of the preset that make it."""
LEGENDS = {
    "rankings": "form: ranking",
    "clicks": "form: click",
    "clicks_believed": "form: click, believed",
    "corrections": "form: correction",
    "ratings": "direct_reward",
    "demonstrations": "inverse_rl",
}
"""What a picture calls it: the words of the experiment, where they are others."""


def play(job: tuple[str, str, int, tuple[str, ...]]) -> dict[str, Any]:
    """One run; process time counts the work of one core."""
    import warnings

    from flows.experiments import presets
    from rlhf_core.configuration import load
    from rlhf_core.errors import UnusedFieldWarning
    from rlhf_core.in_process import run

    preset, strategy, seed, overrides = job
    warnings.simplefilter("ignore", UnusedFieldWarning)
    changes = (*STRATEGIES[strategy], f"seed={seed}", *overrides)
    experiment = load(presets.find(preset), changes)
    began = time.process_time()
    curve: list[tuple[int, float]] = []
    final = run(
        experiment,
        lambda p: curve.append((p.policy.steps, round(p.metrics["eval/true_return_iqm"], 1))),
    )
    return {
        "strategy": strategy,
        "seed": seed,
        "overrides": list(overrides),
        "cpu_seconds": round(time.process_time() - began, 1),
        "env_steps": final.policy.steps,
        "labels_total": sum(m["feedback/labels"] for m in final.history),
        "cost_total": round(sum(m["feedback/cost"] for m in final.history), 4),
        "alarms": sum(m["guard/alarm"] for m in final.history),
        "curve": curve,
        **{name: round(value, 4) for name, value in final.metrics.items()},
    }


def jobs(arguments: argparse.Namespace, done: list[dict[str, Any]]) -> Iterator[Any]:
    """What is still to be run, seeds first, so that every strategy has some soon."""
    overrides = tuple(arguments.set)
    finished = {(r["strategy"], r["seed"]) for r in done if r["overrides"] == list(overrides)}
    for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
        for strategy in arguments.strategies:
            if (strategy, seed) not in finished:
                yield arguments.preset, strategy, seed, overrides


def table(rows: list[dict[str, Any]], preset: str) -> str:
    """The Markdown table of the finished runs."""
    import numpy as np

    from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean

    lines = [
        "| strategy | seeds | mean | IQM | 95 % interval | worst seed | CPU s a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for strategy in dict.fromkeys(r["strategy"] for r in rows):
        of_it = [r for r in rows if r["strategy"] == strategy]
        returns = np.array([r["eval/true_return_iqm"] for r in of_it])
        low, high = bootstrap_interval(returns, np.random.default_rng(0))
        seconds = np.median([r["cpu_seconds"] for r in of_it])
        lines.append(
            f"| {strategy} | {len(of_it)} | {returns.mean():.1f} | "
            f"{interquartile_mean(returns):.1f} | {low:.1f} to {high:.1f} | "
            f"{returns.min():.1f} | {seconds:.0f} |"
        )
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    return (
        f"# {preset}\n\n{datetime.now(UTC):%Y-%m-%d}, {where}, one thread a run. Final true return "
        "of each seed: IQM over its evaluation episodes.\n\n" + "\n".join(lines) + "\n"
    )


def picture(rows: list[dict[str, Any]], preset: str, path: Path) -> None:
    """Learning curves: the interquartile mean over seeds, its 95 % interval shaded."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean

    figure = Figure(figsize=(7, 4), dpi=130, layout="constrained")
    axes = figure.subplots()
    for index, strategy in enumerate(dict.fromkeys(r["strategy"] for r in rows)):
        curves = [r["curve"] for r in rows if r["strategy"] == strategy]
        steps = [point[0] for point in max(curves, key=len)]
        # A run that was stopped stays where it ended.
        whole = [curve + curve[-1:] * (len(steps) - len(curve)) for curve in curves]
        returns = np.array(whole)[:, :, 1].T
        bounds = [bootstrap_interval(column, np.random.default_rng(0)) for column in returns]
        low, high = np.array(bounds).T
        middle = [interquartile_mean(column) for column in returns]
        axes.plot(steps, middle, color=f"C{index}", label=LEGENDS.get(strategy, strategy))
        axes.fill_between(steps, low, high, color=f"C{index}", alpha=0.2, linewidth=0)
    axes.set(xlabel="environment steps", ylabel="true return", title=preset)
    axes.legend(frameon=False, ncols=2)
    axes.grid(alpha=0.3)
    FigureCanvasAgg(figure).print_png(str(path))


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("preset")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--strategies", nargs="+", default=list(STRATEGIES), choices=list(STRATEGIES)
    )
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--name", help="name of the result files [default: the preset]")
    arguments = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{arguments.name or arguments.preset}.jsonl"
    done = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    todo = list(jobs(arguments, done))
    with multiprocessing.get_context("spawn").Pool(arguments.processes) as pool:
        for result in pool.imap_unordered(play, todo):
            done.append(result)
            with path.open("a") as file:
                file.write(json.dumps(result) + "\n")
            shown = f"{result['strategy']:<16} seed {result['seed']}"
            print(f"{shown}: {result['eval/true_return_iqm']:.1f}", flush=True)
    path.with_suffix(".md").write_text(table(done, arguments.preset))
    picture(done, arguments.preset, path.with_suffix(".png"))
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    main()
