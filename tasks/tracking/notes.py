"""Descriptions of runs: Markdown in paragraphs with bold titles, which are replaced one by one.

MLflow's page shows them above everything else. Who writes of the end of a run need not know what
was written at its beginning, and what a person wrote below stays.
"""

import re
from collections.abc import Mapping

from tasks.addresses import masked
from tasks.tracking.store import Tracker
from tasks.tracking.tags import NOTE_TAG


def edited(note: str, changes: Mapping[str, str | None], first: bool = False) -> str:
    """A description with some of its paragraphs replaced.

    Args:
        note: Markdown.
        changes: text of a paragraph by its title, added where there was none; None takes the
            paragraph out.
        first: add at the beginning, and not at the end.
    """
    paragraphs = [part for part in re.split(r"\n\s*\n", note.strip()) if part]
    for title, text in changes.items():
        head = f"**{title}:**"
        places = [i for i, part in enumerate(paragraphs) if part.startswith(head)]
        lines = [] if text is None else [f"{head} {one_paragraph(text)}"]
        if places:
            paragraphs[places[0] : places[0] + 1] = lines
        else:
            paragraphs = [*lines, *paragraphs] if first else [*paragraphs, *lines]
    return "\n\n".join(paragraphs)


def one_paragraph(text: str) -> str:
    """A text without empty lines."""
    return re.sub(r"\n\s*\n", "\n", text.strip())


def edit(
    tracker: Tracker, run_id: str, changes: Mapping[str, str | None], tags: Mapping[str, str]
) -> None:
    """Replace paragraphs of a run's description. Secrets of addresses are masked.

    Args:
        tracker: where.
        run_id: of the run.
        changes: as for `edited`.
        tags: the tags that the run has now.
    """
    before = tags.get(NOTE_TAG, "")
    after = masked(edited(before, changes))
    if after != before:
        tracker.client().set_tag(run_id, NOTE_TAG, after)


def run_link(experiment_id: str, run_id: str, text: str) -> str:
    """A link to the page of a run, from any of MLflow's pages."""
    return f"[{text}](#/experiments/{experiment_id}/runs/{run_id})"
