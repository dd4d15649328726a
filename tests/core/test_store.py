"""What goes into the store comes out unchanged, or an error says what is wrong with it."""

import hashlib
import json
import pickle
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, fields
from inspect import isabstract
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors import SafetensorError
from safetensors.numpy import save

from rlhf_core.agents.saved import SavedAgent
from rlhf_core.annotators import AnnotatorState
from rlhf_core.demonstrations import demonstrations
from rlhf_core.errors import DamagedError, StoreError
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.evolution.progress import EvolutionProgress
from rlhf_core.feedback.inverse_rl import InverseState
from rlhf_core.feedback_forms.click import ClickLabels, Clicks
from rlhf_core.feedback_forms.correction import Corrections
from rlhf_core.feedback_strategy import FeedbackState
from rlhf_core.inverse_rl.model import DiscriminatorState
from rlhf_core.inverse_rl.tables import TransitionTable
from rlhf_core.inverse_rl.tabular import RewardTable
from rlhf_core.judgements import Choice
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.labels import Evidence, Preferences, RankingLabels, RatingLabels, Workers
from rlhf_core.packing import pack, unpack
from rlhf_core.policies import PolicyState
from rlhf_core.questions import Queries
from rlhf_core.retraining.trial import Trial
from rlhf_core.rewards.model import EnsembleState
from rlhf_core.rewards.saved import SavedReward
from rlhf_core.store import Store
from rlhf_core.types import Replays, Rollouts, Segments, TrueRewards, Truth, Value
from tests.core.examples import (
    annotations,
    answers,
    asking,
    evidence,
    labels,
    played,
    rankings,
    ratings,
    request,
    segments,
    trajectory,
)

ENSEMBLE = EnsembleState(
    {"weight_0": np.ones((2, 3, 1), dtype=np.float32), "bias_0": np.zeros((2, 1, 1), np.float32)},
    np.zeros(3, dtype=np.float32),
    np.ones(3, dtype=np.float32),
    np.array([0.5, -0.5]),
    np.array([1.0, 2.0]),
    mean=0.1,
    scale=2.5,
    heads={"log_tie": np.zeros((2, 1), dtype=np.float32)},
)
PREFERENCES = Preferences(np.array([[0, 1]]), np.array([0.5]), np.ones(1))
EVIDENCE = evidence(
    segments([[1], [2]]), [[0, 1]], annotations([0], [Choice.LEFT]), rankings([[1, 0]]),
    ratings([0], [0.5]),
)  # fmt: skip
WORKERS = Workers(np.array([0, 4]), np.array([1, 2]), np.array([0.5, 0.9]), np.array([np.nan, 1]))
CLICKS = Clicks(
    np.array([0, 0]), np.array([0, 1]), np.array([True, False]), np.array([1.0, 0.5]),
    np.array([0, 0]), np.zeros(2), np.zeros(2),
)  # fmt: skip
SHOWN = demonstrations([trajectory(3, terminated=True), trajectory(2)], seconds=4.0, cost=0.5)
DISCRIMINATOR = DiscriminatorState(
    {"reward/weight_0": np.ones((2, 1))}, {"first/reward/weight_0": np.zeros((2, 1))}, 8,
    np.zeros(2), np.ones(2), 5.0, np.zeros(1), np.ones(1), 0.5,
)  # fmt: skip
TABLE = TransitionTable(
    np.array([0, 0]), np.array([0, 1]), np.array([0, 0]), np.ones(2), np.array([False, True]),
    np.ones(1), 2, 10,
)  # fmt: skip
VALUES: list[Value] = [
    trajectory(3, terminated=True),
    TrueRewards(np.array([0.5, -1.0])),
    TrueRewards(np.zeros((2, 0))),
    *played(2, 4),
    segments([[1, 2], [3, 4]], mask=[[1, 1], [1, 0]]),
    Queries(np.array([[0, 1]])),
    Queries(np.empty((0, 2), dtype=np.int64)),
    request([[1], [2]], [[0, 1]]),
    annotations([0, 0], [Choice.LEFT, Choice.SKIP]),
    annotations([], []),
    PREFERENCES,
    Evaluation(np.array([1.0]), np.array([3]), np.array([True])),
    Evaluation(np.array([1.0]), np.array([3])),
    Trial(Evaluation(np.array([1.0]), np.array([3])), np.array([[0.5, 2.0]])),
    LabelBatch(Evidence(segments(np.zeros((0, 1))), {}, {}), "run a", 1.0),
    ENSEMBLE,
    FeedbackState(),
    FeedbackState(
        EVIDENCE,
        labels(PREFERENCES, rankings([[1, 0]]), ratings([0], [0.5])),
        WORKERS,
        ENSEMBLE,
        {"comparison": 3},
        np.array([[0.5, np.nan]]),
    ),
    EVIDENCE,
    WORKERS,
    EVIDENCE.judgements["ranking"],
    rankings([[0, 1]], tied=[[0, 1]]),
    EVIDENCE.judgements["rating"],
    answers(segments=segments([[1]])),
    Truth(np.zeros((1, 2)), np.ones((2, 2)), np.empty(0)),
    AnnotatorState(3, {"tired": np.zeros(2)}),
    asking(
        EVIDENCE.segments,
        audit=np.array([True, False]),
        comparison=[[0, 1]],
        ranking=[[0, 1, 1]],
        signal=[(0, 1)],
    ),
    PolicyState({"a.weight": np.eye(2)}, {"a.weight/step": np.array(3.0)}, steps=7),
    PolicyState({}, {}),
    SHOWN,
    InverseState(
        evidence=Evidence(segments(np.zeros((0, 1))), {}, {"demonstration": SHOWN}),
        discriminator=DISCRIMINATOR,
        asked_by_form={"demonstration": 2},
    ),
    DISCRIMINATOR,
    EvolutionProgress(PolicyState({}, {}), 3, 40, fitness=np.ones(4)),
    CLICKS,
    ClickLabels(CLICKS, np.ones(2)),
    Corrections(np.array([0]), np.array([2]), np.array([0]), np.ones(1), np.zeros(1)),
    Replays(('{"seed": 3}',), np.zeros((4, 1)), np.array([4]), np.array([2])),
    RankingLabels(rankings([[0, 1]]), np.ones(1)),
    RatingLabels(ratings([0], [0.5]), np.ones(1)),
    TABLE,
    RewardTable(np.array([[1.0, -2.0]])),
    InverseState(transitions=TABLE, reward_table=RewardTable(np.zeros((1, 2)))),
    SavedReward("{}", "[]", FeedbackState()),
    SavedAgent("{}", 1, 2, 3, PolicyState({}, {}), None, None, (), (), ({"policy/steps": 3.0},)),
]


