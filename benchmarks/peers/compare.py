"""Runs this project beside its peers, interleaved, one thread each, and writes a table.

    python benchmarks/peers/environments.py          # once: the peers' own environments
    python benchmarks/peers/compare.py --short       # minutes
    python benchmarks/peers/compare.py               # hours; goes on where it was stopped

For each seed of each task one library runs after the other, so that all of them meet the same
machine. Every run is appended to results/peers.jsonl at once; results/peers.md is drawn from it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import environments
import numpy as np

from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results"
OURS = "rlhf-flows"
UPDATE = "microseconds_per_minibatch"
"""In what a runner tells besides, where it trains by minibatches."""


@dataclass(frozen=True)
class Runner:
    """One library at one task."""

    label: str
    peer: str
    """The virtual environment; this project's own is the interpreter that runs this script."""
    arguments: tuple[str, ...]

    def command(self, seed: int) -> list[str]:
        """Returns the command line."""
        python = sys.executable if self.peer == OURS else str(environments.interpreter(self.peer))
        return [python, *self.arguments, "--seed", str(seed)]


@dataclass(frozen=True)
class Task:
    """What several libraries are compared on; the first is this project."""

    name: str
    runners: tuple[Runner, ...]
    short: bool = False


def ours(label: str, *arguments: str) -> Runner:
    """Returns this project's runner."""
    return Runner(f"{OURS} {label}".strip(), OURS, arguments)


def theirs(peer: str, label: str, *arguments: str) -> Runner:
    """Returns a peer's runner."""
    return Runner(f"{peer} {label}".strip(), peer, arguments)


def ppo(name: str, *options: str, short: bool = False) -> Task:
    """Returns PPO with the same settings in three libraries."""
    return Task(
        name,
        (
            ours("PPO", "ours_ppo.py", *options),
            theirs("sb3", "PPO", "sb3_ppo.py", *options),
            theirs("sbx", "PPO", "sbx_ppo.py", *options),
        ),
        short,
    )


def imitation(method: str, count: int, demonstrations: Path, short: bool = False) -> Task:
    """Returns learning from so many demonstrations in two libraries."""
    options = ("--method", method, "--count", str(count), "--demonstrations", str(demonstrations))
    plural = "s" * (count > 1)
    return Task(
        f"seals/CartPole-v0, {method.upper()}, {count} demonstration{plural}",
        (
            ours("", "ours_feedback.py", *options),
            theirs("imitation", "", "imitation_adversarial.py", *options),
        ),
        short,
    )


def random_walks(name: str, reward: str, walks: Path) -> Task:
    """Returns trlx's random walks in two libraries."""
    return Task(
        name,
        (
            ours("GRPO", "ours_walks.py", "--reward", reward),
            theirs("trl", "GRPO", "trl_walks.py", "--reward", reward, "--walks", str(walks)),
        ),
    )


def tasks(demonstrations: Path, walks: Path) -> list[Task]:
    """Returns all comparisons."""
    cartpole, pendulum = ("--task", "CartPole-v1"), ("--task", "Pendulum-v1")
    return [
        ppo("CartPole-v1, PPO, 8 copies, batch 64", short=True),
        Task(
            "CartPole-v1 to 475, evolution strategies",
            (
                *(ours(m, "ours_es.py", *cartpole, "--method", m) for m in
                  ("ars", "cma_es", "openai_es", "pgpe")),
                theirs("evotorch", "PGPE", "evotorch_es.py", *cartpole, "--method", "pgpe"),
                theirs("evotorch", "SNES", "evotorch_es.py", *cartpole, "--method", "snes"),
                theirs("pycma", "one by one", "pycma_es.py", *cartpole),
                theirs("pycma", "batched", "pycma_es.py", *cartpole, "--batched"),
            ),
            short=True,
        ),
        imitation("bc", 64, demonstrations, short=True),
        imitation("gail", 64, demonstrations),
        Task(
            "Pendulum-v1, 200 comparisons",
            (
                ours("", "ours_feedback.py", "--method", "preferences"),
                theirs("imitation", "", "imitation_preferences.py"),
            ),
        ),
        imitation("airl", 64, demonstrations),
        ppo("CartPole-v1, PPO, 32 copies, batch 256", "--envs", "32", "--batch", "256"),
        ppo("CartPole-v1, PPO, rl_zoo3's settings", "--zoo"),
        Task(
            "Pendulum-v1 to -250, evolution strategies, 60 s at the most",
            (
                ours("pgpe", "ours_es.py", *pendulum, "--method", "pgpe"),
                ours("cma_es", "ours_es.py", *pendulum, "--method", "cma_es"),
                theirs("evotorch", "PGPE", "evotorch_es.py", *pendulum, "--method", "pgpe"),
                theirs("pycma", "batched", "pycma_es.py", *pendulum, "--batched"),
            ),
        ),
        ppo("Pendulum-v1, PPO, rl_zoo3's settings", *pendulum, "--zoo"),
        *(imitation("bc", count, demonstrations) for count in (16, 4, 1)),
        *(imitation("gail", count, demonstrations) for count in (16, 4, 1)),
        *(imitation("airl", count, demonstrations) for count in (16, 4, 1)),
        random_walks("Random walks, 193 comparisons", "learned", walks),
        random_walks("Random walks, true reward", "true", walks),
    ]  # fmt: skip


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the runs that were finished."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def missing(
    chosen: Sequence[Task], seeds: int, done: Sequence[dict[str, Any]]
) -> Iterator[tuple[Task, Runner, int]]:
    """Gives what is still to be run, task by task, and seed by seed within a task."""
    known = {(run["comparison"], run["runner"], run["seed"]) for run in done}
    for task in chosen:
        for seed in range(seeds):
            for runner in task.runners:
                if (task.name, runner.label, seed) not in known:
                    yield task, runner, seed


