"""A study's result as Markdown."""

from collections.abc import Mapping

from rlhf_core.generalisation.protocol import Measure, Rates, measures, summarised
from rlhf_core.generalisation.study import Generalisation


def as_markdown(study: Generalisation, by_method: Mapping[str, Rates]) -> str:
    """Two tables: every cell, and the measures of the protocol."""
    seeds = len(study.matrix.all_seeds)
    names = [*study.physics]
    lines = [
        f"# {study.name}",
        "",
        f"Success in {study.episodes:,} episodes, in percent: mean of {seeds} seeds, standard "
        "deviation, worst seed.",
        "",
        "| method | trained in | " + " | ".join(f"measured in {name}" for name in names) + " |",
        "|---|---|" + "---|" * len(names),
    ]
    for method, rates in by_method.items():
        for trained_in in names:
            cells = [_text(summarised(rates[trained_in, name])) for name in names]
            lines.append(f"| {method} | {trained_in} | {' | '.join(cells)} |")
    summaries = {method: measures(rates) for method, rates in by_method.items()}
    kinds = [*next(iter(summaries.values()), {})]
    if kinds:
        lines += ["", "| method | " + " | ".join(kinds) + " |", "|---|" + "---|" * len(kinds)]
    for method, summary in summaries.items():
        if kinds:
            cells = [_text(summary[kind]) for kind in kinds]
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _text(measure: Measure) -> str:
    numbers = (measure.mean, measure.std, measure.worst)
    mean, std, worst = (100 * number for number in numbers)
    return f"{mean:.1f} ± {std:.1f} ({worst:.1f})"