def same(first: Any, second: Any) -> bool:
    """Whether two values are equal to the last bit, types of the arrays included."""
    if isinstance(first, np.ndarray):
        return first.dtype == second.dtype and first.tobytes() == second.tobytes()
    if isinstance(first, Value):
        names = [field.name for field in fields(first)]  # type: ignore[arg-type]
        return type(first) is type(second) and all(
            same(getattr(first, name), getattr(second, name)) for name in names
        )
    if isinstance(first, Mapping):
        return first.keys() == second.keys() and all(same(first[n], second[n]) for n in first)
    if isinstance(first, tuple):
        return len(first) == len(second) and all(map(same, first, second))
    return type(first) is type(second) and bool(first == second)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def files(store: Store) -> list[Path]:
    return [path for path in Path(store.root).rglob("*") if path.is_file()]


def test_the_examples_hold_every_type_of_the_library() -> None:
    known = {
        t
        for t in Value.registry.values()
        if t.__module__.startswith("rlhf_core.") and not isabstract(t)
    }
    assert {type(value) for value in VALUES} == known


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back_as_it_was(store: Store, value: Value) -> None:
    assert same(store.get(store.put(value), type(value)), value)


@given(
    st.one_of(
        arrays(kind, array_shapes(min_dims=0, min_side=0, max_side=3), elements=None)
        for kind in (np.float32, np.float64, np.int64, np.int8, np.uint8, np.bool_)
    )
)
def test_any_array_comes_back_bit_by_bit(array: np.ndarray) -> None:
    back = unpack(pack(PolicyState({"a": array}, {})), PolicyState).parameters["a"]
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "array",
    [np.arange(6).reshape(2, 3).T, np.arange(6)[::2], np.arange(3, dtype=">i8")],
    ids=["transposed", "strided", "big-endian"],
)
def test_the_layout_in_memory_does_not_matter(array: np.ndarray) -> None:
    back = unpack(pack(PolicyState({"a": array}, {})), PolicyState).parameters["a"]
    np.testing.assert_array_equal(back, array)


def test_what_comes_back_is_read_only(store: Store) -> None:
    back = store.get(store.put(Queries(np.array([[0, 1]]))), Queries)
    with pytest.raises(ValueError, match="read-only"):
        back.items[0] = 1


def test_a_reference_is_the_digest_of_the_file(store: Store) -> None:
    ref = store.put(ENSEMBLE)
    (path,) = files(store)
    assert path.name == f"{ref}.safetensors"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == ref


def test_equal_values_have_one_reference_and_one_file(store: Store) -> None:
    first = store.put(segments([[1, 2]]))
    assert store.put(segments([[1, 2]])) == first
    assert store.put(segments([[1, 3]])) != first
    assert len(files(store)) == 2


