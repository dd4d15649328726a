"""Counted answers as a round's answers, and as files of labels in both directions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlhf_core.answers import Comparisons, Rankings, Ratings
from rlhf_core.demonstrations import Demonstrations, demonstrations
from rlhf_core.errors import ConfigurationError, StoreError
from rlhf_core.feedback_forms import form_of
from rlhf_core.feedback_forms.click import Clicks
from rlhf_core.judgements import WHOLE, Choice
from rlhf_core.label_sets import files, versions
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.labelling.exchange import answers_of, export_labels, import_answers, labels_of
from rlhf_core.labelling.store import Annotator, Batch, Campaign, CampaignSettings, LabelStore
from rlhf_core.labels import Evidence
from rlhf_core.packing import pack
from rlhf_core.questions import Queries, Request
from rlhf_core.reward_learning.evidence import gathered
from rlhf_core.store import Store
from tests.core.examples import segments, trajectory
from tests.labelling.store.examples import (
    EQUAL,
    LEFT,
    RIGHT,
    SKIP,
    Clock,
    people,
    say,
)

Answer = dict[str, Any]


def asking(first: float = 0.0, **items: Any) -> Request:
    """Questions about clips that show first, first + 1, ..., by form; a signal has its step."""
    clips = segments(first + np.arange(8.0)[:, None] * np.ones((1, 2)))
    queries = {}
    for kind, rows in items.items():
        form = form_of(kind, ())
        step = np.array([1] * len(rows)) if kind == "signal" else None
        shape = (len(rows), form.size())
        asked = np.array(rows, dtype=np.int64).reshape(shape)
        queries[kind] = Queries(asked, step, form.worth(), form.model_dump_json())
    return Request(clips, clips, queries)


class Run:
    """A campaign whose requests are in a store of artifacts."""

    def __init__(
        self, store: LabelStore, folder: Path, key: str = "run-1", **settings: Any
    ) -> None:
        self.store, self.folder = store, folder
        self.artifacts = Store(f"{folder}/artifacts").create()
        self.campaign: Campaign = store.open_campaign(key, "t", CampaignSettings(**settings), "")

    def publish(self, request: Request, round: int = 0) -> Batch:
        """Publish a request of a round."""
        ref = self.artifacts.put(request)
        return self.store.publish(self.campaign, round, 0, request, self.artifacts.root, ref)

    def answer(self, annotator: Annotator, answers: dict[str, list[Answer]]) -> None:
        """Answer all that is offered: by form, the answer to the question of each row."""
        while items := self.store.offer(annotator, 3).items:
            for item in items:
                say(self.store, annotator, item, answers[item.question.form][item.question.row])


@pytest.fixture
def run(store: LabelStore, tmp_path: Path) -> Run:
    """A campaign that wants two answers a question, at 0.5 each."""
    return Run(store, tmp_path, answers_per_question=2, price=0.5)


def test_comparisons_are_rows_by_question_and_annotator(run: Run) -> None:
    request = asking(comparison=[(0, 1), (2, 3)])
    batch = run.publish(request)
    ada, grace = people(run.store, run.campaign, 2)
    run.answer(grace, {"comparison": [RIGHT, SKIP]})
    run.answer(ada, {"comparison": [LEFT, EQUAL]})
    answers = answers_of(request, run.store.collect(batch))
    assert answers.segments is None
    made = answers.judgements["comparison"]
    assert isinstance(made, Comparisons)
    assert made.query.tolist() == [0, 0, 1, 1]
    assert made.worker.tolist() == [0, 1, 0, 1]
    assert made.choice.tolist() == [Choice.LEFT, Choice.RIGHT, Choice.EQUAL, Choice.SKIP]
    assert made.seconds.tolist() == [2.0] * 4
    assert made.cost.tolist() == [0.5] * 4
    assert (answers.count, answers.skipped, answers.cost) == (4, 1, 2.0)


def test_each_form_has_its_own_judgements(store: LabelStore, tmp_path: Path) -> None:
    run = Run(store, tmp_path, price=2.0)
    request = asking(
        ranking=[(4, 2, 0, 6), (1, 3, 5, 7)],
        best_of=[(0, 1, 2, 3)],
        rating=[(5,), (6,)],
        signal=[(7,)],
        click=[(3, 2, 1, 0)],
        demonstration=[(), ()],
    )
    batch = run.publish(request)
    (ada,) = people(store, run.campaign, 1)
    played = pack(demonstrations([trajectory(3)], seconds=9.0))
    while items := store.offer(ada, 1).items:
        (item,) = items
        if item.question.form == "demonstration" and item.question.row == 0:
            store.add_episode(ada, item.id, "played", played)
        answer: Answer = {
            "ranking": [{"order": [2, 0, 1, 3], "places": 2}, {"skip": True}],
            "best_of": [{"order": [3]}],
            "rating": [{"value": 4}, {"skip": True}],
            "signal": [{"value": -1}],
            "click": [{"clicked": [0, 3]}],
            "demonstration": [{"episode": "played"}, {"skip": True}],
        }[item.question.form][item.question.row]
        say(store, ada, item, answer)
    judgements = answers_of(request, store.collect(batch)).judgements
    ranking, best, rating, signal, click, shown = (
        judgements[form]
        for form in ("ranking", "best_of", "rating", "signal", "click", "demonstration")
    )
    assert isinstance(ranking, Rankings)
    assert (ranking.items.tolist(), ranking.places.tolist()) == ([[0, 4, 2, 6]], [2])
    assert isinstance(best, Rankings)
    assert (best.items.tolist(), best.places.tolist()) == ([[3, 0, 1, 2]], [1])
    assert isinstance(rating, Ratings)
    assert (rating.segment.tolist(), rating.step.tolist()) == ([5], [WHOLE])
    assert isinstance(signal, Ratings)
    assert (signal.segment.tolist(), signal.step.tolist(), signal.value.tolist()) == (
        [7],
        [1],
        [-1],
    )
    assert isinstance(click, Clicks)
    assert click.clip.tolist() == [3, 2, 1, 0]
    assert click.clicked.tolist() == [True, False, False, True]
    assert click.propensity.tolist() == [1.0, 0.7, 0.45, 0.3]
    assert (click.cost.sum(), click.seconds.sum()) == (2.0, 2.0)
    assert isinstance(shown, Demonstrations)
    assert (shown.lengths.tolist(), shown.seconds.tolist(), shown.cost.tolist()) == ([3], [2], [2])


def test_late_answers_bring_their_clips(store: LabelStore, tmp_path: Path) -> None:
    run = Run(store, tmp_path)
    asked = {"comparison": [(0, 1), (2, 3), (4, 5), (6, 7)], "rating": [(3,)]}
    first = run.publish(asking(**asked))
    ada, grace = people(store, run.campaign, 2)
    slow = store.offer(ada, 5).items
    store.collect(first)
    second = asking(100.0, comparison=[(0, 1)], ranking=[(0, 1, 2, 3)])
    batch = run.publish(second, round=1)
    by_row = {(item.question.form, item.question.row): item for item in slow}
    for row, answer in enumerate([LEFT, RIGHT, EQUAL, SKIP]):
        say(store, ada, by_row["comparison", row], answer)
    say(store, ada, by_row["rating", 0], {"value": 7})
    run.answer(grace, {"comparison": [RIGHT], "ranking": [{"order": [3, 2, 1, 0]}]})
    answers = answers_of(second, store.collect(batch))
    evidence = gathered(None, second, answers)
    shows = evidence.segments.observations[:, 0, 0]
    comparison, ranking, rating = (
        answers.judgements[form] for form in ("comparison", "ranking", "rating")
    )
    assert isinstance(comparison, Comparisons)
    assert isinstance(ranking, Rankings)
    assert isinstance(rating, Ratings)
    assert (comparison.query.tolist(), comparison.worker.tolist()) == ([0], [1])
    # The clips of what was asked before: 0 to 5. Nothing was said about 6 and 7.
    assert shows[len(second.segments) :].tolist() == [0, 1, 2, 3, 4, 5]
    number = np.where(ranking.items < 0, -1, shows[ranking.items]).tolist()
    assert number == [[103, 102, 101, 100], [0, 1, -1, -1], [3, 2, -1, -1], [4, 5, -1, -1]]
    assert ranking.orders().better.shape == (6 + 2,)
    assert ranking.equals.sum(axis=(1, 2)).tolist() == [0, 0, 0, 1]
    assert ranking.worker.tolist() == [1, 0, 0, 0]
    assert (shows[rating.segment].tolist(), rating.value.tolist()) == ([3], [7])
    # They are in no later round again.
    third = asking(200.0, comparison=[(0, 1)])
    assert store.collect(run.publish(third, round=2)) == ()


def test_late_answers_about_other_clips_are_refused(store: LabelStore, tmp_path: Path) -> None:
    run = Run(store, tmp_path)
    first = run.publish(asking(comparison=[(0, 1)]))
    (ada,) = people(store, run.campaign, 1)
    (item,) = store.offer(ada, 1).items
    store.collect(first)
    say(store, ada, item, LEFT)
    clips = segments(np.zeros((2, 5)))
    form = form_of("comparison", ())
    queries = Queries(np.array([[0, 1]]), None, 1, form.model_dump_json())
    longer = Request(clips, clips, {"comparison": queries})
    taken = store.collect(run.publish(longer, round=1))
    with pytest.raises(ConfigurationError, match="late answers of round 0: expected clips with"):
        answers_of(longer, taken)


def two_rounds(run: Run) -> None:
    """Comparisons and ratings of two rounds; a late one, and one that nobody has collected."""
    ada, grace = people(run.store, run.campaign, 2)
    first = run.publish(asking(comparison=[(0, 1), (2, 3)], rating=[(5,)]))
    slow = run.store.offer(grace, 1).items[0]
    run.answer(ada, {"comparison": [LEFT, EQUAL], "rating": [{"value": 0.1}]})
    run.store.collect(first)
    assert slow.question.form == "comparison"
    say(run.store, grace, slow, SKIP)
    second = run.publish(asking(100.0, comparison=[(0, 1)]), round=1)
    run.answer(ada, {"comparison": [RIGHT]})
    run.store.collect(second)
    run.publish(asking(200.0, ranking=[(0, 1, 2, 3)]), round=2)
    run.answer(ada, {"ranking": [{"order": [2, 3, 0, 1], "places": 3}]})


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_a_campaign_goes_into_a_label_set(
    run: Run, clock: Clock, tmp_path: Path, ending: str
) -> None:
    two_rounds(run)
    path = tmp_path / f"labels{ending}"
    assert export_labels(run.store, run.campaign.id, path) == 6
    read = files.read(path)
    assert [(batch.origin, dict(batch.counts)) for batch in read] == [
        ("run run-1, round 0", {"comparison": 3, "rating": 1}),
        ("run run-1, round 1", {"comparison": 1}),
        ("run run-1, round 2", {"ranking": 1}),
    ]
    version = versions.append(run.artifacts, "people", read)
    # Written again, it adds nothing.
    assert export_labels(run.store, run.campaign.id, path) == 6
    assert versions.append(run.artifacts, "people", files.read(path)) == version
    assert dict(version.counts) == {"comparison": 4, "ranking": 1, "rating": 1}
    evidence = version.evidence(run.artifacts)
    shows = evidence.segments.observations[:, 0, 0]
    queries, made = evidence.queries["comparison"], evidence.judgements["comparison"]
    assert isinstance(made, Comparisons)
    rows = sorted(
        (*shows[queries.items[made.query[row]]].tolist(), int(made.worker[row]), made.choice[row])
        for row in range(len(made))
    )
    assert rows == [
        (0, 1, 0, Choice.LEFT),
        (0, 1, 1, Choice.SKIP),
        (2, 3, 0, Choice.EQUAL),
        (100, 101, 0, Choice.RIGHT),
    ]
    ranking = evidence.judgements["ranking"]
    assert isinstance(ranking, Rankings)
    assert shows[ranking.items].tolist() == [[202, 203, 200, 201]]


def test_people_and_synthetic_teachers_have_the_same_columns(run: Run, tmp_path: Path) -> None:
    import pyarrow.parquet

    two_rounds(run)
    request = asking(comparison=[(0, 1)], rating=[(5,)], ranking=[(0, 1, 2, 3)])
    judgements = {
        "comparison": Comparisons(*(np.array([value]) for value in (0, 0, 1, 0.0, 0.0))),
        "rating": Ratings(*(np.array([value]) for value in (5, WHOLE, 0.5, 0, 0.0, 0.0))),
        "ranking": Rankings(
            np.array([[0, 1, 2, 3]]), *(np.array([value]) for value in (3, 0, 0.0, 0.0))
        ),
    }
    synthetic = LabelBatch(Evidence(request.segments, request.queries, judgements), "run x", 1.0)
    columns = []
    for name, write in (
        ("people", lambda path: export_labels(run.store, run.campaign.id, path)),
        ("synthetic", lambda path: files.write(path, [synthetic])),
    ):
        write(tmp_path / f"{name}.jsonl")
        write(tmp_path / f"{name}.parquet")
        table = pyarrow.parquet.read_table(tmp_path / f"{name}.parquet")
        texts = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        header, *lines = (json.loads(text) for text in texts)
        columns.append(
            (
                {field.name: field.type for field in table.schema},
                header,
                {line["form"]: sorted(line) for line in lines},
            )
        )
    assert columns[0] == columns[1]
    assert len(columns[0][0]) == 10


def test_an_export_without_a_label_says_so(run: Run, tmp_path: Path) -> None:
    run.publish(asking(comparison=[(0, 1)]))
    with pytest.raises(ConfigurationError, match=r"expected counted comparisons.* none so far"):
        export_labels(run.store, run.campaign.id, tmp_path / "labels.jsonl")
    assert labels_of(run.store, run.campaign.id) == []
    (ada,) = people(run.store, run.campaign, 1)
    run.answer(ada, {"comparison": [LEFT]})
    with pytest.raises(ConfigurationError, match=r"ends in \.jsonl or \.parquet"):
        export_labels(run.store, run.campaign.id, tmp_path / "labels.csv")
    for path in (tmp_path / "artifacts").rglob("*.safetensors"):
        path.unlink()
    with pytest.raises(StoreError):
        export_labels(run.store, run.campaign.id, tmp_path / "labels.jsonl")
    assert not (tmp_path / "labels.jsonl").exists()


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_answers_of_a_file_are_stored_once(run: Run, tmp_path: Path, ending: str) -> None:
    two_rounds(run)
    path = tmp_path / f"labels{ending}"
    export_labels(run.store, run.campaign.id, path)
    other = Run(run.store, tmp_path, key="run-2", answers_per_question=2)
    for round, request in enumerate(
        (
            asking(comparison=[(0, 1), (2, 3)], rating=[(5,)]),
            asking(100.0, comparison=[(0, 1)]),
            asking(200.0, ranking=[(0, 1, 2, 3)]),
        )
    ):
        other.publish(request, round)
    assert import_answers(run.store, other.campaign.id, path, "crowd") == 6
    assert import_answers(run.store, other.campaign.id, path, "crowd") == 0
    names = [one.name for one in run.store.annotators(other.campaign.id)]
    assert names == ["crowd 0", "crowd 1"]
    said = [
        [(row.question, row.annotator, row.answer, row.seconds) for row in run.store.answers(key)]
        for key in (run.campaign.id, other.campaign.id)
    ]
    assert said[0] == said[1]
    entry = run.store.audit(other.campaign.id)[-1]
    assert (entry["action"], entry["details"]) == ("answers imported", {"answers": 6, "new": 0})
    # Under another name they are answers of other people.
    assert import_answers(run.store, other.campaign.id, path, "again") == 6


def changed(path: Path, line: int, **fields: Any) -> None:
    texts = path.read_text().splitlines()
    content = json.loads(texts[line - 1])
    content.update(fields)
    texts[line - 1] = json.dumps(content)
    path.write_text("\n".join(texts))


@pytest.mark.parametrize(
    ("line", "fields", "message"),
    [
        (1, {"observation": {"dtype": "float64", "shape": [1]}}, "header: expected clips with"),
        (3, {"answer": "up"}, "line 3"),
        (3, {"seconds": -1}, "line 3"),
        (4, {"answer": 1e9}, r"line 4\.value: expected a number from -1e\+06"),
        (7, {"tied": [False, True, False, False]}, "line 7: expected a ranking without ties"),
        (7, {"form": "best_of"}, "line 7: expected the clips of a question of form 'best_of'"),
        (6, {"step": None, "answer": "left", "clips": None}, "line 6"),
        (5, {"worker": 0, "answer": "right"}, "line 5: expected one answer of worker 0"),
    ],
)
def test_a_broken_file_changes_nothing_and_names_the_line(
    run: Run, tmp_path: Path, line: int, fields: dict[str, Any], message: str
) -> None:
    two_rounds(run)
    path = tmp_path / "labels.jsonl"
    export_labels(run.store, run.campaign.id, path)
    other = Run(run.store, tmp_path, key="run-2", answers_per_question=2)
    other.publish(asking(comparison=[(0, 1), (2, 3)], rating=[(5,)]))
    other.publish(asking(100.0, comparison=[(0, 1)]), 1)
    other.publish(asking(200.0, ranking=[(0, 1, 2, 3)]), 2)
    changed(path, line, **fields)
    audit = run.store.audit(other.campaign.id)
    with pytest.raises(ConfigurationError, match=message):
        import_answers(run.store, other.campaign.id, path)
    assert run.store.answers(other.campaign.id) == []
    assert run.store.annotators(other.campaign.id) == []
    assert run.store.audit(other.campaign.id) == audit


def test_a_second_opinion_of_one_annotator_changes_nothing(run: Run, tmp_path: Path) -> None:
    two_rounds(run)
    path = tmp_path / "labels.jsonl"
    export_labels(run.store, run.campaign.id, path)
    import_answers(run.store, run.campaign.id, path)
    before = run.store.answers(run.campaign.id)
    # The last line differs from what the annotator has said.
    changed(path, 7, places=1)
    with pytest.raises(ConfigurationError, match="line 7: expected one answer of 'imported 0'"):
        import_answers(run.store, run.campaign.id, path)
    assert run.store.answers(run.campaign.id) == before
