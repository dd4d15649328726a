"""One file, one kind: discovery, short forms, defaults and the words for what is wrong."""

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from rlhf_core import plugin
from rlhf_core.annotators import ANNOTATORS, AnyAnnotator
from rlhf_core.annotators.synthetic import Synthetic
from rlhf_core.errors import ConfigurationError, UnknownKindError, UnusedFieldWarning
from rlhf_core.plugin import Config, Family, closest, nearest
from rlhf_core.queries import QUERIES, AnyQuerySelector, QuerySelector
from rlhf_core.queries.disagreement import Disagreement
from rlhf_core.queries.uniform import Uniform
from rlhf_core.questions import Queries
from rlhf_core.types import Segments

SELECTOR: TypeAdapter[Any] = TypeAdapter(AnyQuerySelector)
ANNOTATOR: TypeAdapter[Any] = TypeAdapter(AnyAnnotator)


class Knobs(Config):
    """A configuration."""

    learning_rate: float = 0.1
    """How fast."""
    hidden_size: int = 8
    """How wide."""


class First(QuerySelector):
    """The first pairs, in order: what somebody else's package may bring."""

    kind: Literal["first"] = "first"
    skip: int = 0
    """Pairs left out at the beginning."""

    def candidates(self, count: int) -> int:
        return count + self.skip

    def select(
        self,
        candidates: Queries,
        segments: Segments,
        returns: np.ndarray,
        count: int,
        rng: np.random.Generator,
    ) -> Queries:
        return Queries(candidates.items[self.skip : self.skip + count])


class Twin(First):
    """The same name once more."""


class Nameless(First):
    """A kind without a name."""

    kind: str  # type: ignore[assignment]


def install(monkeypatch: pytest.MonkeyPatch, *names: str) -> "Family[QuerySelector]":
    """The family of query selectors as if a distribution had these entry points."""
    points = [EntryPoint(name.lower(), f"{__name__}:{name}", QUERIES.package) for name in names]

    def entry_points(group: str) -> list[EntryPoint]:
        return [point for point in points if point.group == group]

    monkeypatch.setattr(plugin, "entry_points", entry_points)
    return Family(QuerySelector, default="disagreement")


def test_an_unknown_field_names_the_nearest_and_all_valid_ones() -> None:
    with pytest.raises(
        ValidationError,
        match=r"unknown field 'learning_rat'; did you mean 'learning_rate'\? "
        "valid: hidden_size, learning_rate",
    ):
        Knobs.model_validate({"learning_rat": 1.0})


def test_a_field_like_no_other_is_given_no_hint() -> None:
    with pytest.raises(ValidationError, match="unknown field 'zzz'; valid: hidden_size"):
        Knobs.model_validate({"zzz": 1.0})


def test_a_key_that_is_no_text_is_an_unknown_field() -> None:
    with pytest.raises(ValidationError, match="unknown field '3'"):
        Knobs.model_validate({3: 1.0})


def test_configuration_is_frozen_and_finite() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Knobs().hidden_size = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="finite number"):
        Knobs(learning_rate=float("nan"))


class Reading(Config):
    """A configuration that names folders."""

    rewards: str = "rewards"
    """In every run."""
    words: str | None = None
    """In some."""

    def folders(self) -> Iterator[tuple[str, str]]:
        yield "rewards", self.rewards
        if self.words is not None:
            yield "words", self.words


class Parts(Config):
    """A configuration of parts that name folders."""

    title: str = "words"
    """No folder."""
    one: Reading = Reading()
    """A part."""
    parts: list[Reading] = Field(default_factory=list)
    """More of them."""
    named: dict[str, Reading] = Field(default_factory=dict)
    """And more."""


def test_the_folders_of_a_configuration_are_found_in_its_parts() -> None:
    part = Reading(rewards="here", words="there")
    assert [*Parts(parts=[Reading(), part], named={"a": part}).folders()] == [
        ("one.rewards", "rewards"),
        ("parts.0.rewards", "rewards"),
        ("parts.1.rewards", "here"),
        ("parts.1.words", "there"),
        ("named.a.rewards", "here"),
        ("named.a.words", "there"),
    ]
    assert not [*Knobs().folders()]


@pytest.mark.parametrize(
    ("name", "expected"), [("unifrom", "uniform"), ("UNIFORM", None), ("qqq", None)]
)
def test_closest_is_a_word_that_is_alike_or_none(name: str, expected: str | None) -> None:
    assert closest(name, ["uniform", "disagreement"]) == expected


def test_nearest_lists_all_words_in_order() -> None:
    assert nearest("unifrom", ["uniform", "disagreement"]) == (
        "did you mean 'uniform'? valid: disagreement, uniform"
    )


def test_kinds_are_found_in_the_files_of_the_package() -> None:
    kinds = QUERIES.kinds()
    assert kinds["uniform"] is Uniform
    assert kinds["disagreement"] is Disagreement
    assert list(kinds) == sorted(kinds)


def test_a_bare_word_is_short_for_its_kind() -> None:
    assert SELECTOR.validate_python("uniform") == Uniform()


def test_without_a_kind_the_default_of_the_family_is_meant() -> None:
    assert SELECTOR.validate_python({"oversample": 3}) == Disagreement(oversample=3)
    assert ANNOTATOR.validate_python({"mistake": 0.25}) == Synthetic(mistake=0.25)


def test_a_plugin_is_taken_as_it_is() -> None:
    assert SELECTOR.validate_python(Disagreement(oversample=3)) == Disagreement(oversample=3)


