"""Real coverage of the intervals that `rlhf compare` prints, by simulation.

    python benchmarks/coverage.py
    python benchmarks/coverage.py --simulations 200 --kinds tasks --seeds 5 --out /tmp/coverage.md

Normal, skewed (lognormal, sigma 0.8) and heavy-tailed (Student's t, 3 degrees of freedom) returns,
and such of which one in ten fails. The true value is the interquartile mean of four million draws.
Pairs share a third of their variance. Rows `tasks` and `gap` are the interquartile mean and the
capped mean of three tasks of so many seeds each. Rows `equal cells` are the share of comparisons of
twelve cells of one distribution in which no cell is told from the best, whose p values are
corrected over all pairs; rows `equal, control` correct over the comparisons with the best alone.
Writes `benchmarks/results/coverage.md`.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from rlhf_core.comparison.cells import control_columns
from rlhf_core.comparison.roles import controls_of
from rlhf_core.comparison.statistics.bootstrap import (
    pooled_interquartile_mean,
    pooled_mean,
    stratified_interval,
)
from rlhf_core.comparison.statistics.difference import independent_difference, paired_difference
from rlhf_core.comparison.statistics.improvement import (
    improvement_interval,
    probability_of_improvement,
)
from rlhf_core.comparison.statistics.interquartile import Interval, interquartile_interval
from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean

Draw = Callable[[np.random.Generator, int], np.ndarray]


def normal(rng: np.random.Generator, count: int) -> np.ndarray:
    """Symmetric, light tails."""
    return rng.normal(size=count)


def skewed(rng: np.random.Generator, count: int) -> np.ndarray:
    """A few runs far above."""
    return rng.lognormal(0, 0.8, size=count)


def failing(rng: np.random.Generator, count: int) -> np.ndarray:
    """One run in ten ends ten standard deviations below."""
    return rng.normal(size=count) - 10 * (rng.random(count) < 0.1)


def heavy(rng: np.random.Generator, count: int) -> np.ndarray:
    """A few runs far away on either side."""
    return rng.standard_t(3, size=count)


SHAPES: dict[str, Draw] = {
    "normal": normal,
    "skewed": skewed,
    "heavy": heavy,
    "failing": failing,
}


def one(draw: Draw, rng: np.random.Generator, seeds: int) -> Interval:
    """Interval of one interquartile mean."""
    return interquartile_interval(draw(rng, seeds))


def percentile(draw: Draw, rng: np.random.Generator, seeds: int) -> Interval:
    """Percentile bootstrap, as it was."""
    return Interval(*bootstrap_interval(draw(rng, seeds), rng, resamples=1000))


def pairs(draw: Draw, rng: np.random.Generator, seeds: int) -> Interval:
    """Interval of a difference on common seeds; the second cell is half as wide."""
    shared = draw(rng, seeds)
    return paired_difference(
        draw(rng, seeds) + shared / 2, (draw(rng, seeds) + shared) / 2
    ).interval


def independent(draw: Draw, rng: np.random.Generator, seeds: int) -> Interval:
    """Interval of a difference without common seeds."""
    return independent_difference(draw(rng, seeds), draw(rng, seeds) / 2).interval


def improvement(draw: Draw, rng: np.random.Generator, seeds: int) -> Interval:
    """Interval of the probability of improvement; the first cell is one ahead."""
    first, second = draw(rng, seeds) + 1, draw(rng, seeds)
    return improvement_interval(probability_of_improvement(first, second), seeds, seeds)


TASKS = ((0.7, 0.1), (0.9, 0.1), (0.5, 0.1))
"""Mean and scale of the scores of each task, for the intervals over tasks."""


def task_scores(draw: Draw, rng: np.random.Generator, seeds: int) -> list[np.ndarray]:
    """Scores by task."""
    return [centre + scale * draw(rng, seeds) for centre, scale in TASKS]


def tasks(draw: Draw, rng: np.random.Generator, seeds: int) -> Interval:
    """Interval of the interquartile mean over three tasks."""
    return stratified_interval(task_scores(draw, rng, seeds), pooled_interquartile_mean, rng)


def gap(draw: Draw, rng: np.random.Generator, seeds: int) -> Interval:
    """Interval of one minus the optimality gap over three tasks."""
    capped = [np.minimum(scores, 1) for scores in task_scores(draw, rng, seeds)]
    return stratified_interval(capped, pooled_mean, rng)


CELLS = 12


def equal_cells(
    draw: Draw, rng: np.random.Generator, seeds: int, *, named_control: bool
) -> Interval:
    """Interval of the number of settled differences between equal cells, which should hold 0."""
    samples = sorted(draw(rng, CELLS * seeds).reshape(CELLS, seeds), key=interquartile_mean)
    returns = {str(place): dict(enumerate(values)) for place, values in enumerate(samples[::-1])}
    controls = controls_of(list(returns), list(returns), [], None)
    rows = control_columns(returns, controls, 0.95, named_control=named_control)
    settled = sum(bool(row["settled"]) for row in rows.values())
    return Interval(settled, settled)


def truths(draw: Draw, rng: np.random.Generator, count: int = 4_000_000) -> dict[str, float]:
    """Value that each kind of interval should cover."""
    x, y, shared = draw(rng, count), draw(rng, count), draw(rng, count)
    centre = interquartile_mean(x)
    scores = np.concatenate(task_scores(draw, rng, count // len(TASKS)))
    return {
        "IQM": centre,
        "percentile": centre,
        "pairs": interquartile_mean(x + shared / 2) - interquartile_mean((y + shared) / 2),
        "independent": centre - interquartile_mean(y / 2),
        "improvement": float((x + 1 > y).mean()),
        "tasks": interquartile_mean(scores),
        "gap": float(np.minimum(scores, 1).mean()),
        "equal cells": 0.0,
        "equal, control": 0.0,
    }


KINDS = {
    "IQM": one,
    "pairs": pairs,
    "independent": independent,
    "improvement": improvement,
    "percentile": percentile,
    "tasks": tasks,
    "gap": gap,
    "equal cells": partial(equal_cells, named_control=False),
    "equal, control": partial(equal_cells, named_control=True),
}

SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20, 30)
SLOW = {
    "tasks": (5, 10, 20),
    "gap": (5, 10, 20),
    "equal cells": (10,),
    "equal, control": (10,),
}
"""Seeds of the kinds that take long to measure; all others are measured at `SEEDS`."""


def coverage(make: Callable[[], Interval], truth: float, simulations: int) -> float:
    """Share of simulated intervals that hold the truth."""
    hits = 0
    for _ in range(simulations):
        interval = make()
        hits += interval.low <= truth <= interval.high
    return hits / simulations


def main() -> None:
    """Simulate and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", help="default: those of the table")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/coverage.md"))
    options = parser.parse_args()
    rows = [f"| interval | seeds | {' | '.join(SHAPES)} |", "|---|---|" + "---|" * len(SHAPES)]
    values = {name: truths(draw, np.random.default_rng(1)) for name, draw in SHAPES.items()}
    for kind in options.kinds:
        for seeds in options.seeds or SLOW.get(kind, SEEDS):
            shares = [
                coverage(
                    partial(KINDS[kind], draw, np.random.default_rng([2, seeds]), seeds),
                    values[name][kind],
                    options.simulations,
                )
                for name, draw in SHAPES.items()
            ]
            cells = " | ".join(f"{100 * share:.1f}" for share in shares)
            rows.append(f"| {kind} | {seeds} | {cells} |")
            print(rows[-1], flush=True)
    header = f"Coverage of nominal 95 % intervals, %, {options.simulations} simulations each.\n\n"
    options.out.write_text(header + "\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
