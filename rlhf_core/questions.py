"""What annotators are asked in one round.

A `Request` maps each form of feedback (`rlhf_core.feedback_forms`) to its queries. Positions in
queries point into the segments that travel along.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from rlhf_core.types import Segments, Value, expect, expect_shape


@dataclass(frozen=True, eq=False)
class Queries(Value):
    """N queries of one form, each about K segments."""

    items: Int[np.ndarray, "N K"]
    """Positions in `Segments`; of a pair: left, right."""
    step: Int[np.ndarray, " N"] | None = None
    """The step after which a moment of the clip is rated; None: the clips are judged as wholes."""
    worth: int = 1
    """Labels that one query counts as."""
    form: str = ""
    """The form of feedback with its settings, as JSON, for whoever answers."""

    def __len__(self) -> int:
        return len(self.items)

    @property
    def labels(self) -> int:
        """Labels that all queries together count as."""
        return len(self) * self.worth

    def joined(self, later: "Queries", clips: int = 0) -> "Queries":
        """These queries, then others whose positions move on by so many clips."""
        step = None
        if self.step is not None and later.step is not None:
            step = np.concatenate([self.step, later.step])
        items = np.concatenate([self.items, later.items + clips])
        return Queries(items, step, self.worth, self.form)

    def _check(self) -> None:
        expect(self.items.ndim == 2, self, "items of shape (N, K)", self.items.shape)
        if self.step is not None:
            expect_shape(self, "step", (len(self.items),))
        expect(self.worth >= 1, self, "a worth of at least 1 label", self.worth)


def no_queries(size: int = 2) -> Queries:
    """No query about `size` segments each."""
    return Queries(np.empty((0, size), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class Request(Value):
    """What a feedback strategy asks in one round. Without queries it asks nothing."""

    segments: Segments
    """The segments that the queries are about."""
    reference: Segments
    """An unlabelled sample of what the policy does now; reward scales are set on it."""
    queries: Mapping[str, Queries]
    """The queries of each form of feedback, by the form's `kind`."""
    audit: Bool[np.ndarray, " S"] | None = None
    """Segments that were drawn at random, whatever the selector prefers."""

    @property
    def labels(self) -> int:
        """Labels that all queries together count as."""
        return sum(queries.labels for queries in self.queries.values())

    @property
    def count(self) -> int:
        """How many queries there are."""
        return sum(len(queries) for queries in self.queries.values())

    def ids(self, form: str) -> list[str]:
        """An identifier of each query of a form, derived from its content alone.

        It is SHA-256 over the form with its settings, the step, and the observations, actions and
        mask of the clips in the order in which they are shown, cut to 32 hexadecimal digits. The
        same query has the same identifier in any process and on any day, so that a label store can
        key answers by it. Of identical queries in one request, the second one ends in `-1`, the
        third in `-2`, and so on.
        """
        queries = self.queries[form]
        clips = {int(item): _digest(self.segments, int(item)) for item in np.unique(queries.items)}
        identifiers: list[str] = []
        repeated: Counter[str] = Counter()
        for row, items in enumerate(queries.items):
            content = hashlib.sha256(f"{form} {queries.form} ".encode())
            if queries.step is not None:
                content.update(f"{int(queries.step[row])} ".encode())
            for item in items:
                content.update(clips[int(item)])
            identifier = content.hexdigest()[:32]
            again = repeated[identifier]
            repeated[identifier] += 1
            identifiers.append(f"{identifier}-{again}" if again else identifier)
        return identifiers

    def _check(self) -> None:
        if self.audit is not None:
            expect_shape(self, "audit", (len(self.segments),))
        for queries in self.queries.values():
            if queries.items.size:
                least, most = int(queries.items.min()), int(queries.items.max())
                expect(
                    least >= 0 and most < len(self.segments),
                    self,
                    f"positions among {len(self.segments)} segments",
                    most if least >= 0 else least,
                )


def no_questions(reference: Segments) -> Request:
    """A request with a reference sample and no query."""
    return Request(reference, reference, {})


def _digest(segments: Segments, item: int) -> bytes:
    """SHA-256 of what one clip shows: shapes, observations, actions, terminations and mask."""
    content = hashlib.sha256()
    for column in (segments.observations, segments.actions, segments.terminated, segments.mask):
        row = np.ascontiguousarray(column[item])
        content.update(f"{row.dtype} {row.shape} ".encode())
        content.update(row.tobytes())
    return content.digest()