def test_a_value_that_was_loaded_has_the_reference_that_it_had(store: Store) -> None:
    ref = store.put(ENSEMBLE)
    assert store.put(store.get(ref, EnsembleState)) == ref


def test_the_order_of_a_mapping_does_not_matter() -> None:
    one, two = np.ones(1), np.zeros(2)
    first = PolicyState({"a": one, "b": two}, {})
    assert pack(first) == pack(PolicyState({"b": two, "a": one}, {}))


def test_another_store_finds_what_was_put(store: Store) -> None:
    ref = store.put(PREFERENCES)
    assert same(Store(f"{store.root}/").get(ref, Preferences), PREFERENCES)


def test_a_url_is_a_root_like_a_folder() -> None:
    store = Store("memory://test-store")
    ref = store.put(PREFERENCES)
    assert same(store.get(ref, Preferences), PREFERENCES)


def test_a_memo_is_recalled(store: Store) -> None:
    assert store.recall("fit-3") is None
    store.remember("fit-3", {"refs": {"policy": "ab"}, "metrics": {"x": 0.1}})
    store.remember("fit-3", {"refs": {"policy": "cd"}, "metrics": {}})
    assert store.recall("fit-3") == {"refs": {"policy": "cd"}, "metrics": {}}


def test_a_missing_value_is_named(store: Store) -> None:
    with pytest.raises(StoreError, match=f"store {store.root} has no .*{'0' * 64}"):
        store.get("0" * 64, Segments)


@pytest.mark.parametrize("damage", [b"", b"junk", None], ids=["empty", "junk", "cut off"])
def test_a_damaged_file_is_named(store: Store, damage: bytes | None) -> None:
    ref = store.put(ENSEMBLE)
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:-1] if damage is None else damage)
    with pytest.raises(StoreError, match=rf"{ref}.safetensors is damaged; resume the run"):
        store.get(ref, EnsembleState)


@pytest.mark.parametrize("damage", ["", "{", "3", '{"refs": {}}'])
def test_a_damaged_memo_is_named(store: Store, damage: str) -> None:
    store.remember("fit-3", {"refs": {}})
    (path,) = files(store)
    path.write_text(damage)
    with pytest.raises(DamagedError, match=r"memo/fit-3.json is damaged"):
        store.recall("fit-3")


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_no_flipped_bit_is_read(data: st.DataObject) -> None:
    store = Store(f"memory://flipped-{uuid.uuid4()}")
    key = "run/0001-evaluate"
    store.remember(key, {"metrics": {"eval/true_return_mean": -123.456}, "refs": {"a": "b"}})
    store.save_checkpoint(key, ENSEMBLE)
    ref = store.put(ENSEMBLE)
    path = data.draw(st.sampled_from(sorted(store._files.find(store._base))))
    content = bytearray(store._files.cat_file(path))
    bit = data.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    store._files.pipe_file(path, bytes(content))
    whole = 0
    for read in (
        lambda: store.recall(key),
        lambda: store.load_checkpoint(key),
        lambda: store.get(ref, EnsembleState),
    ):
        try:
            read()
            whole += 1
        except DamagedError:
            pass
    assert whole == 2


def test_a_memo_is_none_of_another_stage(store: Store) -> None:
    store.remember("run/0001-evaluate", {"metrics": {"eval/true_return_mean": 1.0}})
    (path,) = files(store)
    path.rename(path.with_name("0002-evaluate.json"))
    with pytest.raises(DamagedError, match=r"0002-evaluate.json is damaged"):
        store.recall("run/0002-evaluate")


def test_a_checkpoint_is_replaced_deleted_and_named_where_it_is_damaged(store: Store) -> None:
    assert store.load_checkpoint("optimise-3") is None
    store.save_checkpoint("optimise-3", ENSEMBLE)
    store.save_checkpoint("optimise-3", PREFERENCES)
    newest = store.load_checkpoint("optimise-3")
    assert isinstance(newest, Preferences)
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=r"optimise-3.checkpoint is damaged"):
        store.load_checkpoint("optimise-3")
    store.delete_checkpoint("optimise-3")
    store.delete_checkpoint("optimise-3")
    assert files(store) == []


def test_a_store_is_made_once_and_opened_where_it_is(store: Store) -> None:
    with pytest.raises(StoreError, match=f"store {store.root} is not on this machine; mount it"):
        store.opened()
    assert files(store) == []
    store.create().create()
    ref = store.put(PREFERENCES)
    assert same(Store(store.root).opened().get(ref, Preferences), PREFERENCES)


