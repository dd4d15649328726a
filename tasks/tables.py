"""Labels and judgements as tables that a spreadsheet reads."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from rlhf_core.answers import EMPTY, Answers, Choice, Comparisons, Rankings, Ratings
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.labels import Evidence, Workers


def labels(feedback: FeedbackState) -> dict[str, bytes]:
    """One file a form of label, and one about the workers. Segments are positions in the evidence.

    Labels of pairs are what the fit was told, those of a control changed by it; rankings, ratings
    and demonstrations are as they were given.
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
                (places, worker, _joined(items))
                for places, worker, items in _rows(evidence.rankings, "places", "worker", "items")
            ),
        )
    if evidence is not None and len(evidence.ratings):
        names = ("segment", "step", "value", "worker")
        files["labels/ratings.csv"] = _table(names, _rows(evidence.ratings, *names))
    shown = feedback.demonstrations
    if shown is not None:
        head = ["episode", "steps", "terminated", "seconds", "cost"]
        columns = (shown.lengths, shown.terminated, shown.seconds, shown.cost)
        rows = zip(range(len(shown)), *(column.tolist() for column in columns), strict=True)
        files["labels/demonstrations.csv"] = _table(head, rows)
    workers = feedback.workers
    if workers is not None and len(workers) > 1:
        names = ("worker", "judgements", "competence", "agreement")
        files["labels/workers.csv"] = _table(names, _rows(workers, *names))
    return files


def judgements(batches: Sequence[tuple[int, Answers]], evidence: Evidence) -> bytes:
    """One line a judgement with its round, as it was given, and its price: the ledger.

    Args:
        batches: round, from 0, and answers of each batch that was asked.
        evidence: all answers joined, whose numbers of segments are those of the labels.
    """

    def rounds(form: str) -> list[int]:
        return [index + 1 for index, given in batches for _ in range(len(getattr(given, form)))]

    rows: list[tuple[object, ...]] = []
    paid = ("worker", "seconds", "cost")
    given = _rows(evidence.comparisons, "query", "choice", *paid)
    for index, (query, choice, *rest) in zip(rounds("comparisons"), given, strict=True):
        pair = _joined(evidence.queries.items[query])
        rows.append((index, "comparison", pair, Choice(choice).name.lower(), *rest))
    given = _rows(evidence.rankings, "items", "places", *paid)
    for index, (items, places, *rest) in zip(rounds("rankings"), given, strict=True):
        group = _joined(sorted(items))
        rows.append((index, "ranking", group, _joined(items[:places]), *rest))
    given = _rows(evidence.ratings, "segment", "step", "value", *paid)
    for index, (segment, step, value, *rest) in zip(rounds("ratings"), given, strict=True):
        form, question = ("rating", segment) if step < 0 else ("signal", f"{segment}@{step}")
        rows.append((index, form, question, value, *rest))
    head = ["round", "form", "question", "answer", *paid]
    return _table(head, sorted(rows, key=lambda row: int(str(row[0]))))


def profile(feedback: FeedbackState) -> dict[str, int]:
    """What the labels are, in numbers."""
    evidence, preferences = feedback.evidence, feedback.preferences
    found = {}
    if preferences is not None and len(preferences):
        found["comparisons"] = len(preferences)
        found["ties"] = int((preferences.target == 0.5).sum())
    if evidence is not None:
        found |= {"rankings": len(evidence.rankings), "ratings": len(evidence.ratings)}
    if feedback.demonstrations is not None:
        found["demonstrations"] = len(feedback.demonstrations)
    return found


def _rows(
    given: Comparisons | Rankings | Ratings | Workers, *names: str
) -> Iterable[tuple[Any, ...]]:
    return zip(*(getattr(given, name).tolist() for name in names), strict=True)


def _joined(segments: Iterable[int]) -> str:
    return " ".join(str(segment) for segment in segments if segment != EMPTY)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(head)
    table.writerows(rows)
    return text.getvalue().encode()
