"""Label sets as files: what is written is read again, and a bad line is named."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rlhf_core.demonstrations import Demonstrations
from rlhf_core.errors import ConfigurationError
from rlhf_core.judgements import Choice
from rlhf_core.label_sets import versions
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.files import read, write
from rlhf_core.labels import Evidence
from rlhf_core.packing import pack
from rlhf_core.questions import Queries
from rlhf_core.store import Store
from tests.core.examples import annotations, rankings, ratings, segments

CLIPS = segments([[0.1, 1], [2, 3], [4, 5], [6, 7]], [[1, 1], [1, 0], [1, 1], [1, 1]])


def everything() -> LabelBatch:
    """Each kind that has lines, with two judgements of one pair, a tie and a moment."""
    comparisons = annotations([0, 0, 1], [Choice.LEFT, Choice.EQUAL, Choice.SKIP], [0, 1, -1])
    ranked = rankings([[2, 0, 1], [3, 1]], tied=[[False, True, False], [False, False, False]])
    judgements = {
        "comparison": replace(comparisons, seconds=np.array([1.5, 0, 2])),
        "ranking": ranked,
        "rating": ratings([0, 3], [0.25, -1.0]),
        "signal": ratings([1], [1.0], step=[1]),
    }
    queries = {
        "comparison": Queries(np.array([[0, 1], [2, 3]])),
        "ranking": Queries(np.array([[0, 1, 2]]), worth=2),
        "rating": Queries(np.array([[0], [3]])),
        "signal": Queries(np.array([[1]]), np.array([1])),
    }
    return LabelBatch(Evidence(CLIPS, queries, judgements), "run a", 100.5)


def shown(batch: LabelBatch) -> list[Any]:
    """Every judgement with the numbers of its clips, in place of their positions."""
    evidence = batch.evidence
    number = evidence.segments.observations[:, 0, 0]
    found: list[Any] = []
    for form, made in evidence.judgements.items():
        for row in range(len(made)):
            values = {
                name: column[row].tolist()
                for name, column in vars(made).items()
                if column is not None and name not in ("query", "items", "segment")
            }
            if form == "comparison":
                items = evidence.queries[form].items[made.query[row]]  # type: ignore[attr-defined]
            elif form == "ranking":
                items = made.items[row]  # type: ignore[attr-defined]
            else:
                items = made.segment[row : row + 1]  # type: ignore[attr-defined]
            clips = [None if item < 0 else float(number[item]) for item in items]
            found.append((form, clips, values))
    return found


@pytest.mark.parametrize("ending", [".jsonl", ".parquet"])
def test_what_is_written_is_read_again(ending: str, tmp_path: Path) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"labels{ending}"
    assert write(path, [everything(), replace(everything(), origin="run b")]) == 16
    first, second = read(path)
    assert (first.origin, first.collected_at, second.origin) == ("run a", 100.5, "run b")
    assert shown(first) == shown(everything())
    assert first.evidence.queries["ranking"].worth == 2
    assert first.evidence.segments.observations.dtype == np.float32
    assert {tuple(row) for row in first.evidence.segments.mask} == {(True, True), (True, False)}
    # Read and written again, nothing changes any more.
    again = tmp_path / f"again{ending}"
    write(again, [first, second])
    assert [shown(batch) for batch in read(again)] == [shown(first), shown(second)]
    assert [path.name for path in sorted(tmp_path.iterdir())] == [again.name, path.name]


def test_what_went_through_a_file_is_not_added_again(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store")).create()
    version = versions.append(store, "people", [everything()])
    write(tmp_path / "labels.jsonl", version.load(store))
    (again,) = read(tmp_path / "labels.jsonl")
    assert pack(again) != pack(everything())
    assert versions.append(store, "people", [again]) == version
    later = replace(again, collected_at=101.0)
    assert len(versions.append(store, "people", [later, later]).batches) == 2


def lines(tmp_path: Path, change: Callable[[list[Any]], None]) -> Path:
    """A file with a changed line."""
    path = tmp_path / "labels.jsonl"
    write(path, [everything()])
    content = [json.loads(text) for text in path.read_text().splitlines()]
    change(content)
    texts = (line if isinstance(line, str) else json.dumps(line) for line in content)
    path.write_text("\n".join(texts))
    return path


def put(line: int, field: str, value: Any) -> Callable[[list[Any]], None]:
    return lambda content: content[line - 1].update({field: value})


def clip(field: str, value: Any) -> Callable[[list[Any]], None]:
    return lambda content: content[1]["clips"][0].update({field: value})


def place(line: int, value: Any) -> Callable[[list[Any]], None]:
    def change(content: list[Any]) -> None:
        content[line - 1] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (put(3, "answer", "maybe"), "line 3: answer"),
        (put(3, "form", "guess"), "line 3: form: unknown"),
        (put(3, "colour", 1), "line 3: .*unknown field 'colour'"),
        (put(3, "worker", -2), "line 3: worker"),
        (put(3, "origin", ""), "line 3: origin"),
        (put(2, "clips", []), "line 2: clips"),
        (put(5, "places", 3), "line 5: expected at most 2 places of 3 clips, actual: 3"),
        (put(5, "tied", [True]), "line 5: expected tied: 3 entries"),
        (put(9, "step", 2), "line 9: expected step: less than 2, actual: 2"),
        (put(3, "clips", [{"observations": [], "actions": []}]), "line 3: expected two clips"),
        (clip("observations", [[0.0], [1.0]]), r"line 2, clip 1, observations: expected 3 rows"),
        (clip("observations", [[0.0], [1.0], [2.0, 3]]), "line 2, clip 1, observations: expected"),
        (clip("observations", [[0.0], [1.0], ["x"]]), "line 2, clip 1, observations: expected"),
        (clip("observations", [[0.0], [1.0], [1e60]]), "clip 1, observations: expected finite"),
        (clip("actions", [0, 0.5]), "line 2, clip 1, actions: expected .* out of its range"),
        (clip("mask", [True]), "line 2: expected mask: 2 entries"),
        (place(4, "{"), "line 4: expected JSON"),
        (place(4, "[" * 100_000), "line 4: expected JSON"),
        (place(4, [1]), "line 4: expected an object, actual: list"),
        (place(1, {"rlhf_labels": 2}), "line 1: rlhf_labels"),
        (lambda content: content.__delitem__(slice(1, None)), "expected judgements after"),
        (lambda content: content.clear(), "expected a header with 'rlhf_labels'"),
        (
            lambda content: content[2].update(clips=list(reversed(content[2]["clips"]))),
            "question 0: expected the same clips",
        ),
    ],
)  # fmt: skip
def test_a_bad_line_is_named(
    change: Callable[[list[Any]], None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(lines(tmp_path, change))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"ends in .jsonl or .parquet, actual: '.csv'"):
        read(tmp_path / "labels.csv")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path / "missing.jsonl")
    (tmp_path / "labels.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigurationError, match="expected UTF-8"):
        read(tmp_path / "labels.jsonl")
    pytest.importorskip("pyarrow")
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 is not enough")
    with pytest.raises(ConfigurationError, match="expected a Parquet file of labels"):
        read(tmp_path / "labels.parquet")


def test_demonstrations_have_no_lines_and_nothing_is_written(tmp_path: Path) -> None:
    zero = np.zeros(1)
    made = Demonstrations(
        np.zeros((2, 1)), np.zeros(1), np.array([1]), np.array([True]), zero, zero
    )
    batch = LabelBatch(Evidence(CLIPS, {}, {"demonstration": made}), "run a", 1.0)
    with pytest.raises(ConfigurationError, match="actual: 1 of form 'demonstration'"):
        write(tmp_path / "labels.jsonl", [batch])
    assert list(tmp_path.iterdir()) == []


def test_the_file_of_the_documents_is_read(tmp_path: Path) -> None:
    page = Path(__file__).parents[3] / "docs" / "retraining.md"
    (block,) = re.findall(r"```text\n(.*?)```", page.read_text(), re.S)
    (tmp_path / "labels.jsonl").write_text(block)
    (batch,) = read(tmp_path / "labels.jsonl")
    assert batch.counts == {"comparison": 1, "ranking": 1, "rating": 1}
    assert len(batch.evidence.segments) == 2