def test_a_store_of_another_schema_is_refused(store: Store) -> None:
    store.put(PREFERENCES)  # Before there were headers.
    with pytest.raises(StoreError, match="has schema 0, and this version reads schema 2; choose"):
        store.create()
    (Path(store.root) / "store.json").write_text('{"schema": 3}')
    for use in (store.create, store.opened):
        with pytest.raises(StoreError, match="has schema 3, and this version reads schema 2"):
            use()
    (Path(store.root) / "store.json").write_text("{")
    with pytest.raises(StoreError, match=r"store.json is damaged"):
        store.opened()


def test_what_a_killed_process_left_is_listed_apart_and_swept(store: Store) -> None:
    ref = store.put(PREFERENCES)
    store.remember("run/0001-fit", {"refs": {}})
    store.save_checkpoint("run/0002-optimise", ENSEMBLE)
    whole = files(store)
    for path in whole:
        path.with_name(f"{path.name}.12-dead.tmp").write_bytes(b"half")
    assert list(store.objects()) == [ref]
    assert store.memos() == ["run/0001-fit"]
    assert store.checkpoints() == ["run/0002-optimise"]
    leftovers = store.leftovers()
    assert sorted(leftovers.values()) == [4, 4, 4]
    for path in leftovers:
        store.sweep(path)
    assert sorted(files(store)) == sorted(whole)


def test_a_damaged_object_is_not_held_and_is_written_again(store: Store) -> None:
    ref = store.put(PREFERENCES)
    (path,) = files(store)
    path.write_bytes(path.read_bytes()[:-1])
    assert not store.holds(ref)
    assert store.put(PREFERENCES) == ref
    assert store.holds(ref)


def test_a_value_of_another_type_is_refused(store: Store) -> None:
    ref = store.put(PREFERENCES)
    with pytest.raises(StoreError, match="expected a Segments, actual: Preferences"):
        store.get(ref, Segments)


def test_a_root_that_is_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store(str(tmp_path / "file" / "store"))
    with pytest.raises(StoreError, match=r"cannot be written: .*choose another place with --home"):
        store.put(PREFERENCES)
    with pytest.raises(StoreError, match="cannot be written"):
        store.remember("fit-3", {})
    with pytest.raises(StoreError, match=r"cannot be read|has no"):
        store.get("0" * 64, Segments)
    assert (tmp_path / "file").read_text() == "in the way"


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", ["pipe_file", "mv"])
def test_an_interrupted_write_leaves_nothing_behind(
    store: Store, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def interrupted(path: str, *_: Any) -> None:
        Path(path).write_bytes(b"half of")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(store._files, step, interrupted)
        with pytest.raises((StoreError, KeyboardInterrupt)):
            store.put(PREFERENCES)
    assert files(store) == []
    assert same(store.get(store.put(PREFERENCES), Preferences), PREFERENCES)


@dataclass(frozen=True, eq=False)
class Strange(Value):
    """A value with something in it that is no array, mapping, text or number."""

    content: Any


@pytest.mark.parametrize(
    "content",
    [np.array([object()]), np.array(["text"]), np.array([{}]), object(), {"a": {1, 2}}, b"bytes"],
    ids=["objects", "text", "dicts", "object", "set", "bytes"],
)
def test_what_would_need_a_pickle_is_refused(store: Store, content: Any) -> None:
    with pytest.raises((TypeError, SafetensorError)):
        store.put(Strange(content))
    assert files(store) == []


class Bomb:
    """Unpickling it would run code."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("code from the file was run",))


HEADERS = [
    "[",
    "3",
    '{"foo": 1}',
    '{"schema": 2, "type": "Path", "fields": {}}',
    '{"schema": 2, "type": "Segments", "fields": {"pair": {"array": "a"}}}',
    '{"schema": 2, "type": "Rollouts", "fields": {"trajectories": []}}',
    '{"type": "Rollouts", "fields": {"trajectories": []}}',
    json.dumps(
        {
            "schema": 2,
            "type": "Segments",
            "fields": dict.fromkeys([f.name for f in fields(Segments)]),
        }
    ),
]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("header", HEADERS)
def test_a_strangers_file_is_refused_in_one_way(header: str) -> None:
    content = save({"a": np.zeros(2)}, metadata={"value": header})
    with pytest.raises(
        StoreError, match=r"expected a (stored )?Rollouts(, actual| of schema 2, actual: schema 0)"
    ):
        unpack(content, Rollouts)


@pytest.mark.parametrize(
    "content", [b"", b"junk", pickle.dumps(Bomb()), save({"a": np.zeros(2)})], ids=len
)
def test_no_code_is_run_from_a_file(content: bytes) -> None:
    with pytest.raises(StoreError, match="expected a stored Rollouts"):
        unpack(content, Rollouts)
