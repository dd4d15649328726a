"""The table of a comparison as Markdown and LaTeX."""

from typing import TYPE_CHECKING, Any

from rlhf_core.comparison.numbers import decimals_for, plain, with_interval

if TYPE_CHECKING:
    from rlhf_core.comparison.comparison import Comparison

HEADINGS = (
    "cell",
    "seeds",
    "IQM (95 %)",
    "failure rate",
    "difference from control",
    "P(improvement)",
    "adjusted p",
    "normalised",
    "labels",
)


def short_rows(comparison: "Comparison", task: str) -> list[list[str]]:
    """Cells of the short table of one task as text, in the order of `HEADINGS`."""
    rows: list[dict[str, Any]] = comparison.table[comparison.table["task"] == task].to_dict(
        "records"
    )
    digits = decimals_for(*(row["iqm"] for row in rows))
    return [
        [
            row["cell"],
            seeds_text(row),
            with_interval(row["iqm"], row["ci_low"], row["ci_high"], digits),
            rate_text(row),
            difference_text(row, digits),
            with_interval(row["improvement"], row["improvement_low"], row["improvement_high"], 2),
            p_text(row["p_adjusted"]),
            plain(row["normalised_score"], 2),
            plain(row["labels"], 0),
        ]
        for row in rows
    ]


def seeds_text(row: dict[str, Any]) -> str:
    """Finished runs, and those without a return beside them."""
    return f"{row['seeds']}" + (f" (+{row['failed']} failed)" if row["failed"] else "")


def rate_text(row: dict[str, Any]) -> str:
    """Failed seeds of all, with the interval of the rate; a dash where no level is known."""
    if row["failure_rate"] != row["failure_rate"]:
        return "-"
    low, high = (plain(100 * row[end], 0) for end in ("failure_low", "failure_high"))
    return f"{row['failures']:.0f} of {row['seeds']} ({low} to {high} %)"


def difference_text(row: dict[str, Any], digits: int) -> str:
    """Difference from the control with its interval; a dash where there is no control."""
    return with_interval(row["difference"], row["difference_low"], row["difference_high"], digits)


def p_text(p: float) -> str:
    """Write a p value, very small ones as a bound."""
    return "< 0.001" if p < 0.001 else plain(p, 3)


def markdown(comparison: "Comparison") -> str:
    """Answer and short table of each task."""
    parts = [f"# {_markdown_text(comparison.name)}", comparison.answer]
    for task in comparison.tasks:
        if len(comparison.tasks) > 1:
            parts.append(f"## {_markdown_text(task)}")
        lines = [headings(comparison), ["---"] * len(HEADINGS)]
        for cell, *texts in short_rows(comparison, task):
            lines.append([f"`{_markdown_text(cell)}`", *texts])
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    return "\n\n".join(parts) + "\n"


def latex(comparison: "Comparison") -> str:
    r"""Short table as a `tabular` with the rules of `booktabs`; load that package."""
    lines = [r"\begin{tabular}{l" + "r" * (len(HEADINGS) - 1) + "}", r"\toprule"]
    lines.append(_latex_row(headings(comparison)))
    for task in comparison.tasks:
        lines.append(r"\midrule")
        if len(comparison.tasks) > 1:
            lines.append(rf"\multicolumn{{{len(HEADINGS)}}}{{l}}{{{_latex_text(task)}}} \\")
        lines += [_latex_row(row) for row in short_rows(comparison, task)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def headings(comparison: "Comparison") -> list[str]:
    """Headings of the short table at the comparison's level."""
    percent = f"{100 * comparison.level:g} %"
    return [heading.replace("95 %", percent) for heading in HEADINGS]


def _markdown_text(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _latex_row(texts: list[str]) -> str:
    return " & ".join(_latex_text(text) for text in texts) + r" \\"


LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
    }
)


def _latex_text(text: str) -> str:
    return text.translate(LATEX_ESCAPES)
