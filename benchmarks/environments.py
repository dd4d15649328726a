"""Steps a second of the ways in which copies of an environment are stepped together.

    python benchmarks/environments.py --environment CartPole-v1 --count 32

Random actions, drawn beforehand. The ways take turns, so that a busy machine slows all of them; the
median over the turns counts. Seconds are CPU seconds of the process with all its threads. Printed
as a Markdown table, and written as JSON with `--out`.
"""

import argparse
import json
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any


def ways(id: str, count: int) -> dict[str, Any]:
    """A vector environment for each way, or the reason why there is none."""
    from gymnasium.vector import SyncVectorEnv

    from rlhf_core.environments import GymEnv
    from rlhf_core.errors import ConfigurationError

    found: dict[str, Any] = {}
    names = {"one by one (SyncVectorEnv)": "single", "arrays": "auto", "EnvPool": "envpool"}
    for name, batching in names.items():
        try:
            vector = GymEnv(id, count=count, batching=batching).make_vector()  # type: ignore[arg-type]
        except ConfigurationError as error:
            found[name] = str(error)
            continue
        plain = isinstance(vector.unwrapped, SyncVectorEnv)
        found[name] = "no such form" if batching == "auto" and plain else vector
    return found


def turn(vector: Any, actions: list[Any]) -> tuple[float, float]:
    """CPU and wall seconds of some steps."""
    began, clock = time.process_time(), time.perf_counter()
    for action in actions:
        vector.step(action)
    return time.process_time() - began, time.perf_counter() - clock


def measure(id: str, count: int, steps: int, turns: int) -> list[dict[str, Any]]:
    """One row for each way."""
    found = ways(id, count)
    usable = {name: vector for name, vector in found.items() if not isinstance(vector, str)}
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in usable}
    space = next(iter(usable.values())).action_space
    space.seed(0)
    actions = [space.sample() for _ in range(steps)]
    for vector in usable.values():
        vector.reset(seed=list(range(count)))
        turn(vector, actions[:50])
    for _ in range(turns):
        for name, vector in usable.items():
            seconds[name].append(turn(vector, actions))
    rows = []
    for name, what in found.items():
        row: dict[str, Any] = {"environment": id, "copies": count, "way": name}
        if isinstance(what, str):
            rows.append({**row, "unavailable": what})
            continue
        cpu, wall = (statistics.median(column) for column in zip(*seconds[name], strict=True))
        taken = steps * count
        rows.append({**row, "steps_per_cpu_second": taken / cpu, "steps_per_second": taken / wall})
        what.close()
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| environment | copies | stepped by | steps a CPU second | steps a second |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        head = f"| {row['environment']} | {row['copies']} | {row['way']} |"
        if "unavailable" in row:
            lines.append(f"{head} {row['unavailable']} | |")
        else:
            figures = row["steps_per_cpu_second"], row["steps_per_second"]
            lines.append(" ".join([head, *(f"{round(figure, -3):,.0f} |" for figure in figures)]))
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--environment", nargs="+", default=["CartPole-v1"])
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1000, help="of every copy in one turn")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--out", type=Path, help="a JSON file")
    given = parser.parse_args()
    rows = [
        row
        for id in given.environment
        for row in measure(id, given.count, given.steps, given.turns)
    ]
    where = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if given.out:
        given.out.write_text(json.dumps({"machine": where, "rows": rows}, indent=1) + "\n")
    print(f"{where}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
