"""Counted answers as judgements, form by form."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.demonstrations import Demonstrations
from rlhf_core.errors import ConfigurationError
from rlhf_core.feedback_forms import parse
from rlhf_core.feedback_forms.click import Click, Clicks
from rlhf_core.judgements import WHOLE, Choice, Judgements
from rlhf_core.labelling.forms import is_skip
from rlhf_core.labelling.store.records import CountedAnswer
from rlhf_core.packing import unpack
from rlhf_core.questions import Queries

Rows = Sequence[CountedAnswer]


def judged(form: str, queries: Queries, counted: Rows) -> Judgements | None:
    """Answers to queries of one form; rows by question, then by annotator. None without a row.

    A skipped comparison is a row with `Choice.SKIP`; the other forms have no row for a skip.

    Args:
        form: of all answers.
        queries: what they answer.
        counted: the answers.

    Raises:
        ConfigurationError: people cannot answer the form.
    """
    if form not in MAKERS:
        raise ConfigurationError(f"form '{form}': expected one of {', '.join(sorted(MAKERS))}")
    skips = form == "comparison"
    rows = [one for one in counted if skips or not is_skip(one.answer)]
    rows.sort(key=lambda one: (one.row, one.annotator))
    return MAKERS[form](queries, rows) if rows else None


def by_form(counted: Rows) -> Mapping[str, Rows]:
    """Answers by their form."""
    groups: dict[str, list[CountedAnswer]] = {}
    for one in counted:
        groups.setdefault(one.form, []).append(one)
    return dict(sorted(groups.items()))


def _columns(rows: Rows) -> dict[str, np.ndarray]:
    return {
        "worker": np.array([one.annotator for one in rows], dtype=np.int64),
        "seconds": np.array([one.seconds for one in rows], dtype=np.float64),
        "cost": np.array([one.price for one in rows], dtype=np.float64),
    }


def _questions(rows: Rows) -> np.ndarray:
    return np.array([one.row for one in rows], dtype=np.int64)


def _comparisons(queries: Queries, rows: Rows) -> Comparisons:
    choices = [Choice[str(one.answer["choice"]).upper()] for one in rows]
    return Comparisons(_questions(rows), choice=np.array(choices, dtype=np.int64), **_columns(rows))


def _rankings(queries: Queries, rows: Rows) -> Rankings:
    order = np.array([one.answer["order"] for one in rows], dtype=np.int64)
    items = np.take_along_axis(queries.items[_questions(rows)], order, axis=1)
    places = np.array([one.answer["places"] for one in rows], dtype=np.int64)
    return Rankings(items, places, **_columns(rows))


def _ratings(queries: Queries, rows: Rows) -> Ratings:
    question = _questions(rows)
    moment = np.full(len(rows), WHOLE) if queries.step is None else queries.step[question]
    value = np.array([one.answer["value"] for one in rows], dtype=np.float64)
    return Ratings(queries.items[question, 0], moment, value, **_columns(rows))


def _clicks(queries: Queries, rows: Rows) -> Clicks:
    """A row a position of each list; time and price are split evenly among them."""
    form = parse(queries)
    assert isinstance(form, Click), "the form of clicks"
    question, positions = _questions(rows), queries.items.shape[1]
    clicked = np.zeros((len(rows), positions), dtype=bool)
    for row, one in enumerate(rows):
        clicked[row, list(one.answer["clicked"])] = True
    columns = {name: np.repeat(values, positions) for name, values in _columns(rows).items()}
    return Clicks(
        query=np.repeat(question, positions),
        clip=queries.items[question].ravel(),
        clicked=clicked.ravel(),
        propensity=np.tile(np.array(form.assumed_examination or form.examination), len(rows)),
        worker=columns["worker"],
        seconds=columns["seconds"] / positions,
        cost=columns["cost"] / positions,
    )


def _demonstrations(queries: Queries, rows: Rows) -> Demonstrations:
    whole: Demonstrations | None = None
    for one in rows:
        assert one.episode is not None, "an answer names a stored episode"
        episode = replace(
            unpack(one.episode, Demonstrations),
            seconds=np.array([one.seconds]),
            cost=np.array([one.price]),
        )
        whole = episode if whole is None else whole.joined(episode)
    assert whole is not None, "there is a row"
    return whole


MAKERS: Mapping[str, Callable[[Queries, Rows], Judgements]] = {
    "comparison": _comparisons,
    "rating": _ratings,
    "signal": _ratings,
    "best_of": _rankings,
    "ranking": _rankings,
    "click": _clicks,
    "demonstration": _demonstrations,
}
"""By form: what makes judgements of answers that are no skips."""
