"""The report of a gate: a page of Markdown, and a picture."""

from collections.abc import Mapping
from typing import Any

from rlhf_core.retraining.figure import draw_gate
from rlhf_core.retraining.guards import Candidate
from rlhf_core.retraining.trial import Trial


def markdown(content: Mapping[str, Any]) -> str:
    """The decision, its reasons and its numbers.

    Args:
        content: of `retraining/decision.json`.
    """
    champion = content["champion"] or "no champion"
    lines = [
        f"# {content['outcome']}: {content['challenger']} against {champion}",
        "",
        *(f"- {reason}" for reason in content["reasons"]),
        "",
        f"Start states of seed {content['seed']}, {content['rules']['episodes']} of them; look "
        f"{content['look']} at this champion.",
    ]
    if content["label_set"]:
        lines.append(f"Labels: {content['label_set']}, digest `{content['label_set_digest']}`.")
    if content["metrics"]:
        lines += ["", "| number | value |", "|---|---|"]
        lines += [f"| {name} | {value:.6g} |" for name, value in content["metrics"].items()]
    return "\n".join(lines) + "\n"


def figures(
    challenger: Candidate, champion: Candidate | None, recorded: Trial | None
) -> dict[str, bytes]:
    """The picture of a gate by its path; none where there was no champion."""
    if champion is None:
        return {}
    return {"retraining/gate.png": draw_gate(challenger, champion, recorded)}
