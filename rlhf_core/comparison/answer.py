"""The answer in one or two sentences."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlhf_core.comparison.numbers import plain, plural, with_interval
from rlhf_core.comparison.roles import NULL_CONTROLS

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]
LONGEST_REASON = 120


def answers_of(
    table: "DataFrame", failed: "DataFrame", references: Sequence[str]
) -> dict[str, str]:
    """Say which cell won, by how much and how surely, for each task by its name.

    Args:
        table: one row for each task and cell, best first.
        failed: the runs without a return.
        references: cells trained on the true reward; they win only where at most one other
            cell competes.
    """
    answers = {}
    for task in dict.fromkeys(table["task"]):
        rows: list[Row] = table[table["task"] == task].to_dict("records")
        holes: list[Row] = failed[failed["task"] == task].to_dict("records")
        answers[task] = _answer(rows, holes, references)
    return answers


def _answer(rows: list[Row], holes: list[Row], references: Sequence[str]) -> str:
    finished = [row for row in rows if row["seeds"]]
    if not finished:
        return _no_finished_run(holes)
    competitors = [row for row in finished if row["cell"] not in references]
    if len(competitors) < 2 or not competitors[0]["control"]:
        others = [row for row in competitors if row["control"]]
        competitors = competitors if others else finished
    leader = competitors[0]
    row = leader if leader["control"] else next((r for r in competitors if r["control"]), None)
    if row is None:
        sentence = _single_competitor(leader, len(rows))
    else:
        sentence = _against_control(row) + _next_unsettled(row, competitors) + "."
    return f"{sentence} {_remarks(leader, finished, references)}".strip()


def _no_finished_run(holes: list[Row]) -> str:
    """Name the first reason: later runs often fail in consequence of the first."""
    reason = holes[0]["reason"]
    if len(reason) > LONGEST_REASON:
        reason = reason[: LONGEST_REASON - 3].rstrip() + "..."
    first = "" if len(holes) == 1 else "the first: "
    return f"No run finished: {plural(len(holes), 'run')} failed ({first}{reason})."


def _single_competitor(row: Row, cells: int) -> str:
    value = with_interval(row["iqm"], row["ci_low"], row["ci_high"])
    others = (
        "there is no other cell to compare it with"
        if cells == 1
        else "no other cell that it could be compared with has a finished run"
    )
    return f"`{row['cell']}` reaches {value} over {plural(row['seeds'], 'seed')}; {others}."


def _against_control(row: Row) -> str:
    """Say how a cell stands to its control, whichever of them is ahead."""
    ahead, behind = f"`{row['cell']}`", f"`{row['control']}`"
    value, low, high = row["difference"], row["difference_low"], row["difference_high"]
    improvement = row["improvement"]
    if value < 0:
        ahead, behind, improvement = behind, ahead, 1 - improvement
        value, low, high = -value, -high, -low
    if np.isnan(row["p"]):
        return (
            f"{ahead} is ahead of {behind} by {plain(value)}, with a single seed on a side: luck "
            "cannot be ruled out, play at least five seeds of each"
        )
    chance = f"probability of improvement {improvement:.2f}"
    amount = with_interval(value, low, high)
    if row["settled"]:
        return f"{ahead} beats {behind} by {amount}, {chance}"
    start = (
        f"{ahead} and {behind} are level"
        if value == 0
        else f"{ahead} is ahead of {behind} by {amount}, {chance}"
    )
    seeds = plural(row["common_seeds"], "seed")
    return f"{start}, which {seeds} do not settle: {_seeds_to_settle(row)}"


def _seeds_to_settle(row: Row) -> str:
    if np.isinf(row["more_seeds"]):
        return "more than 1,000 seeds would be needed"
    return f"about {plural(row['more_seeds'], 'more seed')} of each would"


def _next_unsettled(row: Row, competitors: list[Row]) -> str:
    """Say what it would take to tell the next other cell from the same one."""
    against = {row["cell"], row["control"]}
    for other in competitors:
        countable = not other["settled"] and np.isfinite(other["more_seeds"])
        if other["cell"] not in against and other["control"] in against and countable:
            return f"; {plural(other['more_seeds'], 'more seed')} would settle `{other['cell']}`"
    return ""


def _remarks(leader: Row, finished: list[Row], references: Sequence[str]) -> str:
    remarks = []
    best = next((row for row in finished if row["cell"] in references), None)
    if best is not None and best["cell"] not in (leader["cell"], leader["control"]):
        remarks.append(f"the true reward (`{best['cell']}`) reaches {plain(best['iqm'])}")
    if leader["failures"] > 0:
        level = plain(leader["failure_below"])
        remarks.append(
            f"{leader['failures']:.0f} of {plural(leader['seeds'], 'seed')} of `{leader['cell']}` "
            f"ended below {level}"
        )
    if leader["strategy"] in NULL_CONTROLS:
        remarks.append(f"`{leader['cell']}` is a null control, and no cell did better")
    if not remarks:
        return ""
    text = "; ".join(remarks)
    return text[0].upper() + text[1:] + "."
