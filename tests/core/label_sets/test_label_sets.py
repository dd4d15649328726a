"""Label sets: what is added stays, in order, with its origin and age."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rlhf_core.aggregation.majority import Majority
from rlhf_core.driver import Start
from rlhf_core.errors import ConfigurationError
from rlhf_core.in_process import run
from rlhf_core.judgements import Choice
from rlhf_core.label_sets import versions
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.files import read, write
from rlhf_core.label_sets.joining import joined, since
from rlhf_core.labels import Evidence
from rlhf_core.packing import pack
from rlhf_core.questions import Queries
from rlhf_core.reward_learning.evidence import labelled
from rlhf_core.store import Store
from tests.core.examples import annotations, rankings, ratings, segments, tiny

LEFT, RIGHT = Choice.LEFT, Choice.RIGHT


def evidence(first: float = 0, count: int = 3) -> Evidence:
    """Comparisons of neighbours among `count` clips; every second one prefers the left."""
    clips = segments([[first + i, first + i + 0.5] for i in range(count)])
    pairs = np.stack([np.arange(count - 1), np.arange(1, count)], axis=1)
    choices = [LEFT if i % 2 else RIGHT for i in range(count - 1)]
    made = annotations(range(count - 1), choices, 3)
    return Evidence(clips, {"comparison": Queries(pairs)}, {"comparison": made})


def batch(first: float = 0, origin: str = "run a", at: float = 100.0) -> LabelBatch:
    return LabelBatch(evidence(first), origin, at)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store")).create()


def test_joined_evidence_moves_the_positions_of_the_second() -> None:
    whole = joined(evidence(0), evidence(10))
    assert whole.segments.observations[:, 0, 0].tolist() == [0, 1, 2, 10, 11, 12]
    assert whole.queries["comparison"].items.tolist() == [[0, 1], [1, 2], [3, 4], [4, 5]]
    comparisons = whole.comparisons
    assert comparisons is not None
    assert comparisons[1].query.tolist() == [0, 1, 2, 3]


def test_what_came_since_is_what_was_joined() -> None:
    later = Evidence(
        evidence(10).segments,
        {"rating": Queries(np.array([[0], [2]])), "ranking": Queries(np.array([[0, 1, 2]]))},
        {"rating": ratings([0, 2], [1.5, 2.5]), "ranking": rankings([[2, 0, 1]])},
    )
    for part in (evidence(10), later):
        whole = joined(evidence(0), part)
        found = since(whole, evidence(0))
        assert found is not None
        back = joined(evidence(0), found)
        assert pack(back) == pack(whole)
        assert {f: len(j) for f, j in found.judgements.items()} == {
            f: len(j) for f, j in part.judgements.items()
        }
    assert since(evidence(0), evidence(0)) is None


def test_what_a_run_learned_after_its_start_is_split_off() -> None:
    experiment = tiny("Pendulum-v1")
    first = run(experiment)
    before = first.feedback.evidence
    last = run(tiny("Pendulum-v1", seed=3), start=Start(feedback=first.feedback))
    new = since(last.feedback.evidence, before)
    assert new is not None
    assert {form: len(made) for form, made in new.judgements.items()} == {"comparison": 8}
    assert pack(joined(before, new)) == pack(last.feedback.evidence)


def test_versions_grow_and_stay(store: Store) -> None:
    one = versions.append(store, "people", [batch(0)])
    two = versions.append(store, "people", [batch(10, "run b", 200.0), batch(20, "file", 50.0)])
    assert (one.number, two.number) == (1, 2)
    assert versions.names(store) == ["people"]
    assert versions.read(store, "people", 1) == one
    assert versions.read(store, "people") == two
    assert two.batches[:1] == one.batches
    assert [(n.origin, n.collected_at, n.counts) for n in two.batches] == [
        ("run a", 100.0, {"comparison": 2}),
        ("run b", 200.0, {"comparison": 2}),
        ("file", 50.0, {"comparison": 2}),
    ]
    assert two.counts == {"comparison": 6}
    assert one.digest != two.digest
    whole = joined(joined(evidence(0), evidence(10)), evidence(20))
    assert pack(two.evidence(store)) == pack(whole)


def test_the_same_batch_is_not_added_twice(store: Store) -> None:
    one = versions.append(store, "people", [batch(0)])
    assert versions.append(store, "people", [batch(0)]) == one
    assert versions.versions(store, "people") == [1]


def test_what_does_not_fit_adds_nothing(store: Store) -> None:
    versions.append(store, "people", [batch(0)])
    longer = Evidence(segments([[0.0, 1, 2]]), {}, {"rating": ratings([0], [1.0])})
    with pytest.raises(
        ConfigurationError, match=r"expected the steps of a clip as in .* 2, actual: 3"
    ):
        versions.append(store, "people", [batch(10), LabelBatch(longer, "file", 1.0)])
    with pytest.raises(ConfigurationError, match="expected labels to add, actual: none"):
        versions.append(store, "people", [])
    assert versions.versions(store, "people") == [1]


def test_unknown_sets_versions_and_names_are_refused(store: Store) -> None:
    with pytest.raises(ConfigurationError, match="label set 'people': not known; there is none"):
        versions.read(store, "people")
    versions.append(store, "people", [batch(0)])
    with pytest.raises(ConfigurationError, match="did you mean 'people'"):
        versions.read(store, "peopel")
    with pytest.raises(ConfigurationError, match="a version from 1 to 1, actual: 2"):
        versions.read(store, "people", 2)
    with pytest.raises(ConfigurationError, match=r"expected a name of letters.*'\.\./x'"):
        versions.append(store, "../x", [batch(0)])


def test_a_reward_is_fitted_on_labels_that_went_through_a_file(tmp_path: Path) -> None:
    first = run(tiny("Pendulum-v1"))
    write(tmp_path / "labels.jsonl", [LabelBatch(first.feedback.evidence, "run a", 1.0)])
    (imported,) = read(tmp_path / "labels.jsonl")
    experiment = tiny("Pendulum-v1", seed=3)
    known = replace(experiment.feedback.initial(), evidence=imported.evidence)
    last = run(experiment, start=Start(feedback=known))
    assert len(last.feedback.labels["comparison"]) == 16
    assert last.feedback.asked == 8


def test_rankings_of_several_sizes_go_through_a_file_and_teach(tmp_path: Path) -> None:
    clips = segments([[0.0, 1], [2, 3], [4, 5], [6, 7]])
    ranked = rankings([[2, 0, 1], [3, 1]])
    queries = {"ranking": Queries(np.array([[0, 1, 2], [1, 3, 3]]))}
    write(
        tmp_path / "labels.jsonl",
        [LabelBatch(Evidence(clips, queries, {"ranking": ranked}), "a", 1)],
    )
    (batch,) = read(tmp_path / "labels.jsonl")
    assert labelled(batch.evidence, (), Majority())[0]["ranking"].teaches("drop")