def test_an_unknown_kind_lists_the_valid_ones() -> None:
    message = r"unknown kind 'unifrom'; did you mean 'uniform'\? valid: .*disagreement, .*uniform"
    with pytest.raises(ValidationError, match=message):
        SELECTOR.validate_python({"kind": "unifrom"})
    with pytest.raises(ValidationError, match=message):
        SELECTOR.validate_python("unifrom")
    with pytest.raises(UnknownKindError, match=message):
        QUERIES.get("unifrom")


@pytest.mark.parametrize("data", [3, None, ["uniform"], 1.5])
def test_what_is_neither_word_nor_mapping_is_refused(data: Any) -> None:
    with pytest.raises(ValidationError):
        SELECTOR.validate_python(data)


def test_a_field_of_another_kind_is_set_aside_with_a_warning() -> None:
    message = "queries: field 'oversample' is not used by kind 'uniform'"
    with pytest.warns(UnusedFieldWarning, match=message):
        assert SELECTOR.validate_python({"kind": "uniform", "oversample": 3}) == Uniform()


def test_a_field_of_no_kind_is_an_error() -> None:
    with pytest.raises(ValidationError, match="unknown field 'oversampel'; valid: kind"):
        SELECTOR.validate_python({"kind": "uniform", "oversampel": 3})
    with pytest.raises(ValidationError, match="did you mean 'oversample'"):
        SELECTOR.validate_python({"kind": "disagreement", "oversampel": 3})


def test_an_entry_point_of_the_family_is_a_kind_like_any_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = install(monkeypatch, "First")
    adapter: TypeAdapter[Any] = TypeAdapter(Annotated[QuerySelector, family])
    assert set(family.kinds()) == {*QUERIES.kinds(), "first"}
    assert adapter.validate_python({"kind": "first", "skip": 2}) == First(skip=2)
    with pytest.warns(UnusedFieldWarning, match="'skip' is not used by kind 'uniform'"):
        assert adapter.validate_python({"kind": "uniform", "skip": 2}) == Uniform()


def test_two_plugins_of_one_kind_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    family = install(monkeypatch, "First", "Twin")
    with pytest.raises(ConfigurationError, match=r"kind 'first' is defined twice, by .*rename one"):
        family.kinds()


def test_the_same_plugin_found_twice_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "first" in install(monkeypatch, "First", "First").kinds()


def test_a_plugin_without_a_kind_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    family = install(monkeypatch, "Nameless")
    with pytest.raises(ConfigurationError, match=r"Nameless: expected `kind: Literal\['name'\]"):
        family.kinds()


def test_an_entry_point_that_cannot_be_loaded_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    family = install(monkeypatch, "Missing")
    with pytest.raises(
        ConfigurationError,
        match=r"entry point 'missing' of group rlhf_core.queries .*AttributeError",
    ):
        family.kinds()


def test_an_entry_point_of_another_family_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    family = install(monkeypatch, "Knobs")
    with pytest.raises(ConfigurationError, match="expected a subclass of QuerySelector, actual"):
        family.kinds()


TOYS = '''
from abc import abstractmethod
from typing import ClassVar
from rlhf_core.plugin import Plugin

class Toy(Plugin):
    """A toy."""
    family: ClassVar[str] = "{package}"

    @abstractmethod
    def play(self) -> str: ...
'''
TOY = '''
from typing import Literal
from {package} import Toy

class {name}(Toy):
    """A toy of one kind."""
    kind: Literal["{kind}"] = "{kind}"
    size: int = 1
    """How large."""

    def play(self) -> str:
        return "{kind}" * self.size
'''


def test_a_new_file_beside_the_others_is_a_new_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "toys_of_the_tests"
    (tmp_path / package).mkdir()

    def write(file: str, text: str, **words: str) -> None:
        (tmp_path / package / file).write_text(text.format(package=package, **words))

    write("__init__.py", TOYS)
    write("ball.py", TOY, name="Ball", kind="ball")
    write("_shared.py", TOY, name="Hidden", kind="hidden")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        base = importlib.import_module(package).Toy
        assert list(Family(base, default="ball").kinds()) == ["ball"]

        write("kite.py", TOY, name="Kite", kind="kite")
        importlib.invalidate_caches()
        family = Family(base, default="ball")
        assert list(family.kinds()) == ["ball", "kite"]
        adapter: TypeAdapter[Any] = TypeAdapter(Annotated[base, family])
        assert adapter.validate_python({"kind": "kite", "size": 2}).play() == "kitekite"
    finally:
        for name in [name for name in sys.modules if name.startswith(package)]:
            del sys.modules[name]


def test_the_schema_of_a_family_tells_its_kinds_apart() -> None:
    class Holder(BaseModel):
        queries: AnyQuerySelector

    schema = Holder.model_json_schema()
    assert schema["properties"]["queries"]["discriminator"]["propertyName"] == "kind"
    assert {"Uniform", "Disagreement"} <= set(schema["$defs"])
    oversample = schema["$defs"]["Disagreement"]["properties"]["oversample"]
    assert oversample["description"] == "Candidates drawn for each question that is asked."


def test_families_are_closed_against_one_another() -> None:
    assert not set(QUERIES.kinds()) & set(ANNOTATORS.kinds())
    with pytest.raises(ValidationError, match="unknown kind 'uniform'"):
        ANNOTATOR.validate_python("uniform")
