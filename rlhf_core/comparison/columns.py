"""Columns of the report's table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rlhf_core.comparison.numbers import plain, with_interval
from rlhf_core.comparison.tables import difference_text, p_text, rate_text, seeds_text

Row = dict[str, Any]


@dataclass(frozen=True)
class Column:
    """One column: what it is sorted by, and how it is written."""

    key: str
    """Column of the comparison's table."""
    heading: str
    meaning: str
    write: Callable[[Row, int], str]
    """From a row and the decimals of the task's returns."""
    first_screen: bool = False
    """Whether it belongs to the few that a telephone shows without scrolling."""

    def sort_value(self, row: Row) -> str:
        """Value that the table is sorted by, empty where there is none."""
        value = row[self.key]
        return "" if value != value else str(value)


def table_columns(level: float, rows: list[Row]) -> tuple[Column, ...]:
    """Columns of a task's table, without those that are empty in all of its rows."""
    percent = f"{100 * level:g} %"
    columns = (
        Column(
            "iqm",
            f"IQM ({percent})",
            "Interquartile mean of the seeds' true returns, with its interval",
            lambda row, digits: with_interval(row["iqm"], row["ci_low"], row["ci_high"], digits),
            first_screen=True,
        ),
        Column(
            "improvement",
            "P(better)",
            "Probability of improvement over the control, with its interval",
            lambda row, _: with_interval(
                row["improvement"], row["improvement_low"], row["improvement_high"], 2
            ),
            first_screen=True,
        ),
        Column(
            "failure_rate",
            "Failed",
            "Seeds that ended below the level of failure, with the interval of the rate",
            lambda row, _: rate_text(row),
            first_screen=True,
        ),
        Column(
            "difference",
            "Difference",
            "Difference of the interquartile means from the control, on common seeds",
            difference_text,
        ),
        Column(
            "p_adjusted",
            "p",
            "Of no difference from the control, corrected for several comparisons",
            lambda row, _: p_text(row["p_adjusted"]),
        ),
        Column("more_seeds", "More seeds", "Of each cell that would settle it", _more_seeds),
        Column("seeds", "Seeds", "Runs with a return", lambda row, _: seeds_text(row)),
        _returns("median", "Median", "Of the seeds"),
        _returns("mean", "Mean", "Of the seeds"),
        _returns("worst", "Worst", "Of the seeds"),
        Column(
            "normalised_score",
            "Normalised",
            "0 is the untrained policy, 1 the true reward",
            lambda row, _: with_interval(
                row["normalised_score"], row["normalised_low"], row["normalised_high"], 2
            ),
        ),
        _numbers("optimality_gap", "Gap", "Mean shortfall from the true reward", 3),
        _returns("auc_steps", "Area, steps", "Mean return over environment steps"),
        _returns("auc_labels", "Area, labels", "Mean return over labels"),
        _numbers("labels", "Labels", "Mean of the runs", 0),
        _numbers("return_per_label", "Gain per label", "Over the untrained policy"),
        _numbers("cost", "Cost", "Mean of the runs"),
        _numbers("return_per_cost", "Gain per cost", "Over the untrained policy"),
        _numbers("env_steps", "Steps", "Mean of the runs", 0),
        _numbers("seconds", "Seconds", "Mean of the runs", 0),
        _numbers("heldout_accuracy", "Accuracy", "On held-out labels, mean of the runs", 2),
        _numbers("proxy_correlation", "Correlation", "Of learned and true reward, mean", 2),
        _numbers("alarms", "Alarms", "Of the guard, in all runs", 0),
    )
    return tuple(
        column
        for column in columns
        if column.first_screen or any(row[column.key] == row[column.key] for row in rows)
    )


def _more_seeds(row: Row, _: int) -> str:
    return "settled" if row["settled"] else plain(row["more_seeds"], 0)


def _returns(key: str, heading: str, meaning: str) -> Column:
    """Column of true returns, all with the decimals of the task."""
    return Column(key, heading, meaning, lambda row, digits: plain(row[key], digits))


def _numbers(key: str, heading: str, meaning: str, decimals: int | None = None) -> Column:
    """Column of numbers with so many decimals."""
    return Column(key, heading, meaning, lambda row, _: plain(row[key], decimals))
