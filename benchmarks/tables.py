"""The tables of docs/results.md, from the runs that benchmarks left in benchmarks/results.

    python benchmarks/tables.py

Each table is put between its marks in the page, as `<!-- strategies -->` and `<!-- end -->`. A cell
is the interquartile mean over seeds of the final true return, and its 95 % interval.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from rlhf_core.evaluation.statistics import bootstrap_interval, interquartile_mean

RESULTS = Path(__file__).with_name("results")
PAGE = Path(__file__).parents[1] / "docs/results.md"
SEEDS = 5
Rows = list[dict[str, Any]]

TASKS = {
    "pendulum-200": "Pendulum, 200",
    "cartpole-preference": "CartPole absorbing, 200",
    "cartpole-evolving": "CartPole evolving, 700",
    "acrobot-preference": "Acrobot, 200",
    "halfcheetah-preference": "HalfCheetah, 700",
}
ARMS = {
    "true_reward": "true reward",
    "preference": "`preference`",
    "rankings": "`preference`, `form: ranking`",
    "ratings": "`direct_reward`",
    "mixed": "`mixed`",
    "demonstrations": "`inverse_rl`",
    "shuffled_labels": "`shuffled_labels`",
    "random_network": "`random_network`",
    "constant": "`constant`",
    "sign_flipped": "`sign_flipped`",
}
ASKING = ("preference", "rankings", "ratings", "mixed")


def runs(name: str, strategy: str) -> Rows:
    """The finished runs of one strategy; none where the benchmark has not got there."""
    path = RESULTS / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [row for row in rows if row["strategy"] == strategy]


def cell(rows: Rows) -> str:
    """IQM and interval; of fewer than five seeds, their returns one by one."""
    returns = np.array([row["eval/true_return_iqm"] for row in rows])
    if len(rows) < SEEDS:
        return ", ".join(f"{value:.0f}" for value in returns)
    low, high = bootstrap_interval(returns, np.random.default_rng(0))
    return f"{interquartile_mean(returns):.0f} ({low:.0f} to {high:.0f})"


def mean(rows: Rows, name: str, digits: int) -> str:
    """Mean of a measurement over the runs that there are."""
    return f"{np.mean([row[name] for row in rows]):.{digits}f}" if rows else ""


def markdown(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def strategies() -> str:
    """Every way of asking on every task, beside its controls."""
    body = [
        [shown, *(cell(runs(task, arm)) for task in TASKS)]
        for arm, shown in ARMS.items()
        if any(runs(task, arm) for task in TASKS)
    ]
    return markdown(["strategy", *TASKS.values()], body)


def labels() -> str:
    """Fewer labels, and clips drawn at random."""
    names = {"200": "pendulum-200", "100": "pendulum-100", "50": "pendulum-50"}
    body = [[ARMS[arm], *(cell(runs(name, arm)) for name in names.values())] for arm in ASKING]
    random = [cell(runs(f"pendulum-uniform-{count}", "preference")) for count in names]
    return markdown(
        ["strategy", *(f"{count} labels" for count in names)],
        [*body, ["`preference`, `queries: uniform`", *random]],
    )


def queries() -> str:
    """Chosen clips against random ones where most pairs are ties."""
    counts = (40, 20)
    body = [
        [f"`queries: {kind}`"]
        + [cell(runs(f"cartpole-{kind}-{count}", "preference")) for count in counts]
        for kind in ("coverage", "disagreement", "uniform")
    ]
    return markdown(["clips", *(f"{count} labels" for count in counts)], body)


def guard() -> str:
    """What each reaction to an alarm does to a run that is being gamed."""
    body = []
    for reaction in ("report", "ask_more", "roll_back", "stop"):
        rows = runs(f"pendulum-guard-{reaction}", "preference")
        alarms, steps = mean(rows, "alarms", 1), mean(rows, "env_steps", 0)
        body.append([f"`{reaction}`", alarms, steps, cell(rows)])
    rows = runs("pendulum-guard-clean", "preference")
    body.append(["`report`, no wrong answers", mean(rows, "alarms", 2), mean(rows, "env_steps", 0),
                 cell(rows)])  # fmt: skip
    return markdown(["`guard.reaction`", "alarms a run", "steps taken", "true return"], body)


def noise() -> str:
    """Thirty in a hundred answers wrong."""
    fits = {
        "no wrong answers": "pendulum-200",
        "30 % wrong, plain fit": "pendulum-noise-robust-false",
        "30 % wrong, `robust: true`": "pendulum-noise-robust-true",
    }
    body = [
        [shown, cell(runs(name, "preference")), *correlations(runs(name, "preference"))]
        for shown, name in fits.items()
    ]
    return markdown(["answers", "true return", "correlation on-policy", "off-policy"], body)


def correlations(rows: Rows) -> list[str]:
    """Mean Pearson correlation of the last reward with the true one, on and off the policy."""
    names = ("proxy/true_correlation", "proxy/off_policy_correlation")
    return [mean(rows, name, 2) for name in names]


def price() -> str:
    """What a crowd's labels cost and what is learned from them."""
    body = []
    for aggregation in ("majority", "dawid_skene", "crowd_bradley_terry"):
        for adaptive in ("false", "true"):
            rows = runs(f"pendulum-crowd-{aggregation}-{adaptive}", "preference")
            cost = mean(rows, "cost_total", 1)
            asked = "adaptive" if adaptive == "true" else "5 judgements a pair"
            body.append([f"`{aggregation}`", asked, cost, cell(rows)])
    return markdown(["aggregation", "assignment", "price of the run", "true return"], body)


def peers() -> str:
    """What `benchmarks/peers/compare.py` drew."""
    path = RESULTS / "peers.md"
    return path.read_text() if path.exists() else ""


def main() -> None:
    """Bring the page up to date."""
    picture = RESULTS / "pendulum-200.png"
    if picture.exists():
        shutil.copy(picture, PAGE.parent / "images/pendulum-preference.png")
    page = PAGE.read_text()
    for table in (strategies, labels, queries, noise, guard, price, peers):
        begin, end = f"<!-- {table.__name__} -->\n", "<!-- end -->"
        body = f"{begin}{table()}{end}"
        parts = re.split(f"{re.escape(begin)}.*?{end}", page, flags=re.DOTALL)
        if len(parts) != 2:
            raise SystemExit(f"{PAGE}: expected the mark {begin!r} once, actual: {len(parts) - 1}")
        page = body.join(parts)
        print(body)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()
