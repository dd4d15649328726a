"""Labels and judgements as tables that a spreadsheet reads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rlhf_core.answers import Answers
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.labels import Evidence, Preferences

LEDGER = ("round", "form", "question", "answer", "worker", "seconds", "cost")


def labels(feedback: FeedbackState) -> dict[str, bytes]:
    """One file a form of feedback, and one about the workers. Segments are positions in the
    evidence.

    The labels are those of the fit, which a null control has changed.
    """
    files = {
        f"labels/{form}.csv": _table(labels.columns())
        for form, labels in feedback.labels.items()
        if len(labels)
    }
    demonstrations = feedback.demonstrations
    if demonstrations is not None:
        files["labels/demonstrations.csv"] = _table(demonstrations.columns())
    workers = feedback.workers
    if workers is not None and len(workers) > 1:
        files["labels/workers.csv"] = _table(workers.columns())
    return files


def judgements(batches: Sequence[tuple[int, Answers]], evidence: Evidence) -> bytes:
    """The ledger: one line a judgement with its round, the answer and its price.

    The round is 0 where a judgement was taken over from another run.

    Args:
        batches: round, from 0, and answers of each batch that was asked.
        evidence: all answers joined, whose numbers of segments are those of the labels.
    """
    tables = []
    for form, joined in sorted(evidence.judgements.items()):
        entries = joined.entries(evidence.queries.get(form))
        rounds = [
            round + 1
            for round, answers in batches
            for _ in range(len(answers.judgements.get(form, ())))
        ]
        taken_over = [0] * (len(joined) - len(rounds))
        tables.append(
            pd.DataFrame(
                {
                    "round": taken_over + rounds,
                    "form": form,
                    "question": entries.questions,
                    "answer": entries.answers,
                    "worker": entries.workers,
                    "seconds": joined.seconds,
                    "cost": joined.cost,
                }
            )
        )
    if not tables:
        return _csv(pd.DataFrame(columns=LEDGER))
    return _csv(pd.concat(tables).sort_values("round", kind="stable"))


def profile(feedback: FeedbackState) -> dict[str, int]:
    """How many labels there are, by form."""
    counts = {form: len(labels) for form, labels in feedback.labels.items()}
    for labels in feedback.labels.values():
        if isinstance(labels, Preferences):
            counts["ties"] = int((labels.target == 0.5).sum())
    if feedback.demonstrations is not None:
        counts["demonstrations"] = len(feedback.demonstrations)
    return counts


def _table(columns: Mapping[str, Any]) -> bytes:
    return _csv(pd.DataFrame({name: np.asarray(column) for name, column in columns.items()}))


def _csv(table: pd.DataFrame) -> bytes:
    text: str = table.to_csv(index=False, lineterminator="\n")
    return text.encode()