def play(task: Task, runner: Runner, seed: int) -> dict[str, Any]:
    """Returns what one run printed."""
    threads = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
    variables = os.environ | threads | {"PYTHONHASHSEED": "0"}
    if runner.peer != OURS:
        # A peer sees its own virtual environment and nothing of this project.
        variables.pop("PYTHONPATH", None)
    done = subprocess.run(
        runner.command(seed),
        cwd=HERE,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise SystemExit(f"{' '.join(runner.command(seed))} ended with {done.returncode}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {"comparison": task.name, "runner": runner.label, **found}


def table(chosen: Sequence[Task], runs: Sequence[dict[str, Any]]) -> str:
    """Returns all runs as Markdown: a table for each task."""
    parts = [
        f"One thread each, interleaved; {platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {datetime.now(UTC):%Y-%m-%d}. CPU seconds are those of "
        "learning, without imports and evaluation; times: how many times this project's (the "
        "fastest of its rows). Returns are means of 40 episodes: their mean, IQM and its 95 % "
        "interval over seeds."
    ]
    for task in chosen:
        rows = [run for run in runs if run["comparison"] == task.name]
        if not rows:
            continue
        seconds = {r.label: [x["cpu_seconds"] for x in rows if x["runner"] == r.label]
                   for r in task.runners}  # fmt: skip
        own = [np.mean(s) for label, s in seconds.items() if s and label.startswith(OURS)]
        parts.append(f"\n**{task.name}**\n")
        update = " us/minibatch |" if UPDATE in rows[0]["extra"] else ""
        parts.append(
            f"| | seeds | CPU s | times | steps/s |{update} mean | IQM (95 %) | each seed |"
        )
        parts.append("|---" * (9 if update else 8) + "|")
        for runner in task.runners:
            mine = [run for run in rows if run["runner"] == runner.label]
            if mine:
                parts.append(line(runner.label, mine, float(min(own)) if own else None))
    return "\n".join(parts) + "\n"


def line(label: str, runs: Sequence[dict[str, Any]], own: float | None) -> str:
    """Returns one library's row."""
    seconds = np.array([run["cpu_seconds"] for run in runs])
    returns = np.array([run["return_mean"] for run in runs])
    speed = sum(run["env_steps"] for run in runs) / seconds.sum()
    low, high = bootstrap_interval(returns, np.random.default_rng(0))
    times = "" if own is None else f"{seconds.mean() / own:.1f}"
    digits = 2 if np.abs(returns).max() < 10 else 0
    each = ", ".join(f"{value:.{digits}f}" for value in returns)
    middle = interquartile_mean(returns)
    interval = f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    cpu = f"{seconds.mean():.2f} ({seconds.min():.2f} to {seconds.max():.2f})"
    updates = [run["extra"][UPDATE] for run in runs if UPDATE in run["extra"]]
    update = f" {np.mean(updates):,.0f} |" if updates else ""
    return (
        f"| {label} | {len(runs)} | {cpu} | {times} | {speed:,.0f} |{update} "
        f"{returns.mean():.{digits}f} | {interval} | {each} |"
    )


def main() -> None:
    """Runs what is missing and writes the table after each seed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="the quick tasks, one seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", default="", help="tasks whose names contain this")
    parser.add_argument("--skip", default="\n", help="no tasks whose names contain this")
    parser.add_argument("--out", type=Path, help="name of the results, without its ending")
    options = parser.parse_args()
    out: Path = options.out or RESULTS / ("peers-short" if options.short else "peers")
    out.parent.mkdir(parents=True, exist_ok=True)
    demonstrations = environments.folder().resolve() / "cartpole.npz"
    walks = environments.folder().resolve() / "walks.npz"
    everything = tasks(demonstrations, walks)
    chosen = [
        task
        for task in everything
        if options.only in task.name
        and options.skip not in task.name
        and (task.short or not options.short)
    ]
    for name in sorted({runner.peer for task in chosen for runner in task.runners} - {OURS}):
        environments.make(name)
    if not walks.exists():
        walks.parent.mkdir(parents=True, exist_ok=True)
        write = ["make_walks.py", "--write", str(walks)]
        subprocess.run([sys.executable, *write], cwd=HERE, check=True)
    if not demonstrations.exists():
        environments.make("imitation")
        python = str(environments.interpreter("imitation"))
        write = ["make_demonstrations.py", "--write", str(demonstrations)]
        subprocess.run([python, *write], cwd=HERE, check=True)

    path = out.with_suffix(".jsonl")
    for task, runner, seed in missing(chosen, 1 if options.short else options.seeds, read(path)):
        found = play(task, runner, seed)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(found) + "\n")
        print(f"{task.name} | {line(runner.label, [found], None)}", flush=True)
        out.with_suffix(".md").write_text(table(everything, read(path)), encoding="utf-8")
    print("\n" + out.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
