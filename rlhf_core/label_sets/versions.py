"""Label sets in a store: each version is a note that names the batches of the one before and more.

A note is written in one move after its batches, so that a kill leaves the old version or the new
one. Nothing is ever changed or taken out.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from rlhf_core.errors import ConfigurationError, StoreError
from rlhf_core.experiment import NAME
from rlhf_core.label_sets.batch import LabelBatch
from rlhf_core.label_sets.joining import joined
from rlhf_core.label_sets.lines import identity
from rlhf_core.labels import Evidence
from rlhf_core.plugin import nearest
from rlhf_core.store import Ref, Store

PREFIX = "label-set."
"""Of the keys of the notes, before the name of a set."""


@dataclass(frozen=True)
class BatchNote:
    """What a version says of a batch."""

    ref: Ref
    origin: str
    collected_at: float
    """Unix time, in seconds."""
    counts: Mapping[str, int]
    """Judgements by form."""


@dataclass(frozen=True)
class LabelSetVersion:
    """A label set as it was after one of the additions to it."""

    name: str
    number: int
    """From 1."""
    batches: tuple[BatchNote, ...]
    """Oldest first; those of the version before are the first ones."""

    @property
    def digest(self) -> str:
        """Of the content: SHA-256 of the batches' digests in their order."""
        return hashlib.sha256("\n".join(note.ref for note in self.batches).encode()).hexdigest()

    @property
    def counts(self) -> Mapping[str, int]:
        """Judgements by form."""
        total: Counter[str] = Counter()
        for note in self.batches:
            total.update(note.counts)
        return dict(sorted(total.items()))

    def load(self, store: Store) -> list[LabelBatch]:
        """The batches themselves."""
        return [store.get(note.ref, LabelBatch) for note in self.batches]

    def evidence(self, store: Store) -> Evidence:
        """All judgements together, oldest first."""
        whole: Evidence | None = None
        for batch in self.load(store):
            whole = joined(whole, batch.evidence)
        assert whole is not None, "a version has a batch"
        return whole


def names(store: Store) -> list[str]:
    """Names of all label sets, in order."""
    keys = (key for key in store.memos() if key.startswith(PREFIX))
    return sorted({key.removeprefix(PREFIX).partition("/")[0] for key in keys})


def versions(store: Store, name: str) -> list[int]:
    """Numbers of the versions of a set, ascending; none where there is no such set."""
    start = f"{PREFIX}{name}/"
    return sorted(int(key.removeprefix(start)) for key in store.memos() if key.startswith(start))


def newest(store: Store, name: str) -> LabelSetVersion | None:
    """The newest version of a set; None where there is no such set."""
    numbers = versions(store, check_name(name))
    return read(store, name, numbers[-1]) if numbers else None


def read(store: Store, name: str, number: int | None = None) -> LabelSetVersion:
    """A version of a set; the newest where no number is given.

    Raises:
        ConfigurationError: there is no such set or version.
    """
    numbers = versions(store, check_name(name))
    if not numbers:
        known = names(store)
        hint = nearest(name, known) if known else "there is none yet"
        raise ConfigurationError(f"label set '{name}': not known; {hint}")
    number = numbers[-1] if number is None else number
    if number not in numbers:
        raise ConfigurationError(
            f"label set '{name}': expected a version from 1 to {numbers[-1]}, actual: {number}"
        )
    note = store.recall(_key(name, number))
    assert note is not None, "its key was listed"
    return LabelSetVersion(name, number, tuple(BatchNote(**batch) for batch in note["batches"]))


def first_with(store: Store, name: str, origin: str) -> LabelSetVersion | None:
    """The first version that has a batch of an origin; None where there is none."""
    for number in versions(store, check_name(name)):
        version = read(store, name, number)
        if any(note.origin == origin for note in version.batches):
            return version
    return None


def append(store: Store, name: str, batches: Sequence[LabelBatch]) -> LabelSetVersion:
    """Add batches as one new version, or make the set; one writer at a time.

    A batch that is in the set, whatever the numbers of its clips, is not added again; where none
    is new, the newest version is returned.

    Raises:
        ConfigurationError: the batches do not fit together or to those in the set, or there is
            none; nothing is added.
    """
    before = newest(store, name)
    if not batches:
        raise ConfigurationError(f"label set '{name}': expected labels to add, actual: none")
    there = [] if before is None else before.load(store)
    whole: Evidence | None = None
    for batch in (*there, *batches):
        whole = joined(whole, batch.evidence)
    notes = () if before is None else before.batches
    known = {note.ref for note in notes} | {identity(batch) for batch in there} - {None}
    new = []
    for batch in batches:
        note = BatchNote(store.put(batch), batch.origin, batch.collected_at, batch.counts)
        same = {note.ref, identity(batch)} - {None}
        if not same & known:
            known |= same
            new.append(note)
    if before is not None and not new:
        return before
    version = LabelSetVersion(name, 1 if before is None else before.number + 1, (*notes, *new))
    key = _key(name, version.number)
    if store.recall(key) is not None:
        raise StoreError(f"label set '{name}': another process has added to it; try again")
    refs = {f"{place:06d}": note.ref for place, note in enumerate(version.batches)}
    content = [asdict(note) for note in version.batches]
    store.remember(key, {"refs": refs, "batches": content, "digest": version.digest})
    return version


def check_name(name: str) -> str:
    """Return the name. Raises `ConfigurationError` where it cannot name a label set."""
    if not re.fullmatch(NAME, name) or len(name) > 100:
        raise ConfigurationError(
            f"label set: expected a name of letters, digits, dots, dashes and underscores that "
            f"begins with a letter or digit, actual: {name[:100]!r}"
        )
    return name


def _key(name: str, number: int) -> str:
    return f"{PREFIX}{name}/{number:06d}"
