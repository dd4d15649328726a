"""Labels and judgements as tables that a spreadsheet reads."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from rlhf_core.evidence import NOBODY, Annotations, Answers, Choice, Rankings, Ratings, Workers
from rlhf_core.feedback import FeedbackState


def labels(feedback: FeedbackState) -> dict[str, bytes]:
    """One file a form of label, and one about the workers. Segments are positions in the evidence.

    Labels of pairs are what the fit was told, those of a control changed by it; rankings and
    ratings are as they were given.
    """
    evidence, preferences = feedback.evidence, feedback.preferences
    files: dict[str, bytes] = {}
    if preferences is not None and len(preferences):
        columns = (*preferences.pair.T, preferences.target, preferences.weight)
        head = ["left_segment", "right_segment", "probability_right", "weight"]
        files["labels/labels.csv"] = _table(head, zip(*(c.tolist() for c in columns), strict=True))
    if evidence is not None and len(evidence.rankings):
        files["labels/rankings.csv"] = _table(
            ["places", "worker", "segments_best_first"],
            (
                (places, worker, " ".join(str(item) for item in items if item != NOBODY))
                for places, worker, items in _rows(evidence.rankings, "places", "worker", "items")
            ),
        )
    if evidence is not None and len(evidence.ratings):
        names = ("segment", "step", "value", "worker")
        files["labels/ratings.csv"] = _table(names, _rows(evidence.ratings, *names))
    workers = feedback.workers
    if workers is not None and len(workers) > 1:
        names = ("worker", "judgements", "competence", "agreement")
        files["labels/workers.csv"] = _table(names, _rows(workers, *names))
    return files


def judgements(batches: Iterable[tuple[int, Answers]]) -> bytes:
    """One line a judgement with its round, as it was given, and its price: the ledger."""
    rows: list[tuple[object, ...]] = []
    paid = ("worker", "seconds", "cost")
    for index, given in batches:
        for query, choice, *rest in _rows(given.comparisons, "query", "choice", *paid):
            rows.append((index, "comparison", query, Choice(choice).name.lower(), *rest))
        for items, places, *rest in _rows(given.rankings, "items", "places", *paid):
            group = " ".join(str(item) for item in sorted(items) if item != NOBODY)
            best = " ".join(str(item) for item in items[:places])
            rows.append((index, "ranking", group, best, *rest))
        for segment, step, value, *rest in _rows(given.ratings, "segment", "step", "value", *paid):
            form, question = ("rating", segment) if step < 0 else ("signal", f"{segment}@{step}")
            rows.append((index, form, question, value, *rest))
    head = ["round", "form", "question", "answer", *paid]
    return _table(head, rows)


def profile(feedback: FeedbackState) -> dict[str, int]:
    """What the labels are, in numbers."""
    evidence, preferences = feedback.evidence, feedback.preferences
    found = {}
    if preferences is not None and len(preferences):
        found["comparisons"] = len(preferences)
        found["ties"] = int((preferences.target == 0.5).sum())
    if evidence is not None:
        found |= {"rankings": len(evidence.rankings), "ratings": len(evidence.ratings)}
    return found


def _rows(
    given: Annotations | Rankings | Ratings | Workers, *names: str
) -> Iterable[tuple[Any, ...]]:
    return zip(*(getattr(given, name).tolist() for name in names), strict=True)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    return text.getvalue().encode()
